"""The result of a reduction: its rows for the database, recorded with the attempt."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nrespipe.database.dialects import clock
from nrespipe.database.states import State
from nrespipe.database.tables import Frame, FrameDrift, Master, Product, StarVelocity
from nrespipe.database.work import announcements, attempts
from nrespipe.frames.raw import Kind, RawFrame
from nrespipe.service.outcome import attempt_row
from nrespipe.service.reduction import frame_jobs

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from nrespipe.frames.reduction import Reduction
    from nrespipe.frames.star import Index
    from nrespipe.frames.velocity import Velocity
    from nrespipe.service.assembly import Assembly
    from nrespipe.service.outcome import Outcome

#: Values of a row of the database by column.
Columns = Mapping[str, Any]


@dataclass(frozen=True)
class Result:
    """Result of a reduction, for the database.

    Attributes
    ----------
    quality
        Bits of ``frames.quality.Quality``.
    measurements
        As in ``Reduction``.
    velocities
        Columns of each velocity.
    products
        Level, path below the output directory, and checksum of each file.
    drift
        Columns of the drift; empty where none was to be measured.
    seconds
        How long each step took.
    """

    quality: int
    measurements: Mapping[str, float]
    velocities: tuple[Columns, ...]
    products: tuple[tuple[str, str, str], ...]
    drift: Columns = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)


def of_reduction(
    raw: RawFrame,
    reduction: "Reduction",
    products: tuple[tuple[str, str, str], ...],
    masters: Mapping[str, str],
    output: Path,
    seconds: Mapping[str, float],
) -> Result:
    """Return the result of a reduction whose products are written.

    Parameters
    ----------
    products, seconds
        As in `Result`.
    masters
        By kind, the file of every master that was used.
    output
        Output directory.
    """
    return Result(
        quality=int(reduction.quality),
        measurements=dict(reduction.measurements),
        velocities=tuple(_velocity_columns(raw, velocity, reduction) for velocity in reduction.velocities),
        products=products,
        seconds=seconds,
        drift=_drift_columns(raw, reduction, masters, output),
    )


def record_result(session: "Session", job: frame_jobs.Job, ended: "Outcome[Result]", assembly: "Assembly") -> Frame:
    """Record the outcome of a job; a frame that has better masters by now is due once more.

    Returns
    -------
    Frame
        In its new state.
    """
    result = ended.value or Result(0, {}, (), ())
    masters = [session.get_one(Master, file.row_id) for file in job.masters.values()]
    measurements = {**result.measurements, **_kept(result.velocities)}
    attempt = attempt_row(job.frame_id, ended, measurements=measurements, masters=masters)
    files = [Product(level=level, path=path, md5=checksum) for level, path, checksum in result.products]
    velocities = [StarVelocity(**columns) for columns in result.velocities]
    drift = FrameDrift(**result.drift) if result.drift else None
    frame = attempts.record_attempt(session, attempt, result.quality, files, velocities, drift)
    session.flush()
    _look_again(session, frame, job, ended, assembly)
    return frame


def _look_again(
    session: "Session", frame: Frame, job: frame_jobs.Job, ended: "Outcome[Result]", assembly: "Assembly"
) -> None:
    """Make a frame that was just tried due once more where its masters have changed meanwhile, or are gone."""
    is_settled = frame.state in (State.DONE, State.BAD) and ended.state is not State.RETRY
    if frame.state == State.WAITING:
        if frame_jobs.plan(session, frame, assembly).masters != job.masters:
            # a master that was made meanwhile has released the frames that waited then, and this one did not wait yet
            frame.next_try = clock(session)
    elif is_settled and _is_outdated(session, frame, job, assembly):
        # it was reduced with other masters than it would get now
        announcements.request(session, frame, low_priority=frame.state is State.DONE)
    elif is_settled and ended.state is State.WAITING and not job.missing:
        # the file of a master is gone or damaged; the next run, or another worker, makes it again
        announcements.request(session, frame, low_priority=True)
        frame.next_try = clock(session) + timedelta(seconds=attempts.LOOK_AGAIN_S)


def _is_outdated(session: "Session", frame: Frame, job: frame_jobs.Job, assembly: "Assembly") -> bool:
    """Whether a frame that was just tried has better masters, or fewer flags, by now.

    A decision on a master, or a new master, does not reach a frame at work; and a frame that was refused with a master
    that needs review is tried with others, each of them once.
    """
    now = frame_jobs.plan(session, frame, assembly)
    refused = [attempt.masters for attempt in frame.attempts if attempt.outcome is State.BAD]
    rows = {file.row_id for file in now.masters.values()}
    is_new = frame.attempts[-1].outcome is not State.BAD or all(rows != {one.id for one in used} for used in refused)
    return not now.missing and is_new and (now.masters != job.masters or now.flags != job.flags)


def _kept(velocities: Sequence[Columns]) -> dict[str, float | None]:
    """Numbers of the velocities that stay with the attempt when another one replaces its results."""
    return {f"{name}_fiber{one['fiber']}": one[name] for one in velocities for name in ("rv_ms", "rv_err_ms")}


def _velocity_columns(raw: RawFrame, velocity: "Velocity", reduction: "Reduction") -> Columns:
    """Columns of ``StarVelocity`` of one star."""
    drift = reduction.wavelengths.drift if reduction.wavelengths else None
    return {
        "fiber": velocity.fiber,
        "object": raw.objects[velocity.fiber],
        "mask": velocity.mask,
        "bjd_tdb": velocity.barycentric.bjd_tdb,
        "rv_ms": velocity.rv_ms,
        "rv_err_ms": velocity.error_ms,
        "photon_err_ms": velocity.photon_error_ms,
        "wavelength_err_ms": velocity.wavelength_error_ms,
        "drift_err_ms": velocity.drift_error_ms,
        "mask_err_ms": velocity.mask_error_ms,
        "berv_ms": velocity.barycentric.berv_ms,
        "perspective_ms": velocity.barycentric.perspective_ms,
        "drift_ms": drift.velocity_ms if drift and drift.n_lines > 0 else None,
        "snr": velocity.snr,
        "fwhm_ms": velocity.fwhm_ms,
        "contrast": velocity.contrast,
        "bisector_ms": velocity.bisector_ms,
        "quality": int(velocity.quality),
        **_further_columns(velocity, raw.objects[velocity.fiber]),
    }


def _further_columns(velocity: "Velocity", name: str) -> Columns:
    kind, by_template = velocity.stellar_type, velocity.template
    return {
        "star": "" if velocity.star.source == "telescope" and velocity.star.name == name else velocity.star.name,
        "ra_deg": velocity.star.ra_deg,
        "dec_deg": velocity.star.dec_deg,
        "transfer_err_ms": velocity.transfer_error_ms,
        "scale_err_ms": velocity.scale_error_ms,
        "fwhm_err_ms": velocity.fwhm_error_ms,
        "contrast_err": velocity.contrast_error,
        "bisector_err_ms": velocity.bisector_error_ms,
        "template": by_template.name if by_template else "",
        "template_rv_ms": by_template.rv_ms if by_template else None,
        "template_err_ms": by_template.error_ms if by_template else None,
        "second_rv_ms": velocity.second_dip.rv_ms if velocity.second_dip else None,
        "second_contrast": velocity.second_dip.contrast if velocity.second_dip else None,
        "teff_k": kind.teff_k,
        "teff_err_k": kind.teff_error_k,
        "vsini_ms": kind.vsini_ms,
        "vsini_err_ms": kind.vsini_error_ms,
        "activity": {i.name: _activity(i) for i in velocity.activity},
    }


def _activity(index: "Index") -> list[float | str | None]:
    """Return value and error of an index, or None and why there is none: a JSON column takes no NaN."""
    if index.reason or not (math.isfinite(index.value) and math.isfinite(index.error)):
        return [None, index.reason or "not a number"]
    return [index.value, index.error]


def _drift_columns(raw: RawFrame, reduction: "Reduction", masters: Mapping[str, str], output: Path) -> Columns:
    """Columns of ``FrameDrift``; none for a frame without wavelengths."""
    if reduction.wavelengths is None:
        return {}
    drift = reduction.wavelengths.drift
    known = drift.n_lines > 0
    numbers = {
        "velocity_ms": drift.velocity_ms,
        "velocity_err_ms": drift.velocity_error_ms,
        "shift_px": drift.shift_px,
        "shift_err_px": drift.shift_error_px,
        "stretch_px": drift.stretch_px,
        "stretch_err_px": drift.stretch_error_px,
        "turn_px": drift.turn_px,
        "turn_err_px": drift.turn_error_px,
        "bend_ms": drift.bend_ms,
        "bend_err_ms": drift.bend_error_ms,
    }
    return {
        **{name: float(value) if known else None for name, value in numbers.items()},
        "mid_mjd": raw.start_mjd + raw.exposure_s / 2 / 86400,
        "n_lines": int(drift.n_lines),
        "pressure_psi": raw.pressure_psi,
        "temperature_c": raw.temperature_c,
        "arc": str(Path(masters[Kind.ARC]).relative_to(output)) if Kind.ARC in masters else "",
    }
