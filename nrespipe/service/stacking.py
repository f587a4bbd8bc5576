"""One master: choose the frames of a night, run the recipe's combine, write it, record it."""

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from nrespipe import __version__
from nrespipe.database import calibrations, neighbors
from nrespipe.database.columns import Standing, State
from nrespipe.database.tables import Frame, Master
from nrespipe.errors import MissingCalibration
from nrespipe.files import cdp, layout, masters
from nrespipe.frames.judgement import Verdict
from nrespipe.frames.raw import Kind
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.service import references
from nrespipe.service.arrivals import md5
from nrespipe.service.reduction import choose

#: Of each set of lit fibers no more frames than this enter a master: more would only take more time.
MOST_INPUTS = 100
#: Of the nights before no more frames than this join in, the last ones: their noise is a third of that of five by then.
MOST_EARLIER = 40

_STANDINGS = {
    State.DONE: Standing.CURRENT,
    State.BAD: Standing.BAD,
    State.SKIPPED: Standing.BAD,
    State.FAILED: Standing.FAILED,
    State.WAITING: Standing.RETRY,
    State.RETRY: Standing.RETRY,
}


@dataclass(frozen=True)
class Job:
    """All that a process needs to know to make one master.

    Attributes
    ----------
    kind : Kind
        What it calibrates.
    night : Night
        When and where.
    frame_ids : tuple of int
        Rows of its inputs.
    paths : tuple of str
        Raw files of its inputs, by name.
    recipe : module
        What to do.
    spectrographs : callable
        Makes a spectrograph of its name.
    masters : mapping of Kind to tuple of (int, str, str)
        Row, file and checksum of each master that it needs.
    missing : str
        Why a master that it needs is not there; '' where all are.
    output : Path
        Where masters go.
    last : str
        File of the last good master of this kind, which the new one is held against; '' for the first.
    held : tuple of (int, str), optional
        Row and file of the last one that is held; the two may agree.
    left_out : tuple of str
        Why other frames of the night take no part.
    earlier : tuple of (int, str), optional
        Row and file of frames of the nights before, which join in if this night is like them.
    """

    kind: Kind
    night: calibrations.Night
    frame_ids: tuple[int, ...]
    paths: tuple[str, ...]
    recipe: ModuleType
    spectrographs: Callable[[str], Spectrograph]
    masters: Mapping[Kind, tuple[int, str, str]]
    missing: str
    output: Path
    last: str = ""
    held: tuple[int, str] | None = None
    left_out: tuple[str, ...] = ()
    earlier: tuple[tuple[int, str], ...] = ()


def plan(session, kind, night, frames, assembly, version=__version__, since=None):
    """Tell what is to be done for the master of a night, if anything.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session.
    kind : Kind
        Of the master.
    night : Night
        Of the master.
    frames : sequence of Frame
        The good frames of the night.
    assembly : Assembly
        What to work with.
    version : str, optional
        Version of the program: what another version failed on is tried again.
    since : datetime, optional
        A master that was made before is made again.

    Returns
    -------
    Job or None
        None where there are too few frames, and where the master of these frames was made before or cannot be made.
    """
    recipe = assembly.recipes[kind]
    frames, left_out = _fitting(frames, recipe)
    frames = _select(frames)
    earlier = neighbors.earlier(session, kind, night, recipe.LOOKBACK_DAYS)[:MOST_EARLIER]
    last = calibrations.last(session, kind, night)
    is_recent = last is not None and (since is None or last.created >= since)
    if len(frames) < recipe.MINIMUM or (is_recent and _settled(last, frames, earlier, version, assembly.output)):
        return None
    middle = sum(frame.start_mjd for frame in frames) / len(frames)
    wanted = Master(kind=kind, mean_mjd=middle, **night._asdict())
    chosen, missing = choose(session, wanted, recipe, assembly)
    ids, paths = zip(*((frame.id, frame.path) for frame in frames))
    last = neighbors.peer(session, kind, night, middle)
    held = neighbors.peer(session, kind, night, middle, Standing.HELD)
    return Job(
        kind, night, ids, paths, recipe, assembly.spectrographs, chosen, missing, assembly.output,
        last=str(assembly.output / last.path) if last else "",
        held=(held.id, str(assembly.output / held.path)) if held else None,
        left_out=left_out,
        earlier=tuple((frame.id, frame.path) for frame in earlier),
    )  # fmt: skip


def combine(job):
    """Make one master and write it; runs in any process.

    Parameters
    ----------
    job : Job
        What to do.

    Returns
    -------
    dict of str to object
        Columns of its row.

    Raises
    ------
    Skipped, BadFrame, MissingCalibration, Unavailable
        As the readers, the recipe and the writer do.
    """
    if job.missing:
        raise MissingCalibration(job.missing)
    spectrograph = references.spectrograph_of(
        job.spectrographs, job.night.instrument, f"master {job.kind} of {job.night.day}"
    )
    # the pixels stay in the files: any number of frames needs the same memory
    raws = [cdp.read(path, whole=False) for path in job.paths]
    refs = references.fetch(job.masters, job.kind, spectrograph)
    master = job.recipe.combine(raws, refs, spectrograph)
    judged, inputs = _judge(master, job, spectrograph), job.frame_ids
    if job.earlier and judged["unchanged"]:
        rows, paths = zip(*job.earlier)
        more = job.recipe.combine([*raws, *(cdp.read(path, whole=False) for path in paths)], refs, spectrograph)
        place = {name: getattr(master.origin, name) for name in ("day", "mean_mjd")}
        master, inputs = replace(more, origin=replace(more.origin, **place)), (*inputs, *rows)
    path = layout.master_path(job.output, master.origin)
    masters.write(master, path)
    return {
        **judged,
        "inputs": inputs,
        "path": str(path.relative_to(job.output)),
        "md5": md5(path),
        "mean_mjd": master.origin.mean_mjd,
        "quality": int(master.origin.quality),
        "fibers": "".join(map(str, _fibers(master))),
    }


def record(session, job, outcome):
    """Write down what came of a job.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session; the caller commits.
    job : Job
        What was done.
    outcome : Outcome
        What came of it; its value is that of `combine` or None.

    Returns
    -------
    Master
        The new row.
    """
    columns = {"standing": _STANDINGS[outcome.state], "reason": outcome.reason, **(outcome.value or {})}
    agrees_with, _ = columns.pop("agrees_with", None), columns.pop("unchanged", None)
    inputs = columns.pop("inputs", job.frame_ids)
    master = Master(
        kind=job.kind,
        n_inputs=len(inputs),
        inputs=[session.get_one(Frame, row) for row in inputs],
        traceback=outcome.traceback,
        code_version=__version__,
        **job.night._asdict(),
        **columns,
    )
    calibrations.record(session, master)
    released = session.get(Master, agrees_with) if agrees_with is not None else None
    if released is not None and released.standing is Standing.HELD:
        reason = f"{released.reason}; the one of {master.day} agrees with it"
        calibrations.judge(session, released, Standing.CURRENT, reason)
    return master


def _settled(last, frames, earlier, version, output):
    """Whether the last try used the same frames and another would come to the same end."""
    own = {frame.id for frame in frames}
    used = {frame.id for frame in last.inputs}
    if used not in (own, own | {frame.id for frame in earlier}):
        # what a person has called bad stays bad, whoever else might join in
        return bool(own) and own <= used and last.standing is Standing.BAD
    if last.standing in (Standing.CURRENT, Standing.HELD):
        path = output / last.path
        return path.is_file() and md5(path) == last.md5
    return last.standing is Standing.BAD or (last.standing is Standing.FAILED and last.code_version == version)


def _fitting(frames, recipe):
    """Leave out what does not belong with the others of its night; return the rest, and the reasons."""
    measured = [next((a.measurements for a in reversed(f.attempts) if a.outcome is State.DONE), {}) for f in frames]
    reasons = recipe.odd([frame.objects for frame in frames], [_numbers(each) for each in measured])
    kept = [frame for frame, reason in zip(frames, reasons) if not reason]
    return kept, tuple(f"{frame.filename}: {reason}" for frame, reason in zip(frames, reasons) if reason)


def _numbers(measured):
    """Measurements as a recipe made them: the database keeps no NaN."""
    return {name: math.nan if value is None else value for name, value in measured.items()}


def _judge(master, job, spectrograph):
    """Standing of a new master, what speaks against it, a held one that agrees, and whether nothing has changed."""
    judged = job.recipe.judge(master, _peer(job.last), spectrograph)
    reasons, standing, agrees_with = list(judged.reasons), Standing.CURRENT, None
    if judged.verdict is Verdict.HELD:
        row, path = job.held or (None, "")
        peer = _peer(path)
        if peer is not None and job.recipe.judge(master, peer, spectrograph).verdict is not Verdict.HELD:
            agrees_with = row
            reasons.append(f"the one of {peer.origin.day} agrees with it")
        else:
            standing = Standing.HELD
    left_out = [f"left out {told}" for told in job.left_out]
    unchanged = bool(job.last) and judged.verdict is Verdict.ACCEPTED
    reason = "; ".join(reasons + left_out)
    told = {"standing": standing, "reason": reason, "findings": _numbered(judged)}
    return {**told, "agrees_with": agrees_with, "unchanged": unchanged}


def _numbered(judged):
    """Findings as the database keeps them."""
    return [
        {
            "name": finding.name,
            "value": float(finding.value) if math.isfinite(finding.value) else None,
            "usual": float(finding.usual),
            "worst": float(finding.worst),
            "verdict": str(finding.verdict),
        }
        for finding in judged.findings
    ]


def _peer(path):
    """Read the master that another is held against; None where there is none, or none that can be read."""
    with suppress(MissingCalibration):
        return masters.read(path) if path else None
    return None


def _select(frames):
    """Take at most `MOST_INPUTS` frames of each set of lit fibers, spread over the night."""
    groups = {}
    for frame in sorted(frames, key=lambda frame: (frame.start_mjd, frame.filename)):
        groups.setdefault(frame.objects, []).append(frame)
    taken = []
    for group in groups.values():
        step = max(1.0, len(group) / MOST_INPUTS)
        taken += [group[int(i * step)] for i in range(min(len(group), MOST_INPUTS))]
    return sorted(taken, key=lambda frame: frame.filename)


def _fibers(master):
    """Fibers that a master is bound to: those of a flat's traces or of an arc's solution."""
    bound = getattr(master, "traces", None) or getattr(master, "solution", None)
    return bound.fibers if bound else ()
