"""Frames and masters, from the moment they are taken until their outcome is written down, whoever told of them."""

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from nrespipe import __version__
from nrespipe.database import claims, frames
from nrespipe.database.administration import failures
from nrespipe.database.dialects import clock, now
from nrespipe.database.masters import calibrations, stackings
from nrespipe.database.states import Standing, State
from nrespipe.database.tables import Delivery, Frame, NightSummary, Stacking
from nrespipe.files.disk import md5
from nrespipe.files.exchange import archive_download
from nrespipe.service import isolated, limits, metrics, outcome
from nrespipe.service.calibrations import acceptance, master_schedule
from nrespipe.service.ingest import patient_reader, raw_files, registration
from nrespipe.service.reduction import frame_reduction, master_making
from nrespipe.service.work import leases, outbound

if TYPE_CHECKING:
    from nrespipe.service.assembly import Assembly
    from nrespipe.service.outcome import Outcome

_log = structlog.get_logger(__name__)


def reduce_frame(assembly: "Assembly", row_id: int, owner: str, seen: int | None = None) -> "Outcome | None":
    """Reduce a frame, if it is due and nobody else does.

    Parameters
    ----------
    assembly, row_id, owner, seen
        As for ``leases.acquire``; a row of ``frames``.

    Returns
    -------
    Outcome or None
        What came of it, without its value; None where there was nothing to do, or another has done it.
    """
    mine = leases.acquire(assembly, Frame, row_id, owner, seen)
    if mine is None:
        return None
    row = mine.row
    structlog.contextvars.bind_contextvars(filename=row.filename, site=row.site, attempt=row.tries + 1)
    begun = now()
    try:
        return _frame(mine)
    except Exception as error:
        if failures.is_temporary(error):
            raise
        # not the recipe, but what is around it, is at fault: the attempt tells where, and the frame is tried again
        failed = replace(outcome.of(error, begun), state=State.RETRY)
        return mine.ended(failed, mine.write(partial(_refuse, mine=mine, looked=failed)))


def make_master(
    assembly: "Assembly",
    row_id: int,
    owner: str,
    seen: int | None = None,
    version: str = __version__,
    since: datetime | None = None,
) -> "Outcome | None":
    """Make a master, if it is due and nobody else does.

    Parameters
    ----------
    assembly, row_id, owner, seen
        As for ``leases.acquire``; a row of ``stackings``.
    version
        Version of the program: what another version failed on is tried again.
    since
        A master that was made before is made again.

    Returns
    -------
    Outcome or None
        What came of it, without its value; None where there was nothing to do, or another has done it.
    """
    mine = leases.acquire(assembly, Stacking, row_id, owner, seen)
    if mine is None:
        return None
    row = mine.row
    structlog.contextvars.bind_contextvars(master=f"{row.kind} of {row.instrument} {row.camera} {row.day}")
    # whoever asks for one that is not due has looked for its frames
    plan_it = partial(_plan_master, assembly=assembly, is_ripe=seen is not None, version=version, since=since)
    planned = outcome.attempt(mine.write, plan_it)
    if planned.state is not State.DONE:
        # around the recipe: it is tried later, and nobody has died
        return mine.ended(replace(planned, state=State.RETRY), mine.write(_put_off))
    job = planned.value
    if job is None:
        return None
    result = outcome.attempt(partial(master_making.combine, still_mine=mine.is_ours), job)
    lost = master_schedule.find_damaged(job, result)
    kept = mine.write(partial(_record_master, assembly=assembly, job=job, result=result, lost=lost))
    return mine.ended(result, kept)


def _frame(mine):
    assembly, row = mine.assembly, mine.row
    looked = outcome.attempt(_look, assembly, row)
    if looked.state is State.DONE:
        # the value of the attempt is itself a look at the file: where it lies, what it is, and whether it is good
        path, facts, looked = looked.value
        is_gone = _lies_nowhere(mine, path, facts)
        planned = partial(_plan, mine=mine, path=path, facts=facts, looked=looked, is_gone=is_gone)
        job = mine.write(planned)
        if job is None:
            return None
    if looked.state is not State.DONE:
        return mine.ended(looked, mine.write(partial(_refuse, mine=mine, looked=looked)))
    result = outcome.attempt(partial(frame_reduction.reduce, still_mine=mine.is_ours), job)
    lost = master_schedule.find_damaged(job, result)
    kept = mine.write(partial(_record, assembly=assembly, job=job, result=result, lost=lost))
    if kept:
        # columns of the row that were not known when it was taken do not matter here
        isolated.do("metrics", lambda: assembly.recorder.send(metrics.of_frame(row, result)))
    return mine.ended(result, kept)


def _look(assembly, row):
    """Fetch the file and look at it, where that was not done before; return where it lies, columns, and an outcome."""
    path, may = Path(row.path), limits.of(assembly.settings, assembly.pace)
    # another version of it may lie there
    if row.archive_id is not None and not patient_reader.call(partial(_is_whole, row.md5), path, may.read_s):
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
        patient_reader.call(patient_reader.touch, path, may.read_s)
        return path, {}, outcome.attempt(lambda: None)
    return path, *patient_reader.call(raw_files.inspect, path, may.read_s)


def _is_whole(checksum, path):
    return checksum is not None and path.is_file() and md5(path) == checksum


def _lies_nowhere(mine, path, facts):
    """Tell whether what was read is known from another place, where it is no more."""
    assembly = mine.assembly

    def ask(work):
        return leases.persist(assembly.sessions, work, mine.end)

    def exists(seen):
        found = outcome.attempt(
            patient_reader.call, Path.exists, seen, limits.of(assembly.settings, assembly.pace).read_s
        )
        # one that the disk does not give at this moment is not gone
        return found.value is not False

    return registration.has_moved(ask, path, facts.get("md5"), exists)


def _plan(session, frame, mine, path, facts, looked, is_gone):
    """Write down what the file is; return what is to be done with it, or None if nothing is."""
    if frame.version is None and frame.next_try != mine.row.next_try:
        # told of once more since it was taken: what was read may be older than what is there now
        claims.give_back(session, Frame, frame.id, mine.owner)
        return None
    if "md5" in facts:
        known = registration.identify(session, frame, path, facts, looked, is_gone)
        if known is not frame:
            _log.info("known already", version=known.version)
            return None
    else:
        frame.path = str(path)
    session.flush()
    if looked.state is not State.DONE:
        return frame
    job = frame_reduction.plan(session, frame, mine.assembly)
    if job.missing and frame.attempts and frame.attempts[-1].outcome == State.WAITING:
        frames.record_wait(session, frame.id, job.missing)
        return None
    return job


def _record(session, _row, assembly, job, result, lost):
    master_schedule.remake(session, lost)
    frame = frame_reduction.record(session, job, result, assembly)
    if assembly.settings.do_ingest and result.state is State.DONE:
        for product in frame.products:
            product.delivery = Delivery(next_try=clock(session))
    isolated.do("master that is owed", _owe, session, frame, assembly)
    if frame.state == State.WAITING and frame_reduction.plan(session, frame, assembly).masters != job.masters:
        # a master that was made meanwhile has woken whoever waited then, and this one did not wait yet
        frame.next_try = clock(session)
    return True


def _owe(session, frame, assembly):
    # what fails here costs no result: the scheduler asks again
    with session.begin_nested():
        master_schedule.add(session, frame, assembly)


def _refuse(session, frame, mine, looked):
    told_again = frame.next_try != mine.row.next_try
    frame = frames.record(session, registration.attempt_row(frame.id, looked))
    if frame.version is not None:
        isolated.do("master that is owed", _owe, session, frame, mine.assembly)
    elif told_again and frame.state in frames.UNFINISHED:
        # since it was taken: it may be there now
        claims.request(session, frame)
    return True


def _plan_master(session, row, assembly, is_ripe, version, since):
    if not is_ripe and not master_schedule.is_ready(session, row):
        stackings.finish(row, clock(session) + timedelta(seconds=assembly.pace.past_s))
        return None
    night = calibrations.night_of(row)
    job = master_making.plan(session, row.kind, night, stackings.inputs(session, row), assembly, version, since)
    if job is None:
        acceptance.withdraw(session, row.kind, night, assembly.recipes[row.kind].MINIMUM)
        stackings.finish(row)
    return job


def _put_off(session, row):
    stackings.finish(row, clock(session) + timedelta(seconds=10 * frames.SHORTEST_PAUSE_S))
    return True


def _record_master(session, row, assembly, job, result, lost):
    master_schedule.remake(session, lost)
    # before the record: the new master makes due what waits for it, and this row does not
    stackings.finish(row)
    session.flush()
    made = master_making.record(session, job, result)
    pauses_s = {State.RETRY: 10 * frames.SHORTEST_PAUSE_S, State.WAITING: frames.LOOK_AGAIN_S}
    if result.state in pauses_s:
        row.next_try = clock(session) + timedelta(seconds=pauses_s[result.state])
    if result.state is State.WAITING or made.standing is Standing.REJECTED:
        job_now = master_making.plan(session, row.kind, job.night, stackings.inputs(session, row), assembly)
        if job_now is not None and job_now.masters != job.masters:
            # made meanwhile, as for a frame; or one that needs review was at fault, and there is another
            row.next_try = clock(session)
    return True


#: What each kind of row is called, and what is done with it.
WORK = {
    Frame: ("frame", reduce_frame),
    Stacking: ("master", make_master),
    NightSummary: ("summary", outbound.send_summary),
    Delivery: ("delivery", outbound.deliver_product),
}
