"""Reduce a frame or make a master: claim the row, do the work, record the outcome."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import structlog
from sqlalchemy.orm import Session

from nrespipe import __version__
from nrespipe.database.administration import failures
from nrespipe.database.dialects import clock, now
from nrespipe.database.masters import calibrations, scheduled_masters
from nrespipe.database.states import UNFINISHED, Standing, State
from nrespipe.database.tables import Delivery, Frame, NightSummary, ScheduledMaster, WorkTable
from nrespipe.database.work import announcements, attempts, claims
from nrespipe.service import metrics, outcome
from nrespipe.service.ingest import inspection
from nrespipe.service.ingest.inspection import Content, Inspection
from nrespipe.service.masters import acceptance, master_schedule
from nrespipe.service.outcome import Outcome
from nrespipe.service.reduction import frame_reduction, master_making
from nrespipe.service.work import delivery_work, leases
from nrespipe.service.work.leases import Lease

if TYPE_CHECKING:
    from nrespipe.service.assembly import Assembly

T = TypeVar("T")

_log = structlog.get_logger(__name__)


def reduce_frame(
    assembly: "Assembly", row_id: int, owner: str, tries_seen: int | None = None
) -> Outcome[object] | None:
    """Reduce a frame, if it is due and no other process does.

    Parameters
    ----------
    row_id, owner, tries_seen
        As for ``leases.claim``; a row of ``frames``.

    Returns
    -------
    Outcome or None
        Without its value; None where there was nothing to do, or another process has done it.
    """
    lease = leases.claim(assembly, Frame, row_id, owner, tries_seen)
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
        return lease.close(failed, lease.write(partial(_record_failure, lease=lease, ended=failed)))


def make_master(
    assembly: "Assembly",
    row_id: int,
    owner: str,
    tries_seen: int | None = None,
    version: str = __version__,
    since: datetime | None = None,
) -> Outcome[object] | None:
    """Make a master, if it is due and no other process does.

    Parameters
    ----------
    row_id, owner, tries_seen
        As for ``leases.claim``; a row of ``ScheduledMaster``.
    version
        Version of the program: a master on which another version failed is tried again.
    since
        A master that was made before is made again.

    Returns
    -------
    Outcome or None
        Without its value; None where there was nothing to do, or another process has done it.
    """
    lease = leases.claim(assembly, ScheduledMaster, row_id, owner, tries_seen)
    if lease is None:
        return None
    row = lease.row
    structlog.contextvars.bind_contextvars(master=f"{row.kind} of {row.instrument} {row.camera} {row.day}")
    # a caller that wants one that is not due has checked its frames
    plan = partial(_plan_master, assembly=assembly, is_ready=tries_seen is not None, version=version, since=since)
    planned = outcome.run(lease.write, plan)
    if planned.state is not State.DONE:
        # around the recipe: it is tried later, and this is no death of a process
        return lease.close(replace(planned, state=State.RETRY), lease.write(_put_off))
    job = planned.value
    if job is None:
        return None
    ended = outcome.run(partial(master_making.combine, still_mine=lease.is_ours), job)
    damaged = master_schedule.find_damaged(job, ended)
    record = partial(_record_master, assembly=assembly, job=job, ended=ended, damaged=damaged)
    return lease.close(ended, lease.write(record))


def _reduce(lease: Lease[Frame]) -> Outcome[object] | None:
    """Inspect the file of a frame, record its content, plan the reduction, run it, and record its outcome."""
    assembly, row = lease.assembly, lease.row
    inspected = outcome.run(inspection.fetch_and_inspect, assembly, row)
    found = inspected.value
    if found is None:
        return lease.close(inspected, lease.write(partial(_record_failure, lease=lease, ended=inspected)))
    has_moved = inspection.has_moved(partial(_ask, lease), found, partial(inspection.exists, assembly))
    content = lease.write(partial(_record_content, lease=lease, found=found, has_moved=has_moved))
    if content is not Content.RECORDED:
        return None
    if found.ended.state is not State.DONE:
        return lease.close(found.ended, lease.write(partial(_record_failure, lease=lease, ended=found.ended)))
    job = lease.write(partial(_plan, assembly=assembly))
    if job is None:
        return None
    ended = outcome.run(partial(frame_reduction.reduce, still_mine=lease.is_ours), job)
    damaged = master_schedule.find_damaged(job, ended)
    is_recorded = lease.write(partial(_record, assembly=assembly, job=job, ended=ended, damaged=damaged))
    if is_recorded:
        # columns of the row that were not known when it was claimed do not matter here
        outcome.run_or_log("metrics", lambda: assembly.recorder.send(metrics.of_frame(row, ended)))
    return lease.close(ended, is_recorded)


def _ask(lease: Lease[Frame], query: Callable[[Session], T]) -> T:
    return leases.persist(lease.assembly.sessions, query, lease.end)


def _record_content(session: Session, frame: Frame, lease: Lease[Frame], found: Inspection, has_moved: bool) -> Content:
    """Record the content of the file that was inspected; give the frame back if it was announced again meanwhile."""
    if frame.version is None and frame.next_try != lease.row.next_try:
        # since it was claimed: the file may have changed after it was read
        claims.give_back(session, Frame, frame.id, lease.owner)
        return Content.ANNOUNCED_AGAIN
    return inspection.record(session, frame, found, has_moved)


def _plan(session: Session, frame: Frame, assembly: "Assembly") -> frame_reduction.Job | None:
    """Return the job; None where the frame goes on waiting for a master, which is recorded."""
    job = frame_reduction.plan(session, frame, assembly)
    if job.missing and frame.attempts and frame.attempts[-1].outcome == State.WAITING:
        attempts.record_wait(session, frame.id, job.missing)
        return None
    return job


def _record(
    session: Session,
    _row: Frame,
    assembly: "Assembly",
    job: frame_reduction.Job,
    ended: Outcome[frame_reduction.Result],
    damaged: Sequence[int],
) -> bool:
    master_schedule.remake(session, damaged)
    frame = frame_reduction.record(session, job, ended, assembly)
    if assembly.settings.do_ingest and ended.state is State.DONE:
        for product in frame.products:
            product.delivery = Delivery(next_try=clock(session))
    outcome.run_or_log("schedule of the master", _schedule_master, session, frame, assembly)
    return True


def _schedule_master(session: Session, frame: Frame, assembly: "Assembly") -> None:
    # an error here costs no outcome: the scheduler adds the master later
    with session.begin_nested():
        master_schedule.add(session, frame, assembly)


def _record_failure(session: Session, frame: Frame, lease: Lease[Frame], ended: Outcome[object]) -> bool:
    """Record an attempt that ended without a result: at the inspection, or by an error around the reduction."""
    is_announced_again = frame.next_try != lease.row.next_try
    frame = attempts.record_attempt(session, outcome.attempt_row(frame.id, ended))
    if frame.version is not None:
        outcome.run_or_log("schedule of the master", _schedule_master, session, frame, lease.assembly)
    elif is_announced_again and frame.state in UNFINISHED:
        # since it was claimed: the file may be there now
        announcements.request(session, frame)
    return True


def _plan_master(
    session: Session, row: ScheduledMaster, assembly: "Assembly", is_ready: bool, version: str, since: datetime | None
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


def _put_off(session: Session, row: ScheduledMaster) -> bool:
    scheduled_masters.finish(row, clock(session) + timedelta(seconds=10 * attempts.SHORTEST_PAUSE_S))
    return True


def _record_master(
    session: Session,
    row: ScheduledMaster,
    assembly: "Assembly",
    job: master_making.Job,
    ended: Outcome[master_making.Columns],
    damaged: Sequence[int],
) -> bool:
    master_schedule.remake(session, damaged)
    # before the record: the new master releases what waits for it, and this row does not wait
    scheduled_masters.finish(row)
    session.flush()
    made = master_making.record(session, job, ended)
    pauses_s = {State.RETRY: 10 * attempts.SHORTEST_PAUSE_S, State.WAITING: attempts.LOOK_AGAIN_S}
    if ended.state in pauses_s:
        row.next_try = clock(session) + timedelta(seconds=pauses_s[ended.state])
    if ended.state is State.WAITING or made.standing is Standing.REJECTED:
        job_now = master_making.plan(session, row.kind, job.night, scheduled_masters.inputs(session, row), assembly)
        if job_now is not None and job_now.masters != job.masters:
            # made meanwhile, as for a frame; or one that needs review was at fault, and there is another
            row.next_try = clock(session)
    return True


#: Function that does the work of a row of each table.
WORK: dict[WorkTable, Callable[..., Outcome[object] | None]] = {
    Frame: reduce_frame,
    ScheduledMaster: make_master,
    NightSummary: delivery_work.send_summary,
    Delivery: delivery_work.deliver_product,
}
