"""Reduce one frame: choose its masters, run the recipe, write the products, record the result."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from nrespipe.database import measurements
from nrespipe.database.dialects import clock
from nrespipe.database.masters import calibrations, lineage
from nrespipe.database.states import State
from nrespipe.database.tables import Frame, FrameDrift, Master, Product, StarVelocity
from nrespipe.database.work import announcements, attempts
from nrespipe.errors import BadFrame, MissingCalibration
from nrespipe.files.atomic_files import md5
from nrespipe.files.products import frame_products
from nrespipe.files.raw import raw_file
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind, RawFrame
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.frames.wavelength import DRIFT_SCATTER_MS
from nrespipe.service.masters import master_choice
from nrespipe.service.masters.master_choice import MasterFile
from nrespipe.service.outcome import attempt_row
from nrespipe.service.reduction import recipe_references
from nrespipe.service.reduction.template_choice import Candidate, candidates

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
class Job:
    """Everything that a process needs to reduce one frame.

    Attributes
    ----------
    frame_id
        Row of the frame.
    path
        The raw file.
    recipe
        Recipe of its kind.
    spectrographs
        Returns the spectrograph of a name.
    masters
        File of each master that is used.
    missing
        Why a master that it needs is not there; '' where all are.
    output
        Where products go.
    flags
        Quality flags that follow from the choice of masters.
    with_velocities
        Whether velocities are measured.
    templates
        Templates to choose from.
    drift_scatter_ms
        As in ``References`` [m / s].
    """

    frame_id: int
    path: str
    recipe: ModuleType
    spectrographs: Callable[[str], Spectrograph]
    masters: Mapping[Kind, MasterFile]
    missing: str
    output: Path
    flags: Quality = Quality(0)
    with_velocities: bool = True
    templates: tuple[Candidate, ...] = ()
    drift_scatter_ms: float = DRIFT_SCATTER_MS


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


def plan(session: "Session", frame: Frame, assembly: "Assembly") -> Job:
    """Choose the masters of a frame, and its templates.

    Raises
    ------
    BadFrame
        If the kind of the frame is not known.
    """
    if frame.kind is None:
        raise BadFrame(f"{frame.filename}: kind of frame unknown; expected one of {', '.join(map(str, Kind))}")
    recipe = assembly.recipes[frame.kind]
    chosen, missing = master_choice.choose(session, frame, recipe, assembly)
    masters = [session.get_one(Master, file.row_id) for file in chosen.values()]
    is_far = any(abs(calibrations.distance_days(one, frame)) > calibrations.REACH_DAYS[one.kind] for one in masters)
    flags = Quality.OLD_CALIBRATION if is_far else Quality(0)
    if frame.kind is Kind.SCIENCE and lineage.unreviewed(session, masters):
        flags |= Quality.UNREVIEWED_MASTER
    job = Job(
        frame.id, frame.path, recipe, assembly.spectrographs, chosen, missing, assembly.output, flags,
        with_velocities=assembly.settings.do_rv,
    )  # fmt: skip
    if frame.kind is not Kind.SCIENCE:
        return job
    templates = candidates(session, assembly.output, frame.day)
    return replace(job, templates=templates, drift_scatter_ms=measurements.drift_scatter_ms(session, frame))


def reduce(job: Job, still_mine: Callable[[], bool] | None = None) -> Result:
    """Reduce one frame and write its products; runs in any process.

    Parameters
    ----------
    still_mine
        Returns whether the frame still belongs to this process; called just before products are replaced. It always
        does if not given.

    Raises
    ------
    Skipped, BadFrame, MissingCalibration, Unavailable
        As the readers, the recipe and the writers do.
    """
    watch = _Watch()
    raw = raw_file.read(job.path)
    watch.lap("read")
    spectrograph = recipe_references.spectrograph_of(job.spectrographs, raw.instrument, raw.filename)
    recipe_references.require_size(raw, spectrograph.detector)
    if job.missing:
        # not before the frame was read: a damaged one would wait for nothing
        raise MissingCalibration(job.missing)
    refs = recipe_references.fetch(
        job.masters, raw.kind, spectrograph, raw, job.output, job.with_velocities, job.templates,
        drift_scatter_ms=job.drift_scatter_ms,
    )  # fmt: skip
    watch.lap("references")
    reduction = _flagged(job.recipe.reduce(raw, refs, spectrograph), job.flags)
    watch.lap("recipe")
    paths: dict[str, str] = {kind: file.path for kind, file in job.masters.items()}
    written = frame_products.write(
        raw, reduction, paths, spectrograph, job.output, stars=refs.stars, still_mine=still_mine
    )
    products = tuple((level, str(path.relative_to(job.output)), md5(path)) for level, path in written)
    watch.lap("products")
    return Result(
        quality=int(reduction.quality),
        measurements=dict(reduction.measurements),
        velocities=tuple(_velocity_columns(raw, velocity, reduction) for velocity in reduction.velocities),
        products=products,
        seconds=watch.laps,
        drift=_drift_columns(raw, reduction, paths, job.output),
    )


def record(session: "Session", job: Job, ended: "Outcome[Result]", assembly: "Assembly") -> Frame:
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


def _look_again(session: "Session", frame: Frame, job: Job, ended: "Outcome[Result]", assembly: "Assembly") -> None:
    """Make a frame that was just tried due once more where its masters have changed meanwhile, or are gone."""
    is_settled = frame.state in (State.DONE, State.BAD) and ended.state is not State.RETRY
    if frame.state == State.WAITING:
        if plan(session, frame, assembly).masters != job.masters:
            # a master that was made meanwhile has released the frames that waited then, and this one did not wait yet
            frame.next_try = clock(session)
    elif is_settled and _is_outdated(session, frame, job, assembly):
        announcements.request(session, frame, low_priority=frame.state is State.DONE)
    elif is_settled and ended.state is State.WAITING and not job.missing:
        # the file of a master is gone or damaged; the next run, or another worker, makes it again
        announcements.request(session, frame, low_priority=True)
        frame.next_try = clock(session) + timedelta(seconds=attempts.LOOK_AGAIN_S)


def _is_outdated(session: "Session", frame: Frame, job: Job, assembly: "Assembly") -> bool:
    """Whether a frame that was just tried has better masters, or fewer flags, by now.

    A decision on a master, or a new master, does not reach a frame at work; and a frame that was refused with a master
    that needs review is tried with others, each of them once.
    """
    now = plan(session, frame, assembly)
    refused = [attempt.masters for attempt in frame.attempts if attempt.outcome is State.BAD]
    rows = {file.row_id for file in now.masters.values()}
    is_new = frame.attempts[-1].outcome is not State.BAD or all(rows != {one.id for one in used} for used in refused)
    return not now.missing and is_new and (now.masters != job.masters or now.flags != job.flags)


def _kept(velocities: Sequence[Columns]) -> dict[str, float | None]:
    """Numbers of the velocities that stay with the attempt when another one replaces its results."""
    return {f"{name}_fiber{one['fiber']}": one[name] for one in velocities for name in ("rv_ms", "rv_err_ms")}


class _Watch:
    """Measures how long each of some steps takes [second]."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._begin = time.perf_counter()

    def lap(self, step: str) -> None:
        now = time.perf_counter()
        self.laps[step], self._begin = now - self._begin, now


def _flagged(reduction: "Reduction", flags: Quality) -> "Reduction":
    velocities = tuple(replace(velocity, quality=velocity.quality | flags) for velocity in reduction.velocities)
    return replace(reduction, quality=reduction.quality | flags, velocities=velocities)


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
        "drift_ms": drift.velocity_ms if drift and drift.n_lines > 0 else None,
        "snr": velocity.snr,
        "fwhm_ms": velocity.fwhm_ms,
        "contrast": velocity.contrast,
        "bisector_ms": velocity.bisector_ms,
        "quality": int(velocity.quality),
        **_further_columns(velocity),
    }


def _further_columns(velocity: "Velocity") -> Columns:
    kind, second = velocity.stellar_type, velocity.template
    return {
        "star": "" if velocity.star.source == "telescope" else velocity.star.name,
        "transfer_err_ms": velocity.transfer_error_ms,
        "scale_err_ms": velocity.scale_error_ms,
        "fwhm_err_ms": velocity.fwhm_error_ms,
        "contrast_err": velocity.contrast_error,
        "bisector_err_ms": velocity.bisector_error_ms,
        "template": second.name if second else "",
        "template_rv_ms": second.rv_ms if second else None,
        "template_err_ms": second.error_ms if second else None,
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
