"""One row, from the moment it is taken until its outcome is written down: what workers and commands do alike."""

import random
import time
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError

from nrespipe import __version__
from nrespipe.database import calibrations, claims, frames, outside, stackings, trouble
from nrespipe.database.columns import Standing, State, clock
from nrespipe.database.tables import Delivery, Frame, NightSummary, Stacking
from nrespipe.errors import Unavailable
from nrespipe.files import archive, deliveries
from nrespipe.files.checksum import md5
from nrespipe.service import (
    acceptance,
    arrivals,
    isolated,
    limits,
    metrics,
    outcome,
    plan,
    reading,
    reduction,
    registration,
    stacking,
    summary,
)

_log = structlog.get_logger(__name__)


def frame(assembly, row_id, owner, seen=None):
    """Reduce a frame, if it is due and nobody else does.

    Parameters
    ----------
    assembly : Assembly
        What to work with.
    row_id : int
        The frame.
    owner : str
        Who asks.
    seen : int, optional
        How often it had been tried when somebody decided that it is to be done; it need not be due then.

    Returns
    -------
    Outcome or None
        What came of it, without its value; None where there was nothing to do, or another has done it.
    """
    lease_s, end, soon = _times(assembly)
    row = persist(assembly.sessions, lambda session: _take(session, Frame, row_id, owner, lease_s, seen), soon)
    if row is None:
        return None
    structlog.contextvars.bind_contextvars(filename=row.filename, site=row.site, attempt=row.tries + 1)
    looked = outcome.attempt(_look, assembly, row)
    if looked.state is State.DONE:
        # the value of the attempt is itself a look at the file: where it lies, what it is, and whether it is good
        path, facts, looked = looked.value
        gone = _lies_nowhere(assembly, path, facts, end)
        plan_it = partial(
            _plan, assembly=assembly, row=row, owner=owner, path=path, facts=facts, looked=looked, gone=gone
        )
        planned = outcome.attempt(persist, assembly.sessions, plan_it, end)
        job = planned.value
        if planned.state is not State.DONE:
            # nobody has looked at its light yet: the fault is not that of the frame
            looked = replace(planned, state=State.RETRY)
        elif job is None:
            return None
    if looked.state is State.DONE:
        still_mine = asking(assembly.sessions, Frame, row_id, owner, end)
        result = outcome.attempt(partial(reduction.reduce, still_mine=still_mine), job)
        lost = plan.lost(job, result)
        kept = persist(assembly.sessions, lambda session: _record(session, assembly, job, result, owner, lost), end)
        if kept:
            # columns of the row that were not known when it was taken do not matter here
            isolated.do("metrics", lambda: assembly.recorder.send(metrics.of_frame(row, result)))
        return _ended("frame", result, kept)
    kept = persist(assembly.sessions, lambda session: _refuse(session, assembly, row, looked, owner), end)
    return _ended("frame", looked, kept)


def master(assembly, row_id, owner, seen=None, version=__version__, since=None):
    """Make a master, if it is due and nobody else does.

    Parameters
    ----------
    assembly : Assembly
        What to work with.
    row_id : int
        Row of ``stackings``.
    owner : str
        Who asks.
    seen : int, optional
        How often it had been tried when somebody decided that it is to be done; it need not be due then.

    version : str, optional
        Version of the program: what another version failed on is tried again.
    since : datetime, optional
        A master that was made before is made again.

    Returns
    -------
    Outcome or None
        What came of it, without its value; None where there was nothing to do, or another has done it.
    """
    lease_s, end, soon = _times(assembly)
    row = persist(assembly.sessions, lambda session: _take(session, Stacking, row_id, owner, lease_s, seen), soon)
    if row is None:
        return None
    structlog.contextvars.bind_contextvars(master=f"{row.kind} of {row.instrument} {row.camera} {row.day}")
    # whoever asks for one that is not due has looked for its frames
    plan_it = partial(_plan_master, assembly=assembly, row_id=row_id, owner=owner, ripe=seen is not None)
    planned = outcome.attempt(persist, assembly.sessions, partial(plan_it, version=version, since=since), end)
    if planned.state is not State.DONE:
        kept = persist(assembly.sessions, partial(_put_off, row_id=row_id, owner=owner), end)
        return _ended("master", replace(planned, state=State.RETRY), kept)
    job = planned.value
    if job is None:
        return None
    still_mine = asking(assembly.sessions, Stacking, row_id, owner, end)
    result = outcome.attempt(partial(stacking.combine, still_mine=still_mine), job)
    lost = plan.lost(job, result)
    kept = persist(
        assembly.sessions, lambda session: _record_master(session, assembly, row_id, job, result, owner, lost), end
    )
    return _ended("master", result, kept)


def delivery(assembly, row_id, owner, seen=None):
    """Deliver a product, if it is due and nobody else does.

    Parameters
    ----------
    assembly : Assembly
        What to work with.
    row_id : int
        Row of ``deliveries``.
    owner : str
        Who asks.
    seen : int, optional
        How often it had been tried when somebody decided that it is to be done; it need not be due then.

    Returns
    -------
    Outcome or None
        What came of it, without its value; None where there was nothing to do, or another has done it.
    """
    lease_s, end, soon = _times(assembly)
    server = assembly.settings.ingest_to

    def take(session):
        row = _take(session, Delivery, row_id, owner, lease_s, seen)
        admitted = outside.admit(session, server, lease_s) if row is not None else "no"
        if row is not None and admitted == "no":
            # its turn comes when the server is back; the sweep tells of it then
            claims.give_back(session, Delivery, row_id, owner)
        return (row.product, admitted) if admitted != "no" else None

    taken = persist(assembly.sessions, take, soon)
    if taken is None:
        return None
    product, admitted = taken
    structlog.contextvars.bind_contextvars(product=product.path)
    result = outcome.attempt(_deliver, assembly, product)
    away, result = result.value, replace(result, value=None)
    if away is not None:
        result = replace(result, state=State.RETRY, reason=str(away))

    def record(session):
        is_held = claims.holds(session, Delivery, row_id, owner)
        # also where the product was replaced meanwhile and this row is gone: all others ask for the server too
        if away is not None:
            outside.failed(session, server, result.reason, admitted, away.pause_s)
        elif result.state is State.DONE:
            outside.worked(session, server)
        elif admitted == "probe":
            outside.undecided(session, server)
        if is_held:
            _record_delivery(session, row_id, result, is_away=away is not None)
        return is_held

    kept = persist(assembly.sessions, record, end)
    return _ended("delivery", result, kept)


def night_summary(assembly, row_id, owner, seen=None):
    """Write the summary of a night and mail it, if it is due and nobody else does.

    Parameters
    ----------
    assembly : Assembly
        What to work with.
    row_id : int
        Row of ``summaries``.
    owner : str
        Who asks.
    seen : int, optional
        How often it had been tried when somebody decided that it is to be done; it need not be due then.

    Returns
    -------
    Outcome or None
        What came of it, without its value; None where there was nothing to do, or another has done it.
    """
    lease_s, end, soon = _times(assembly)
    row = persist(assembly.sessions, lambda session: _take(session, NightSummary, row_id, owner, lease_s, seen), soon)
    if row is None:
        return None
    structlog.contextvars.bind_contextvars(site=row.site, day=row.day)
    result = outcome.attempt(summary.make, assembly, row.site, row.day, row.written is not None)
    is_written, told = result.state is State.DONE, result.value
    if isinstance(told, Unavailable):
        result = replace(result, state=State.RETRY, reason=str(told))
    record = partial(_record_summary, row_id=row_id, result=result, owner=owner, is_written=is_written)
    kept = persist(assembly.sessions, record, end)
    return _ended("summary", result, kept)


def persist(sessions, work, end):
    """Do something in a transaction; while the database is away, again and again.

    Parameters
    ----------
    sessions : sessionmaker
        Of the database.
    work : callable
        Takes a session; done from the beginning each time.
    end : float
        Moment of the monotonic clock after which no more than one try is begun.

    Returns
    -------
    object
        What the work returns.

    Raises
    ------
    sqlalchemy.exc.SQLAlchemyError
        If the database does not come back in time, or what was asked of it is wrong.
    """
    pause_s = 1.0
    while True:
        # not when it failed: a process that was frozen meanwhile looks once more what has become of its work
        last = time.monotonic() > end
        try:
            with sessions.begin() as session:
                return work(session)
        except SQLAlchemyError as error:
            if last or not trouble.is_outside(error):
                raise
            _log.warning("database away", reason=trouble.words(error), pause_s=pause_s)
            # many workers that come back at once would push it over again
            time.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(2 * pause_s, 30.0)


def asking(sessions, table, row_id, owner, end):
    """Return the function that tells whether a process still has a row, for those that write files.

    Parameters
    ----------
    sessions : sessionmaker
        Of the database.
    table, row_id, owner : type, int, str
        As for ``claims.is_owner``.
    end : float
        As for `persist`.

    Returns
    -------
    callable
        ``still_mine()``; it raises `Unavailable` if the database stays away.
    """

    def still_mine():
        try:
            return persist(sessions, lambda session: claims.is_owner(session, table, row_id, owner), end)
        except SQLAlchemyError as error:
            # not the fault of the frame
            raise Unavailable(f"the database is away: {trouble.words(error)}") from error

    return still_mine


def _ended(what, result, kept):
    """Return what came of the work; None where the row was taken away meanwhile."""
    if result.traceback:
        # not every table has a place for it
        _log.error(f"{what} failed", exception=result.traceback)
    if not kept:
        _log.warning(f"{what} taken away: another does it")
        return None
    return replace(result, value=None)


def _times(assembly):
    """Return the lease, its end, and the end of the patience for a database that is away before the work begins."""
    lease_s, now = limits.of(assembly.settings, assembly.pace).lease_s, time.monotonic()
    return lease_s, now + lease_s, now + assembly.pace.patience_s


def _take(session, table, row_id, owner, lease_s, seen):
    # a task is a message too, and anybody may write to a broker
    if type(row_id) is not int or not 0 < row_id < 1 << 63:
        _log.error("a task names no row", table=table.__tablename__, row=repr(row_id)[:100])
        return None
    taken = claims.claim(session, table, row_id, owner, lease_s, seen)
    return session.get_one(table, row_id, populate_existing=True) if taken else None


def _look(assembly, row):
    """Fetch the file and look at it, where that was not done before; return where it lies, columns, and an outcome."""
    path, may = Path(row.path), limits.of(assembly.settings, assembly.pace)
    # another version of it may lie there
    if row.archive_id is not None and not reading.do(partial(_is_whole, row.md5), path, may.read_s):
        given, path = assembly.settings, registration.fetched_path(assembly.output, path.name)
        archive.fetch(
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
        reading.do(reading.touch, path, may.read_s)
        return path, {}, outcome.attempt(lambda: None)
    return path, *reading.do(arrivals.look, path, may.read_s)


def _is_whole(checksum, path):
    return checksum is not None and path.is_file() and md5(path) == checksum


def _lies_nowhere(assembly, path, facts, end):
    """Tell whether what was read is known from another place, where it is no more."""

    def exists(seen):
        found = outcome.attempt(reading.do, Path.exists, seen, limits.of(assembly.settings, assembly.pace).read_s)
        # one that the disk does not give at this moment is not gone
        return found.value is not False

    return registration.lies_nowhere(lambda work: persist(assembly.sessions, work, end), path, facts.get("md5"), exists)


def _plan(session, assembly, row, owner, path, facts, looked, gone):
    """Write down what the file is; return what is to be done with it, or None if nothing is."""
    if not claims.holds(session, Frame, row.id, owner):
        return None
    frame = session.get_one(Frame, row.id, populate_existing=True)
    if frame.version is None and frame.next_try != row.next_try:
        # told of once more since it was taken: what was read may be older than what is there now
        claims.give_back(session, Frame, row.id, owner)
        return None
    if "md5" in facts:
        known = registration.settle(session, frame, path, facts, looked, gone)
        if known is not frame:
            _log.info("known already", version=known.version)
            return None
    else:
        frame.path = str(path)
    session.flush()
    if looked.state is not State.DONE:
        return frame
    job = reduction.plan(session, frame, assembly)
    if job.missing and frame.attempts and frame.attempts[-1].outcome == State.WAITING:
        frames.postpone(session, frame.id, job.missing)
        return None
    return job


def _record(session, assembly, job, result, owner, lost):
    if not claims.holds(session, Frame, job.frame_id, owner):
        return False
    plan.renew(session, lost)
    row = reduction.record(session, job, result, assembly)
    if assembly.settings.do_ingest and result.state is State.DONE:
        for product in row.products:
            product.delivery = Delivery(next_try=clock(session))
    isolated.do("master that is owed", _owe, session, row, assembly)
    if row.state == State.WAITING and reduction.plan(session, row, assembly).masters != job.masters:
        # a master that was made meanwhile has woken whoever waited then, and this one did not wait yet
        row.next_try = clock(session)
    return True


def _owe(session, frame, assembly):
    # what fails here costs no result: the scheduler asks again
    with session.begin_nested():
        plan.owe(session, frame, assembly)


def _refuse(session, assembly, row, looked, owner):
    if not claims.holds(session, Frame, row.id, owner):
        return False
    before = session.get_one(Frame, row.id, populate_existing=True)
    told_again = before.next_try != row.next_try
    frame = frames.record(session, registration.attempt_row(row.id, looked))
    if frame.version is not None:
        isolated.do("master that is owed", _owe, session, frame, assembly)
    elif told_again and frame.state in frames.UNFINISHED:
        # since it was taken: it may be there now
        claims.request(session, frame)
    return True


def _plan_master(session, assembly, row_id, owner, ripe, version, since):
    if not claims.holds(session, Stacking, row_id, owner):
        return None
    row = session.get_one(Stacking, row_id, populate_existing=True)
    if not ripe and not plan.is_ripe(session, row):
        stackings.finish(row, clock(session) + timedelta(seconds=assembly.pace.past_s))
        return None
    night = calibrations.night_of(row)
    job = stacking.plan(session, row.kind, night, stackings.inputs(session, row), assembly, version, since)
    if job is None:
        acceptance.retire(session, row.kind, night, assembly.recipes[row.kind].MINIMUM)
        stackings.finish(row)
    return job


def _put_off(session, row_id, owner):
    """Let go of a master around which the program failed: it is tried later, and nobody has died."""
    if not claims.holds(session, Stacking, row_id, owner):
        return False
    row = session.get_one(Stacking, row_id, populate_existing=True)
    stackings.finish(row, clock(session) + timedelta(seconds=10 * frames.SHORTEST_PAUSE_S))
    return True


def _record_master(session, assembly, row_id, job, result, owner, lost):
    if not claims.holds(session, Stacking, row_id, owner):
        return False
    plan.renew(session, lost)
    row = session.get_one(Stacking, row_id, populate_existing=True)
    # before the record: the new master makes due what waits for it, and this row does not
    stackings.finish(row)
    session.flush()
    made = stacking.record(session, job, result)
    pauses_s = {State.RETRY: 10 * frames.SHORTEST_PAUSE_S, State.WAITING: frames.LOOK_AGAIN_S}
    if result.state in pauses_s:
        row.next_try = clock(session) + timedelta(seconds=pauses_s[result.state])
    if result.state is State.WAITING or made.standing is Standing.REJECTED:
        job_now = stacking.plan(session, row.kind, job.night, stackings.inputs(session, row), assembly)
        if job_now is not None and job_now.masters != job.masters:
            # made meanwhile, as for a frame; or one that needs review was at fault, and there is another
            row.next_try = clock(session)
    return True


def _deliver(assembly, product):
    """Deliver a product; return the error that says that nothing can be delivered now, if there is one."""
    given, longest_s = assembly.settings, limits.of(assembly.settings, assembly.pace).deliver_s
    deliver = partial(
        deliveries.deliver, product.path, product.md5, assembly.output, given.ingest_to,
        token=given.auth_token.get_secret_value(), allow_http=given.allow_http, longest_s=longest_s,
    )  # fmt: skip
    try:
        folder = deliveries.folder(given.ingest_to)
        if folder is None:
            deliver()
        else:
            _in_time(deliver, folder / product.path, longest_s)
    except deliveries.ServerAway as away:
        return away
    return None


def _in_time(deliver, path, longest_s):
    """Deliver into a directory; a disk that does not answer is no fault of the product, and holds up nobody."""
    try:
        ended = reading.do(lambda _: _error_of(deliver), path, longest_s)
    except Unavailable as error:
        raise deliveries.ServerAway(str(error)) from error
    if ended is not None:
        raise ended


def _error_of(work):
    try:
        work()
    except Exception as error:
        return error
    return None


def _record_delivery(session, row_id, result, is_away):
    row = session.get_one(Delivery, row_id, populate_existing=True)
    row.owner, row.lease, row.reason, row.next_try = "", None, result.reason, None
    row.tries += 1
    # an outage is no refusal, however long it takes
    row.refusals += result.state is not State.DONE and not is_away
    if result.state is State.DONE:
        row.delivered = clock(session)
    elif result.state is State.RETRY and row.refusals < frames.MOST_RETRIES:
        # also where the server is away: should this product be the cause, another finds out that it is not
        row.next_try = clock(session) + timedelta(seconds=frames.pause_s(row.tries))


def _record_summary(session, row_id, result, owner, is_written):
    if not claims.holds(session, NightSummary, row_id, owner):
        return False
    row, moment = session.get_one(NightSummary, row_id, populate_existing=True), clock(session)
    row.owner, row.lease, row.next_try, row.reason = "", None, None, result.reason
    row.tries += 1
    if is_written:
        row.written = row.written or moment
    if result.state is State.DONE:
        row.mailed, row.reason = (moment, result.value) if result.value is not None else (None, "")
    elif result.state is State.RETRY and row.day >= summary.recent(moment):
        row.next_try = moment + timedelta(seconds=frames.pause_s(row.tries))
    return True


#: What each kind of row is called, and what is done with it.
WORK = {
    Frame: ("frame", frame),
    Stacking: ("master", master),
    NightSummary: ("summary", night_summary),
    Delivery: ("delivery", delivery),
}
