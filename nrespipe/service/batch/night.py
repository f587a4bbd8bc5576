"""Reduce a night, or many: every raw frame below a directory, masters first."""

import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from nrespipe import __version__
from nrespipe.database import frames
from nrespipe.database.masters import calibrations, lineage
from nrespipe.database.states import Standing, State
from nrespipe.database.tables import Frame
from nrespipe.database.work import attempts
from nrespipe.files import layout
from nrespipe.files.raw.identity import without_name as bare
from nrespipe.frames.raw import Kind
from nrespipe.service import outcome
from nrespipe.service.batch import runner
from nrespipe.service.ingest import raw_files, registration
from nrespipe.service.operations import progress_bar
from nrespipe.service.operations.progress_bar import Report
from nrespipe.service.reduction import frame_jobs
from nrespipe.service.work import abandoned_rows

if TYPE_CHECKING:
    from nrespipe.service.assembly import Assembly

_log = structlog.get_logger(__name__)

#: A run reduces no more frames than this again for a better result; the next one goes on with it.
_MOST_REDONE = 200
#: An error lists no more nights of a site than this one by one.
_MOST_LISTED = 5


@dataclass(frozen=True)
class Summary:
    """Summary of a run.

    Attributes
    ----------
    counts
        Frames by their state, those of earlier runs among them.
    unhappy
        File name, state and reason of every frame that is neither done nor skipped, and of one that keeps an earlier
        result because this attempt did not succeed.
    new
        Frames that were worked on now.
    masters
        File name, standing and reason of every master of these nights that needs review or could not be made.
    left
        Frames with a result that would have a better one in the next run.
    """

    counts: Counter[State]
    unhappy: tuple[tuple[str, State, str], ...]
    new: int
    masters: tuple[tuple[str, Standing, str], ...] = ()
    left: int = 0

    @property
    def exit_status(self) -> int:
        """0 where every frame is done or skipped, 1 where a frame or master is bad or failed, else 3."""
        unmade = {standing for _, standing, _ in self.masters if standing is not Standing.REVIEW}
        if unmade - {Standing.RETRY} or self.counts[State.BAD] or self.counts[State.FAILED]:
            return 1
        return 3 if self.unhappy or unmade else 0


def reduce_all(
    assembly: "Assembly",
    raw_root: Path,
    sites: Collection[str] = (),
    days: Collection[str] = (),
    report: Report = progress_bar.lines,
    again: bool = False,
) -> Summary:
    """Reduce every raw frame below a directory that was not reduced yet.

    Kind after kind, in the order in which they need each other: all biases, their masters, all darks, their masters ...
    Whatever the number of nights and processes, a frame therefore gets the same masters. Several runs on one output
    share the work: none does a frame that another works on, and all wait for it before they go on to the next kind.

    Parameters
    ----------
    raw_root
        Directory of the raw files.
    sites, days
        Sites and local nights to take; all if empty.
    report
        Shows progress.
    again
        Whether to try frames once more on which this version of the program failed.

    Raises
    ------
    OutputRefused
        If the output directory is among the raw files.
    LookupError
        If there is no raw frame, or none of these sites and nights; the message lists those that are there.
    """
    layout.require_apart(assembly.output, raw_root)
    # frames on which another version failed are tried again, and this version is no other
    version = "" if again else __version__
    paths = raw_files.find(raw_root, assembly.output)
    with runner.start(assembly, "night", report) as run:
        found = _register(assembly, paths, sites, days, report)
        if not found:
            raise LookupError(_nothing(raw_root, paths, sites, days))
        new = 0
        for kind in Kind:
            new += _finish_kind(run, kind, found, version)
            if hasattr(assembly.recipes[kind], "combine"):
                _make_masters(run, kind, found, version)
        n_again, n_left = _redo(run, version)
        runner.deliver(run)
    return replace(_summary(assembly, found, new + n_again), left=n_left)


def reduce_files(assembly: "Assembly", paths: Sequence[Path], report: Report = progress_bar.lines) -> Summary:
    """Reduce some raw files again, or for the first time, with the masters that exist.

    Raises
    ------
    OutputRefused
        If the output directory is among the raw files.
    """
    for folder in {path.resolve().parent for path in paths}:
        layout.require_apart(assembly.output, folder)
    with runner.start(assembly, "reduce", report, min(assembly.processes, len(paths))) as run:
        found = _register(assembly, [path.resolve() for path in paths], (), (), report)
        with assembly.sessions.begin() as session:
            abandoned_rows.release_abandoned(session)
            given = [session.get_one(Frame, row) for row in sorted(found)]
        new = runner.execute(run, "frames", runner.frame_orders(run, [f for f in given if f.start_mjd is not None]))
        runner.deliver(run)
    return _summary(assembly, found, new, kept=True)


def _register(
    assembly: "Assembly", paths: Sequence[Path], sites: Collection[str], days: Collection[str], report: Report
) -> set[int]:
    """Register the files of some sites and nights; return the keys of their rows."""
    found: set[int] = set()
    with report("finding frames", len(paths)) as advance:
        for path in paths:
            facts, ended = raw_files.identify(path)
            if _wanted(facts.get("site"), sites) and _wanted(facts.get("day"), days):
                found.add(registration.register_file(assembly.sessions, path, facts, ended).id)
            advance(path.name)
    return found


def _nothing(raw_root: Path, paths: Sequence[Path], sites: Collection[str], days: Collection[str]) -> str:
    """Say that no raw frame was found, and which there are."""
    if not paths:
        return f"no raw frame below {raw_root}: no file has a name such as lscnrs01-fa09-20190405-0021-e00.fits.fz"
    there = [raw_files.identify(path)[0] for path in paths]
    nights: dict[str, set[str]] = {}
    for facts in there:
        nights.setdefault(facts.get("site") or "an unknown site", set()).add(facts.get("day") or "an unknown night")
    wanted = [f"site {' or '.join(sorted(sites))}"] * bool(sites) + [f"night {' or '.join(sorted(days))}"] * bool(days)
    listed = "; ".join(f"{site} has {_span(sorted(found))}" for site, found in sorted(nights.items()))
    return f"no raw frame of {', '.join(wanted)} below {raw_root}: {listed}"


def _span(days: Sequence[str]) -> str:
    """Return days as words: all of them, or the first and the last."""
    return ", ".join(days) if len(days) <= _MOST_LISTED else f"{len(days)} nights from {days[0]} to {days[-1]}"


def _wanted(value: str | None, choices: Collection[str]) -> bool:
    # a file whose name has no night belongs to every choice, or it would never be reported
    return not choices or not value or value in choices


def _finish_kind(run: runner.Batch, kind: Kind, found: Collection[int], version: str) -> int:
    """Reduce all frames of a kind that are due, and wait for those at work elsewhere; return how many."""
    tried: dict[int, int] = {}
    new = 0
    while True:
        with run.assembly.sessions.begin() as session:
            abandoned_rows.release_abandoned(session)
            # a frame that is queued after its turn was refused with a master that needs review, and there is another
            due = [
                frame
                for frame in frames.pending(session, kind, version)
                if frame.id in found
                and (frame.id not in tried or (frame.state is State.QUEUED and frame.tries > tried[frame.id]))
            ]
            ready = _ready(session, run.assembly, due)
        tried.update((frame.id, frame.tries) for frame in due)
        new += runner.execute(run, f"{kind} frames", runner.frame_orders(run, ready))
        # when another run has died there may be more to do
        if not _wait(run.assembly, kind, found) and not due:
            return new


def _redo(run: runner.Batch, version: str) -> tuple[int, int]:
    """Reduce frames that would have a better result, and make the masters again that come from a bad one.

    Returns
    -------
    done, left : int
        How many frames were reduced, and how many are left to the next run.
    """
    done = 0
    for kind in Kind:
        with run.assembly.sessions.begin() as session:
            due = frames.to_reduce_again(session, kind)[: max(_MOST_REDONE - done, 0)]
        done += runner.execute(run, f"{kind} frames again", runner.frame_orders(run, due))
        with run.assembly.sessions.begin() as session:
            nights = lineage.nights_to_remake(session, kind)
        runner.make_masters(run, kind, nights, version)
    with run.assembly.sessions.begin() as session:
        return done, sum(len(frames.to_reduce_again(session, kind)) for kind in Kind)


def _wait(assembly: "Assembly", kind: Kind, found: Collection[int]) -> bool:
    """Wait while others work on frames of a kind; return whether there was anything to wait for."""
    at_work = select(Frame.id, Frame.owner).where(Frame.kind == kind, Frame.owner != "")
    for turn in range(1_000_000):
        with assembly.sessions.begin() as session:
            abandoned_rows.release_abandoned(session)
            owners = {owner for row, owner in session.execute(at_work) if row in found}
        if not owners:
            return turn > 0
        if turn == 0:
            _log.info("waiting for frames that others work on", kind=str(kind), owners=sorted(owners))
        time.sleep(runner.POLL_S)
    return True


def _ready(session: Session, assembly: "Assembly", due: Sequence[Frame]) -> list[Frame]:
    """Return the frames that are to be tried now; one that waited and still must is left alone."""
    ready = []
    for frame in due:
        if frame.state is not State.WAITING:
            ready.append(frame)
            continue
        # one that cannot be planned fails once more in a process, which records it
        job = outcome.run(frame_jobs.plan, session, frame, assembly).value
        if job is not None and job.missing:
            attempts.record_wait(session, frame.id, job.missing)
        else:
            ready.append(frame)
    return ready


def _make_masters(run: runner.Batch, kind: Kind, found: Collection[int], version: str) -> None:
    """Make the masters of the nights of these frames, or wait until another run has made them."""
    with run.assembly.sessions.begin() as session:
        # bad ones too: a master may have been made of them
        ended = Frame.state.in_((State.DONE, State.BAD, State.SKIPPED)) & Frame.start_mjd.is_not(None)
        rows = frames.of_keys(session, found, Frame.kind == kind, ended, Frame.is_latest())
        nights = sorted({calibrations.night_of(frame) for frame in rows})
    runner.make_masters(run, kind, nights, version)


def _summary(assembly: "Assembly", found: Collection[int], new: int, kept: bool = False) -> Summary:
    with assembly.sessions.begin() as session:
        rows = frames.of_keys(session, found)
        ends = sorted((frame.filename, frame.state, bare(frame.reason, frame.filename)) for frame in rows)
        # earlier frames may have joined the master of a later night
        first = min((frame.day for frame in rows), default="")
        masters = tuple(
            (layout.master_name(master), master.standing, master.reason)
            for master in calibrations.with_problems(session, first_day=first)
            if any(frame.id in found for frame in master.inputs)
        )
    content = (State.DONE, State.SKIPPED)
    unhappy = [row for row in ends if row[1] not in content or (kept and row[1] is State.DONE and row[2])]
    return Summary(Counter(state for _, state, _ in ends), tuple(unhappy), new, masters)
