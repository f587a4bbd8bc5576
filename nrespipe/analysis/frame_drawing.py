"""The drawing of a science frame: what it shows, as a PDF beside the products, and drawn again from the files."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nrespipe import instruments
from nrespipe.analysis import master_drawing
from nrespipe.database import frames, measurements
from nrespipe.database.states import State
from nrespipe.errors import BadFrame, MissingCalibration, Skipped
from nrespipe.files import layout, master_files
from nrespipe.files.products import product_reader
from nrespipe.files.raw import identity, raw_file
from nrespipe.files.raw.card_values import number, text, value
from nrespipe.frames.masters import Arc, Flat
from nrespipe.frames.quality import UNCERTAIN, Quality
from nrespipe.frames.raw import Kind, RawFrame
from nrespipe.frames.reduction import Reduction
from nrespipe.frames.reports import EarlierVelocities, FrameReport, MasterUse
from nrespipe.frames.spectra import Spectra

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from nrespipe.database.tables import Attempt, Frame, Master
    from nrespipe.frames.spectrograph import Spectrograph


def report_of(
    raw: RawFrame,
    reduction: Reduction | None,
    spectrograph: "Spectrograph | None",
    **shown: Any,
) -> FrameReport:
    """Return what the drawing of a frame shows.

    Parameters
    ----------
    reduction
        As the recipe or the reader of products gives it; None where the frame was not reduced.
    spectrograph
        None where no table describes it.
    **shown
        Further attributes of ``FrameReport``.
    """
    airmass = number(value(raw.header, "AIRMASS"))
    program = text(value(raw.header, "PROPID")) or ""
    kept = None if reduction is None else _as_kept(reduction)
    return FrameReport(raw, kept, spectrograph, airmass=airmass, program=program, **shown)


def _as_kept(reduction: Reduction) -> Reduction:
    """Return a reduction with the precision of its products: drawn from memory or from files it looks the same."""
    if reduction.spectra is None:
        return reduction
    spectra = reduction.spectra
    flux, variance, blaze = (
        np.asarray(array, np.float32).astype(float) for array in (spectra.flux, spectra.variance, spectra.blaze)
    )
    return replace(reduction, spectra=replace(spectra, flux=flux, variance=variance, blaze=blaze))


def pdf(report: FrameReport) -> bytes:
    """Return the drawing of a frame as a PDF; the same report always gives the same bytes."""
    # matplotlib is slow to load, and only drawings need it
    from nrespipe.plots import frame_pages

    written = io.BytesIO()
    with frame_pages.style():
        master_drawing.save_pdf(frame_pages.pages(report), written, report.raw.filename)
    return written.getvalue()


def masters_of(masters: "Sequence[Master]", frame: "Frame") -> tuple[MasterUse, ...]:
    """Return the masters of a frame as its drawing lists them."""
    return tuple(
        MasterUse(
            one.kind,
            Path(one.path).name,
            np.nan if one.mean_mjd is None or frame.start_mjd is None else frame.start_mjd - one.mean_mjd,
            str(one.standing),
            Quality(one.quality),
        )
        for one in sorted(masters, key=lambda one: list(Kind).index(one.kind))
    )


def earlier_velocities(session: "Session", frame: "Frame") -> dict[int, EarlierVelocities]:
    """Return the velocities of the stars of a frame in the nights before, by fiber.

    Notes
    -----
    Nights before that of the frame alone, so that it does not matter in which order the frames of a night are reduced;
    and under the same name in OBJECTS.
    """
    found = {}
    for fiber, name in enumerate(frame.objects.split("&")):
        rows = measurements.velocities_before(session, name, frame.day) if name else []
        if rows:
            velocities = [one for _, one in rows]
            found[fiber] = EarlierVelocities(
                np.array([one.bjd_tdb for one in velocities], float),
                np.array([one.rv_ms for one in velocities], float),
                np.array([one.rv_err_ms for one in velocities], float),
                np.array([bool(Quality(one.quality) & UNCERTAIN) for one in velocities], bool),
                np.array([
                    (seen.instrument, seen.camera, one.fiber) == (frame.instrument, frame.camera, fiber)
                    for seen, one in rows
                ], bool),
            )  # fmt: skip
    return found


def draw_frame(
    session: "Session",
    name: str,
    output: Path,
    target: Path,
    page: int | None = None,
) -> list[Path]:
    """Draw a frame again, from its raw file, its products, its masters and the database.

    Parameters
    ----------
    name
        The frame; directory and extension do not matter.
    output
        Output directory, which contains products and masters.
    target
        File of the drawing; its suffix selects the form, ``.pdf`` or ``.png``.
    page
        Only this page, from 1.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    LookupError
        If there is no such frame or page, or its raw file or a product is damaged.
    Unavailable
        If the disk does not give a file.
    """
    from nrespipe.plots import frame_pages

    versions = frames.find(session, identity.stem(name))
    found = next((one for one in versions if one.version is not None), versions[0] if versions else None)
    if found is None:
        raise LookupError(f"there is no frame {identity.stem(name)}")
    try:
        report = _read(session, found, output)
    except (BadFrame, Skipped) as error:
        raise LookupError(f"{found.filename} cannot be drawn: {error}") from error
    with frame_pages.style():
        drawn = frame_pages.pages(report)
        if page is not None and page > len(drawn):
            raise LookupError(f"{report.raw.filename} has {len(drawn)} pages, and none of number {page}")
        return master_drawing.save(drawn if page is None else [drawn[page - 1]], target, report.raw.filename)


def _read(session: "Session", frame: "Frame", output: Path) -> FrameReport:
    raw = raw_file.read(frame.path)
    attempt = next((one for one in reversed(frame.attempts) if one.outcome is State.DONE), None)
    try:
        spectrograph = instruments.load(raw.instrument, layout.instruments(output))
    except (KeyError, OSError, ValueError):
        spectrograph = None
    if attempt is None or frame.state is not State.DONE:
        used = frame.attempts[-1].masters if frame.attempts else []
        reason = frame.reason or f"state {frame.state}"
        return report_of(raw, None, spectrograph, reason=reason, **_masters(used, frame, output))
    return report_of(
        raw, _reduction(frame, attempt, output), spectrograph, earlier=earlier_velocities(session, frame),
        version=frame.code_version, **_masters(attempt.masters, frame, output),
    )  # fmt: skip


def _masters(used: "Sequence[Master]", frame: "Frame", output: Path) -> dict[str, Any]:
    """Return the masters as the report has them; a flat or an arc whose file is gone is left out."""
    read: dict[str, Any] = {"masters": masters_of(used, frame), "flat": None, "arc": None}
    for one in used:
        if one.kind in (Kind.FLAT, Kind.ARC) and one.path:
            try:
                master = master_files.read(output / one.path)
            except MissingCalibration:
                continue
            if isinstance(master, Flat | Arc):
                read[str(one.kind)] = master
    return read


def _reduction(frame: "Frame", attempt: "Attempt", output: Path) -> Reduction | None:
    """Return the reduction of a frame by its products, with the numbers of the attempt that wrote them."""
    read = [(one.level, product_reader.read(output / one.path)) for one in frame.products if one.level in ("L2", "L4")]
    spectra = _joined([one for level, one in read if level == "L2"])
    if spectra is None:
        return None
    velocities = tuple(
        replace(one, barycentric=spectra.barycentric.get(one.fiber, one.barycentric))
        for level, part in read if level == "L4" for one in part.velocities
    )  # fmt: skip
    measured: Mapping[str, float | None] = attempt.measurements
    numbers = {key: content for key, content in measured.items() if content is not None}
    return replace(
        spectra, velocities=tuple(sorted(velocities, key=lambda one: one.fiber)), measurements=numbers,
        quality=Quality(frame.quality),
    )  # fmt: skip


def _joined(parts: Sequence[Reduction]) -> Reduction | None:
    """Return the spectra of the files of all stars of a frame as one; the lamp is in each of them."""
    joined: Reduction | None = None
    for part in parts:
        if part.spectra is None or part.wavelengths is None:
            continue
        if joined is None or joined.spectra is None or joined.wavelengths is None:
            joined = part
            continue
        have, more, waves = joined.spectra, part.spectra, joined.wavelengths
        fibers = sorted({*have.fibers, *more.fibers})
        of = [(have, waves) if fiber in have.fibers else (more, part.wavelengths) for fiber in fibers]
        flux, variance, quality, blaze = (
            np.stack(stack) for stack in zip(*(one.of(fiber) for fiber, (one, _) in zip(fibers, of)))
        )
        angstrom = [wave.vacuum_angstrom[wave.fibers.index(fiber)] for fiber, (_, wave) in zip(fibers, of)]
        joined = replace(
            joined,
            spectra=Spectra(tuple(fibers), have.orders, flux, variance, quality, blaze, have.rejected),
            wavelengths=replace(
                waves, fibers=tuple(fibers), vacuum_angstrom=np.stack(angstrom), pixel_error_ms=None,
                error_ms=np.full(len(fibers), np.inf),
            ),
            barycentric={**joined.barycentric, **part.barycentric},
        )  # fmt: skip
    return joined
