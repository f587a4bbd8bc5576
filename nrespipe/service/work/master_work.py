"""Make a master: choose its frames, combine them, record the outcome."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.orm import Session

from nrespipe import __version__
from nrespipe.database.dialects import clock, now
from nrespipe.database.masters import calibrations, scheduled_masters
from nrespipe.database.states import Standing, State
from nrespipe.database.tables import ScheduledMaster
from nrespipe.database.work import attempts
from nrespipe.service import outcome
from nrespipe.service.masters import acceptance, master_schedule
from nrespipe.service.outcome import NoOutcome, Outcome
from nrespipe.service.reduction import master_making
from nrespipe.service.work.leases import Lease, LeaseLost

if TYPE_CHECKING:
    from nrespipe.service.assembly import Assembly


def make_master(
    lease: Lease[ScheduledMaster], version: str = __version__, since: datetime | None = None
) -> Outcome[object] | NoOutcome:
    """Make the master that this process has claimed.

    Parameters
    ----------
    version
        Version of the program: a master on which another version failed is tried again.
    since
        A master that was made before is made again.

    Raises
    ------
    LeaseLost
        If the row was taken away.
    """
    assembly, row, begun = lease.assembly, lease.row, now()
    structlog.contextvars.bind_contextvars(master=f"{row.kind} of {row.instrument} {row.camera} {row.day}")
    # a caller that wants one that is not due has checked its frames
    plan = partial(_plan, assembly=assembly, is_ready=lease.is_insisted_on, version=version, since=since)
    try:
        job = lease.write(plan)
    except LeaseLost:
        raise
    except Exception as error:
        # around the recipe: it is tried later, and this is no death of a process
        return lease.finish(replace(outcome.of(error, begun), state=State.RETRY), _put_off)
    if isinstance(job, NoOutcome):
        return job
    ended = outcome.run(partial(master_making.combine, still_mine=lease.is_ours), job)
    damaged = master_schedule.find_damaged(job, ended)
    return lease.finish(ended, partial(_record, assembly=assembly, job=job, ended=ended, damaged=damaged))


def _plan(
    session: Session, row: ScheduledMaster, assembly: "Assembly", is_ready: bool, version: str, since: datetime | None
) -> master_making.Job | NoOutcome:
    """Return the job; where there is nothing to make, that is recorded."""
    if not is_ready and not master_schedule.is_ready(session, row):
        scheduled_masters.finish(row, clock(session) + timedelta(seconds=assembly.pace.past_s))
        return NoOutcome.FRAMES_MISSING
    night = calibrations.night_of(row)
    job = master_making.plan(session, row.kind, night, scheduled_masters.inputs(session, row), assembly, version, since)
    if job is None:
        acceptance.withdraw(session, row.kind, night, assembly.recipes[row.kind].MINIMUM)
        scheduled_masters.finish(row)
        return NoOutcome.NOTHING_TO_MAKE
    return job


def _put_off(session: Session, row: ScheduledMaster) -> None:
    scheduled_masters.finish(row, clock(session) + timedelta(seconds=10 * attempts.SHORTEST_PAUSE_S))


def _record(
    session: Session,
    row: ScheduledMaster,
    assembly: "Assembly",
    job: master_making.Job,
    ended: Outcome[master_making.Columns],
    damaged: Sequence[int],
) -> None:
    """Record the outcome; a master whose own masters have changed meanwhile is due once more."""
    master_schedule.remake(session, damaged)
    # before the record: the new master releases what waits for it, and this row does not wait
    scheduled_masters.finish(row)
    session.flush()
    made = master_making.record_master(session, job, ended)
    pauses_s = {State.RETRY: 10 * attempts.SHORTEST_PAUSE_S, State.WAITING: attempts.LOOK_AGAIN_S}
    if ended.state in pauses_s:
        row.next_try = clock(session) + timedelta(seconds=pauses_s[ended.state])
    if ended.state is State.WAITING or made.standing is Standing.REJECTED:
        job_now = master_making.plan(session, row.kind, job.night, scheduled_masters.inputs(session, row), assembly)
        if job_now is not None and job_now.masters != job.masters:
            # made meanwhile, as for a frame; or one that needs review was at fault, and there is another
            row.next_try = clock(session)
