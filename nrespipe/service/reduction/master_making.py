"""Make one master: choose the frames of a night, combine them, judge the result, write and record it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import structlog

from nrespipe import __version__
from nrespipe.database.dialects import clock
from nrespipe.database.masters import calibrations, comparison_masters, lineage, scheduled_masters
from nrespipe.database.states import USABLE, Standing, State
from nrespipe.database.tables import Frame, Master
from nrespipe.errors import BadFrame, MissingCalibration, Skipped, Unavailable
from nrespipe.files import layout, master_files
from nrespipe.files.atomic_files import md5
from nrespipe.files.raw import identity, raw_file
from nrespipe.frames.raw import Kind
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.service.masters import acceptance, master_choice, redo
from nrespipe.service.reduction import recipe_references

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from nrespipe.database.masters.calibrations import Night
    from nrespipe.frames.masters import Arc, Bias, Dark, Flat
    from nrespipe.frames.raw import RawFrame
    from nrespipe.frames.reduction import References
    from nrespipe.service.assembly import Assembly, Judge
    from nrespipe.service.outcome import Outcome

    AnyMaster = Bias | Dark | Flat | Arc

#: Values of a row of the database by column.
Columns = dict[str, Any]

_log = structlog.get_logger(__name__)

#: Of each set of lit fibers no more frames than this enter a master: more would only take more time.
MOST_INPUTS = 100
#: No more frames of the nights before than this are added, the last ones: their noise is a third of that of five.
MOST_EARLIER = 40

_STANDINGS = {
    State.DONE: Standing.CURRENT,
    State.BAD: Standing.REJECTED,
    State.SKIPPED: Standing.REJECTED,
    State.FAILED: Standing.FAILED,
    State.WAITING: Standing.RETRY,
    State.RETRY: Standing.RETRY,
}


@dataclass(frozen=True)
class Job:
    """Everything that a process needs to make one master.

    Attributes
    ----------
    kind
        Kind of master.
    night
        Its night.
    frame_ids
        Rows of its inputs.
    paths
        Raw files of its inputs, by name.
    recipe
        Recipe of its kind.
    judge
        Compares the master with the last good one.
    spectrographs
        Returns the spectrograph of a name.
    masters
        File of each master that it needs.
    missing
        Why a master that it needs is not there; '' where all are.
    output
        Where masters go.
    peers
        Masters that the new one is compared with.
    left_out
        Why other frames of the night take no part.
    earlier
        Row and file of frames of the nights before, which are added if this night agrees with them.
    """

    kind: Kind
    night: calibrations.Night
    frame_ids: tuple[int, ...]
    paths: tuple[str, ...]
    recipe: ModuleType
    judge: "Judge"
    spectrographs: Callable[[str], Spectrograph]
    masters: Mapping[Kind, master_choice.MasterFile]
    missing: str
    output: Path
    peers: acceptance.Peers = acceptance.Peers()
    left_out: tuple[str, ...] = ()
    earlier: tuple[tuple[int, str], ...] = ()


def plan(
    session: "Session",
    kind: Kind,
    night: "Night",
    frames: Sequence[Frame],
    assembly: "Assembly",
    version: str = __version__,
    since: datetime | None = None,
) -> Job | None:
    """Return the job to make the master of a night, if it is to be made.

    Parameters
    ----------
    frames
        The good frames of the night.
    version
        Version of the program: what another version failed on is tried again.
    since
        A master that was made before, or before its frames were last tried, is made again, unless a person has called
        it bad.

    Returns
    -------
    Job or None
        None where there are too few frames, and where the master of these frames was made before or cannot be made.
    """
    recipe = assembly.recipes[kind]
    frames, left_out = _fitting(frames, recipe)
    frames = _select(frames)
    before = comparison_masters.earlier_frames(session, kind, night, recipe.LOOKBACK_DAYS)
    copies = _copies([*frames, *before])
    earlier = [frame for frame in before if frame.id not in copies][:MOST_EARLIER]
    last, refused = (
        calibrations.last_master(session, kind, night),
        comparison_masters.rejected_master(session, kind, night),
    )
    # its frames may have been tried since with other masters than those that it was made with
    tried = [frame.attempts[-1].finished for frame in frames if frame.attempts]
    is_recent = last is not None and (since is None or last.created >= max([since, *tried]))
    # whatever other frames were added
    if len(frames) < recipe.MINIMUM or (refused is not None and set(frames) <= set(refused.inputs)):
        return None
    middle = sum(_start_mjd(frame) for frame in frames) / len(frames)
    wanted = Master(kind=kind, mean_mjd=middle, **night._asdict())
    chosen, missing = master_choice.choose(session, wanted, recipe, assembly)
    if last is not None and is_recent and _settled(last, frames, earlier, version, assembly.output):
        rows = {file.row_id for file in chosen.values()}
        refusals = lineage.rejections(session, kind, night)
        if not _can_be_replaced(last, rows) and not _has_other(last, rows, refusals):
            return None
    ids, paths = zip(*((frame.id, frame.path) for frame in frames))
    return Job(
        kind, night, ids, paths, recipe, assembly.judge, assembly.spectrographs, chosen, missing, assembly.output,
        peers=acceptance.choose_peers(session, kind, night, middle, assembly.output),
        left_out=left_out,
        earlier=tuple((frame.id, frame.path) for frame in earlier),
    )  # fmt: skip


def combine(job: Job, still_mine: Callable[[], bool] | None = None) -> Columns:
    """Make one master and write it; runs in any process.

    Parameters
    ----------
    still_mine
        Returns whether the work still belongs to this process; called just before a master is replaced. It always
        does if not given.

    Returns
    -------
    dict of str to Any
        Columns of its row, and as ``agrees_with`` the row of a master that needs review and agrees with it.

    Raises
    ------
    Skipped, BadFrame, MissingCalibration, Unavailable
        As the readers, the recipe and the writer do.
    """
    if job.missing:
        raise MissingCalibration(job.missing)
    spectrograph = recipe_references.spectrograph_of(
        job.spectrographs, job.night.instrument, f"master {job.kind} of {job.night.day}"
    )
    # the pixels stay in the files: any number of frames needs the same memory
    raws = [raw_file.read(path, whole=False) for path in job.paths]
    refs = recipe_references.fetch(job.masters, job.kind, spectrograph, output=job.output)
    refs = replace(refs, previous=acceptance.read_reference(job.peers.last))
    master = job.recipe.combine(raws, refs, spectrograph)
    columns, agrees_with, unchanged = acceptance.judge(master, job.peers, job.judge, spectrograph)
    # the reason of the one made before may name the same frames
    left_out = [words for words in job.left_out if words not in columns["reason"]]
    reason = "; ".join(filter(None, [columns["reason"], *(f"left out {words}" for words in left_out)]))
    inputs = job.frame_ids
    if job.earlier and unchanged:
        try:
            master, inputs = _join(job, master, raws, refs, spectrograph)
        except (Skipped, BadFrame, Unavailable, OSError) as error:
            # the frames of this night alone can be combined: they wait for no others
            reason = "; ".join(filter(None, [reason, f"without the frames of the nights before: {error}"]))
    columns = {**columns, "reason": reason, "agrees_with": agrees_with, "inputs": inputs}
    if columns["standing"] is Standing.REJECTED:
        # one that was made of other frames of this night, and serves, keeps its file
        return columns
    path = layout.master_path(job.output, master.origin)
    master_files.write(master, path, still_mine)
    return {
        **columns,
        "path": str(path.relative_to(job.output)),
        "md5": md5(path),
        "mean_mjd": master.origin.mean_mjd,
        "quality": int(master.origin.quality),
        "fibers": "".join(map(str, _fibers(master))),
    }


def record_master(session: "Session", job: Job, ended: "Outcome[Columns]") -> Master:
    """Record the outcome of a job.

    Returns
    -------
    Master
        The new row.
    """
    columns: Columns = {"standing": _STANDINGS[ended.state], "reason": ended.reason, **(ended.value or {})}
    agrees_with, inputs = columns.pop("agrees_with", None), columns.pop("inputs", job.frame_ids)
    if columns.get("path"):
        # a person may have decided while it was made
        columns |= acceptance.apply_decision(session, job.kind, job.night, job.frame_ids, columns, job.peers.accepted)
    used = [session.get_one(Frame, row) for row in inputs]
    parents = [session.get_one(Master, file.row_id) for file in job.masters.values()]
    master = Master(
        kind=job.kind,
        n_inputs=len(used),
        inputs=used,
        parents=parents,
        outdated=_is_outdated(session, job, used, parents),
        traceback=ended.traceback,
        code_version=__version__,
        **job.night._asdict(),
        **columns,
    )
    replaced = calibrations.record(session, master)
    if master.standing in USABLE:
        redo.after_new_master(session, master, replaced)
        if master.outdated:
            scheduled_masters.get_or_create(session, job.kind, job.night).next_try = clock(session)
    if agrees_with is not None and master.standing is Standing.CURRENT:
        acceptance.accept(session, agrees_with, master)
    if master.standing is Standing.REVIEW:
        _log.warning("master needs review", master=identity.stem(layout.master_name(master)), reason=master.reason)
    return master


def _is_outdated(session: "Session", job: Job, inputs: Sequence[Frame], parents: Sequence[Master]) -> bool:
    """Whether a master comes from one that was rejected meanwhile, or contains frames of its night."""
    if any(parent.outdated or parent.standing is Standing.REJECTED for parent in parents):
        return True
    nights = {calibrations.night_of(frame) for frame in inputs if frame.day != job.night.day}
    return any(comparison_masters.rejected_master(session, job.kind, night) is not None for night in nights)


def _join(
    job: Job, master: "AnyMaster", raws: "Sequence[RawFrame]", refs: "References", spectrograph: Spectrograph
) -> "tuple[AnyMaster, tuple[int, ...]]":
    """Make a master once more, with the frames of the nights before; return it, and the rows of its frames."""
    rows, paths = zip(*job.earlier)
    more = job.recipe.combine([*raws, *(raw_file.read(path, whole=False) for path in paths)], refs, spectrograph)
    place = {name: getattr(master.origin, name) for name in ("day", "mean_mjd")}
    return replace(more, origin=replace(more.origin, **place)), (*job.frame_ids, *rows)


def _settled(last: Master, frames: Sequence[Frame], earlier: Sequence[Frame], version: str, output: Path) -> bool:
    """Whether the last try used the same frames and another would come to the same end."""
    if set(last.inputs) not in (set(frames), {*frames, *earlier}):
        return False
    if last.standing in USABLE:
        path = output / last.path
        return path.is_file() and md5(path) == last.md5
    return last.standing is Standing.REJECTED or (last.standing is Standing.FAILED and last.code_version == version)


def _can_be_replaced(last: Master, rows: set[int]) -> bool:
    """Whether a master that comes from a bad one can be made of others."""
    is_bad = last.outdated or any(parent.standing is Standing.REJECTED for parent in last.parents)
    # one that is made with the same would come from the bad one as well
    is_same = rows == _parents(last) and any(parent.outdated for parent in last.parents)
    return last.standing in USABLE and is_bad and not is_same


def _has_other(last: Master, rows: set[int], refusals: Sequence[Master]) -> bool:
    """Whether the recipe has refused these frames with masters that need review, and not yet with those of now."""
    suspect = (Standing.REVIEW, Standing.REJECTED)
    tries = [one for one in refusals if set(one.inputs) == set(last.inputs)]
    return (
        last in tries
        and any(parent.standing in suspect for one in tries for parent in one.parents)
        and all(rows != _parents(one) for one in tries)
    )


def _parents(master: Master) -> set[int]:
    return {parent.id for parent in master.parents}


def _fitting(frames: Sequence[Frame], recipe: ModuleType) -> tuple[list[Frame], tuple[str, ...]]:
    """Leave out frames that differ from the others of their night; return the rest, and the reasons."""
    copies = _copies(frames)
    left_out = [f"{frame.filename}: the same content as {copies[frame.id]}" for frame in frames if frame.id in copies]
    frames = [frame for frame in frames if frame.id not in copies]
    reasons = recipe.outlier_frames(
        [frame.objects for frame in frames], [_numbers(_measured(frame)) for frame in frames]
    )
    kept = [frame for frame, reason in zip(frames, reasons) if not reason]
    left_out += [f"{frame.filename}: {reason}" for frame, reason in zip(frames, reasons) if reason]
    return kept, tuple(left_out)


def _copies(frames: Sequence[Frame]) -> dict[int, str]:
    """Return the frames, by row, whose content has come before in the sequence, and the name that it has there.

    A copy began when the other did, and is the same to the byte, or has the same measurements: where it was packed
    anew, or has another name in its header.
    """
    begun: dict[float | None, list[Frame]] = {}
    copies: dict[int, str] = {}
    for frame in frames:
        others = begun.setdefault(frame.start_mjd, [])
        first = next((other for other in others if _is_copy(frame, other)), None)
        if first is None:
            others.append(frame)
        else:
            copies[frame.id] = first.filename
    return copies


def _is_copy(one: Frame, other: Frame) -> bool:
    if one.md5 == other.md5:
        return True
    measured = _measured(one)
    # one number alone may agree by chance
    return len(measured) > 1 and measured == _measured(other)


def _measured(frame: Frame) -> Mapping[str, float | None]:
    return next((tried.measurements for tried in reversed(frame.attempts) if tried.outcome is State.DONE), {})


def _numbers(measured: Mapping[str, float | None]) -> dict[str, float]:
    """Measurements as a recipe made them: the database keeps no NaN."""
    return {name: math.nan if value is None else value for name, value in measured.items()}


def _select(frames: Sequence[Frame]) -> list[Frame]:
    """Take at most `MOST_INPUTS` frames of each set of lit fibers, spread over the night."""
    groups: dict[str, list[Frame]] = {}
    for frame in sorted(frames, key=lambda frame: (_start_mjd(frame), frame.filename)):
        groups.setdefault(frame.objects, []).append(frame)
    taken: list[Frame] = []
    for group in groups.values():
        step = max(1.0, len(group) / MOST_INPUTS)
        taken += [group[int(i * step)] for i in range(min(len(group), MOST_INPUTS))]
    return sorted(taken, key=lambda frame: frame.filename)


def _start_mjd(frame: Frame) -> float:
    if frame.start_mjd is None:
        raise BadFrame(f"{frame.filename}: start of the exposure unknown; a frame of a master must have been read")
    return frame.start_mjd


def _fibers(master: "AnyMaster") -> tuple[int, ...]:
    """Fibers that a master is bound to: those of a flat's traces or of an arc's solution."""
    bound = getattr(master, "traces", None) or getattr(master, "solution", None)
    return bound.fibers if bound else ()
