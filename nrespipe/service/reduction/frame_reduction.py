"""One frame: open it, fetch what its recipe needs, run the recipe, write the products, record what came of it."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from nrespipe.database import claims, frames, measurements
from nrespipe.database.dialects import clock
from nrespipe.database.masters import calibrations, lineage
from nrespipe.database.states import State
from nrespipe.database.tables import Frame, FrameDrift, Master, Product, StarVelocity
from nrespipe.errors import MissingCalibration
from nrespipe.files.disk import md5
from nrespipe.files.products import frame_products
from nrespipe.files.raw import raw_file
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.frames.wavelength import DRIFT_SCATTER_MS
from nrespipe.service.ingest.registration import attempt_row
from nrespipe.service.reduction import references, result_rows
from nrespipe.service.reduction.template_candidates import Candidate, candidates

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from nrespipe.service.assembly import Assembly
    from nrespipe.service.outcome import Outcome


@dataclass(frozen=True)
class Job:
    """All that a process needs to know to reduce one frame.

    Attributes
    ----------
    frame_id
        Row of the frame.
    path
        The raw file.
    recipe
        What to do.
    spectrographs
        Makes a spectrograph of its name.
    masters
        Row, file and checksum of each master that serves it.
    missing
        Why a master that it needs is not there; '' where all are.
    output
        Where products go.
    doubts
        What the choice of masters says against the frame.
    velocities
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
    masters: Mapping[Kind, tuple[int, str, str]]
    missing: str
    output: Path
    doubts: Quality = Quality(0)
    velocities: bool = True
    templates: tuple[Candidate, ...] = ()
    drift_scatter_ms: float = DRIFT_SCATTER_MS


@dataclass(frozen=True)
class Result:
    """What a reduction leaves for the database.

    Attributes
    ----------
    quality
        Bits of ``frames.quality.Quality``.
    measurements
        As in ``Reduction``.
    velocities
        Columns of each velocity.
    products
        Path below the output directory and checksum of each file.
    drift
        Columns of the drift; empty where none was to be measured.
    seconds
        How long each step took.
    """

    quality: int
    measurements: Mapping[str, float]
    velocities: tuple[Mapping, ...]
    products: tuple[tuple[str, str], ...]
    drift: Mapping[str, object] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)


def plan(session: "Session", frame: Frame, assembly: "Assembly") -> Job:
    """Choose what a frame is reduced with."""
    recipe = assembly.recipes[frame.kind]
    chosen, missing = choose_masters(session, frame, recipe, assembly)
    used = [session.get_one(Master, row) for row, _, _ in chosen.values()]
    is_far = any(abs(calibrations.distance_days(one, frame)) > calibrations.REACH_DAYS[one.kind] for one in used)
    doubts = Quality.OLD_CALIBRATION if is_far else Quality(0)
    if frame.kind is Kind.SCIENCE and lineage.unreviewed(session, used):
        doubts |= Quality.UNREVIEWED_MASTER
    told = (assembly.output, doubts, assembly.settings.do_rv)
    if frame.kind is Kind.SCIENCE:
        told += candidates(session, assembly.output, frame.day), measurements.drift_scatter_ms(session, frame)
    return Job(frame.id, frame.path, recipe, assembly.spectrographs, chosen, missing, *told)


def choose_masters(
    session: "Session", frame: Frame | Master, recipe: ModuleType, assembly: "Assembly"
) -> tuple[dict[Kind, tuple[tuple[int, str, str], ...]], str]:
    """Choose the masters that a recipe needs.

    Parameters
    ----------
    frame
        A frame, or a master that is to be made.
    recipe
        What to do with it.
    assembly
        What to work with: where the masters lie, and what they need themselves.

    Returns
    -------
    chosen : dict of Kind to tuple of (int, str, str)
        Row, file and checksum of each.
    missing : str
        Why others are not there; '' where all are. Of masters that need each other the first is told in full.
    """
    chosen, missing = {}, []
    far, future = _impatient(session, frame, assembly.settings), assembly.settings.future_masters
    mistrusted = lineage.suspects(session, frame)
    for kind in recipe.NEEDS:
        master = calibrations.nearest(session, kind, frame, far=far, future=future, without=mistrusted)
        master = master or calibrations.nearest(session, kind, frame, far=far, future=future)
        if master is None:
            missing.append(kind)
        else:
            chosen[kind] = (master.id, str(assembly.output / master.path), master.md5)
    return chosen, _missing(session, frame, missing, assembly.recipes)


def _impatient(session, frame, settings):
    """Whether a frame has waited for so long that a master far away in time is better than none."""
    if not isinstance(frame, Frame) or frame.kind is not Kind.SCIENCE:
        return False
    return clock(session) - frame.created > timedelta(days=settings.master_patience_days)


def _missing(session, frame, kinds, recipes):
    """Say why masters are missing; one whose frames only wait for another of these is not worth a word."""
    roots = [
        kind
        for kind in kinds
        if not set(recipes[kind].NEEDS) & set(kinds)
        or calibrations.count_candidates(session, kind, frame) < recipes[kind].MINIMUM
    ]
    if not roots:
        return ""
    first, *others = roots
    also = f"; there is no master {', '.join(others)} either" if others else ""
    return calibrations.why_none(session, first, frame, recipes[first].MINIMUM) + also


def reduce(job: Job, still_mine: Callable[..., Any] | None = None) -> Result:
    """Reduce one frame and write its products; runs in any process.

    Parameters
    ----------
    still_mine
        ``still_mine()`` tells, just before products are replaced, whether the frame is still that of this process; it
        is taken for granted if not given.

    Raises
    ------
    Skipped, BadFrame, MissingCalibration, Unavailable
        As the readers, the recipe and the writers do.
    """
    watch = _Watch()
    raw = raw_file.read(job.path)
    watch.lap("read")
    spectrograph = references.spectrograph_of(job.spectrographs, raw.instrument, raw.filename)
    references.require_size(raw, spectrograph.detector)
    if job.missing:
        # not before the frame was looked at: a damaged one would wait for nothing
        raise MissingCalibration(job.missing)
    refs = references.fetch(
        job.masters, raw.kind, spectrograph, raw, job.output, job.velocities, job.templates,
        drift_scatter_ms=job.drift_scatter_ms,
    )  # fmt: skip
    watch.lap("references")
    reduction = _doubted(job.recipe.reduce(raw, refs, spectrograph), job.doubts)
    watch.lap("recipe")
    used = {kind: path for kind, (_, path, _) in job.masters.items()}
    written = frame_products.write(
        raw, reduction, used, spectrograph, job.output, stars=refs.stars, still_mine=still_mine
    )
    checksums = tuple((str(path.relative_to(job.output)), md5(path)) for path in written)
    watch.lap("products")
    return Result(
        quality=int(reduction.quality),
        measurements=dict(reduction.measurements),
        velocities=tuple(result_rows.of_velocity(raw, velocity, reduction) for velocity in reduction.velocities),
        products=checksums,
        seconds=watch.laps,
        drift=result_rows.of_drift(raw, reduction, used, job.output),
    )


def record(session: "Session", job: Job, outcome: "Outcome", assembly: "Assembly") -> Frame:
    """Write down what came of a job; where that would come out otherwise by now, the frame is asked for once more.

    Parameters
    ----------
    outcome
        What came of it; its value is a `Result` or None.

    Returns
    -------
    Frame
        In its new state.
    """
    result = outcome.value or Result(0, {}, (), ())
    used = [session.get_one(Master, row) for row, _, _ in job.masters.values()]
    measurements = {**result.measurements, **_kept(result.velocities)}
    attempt = attempt_row(job.frame_id, outcome, measurements=measurements, masters=used)
    files = [Product(path=path, level=_level(path), md5=checksum) for path, checksum in result.products]
    velocities = [StarVelocity(**columns) for columns in result.velocities]
    drift = FrameDrift(**result.drift) if result.drift else None
    frame = frames.record(session, attempt, result.quality, files, velocities, drift)
    session.flush()
    is_settled = frame.state in (State.DONE, State.BAD) and outcome.state is not State.RETRY
    if is_settled and _is_outdated(session, frame, job, assembly):
        claims.request(session, frame, low_priority=frame.state is State.DONE)
    elif is_settled and outcome.state is State.WAITING and not job.missing:
        # the file of a master is gone or damaged; the next run, or another worker, makes it again
        claims.request(session, frame, low_priority=True)
        frame.next_try += timedelta(seconds=frames.LOOK_AGAIN_S)
    return frame


def _is_outdated(session, frame, job, assembly):
    """Whether a frame that was just tried has better masters, or fewer flags, by now.

    A decision on a master, or a new master, does not reach a frame that is in hand; and one that was refused with a
    master that needs review is tried with others, each of them once.
    """
    now = plan(session, frame, assembly)
    refused = [attempt.masters for attempt in frame.attempts if attempt.outcome is State.BAD]
    rows = {row for row, _, _ in now.masters.values()}
    is_new = frame.attempts[-1].outcome is not State.BAD or all(rows != {one.id for one in used} for used in refused)
    return not now.missing and is_new and (now.masters != job.masters or now.doubts != job.doubts)


def _kept(velocities):
    """Numbers of the velocities that stay with the attempt when another one replaces its results."""
    return {f"{name}_fiber{one['fiber']}": one[name] for one in velocities for name in ("rv_ms", "rv_err_ms")}


class _Watch:
    """Takes the time of the steps that follow each other."""

    def __init__(self):
        self.laps, self._begin = {}, time.perf_counter()

    def lap(self, step):
        now = time.perf_counter()
        self.laps[step], self._begin = now - self._begin, now


def _doubted(reduction, doubts):
    velocities = tuple(replace(velocity, quality=velocity.quality | doubts) for velocity in reduction.velocities)
    return replace(reduction, quality=reduction.quality | doubts, velocities=velocities)


def _level(path):
    """Level of a product in its name, ``L2`` in ``...-e91-L2.fits.fz``."""
    level = re.search(r"-(L\d)\.", Path(path).name)
    return level[1] if level else ""
