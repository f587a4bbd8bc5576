"""Reduce a frame: inspect its file, record its content, choose its masters, run the recipe, record the outcome."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.orm import Session

from nrespipe.database.administration import failures
from nrespipe.database.dialects import clock, now
from nrespipe.database.states import UNFINISHED, State
from nrespipe.database.tables import Delivery, Frame
from nrespipe.database.work import announcements, attempts, claims, contents
from nrespipe.service import metrics, outcome
from nrespipe.service.ingest import inspection
from nrespipe.service.ingest.inspection import Inspection
from nrespipe.service.masters import master_schedule
from nrespipe.service.outcome import NoOutcome, Outcome
from nrespipe.service.reduction import frame_jobs, frame_reduction, frame_results
from nrespipe.service.work.leases import Lease, LeaseLost

if TYPE_CHECKING:
    from nrespipe.service.assembly import Assembly

_log = structlog.get_logger(__name__)


def reduce_frame(lease: Lease[Frame]) -> Outcome[object] | NoOutcome:
    """Reduce the frame that this process has claimed.

    Raises
    ------
    LeaseLost
        If the row was taken away.
    """
    row, begun = lease.row, now()
    structlog.contextvars.bind_contextvars(filename=row.filename, site=row.site, attempt=row.tries + 1)
    try:
        return _reduce(lease)
    except LeaseLost:
        raise
    except Exception as error:
        if failures.is_temporary(error):
            raise
        # the fault lies around the recipe: the attempt keeps the traceback, and the frame is tried again
        failed = replace(outcome.of(error, begun), state=State.RETRY)
        return lease.finish(failed, partial(_record_failure, lease=lease, ended=failed))


def _reduce(lease: Lease[Frame]) -> Outcome[object] | NoOutcome:
    """Go through the stages, each in a transaction of its own or in none."""
    assembly, row = lease.assembly, lease.row
    inspected = outcome.run(inspection.fetch_and_inspect, assembly, row)
    found = inspected.value
    if found is None:
        return lease.finish(inspected, partial(_record_failure, lease=lease, ended=inspected))
    has_moved = _has_moved(lease, found)
    recorded = lease.write(partial(_record_content, lease=lease, found=found, has_moved=has_moved))
    if isinstance(recorded, NoOutcome):
        return recorded
    if found.identified.state is not State.DONE:
        return lease.finish(found.identified, partial(_record_failure, lease=lease, ended=found.identified))
    job = lease.write(partial(_plan, assembly=assembly))
    if isinstance(job, NoOutcome):
        return job
    ended = outcome.run(partial(frame_reduction.reduce, still_mine=lease.is_ours), job)
    damaged = master_schedule.find_damaged(job, ended)
    lease.finish(ended, partial(_record_result, assembly=assembly, job=job, ended=ended, damaged=damaged))
    # columns of the row that were not known when it was claimed do not matter here
    outcome.run_or_log("metrics", lambda: assembly.recorder.send(metrics.of_frame(row, ended)))
    return ended


def _has_moved(lease: Lease[Frame], found: Inspection) -> bool:
    """Return whether the content is known from another place, and no more there; no transaction waits for the disk."""
    stem, md5 = lease.row.filename, found.facts.get("md5")
    seen = lease.ask(lambda session: contents.last_path(session, stem, md5))
    return seen is not None and seen != str(found.path) and not inspection.exists(lease.assembly, Path(seen))


def _record_content(
    session: Session, frame: Frame, lease: Lease[Frame], found: Inspection, has_moved: bool
) -> Frame | NoOutcome:
    """Record the content of the file in its row; give the frame back if it was announced again meanwhile."""
    if frame.version is None and frame.next_try != lease.row.next_try:
        # since it was claimed: the file may have changed after it was read
        claims.give_back(session, Frame, frame.id, lease.owner)
        return NoOutcome.ANNOUNCED_AGAIN
    if "md5" not in found.facts:
        # recorded before, or the disk does not give it
        frame.path = str(found.path)
        return frame
    is_read = found.identified.state is State.DONE
    known = contents.record_content(session, frame, found.path, found.facts, is_read=is_read, has_moved=has_moved)
    if known is not frame:
        _log.info("content is known already", version=known.version)
        return NoOutcome.CONTENT_KNOWN
    return frame


def _plan(session: Session, frame: Frame, assembly: "Assembly") -> frame_jobs.Job | NoOutcome:
    """Return the job; where the frame goes on waiting for a master, that is recorded."""
    job = frame_jobs.plan(session, frame, assembly)
    if job.missing and frame.attempts and frame.attempts[-1].outcome == State.WAITING:
        attempts.record_wait(session, frame.id, job.missing)
        return NoOutcome.STILL_WAITING
    return job


def _record_result(
    session: Session,
    _row: Frame,
    assembly: "Assembly",
    job: frame_jobs.Job,
    ended: Outcome[frame_results.Result],
    damaged: Sequence[int],
) -> None:
    """Record the outcome, and schedule what follows from it: masters, and deliveries of the products."""
    master_schedule.remake(session, damaged)
    frame = frame_results.record_result(session, job, ended, assembly)
    if assembly.settings.do_ingest and ended.state is State.DONE:
        for product in frame.products:
            product.delivery = Delivery(next_try=clock(session))
    outcome.run_or_log("schedule of the master", _schedule_master, session, frame, assembly)


def _record_failure(session: Session, frame: Frame, lease: Lease[Frame], ended: Outcome[object]) -> None:
    """Record an attempt that ended without a result: at the inspection, or by an error around the reduction.

    A frame whose content is known may complete the inputs of a master. One that is only announced is made due once more
    if it was announced again meanwhile.
    """
    is_announced_again = frame.next_try != lease.row.next_try
    frame = attempts.record_attempt(session, outcome.attempt_row(frame.id, ended))
    if frame.version is not None:
        outcome.run_or_log("schedule of the master", _schedule_master, session, frame, lease.assembly)
    elif is_announced_again and frame.state in UNFINISHED:
        # since it was claimed: the file may be there now
        announcements.request(session, frame)


def _schedule_master(session: Session, frame: Frame, assembly: "Assembly") -> None:
    # an error here costs no outcome: the scheduler adds the master later
    with session.begin_nested():
        master_schedule.add(session, frame, assembly)
