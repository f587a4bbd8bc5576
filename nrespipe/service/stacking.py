"""One master: choose the frames of a night, run the recipe's combine, write it, record it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from nrespipe import __version__
from nrespipe.database import calibrations
from nrespipe.database.columns import Standing, State
from nrespipe.database.tables import Frame, Master
from nrespipe.errors import MissingCalibration
from nrespipe.files import cdp, layout, masters
from nrespipe.frames.raw import Kind
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.service import references
from nrespipe.service.arrivals import md5
from nrespipe.service.reduction import choose

#: Of each set of lit fibers no more frames than this enter a master: more would only take more time.
MOST_INPUTS = 100

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


def plan(session, kind, night, frames, assembly, version=__version__):
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

    Returns
    -------
    Job or None
        None where there are too few frames, and where the master of these frames was made before or cannot be made.
    """
    recipe, frames = assembly.recipes[kind], _select(frames)
    if len(frames) < recipe.MINIMUM or _settled(
        calibrations.last(session, kind, night), frames, version, assembly.output
    ):
        return None
    middle = sum(frame.start_mjd for frame in frames) / len(frames)
    wanted = Master(kind=kind, mean_mjd=middle, **night._asdict())
    chosen, missing = choose(session, wanted, recipe, assembly)
    ids, paths = zip(*((frame.id, frame.path) for frame in frames))
    return Job(kind, night, ids, paths, recipe, assembly.spectrographs, chosen, missing, assembly.output)


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
    master = job.recipe.combine(raws, references.fetch(job.masters, job.kind, spectrograph), spectrograph)
    path = layout.master_path(job.output, master.origin)
    masters.write(master, path)
    return {
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
    master = Master(
        kind=job.kind,
        n_inputs=len(job.frame_ids),
        inputs=[session.get_one(Frame, row) for row in job.frame_ids],
        standing=_STANDINGS[outcome.state],
        reason=outcome.reason,
        traceback=outcome.traceback,
        code_version=__version__,
        **job.night._asdict(),
        **(outcome.value or {}),
    )
    calibrations.record(session, master)
    return master


def _settled(last, frames, version, output):
    """Whether the last try used the same frames and another would come to the same end."""
    if last is None or {frame.id for frame in last.inputs} != {frame.id for frame in frames}:
        return False
    if last.standing is Standing.CURRENT:
        path = output / last.path
        return path.is_file() and md5(path) == last.md5
    return last.standing is Standing.BAD or (last.standing is Standing.FAILED and last.code_version == version)


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
