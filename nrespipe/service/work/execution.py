"""Reduce a frame or make a master: acquire the row, do the work, record the outcome."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import structlog
from sqlalchemy.orm import Session

from nrespipe import __version__
from nrespipe.database import claims, frames
from nrespipe.database.administration import failures
from nrespipe.database.dialects import clock, now
from nrespipe.database.masters import calibrations, scheduled_masters
from nrespipe.database.states import Standing, State
from nrespipe.database.tables import Delivery, Frame, NightSummary, Stacking
from nrespipe.files import timed_read
from nrespipe.files.atomic_files import md5
from nrespipe.files.exchange import archive_download
from nrespipe.service import limits, metrics, outcome
from nrespipe.service.ingest import raw_files, registration
from nrespipe.service.ingest.raw_files import Facts
from nrespipe.service.masters import acceptance, master_schedule
from nrespipe.service.outcome import Outcome
from nrespipe.service.reduction import frame_reduction, master_making
from nrespipe.service.work import leases, sending
from nrespipe.service.work.leases import Lease, WorkTable

if TYPE_CHECKING:
    from nrespipe.service.assembly import Assembly

T = TypeVar("T")

_log = structlog.get_logger(__name__)


def reduce_frame(assembly: "Assembly", row_id: int, owner: str, seen: int | None = None) -> Outcome[object] | None:
    """Reduce a frame, if it is due and no other process does.

    Parameters
    ----------
    row_id, owner, seen
        As for ``leases.acquire``; a row of ``frames``.

    Returns
    -------
    Outcome or None
        Without its value; None where there was nothing to do, or another process has done it.
    """
    lease = leases.acquire(assembly, Frame, row_id, owner, seen)
    if lease is None:
        return None
    row = lease.row
    structlog.contextvars.bind_contextvars(filename=row.filename, site=row.site, attempt=row.tries + 1)
    begun = now()
    try:
        return _reduce(lease)
    except Exception as error:
        if failures.is_temporary(error):
            raise
        # the fault lies around the recipe: the attempt keeps the traceback, and the frame is tried again
        failed = replace(outcome.of(error, begun), state=State.RETRY)
        return lease.close(failed, lease.write(partial(_record_unread, lease=lease, inspected=failed)))


def make_master(
    assembly: "Assembly",
    row_id: int,
    owner: str,
    seen: int | None = None,
    version: str = __version__,
    since: datetime | None = None,
) -> Outcome[object] | None:
    """Make a master, if it is due and no other process does.

    Parameters
    ----------
    row_id, owner, seen
        As for ``leases.acquire``; a row of ``Stacking``.
    version
        Version of the program: a master on which another version failed is tried again.
    since
        A master that was made before is made again.

    Returns
    -------
    Outcome or None
        Without its value; None where there was nothing to do, or another process has done it.
    """
    lease = leases.acquire(assembly, Stacking, row_id, owner, seen)
    if lease is None:
        return None
    row = lease.row
    structlog.contextvars.bind_contextvars(master=f"{row.kind} of {row.instrument} {row.camera} {row.day}")
    # a caller that wants one that is not due has checked its frames
    plan = partial(_plan_master, assembly=assembly, is_ready=seen is not None, version=version, since=since)
    planned = outcome.attempt(lease.write, plan)
    if planned.state is not State.DONE:
        # around the recipe: it is tried later, and this is no death of a process
        return lease.close(replace(planned, state=State.RETRY), lease.write(_put_off))
    job = planned.value
    if job is None:
        return None
    result = outcome.attempt(partial(master_making.combine, still_mine=lease.is_ours), job)
    damaged = master_schedule.find_damaged(job, result)
    record = partial(_record_master, assembly=assembly, job=job, result=result, damaged=damaged)
    return lease.close(result, lease.write(record))


def _reduce(lease: Lease[Frame]) -> Outcome[object] | None:
    """Inspect the file of a frame, plan the reduction, run it, and record its outcome."""
    assembly, row = lease.assembly, lease.row
    found = outcome.attempt(_inspect, assembly, row)
    if found.value is None:
        return lease.close(found, lease.write(partial(_record_unread, lease=lease, inspected=found)))
    path, facts, inspected = found.value
    has_moved = _has_moved(lease, path, facts)
    job = lease.write(partial(_plan, lease=lease, path=path, facts=facts, inspected=inspected, has_moved=has_moved))
    if inspected.state is not State.DONE and job is not None:
        return lease.close(inspected, lease.write(partial(_record_unread, lease=lease, inspected=inspected)))
    if not isinstance(job, frame_reduction.Job):
        return None
    result = outcome.attempt(partial(frame_reduction.reduce, still_mine=lease.is_ours), job)
    damaged = master_schedule.find_damaged(job, result)
    is_recorded = lease.write(partial(_record, assembly=assembly, job=job, result=result, damaged=damaged))
    if is_recorded:
        # columns of the row that were not known when it was acquired do not matter here
        outcome.attempt_or_log("metrics", lambda: assembly.recorder.send(metrics.of_frame(row, result)))
    return lease.close(result, is_recorded)


def _inspect(assembly: "Assembly", row: Frame) -> tuple[Path, Facts, Outcome[object]]:
    """Fetch the file and inspect it, unless that was done before; return its path, columns, and an outcome."""
    path, may = Path(row.path), limits.of(assembly.settings, assembly.pace)
    # another version of it may be there
    if row.archive_id is not None and not timed_read.call(partial(_is_whole, row.md5), path, may.read_s):
        given, path = assembly.settings, registration.fetched_path(assembly.output, path.name)
        archive_download.fetch(
            row.archive_id,
            path,
            row.md5 or "",
            api_root=given.api_root,
            token=given.auth_token.get_secret_value(),
            hosts=given.archive_hosts,
            allow_http=given.allow_http,
            longest_s=may.fetch_s,
        )
    if row.start_mjd is not None:
        # a reduction that hangs would be taken for one that takes too long
        timed_read.call(timed_read.touch, path, may.read_s)
        return path, {}, outcome.attempt(lambda: None)
    return path, *timed_read.call(raw_files.inspect, path, may.read_s)


def _is_whole(checksum: str | None, path: Path) -> bool:
    return checksum is not None and path.is_file() and md5(path) == checksum


def _has_moved(lease: Lease[Frame], path: Path, facts: Facts) -> bool:
    """Return whether the content is known from another path, where it is no more."""
    assembly = lease.assembly

    def ask(work: Callable[[Session], T]) -> T:
        return leases.persist(assembly.sessions, work, lease.end)

    def exists(seen: Path) -> bool:
        read_s = limits.of(assembly.settings, assembly.pace).read_s
        found = outcome.attempt(timed_read.call, Path.exists, seen, read_s)
        # one that the disk does not give at this moment is not gone
        return found.value is not False

    return registration.has_moved(ask, path, facts.get("md5"), exists)


def _plan(
    session: Session,
    frame: Frame,
    lease: Lease[Frame],
    path: Path,
    facts: Facts,
    inspected: Outcome[object],
    has_moved: bool,
) -> frame_reduction.Job | Frame | None:
    """Record the identity of the file; return the job, the frame itself if it cannot be reduced, or None if settled."""
    if frame.version is None and frame.next_try != lease.row.next_try:
        # announced once more since it was acquired: the file may have changed after it was read
        claims.give_back(session, Frame, frame.id, lease.owner)
        return None
    if "md5" in facts:
        known = registration.identify(session, frame, path, facts, inspected, has_moved)
        if known is not frame:
            _log.info("content is known already", version=known.version)
            return None
    else:
        frame.path = str(path)
    session.flush()
    if inspected.state is not State.DONE:
        return frame
    job = frame_reduction.plan(session, frame, lease.assembly)
    if job.missing and frame.attempts and frame.attempts[-1].outcome == State.WAITING:
        frames.record_wait(session, frame.id, job.missing)
        return None
    return job


def _record(
    session: Session,
    _row: Frame,
    assembly: "Assembly",
    job: frame_reduction.Job,
    result: Outcome[frame_reduction.Result],
    damaged: Sequence[int],
) -> bool:
    master_schedule.remake(session, damaged)
    frame = frame_reduction.record(session, job, result, assembly)
    if assembly.settings.do_ingest and result.state is State.DONE:
        for product in frame.products:
            product.delivery = Delivery(next_try=clock(session))
    outcome.attempt_or_log("schedule of the master", _schedule_master, session, frame, assembly)
    if frame.state == State.WAITING and frame_reduction.plan(session, frame, assembly).masters != job.masters:
        # a master that was made meanwhile has released the frames that waited then, and this one did not wait yet
        frame.next_try = clock(session)
    return True


def _schedule_master(session: Session, frame: Frame, assembly: "Assembly") -> None:
    # an error here costs no result: the scheduler adds the master later
    with session.begin_nested():
        master_schedule.add(session, frame, assembly)


def _record_unread(session: Session, frame: Frame, lease: Lease[Frame], inspected: Outcome[object]) -> bool:
    """Record an attempt that ended before the reduction."""
    is_announced_again = frame.next_try != lease.row.next_try
    frame = frames.record(session, outcome.attempt_row(frame.id, inspected))
    if frame.version is not None:
        outcome.attempt_or_log("schedule of the master", _schedule_master, session, frame, lease.assembly)
    elif is_announced_again and frame.state in frames.UNFINISHED:
        # since it was acquired: the file may be there now
        claims.request(session, frame)
    return True


def _plan_master(
    session: Session, row: Stacking, assembly: "Assembly", is_ready: bool, version: str, since: datetime | None
) -> master_making.Job | None:
    if not is_ready and not master_schedule.is_ready(session, row):
        scheduled_masters.finish(row, clock(session) + timedelta(seconds=assembly.pace.past_s))
        return None
    night = calibrations.night_of(row)
    job = master_making.plan(session, row.kind, night, scheduled_masters.inputs(session, row), assembly, version, since)
    if job is None:
        acceptance.withdraw(session, row.kind, night, assembly.recipes[row.kind].MINIMUM)
        scheduled_masters.finish(row)
    return job


def _put_off(session: Session, row: Stacking) -> bool:
    scheduled_masters.finish(row, clock(session) + timedelta(seconds=10 * frames.SHORTEST_PAUSE_S))
    return True


def _record_master(
    session: Session,
    row: Stacking,
    assembly: "Assembly",
    job: master_making.Job,
    result: Outcome[master_making.Columns],
    damaged: Sequence[int],
) -> bool:
    master_schedule.remake(session, damaged)
    # before the record: the new master releases what waits for it, and this row does not wait
    scheduled_masters.finish(row)
    session.flush()
    made = master_making.record(session, job, result)
    pauses_s = {State.RETRY: 10 * frames.SHORTEST_PAUSE_S, State.WAITING: frames.LOOK_AGAIN_S}
    if result.state in pauses_s:
        row.next_try = clock(session) + timedelta(seconds=pauses_s[result.state])
    if result.state is State.WAITING or made.standing is Standing.REJECTED:
        job_now = master_making.plan(session, row.kind, job.night, scheduled_masters.inputs(session, row), assembly)
        if job_now is not None and job_now.masters != job.masters:
            # made meanwhile, as for a frame; or one that needs review was at fault, and there is another
            row.next_try = clock(session)
    return True


#: Title of each kind of row in the log, and the function that does its work.
WORK: dict[WorkTable, tuple[str, Callable[..., Outcome[object] | None]]] = {
    Frame: ("frame", reduce_frame),
    Stacking: ("master", make_master),
    NightSummary: ("summary", sending.send_summary),
    Delivery: ("delivery", sending.deliver_product),
}
