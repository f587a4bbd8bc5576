"""Advice for a new site: the findings about its masters, and what a person should do next."""

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from nrespipe.analysis.master_list import name_of
from nrespipe.database.masters import calibrations
from nrespipe.database.states import Standing, State
from nrespipe.database.tables import Frame, Master
from nrespipe.files.raw.identity import without_name as bare
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind

if TYPE_CHECKING:
    from nrespipe.frames.judgement import Judgement
    from nrespipe.frames.masters import Arc, Bias, Dark, Flat

_ADVICE = {
    Quality.FEW_CALIBRATIONS: "{kind}: {n} frames are few; take {wanted}",
    Quality.GAIN_ASSUMED: "{kind}: take two flats or more of each pair of fibers, for the gain was not measured",
    Quality.GAIN_DISAGREES: "{kind}: measure the gain again with more flats, or correct gain_e_per_adu in the table",
    Quality.READ_NOISE_DISAGREES: "{kind}: correct read_noise_e in the table, or find what makes noise",
    Quality.HEADER_DISAGREES: "{kind}: the raw headers give another gain or read noise than the frames show",
    Quality.FIBERS_REVERSED: "{kind}: the fibers lie the other way round; turn the list `upward` of the table",
    Quality.ORDERS_RENUMBERED: "{kind}: the lamp contradicts the numbers of the flat; correct `rows` of the table",
    Quality.POOR_WAVELENGTHS: "{kind}: the lines scatter widely; look at the page of the wavelengths, and at the focus",
}

#: Largest number of frames of a kind that are listed; at a site that does not work yet the first ones suffice.
_MOST = 12


def of(
    session: Session,
    kind: Kind,
    place: tuple[str, str, str],
    recipe: ModuleType,
    made: "tuple[Master, Bias | Dark | Flat | Arc, Judgement] | None",
) -> tuple[list[str], list[str]]:
    """Return the findings about the master of a kind, and advice.

    Parameters
    ----------
    place
        Site, spectrograph and camera.
    recipe
        Recipe of the kind.
    made
        Row of the master that may be used, the master, and its judgement by itself; None where there is none.

    Returns
    -------
    told, advice : list of str
        Lines of the findings, and of what to do about them.
    """
    tries = [
        m
        for m in calibrations.with_problems(session, site=place[0])
        if (m.kind, m.site, m.instrument, m.camera) == (kind, *place)
    ]
    said = [f"  {m.day}: {m.standing}: {m.reason or 'no reason is known'}" for m in tries]
    frames = _frames(session, kind, place)
    said += _problems(frames)
    if made is None:
        good = sum(frame.state is State.DONE for frame in frames)
        told = [f"{kind}: none", f"  {good} of {len(frames)} {kind} frames are good", *said]
        waits = any(frame.state is State.WAITING for frame in frames)
        few = good < recipe.MINIMUM and not waits
        other = f"take {_wanted(kind, recipe)}" if few else "see above why there is none"
        return told, [f"{kind}: {other}"]
    row, master, judged = made
    quality = Quality(row.quality)
    doubts = ", ".join([*judged.reasons, *quality.names()]) or "nothing against it"
    told = [f"{kind} of {row.day}, {row.n_inputs} inputs: {doubts}", f"  {row.path}"]
    told += [f"  {line}" for line in _SHOWN[kind](master)]
    told += [f"  {row.reason}"] * bool(row.reason) + said
    words = {"kind": kind, "n": row.n_inputs, "wanted": _wanted(kind, recipe)}
    advice = [text.format(**words) for flag, text in _ADVICE.items() if flag in quality]
    advice += [
        f"{kind}: look at {name_of(m)}, then `nrespipe masters good` or `bad`"
        for m in tries
        if m.standing is Standing.REVIEW
    ]
    return told, advice + [f"{kind}: {reason}: look at its page" for reason in judged.reasons]


def _frames(session: Session, kind: Kind, place: tuple[str, str, str]) -> Sequence[Frame]:
    site, instrument, camera = place
    same = (Frame.kind == kind, Frame.site == site, Frame.instrument == instrument, Frame.camera == camera)
    return session.scalars(select(Frame).where(*same, Frame.is_latest()).order_by(Frame.filename)).all()


def _problems(frames: Sequence[Frame]) -> list[str]:
    """Return a line for each frame that is not done."""
    problems = [frame for frame in frames if frame.state is not State.DONE]
    lines = [f"  {frame.filename}: {frame.state}: {bare(frame.reason, frame.filename)}" for frame in problems]
    return [*lines[:_MOST], f"  and {len(lines) - _MOST} more"] if len(lines) > _MOST else lines


def _wanted(kind: Kind, recipe: ModuleType) -> str:
    each = " of each pair of fibers" if kind in (Kind.FLAT, Kind.ARC) else ""
    several = "biases" if kind is Kind.BIAS else f"{kind}s"
    return f"{getattr(recipe, 'USUAL', recipe.MINIMUM)} {several}{each}"


def _bias(master: "Bias") -> list[str]:
    return [f"read noise {master.read_noise_adu:.2f} ADU"]


def _dark(master: "Dark") -> list[str]:
    return [f"{(master.mask > 0).mean():.3%} of the pixels are hot or unsteady"]


def _flat(master: "Flat") -> list[str]:
    traces = master.traces
    middle = traces.centers[:, :, traces.centers.shape[2] // 2]
    rows = [f"fiber {f}: rows {r[0]:.1f} to {r[-1]:.1f} in the middle" for f, r in zip(traces.fibers, middle)]
    orders = f"orders {traces.orders[0]} to {traces.orders[-1]}, {len(traces.orders)} in all"
    gain = f"gain {master.gain_e_per_adu:.3f} +- {master.gain_error:.3f} electron / ADU"
    if Quality.GAIN_ASSUMED in master.origin.quality:
        gain = f"gain {master.gain_e_per_adu:.3f} electron / ADU, assumed: it cannot be measured from these flats"
    return [orders, *rows, gain]


def _arc(master: "Arc") -> list[str]:
    # the engine compiles kernels and is slow to load, and the other commands do not need it
    from nrespipe.engine.wavelength import wavelength_errors

    solution, reference = master.solution, master.reference.fibers[0]
    errors = [f"+- {error:.1f} m/s against fiber {reference}" for error in master.transfer_error_ms]
    errors[solution.fibers.index(reference)] = f"zero point +- {wavelength_errors.zero_point_ms(master):.1f} m/s"
    return [
        f"fiber {fiber}: {lines} lines, scatter {scatter:.0f} m/s, {error}"
        for fiber, lines, scatter, error in zip(
            solution.fibers, solution.n_lines, solution.scatter_ms, errors, strict=True
        )
    ]


_SHOWN: dict[Kind, Callable[[Any], list[str]]] = {Kind.BIAS: _bias, Kind.DARK: _dark, Kind.FLAT: _flat, Kind.ARC: _arc}
