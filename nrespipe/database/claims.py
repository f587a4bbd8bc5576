"""Whose work a row is: one process at a time, and none that died keeps it."""

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import case, func, literal, select, update
from sqlalchemy.orm import Session, aliased

from nrespipe import __version__
from nrespipe.database.dialects import clock, now
from nrespipe.database.frames import SHORTEST_PAUSE_S, cancel_dispatch_of_versions, latest, record
from nrespipe.database.states import State
from nrespipe.database.tables import Attempt, Delivery, Frame, NightSummary, Stacking

#: Tables whose rows are work.
KINDS_OF_WORK = (Frame, Stacking, Delivery, NightSummary)
#: A process that keeps a row longer than this is taken for dead [second], unless it says otherwise.
LEASE_S = 7200.0
#: Any number by which these locks of PostgreSQL are told from others.
_TURNS = 1
#: A frame at which the process died so often is taken for the cause.
MOST_DEATHS = 3


def claim(
    session: Session, table: type, row_id: int, owner: str, lease_s: float = LEASE_S, seen: int | None = None
) -> bool:
    """Take a row to work on it, if nobody else has it.

    Parameters
    ----------
    session
        An open session; the row is taken once the caller commits.
    table
        One of `KINDS_OF_WORK`.
    lease_s
        For how long at most [second].
    seen
        Number of tries that the caller has seen: the row is then taken if nobody has tried it since. Without it the
        row must be due now.

    Returns
    -------
    bool
        Whether it was free. A frame that is done stays so while it is done again, any other is running.

    Notes
    -----
    One conditional update: of several processes that ask at once exactly one is told yes, on every engine, and those
    that ask for two rows of one file ask one after the other. Nothing is locked while the work goes on.
    """
    moment = clock(session)
    conditions = [table.id == row_id, table.owner == ""]
    conditions.append(table.next_try <= moment if seen is None else table.tries == seen)
    values = {"owner": owner, "lease": moment + timedelta(seconds=lease_s)}
    if table is Frame:
        _take_turns(session, row_id)
        conditions += [latest(), _no_version_at_work()]
        values["state"] = case((Frame.state == State.DONE, State.DONE), else_=State.RUNNING)
    taken = update(table).where(*conditions).values(**values).returning(table.id)
    return session.scalar(taken.execution_options(synchronize_session=False)) is not None


def confirm_owner(session: Session, table: type, row_id: int, owner: str) -> bool:
    """Return whether a process still owns a row, and keep others from taking it until the caller commits.

    Parameters
    ----------
    table
        One of `KINDS_OF_WORK`.
    """
    kept = update(table).where(table.id == row_id, table.owner == owner).values(owner=owner).returning(table.id)
    return session.scalar(kept.execution_options(synchronize_session=False)) is not None


def is_owner(session: Session, table: type, row_id: int, owner: str) -> bool:
    """Return whether a process still owns a row at this moment; unlike `confirm_owner` this locks nothing.

    Parameters
    ----------
    table
        One of `KINDS_OF_WORK`.
    """
    return session.scalar(select(table.id).where(table.id == row_id, table.owner == owner)) is not None


def give_back(session: Session, table: type, row_id: int, owner: str) -> None:
    """Let go of a row on which no work was begun; it is due at once.

    Parameters
    ----------
    table
        One of `KINDS_OF_WORK`.
    owner
        Who took it; nothing happens where it is not theirs any more.
    """
    values = {"owner": "", "lease": None, "next_try": clock(session)}
    if table is Frame:
        values["state"] = case((Frame.state == State.RUNNING, State.QUEUED), else_=Frame.state)
    back = update(table).where(table.id == row_id, table.owner == owner).values(**values)
    session.execute(back.execution_options(synchronize_session=False))
    if table is Frame:
        cancel_dispatch_of_versions(session, row_id)


def owners(session: Session) -> set[str]:
    """Return who has rows."""
    return {
        name
        for table in KINDS_OF_WORK
        for name in session.scalars(select(table.owner).where(table.owner != "").distinct())
    }


def select_for_dispatch(
    session: Session, table: type, patience_s: float, most: int, low_priority: bool = False
) -> list[int]:
    """Choose rows of which a worker is to be told, and note that it is.

    Parameters
    ----------
    session
        An open session; the caller commits, and tells the workers then.
    table
        One of `KINDS_OF_WORK`.
    patience_s
        For how long a worker that was told may leave a row alone before it is told again [second].
    most
        How many at a time.
    low_priority
        Whether frames are chosen whose turn comes when nothing else is due, or all others.

    Returns
    -------
    list of int
        Keys of rows that are due: those of the nights that go on now, then all others, of each the oldest first. Of
        several that pick at once each gets others. A row that is locked by somebody else at this moment is left to the
        next time: one process that hangs must not hold up the service.
    """
    moment = clock(session)
    untold = (table.sent.is_(None)) | (table.sent < table.next_try)
    conditions = [
        table.owner == "",
        table.next_try <= moment,
        untold | (table.sent < moment - timedelta(0, patience_s)),
    ]
    if table is Frame:
        conditions += [latest(), Frame.low_priority == low_priority, _no_version_at_work()]
    order = (_turn(table, moment), table.next_try, table.id)
    first = select(table.id).where(*conditions).order_by(*order).limit(most)
    # a table of its own: PostgreSQL may ask a subquery row by row, and find others when these are stamped
    first = first.with_for_update(skip_locked=True).cte("first")
    # the conditions once more: another that picks at the same time may have been first
    stamped = update(table).where(table.id.in_(select(first.c.id)), *conditions).values(sent=moment)
    rows = session.execute(stamped.returning(*order).execution_options(synchronize_session=False))
    return [row_id for *_, row_id in sorted(tuple(row) for row in rows)]


def _turn(table, moment):
    """Rank of the nights that go on now, or have just ended, before all others."""
    if not hasattr(table, "day"):
        return literal(0)
    first, last = (f"{moment + timedelta(days=days):%Y%m%d}" for days in (-1, 1))
    return case((table.day.between(first, last), 0), else_=1)


def count_dispatched(session: Session, table: type, patience_s: float) -> int:
    """Count the rows of which a worker was told and that it has not taken yet.

    Parameters
    ----------
    table
        One of `KINDS_OF_WORK`.
    patience_s
        Messages that were sent longer ago than this count as lost [second].
    """
    moment = clock(session)
    told = [table.owner == "", table.next_try <= moment, table.sent >= table.next_try]
    told.append(table.sent >= moment - timedelta(seconds=patience_s))
    if table is Frame:
        # a worker that was told of another row of a file in hand has left it alone
        told += [latest(), _no_version_at_work()]
    return session.scalar(select(func.count()).select_from(table).where(*told))


def cancel_dispatch(session: Session, table: type, rows: Collection[int] | None = None) -> None:
    """Note that no worker could be told of some rows, or that none knows any more.

    Parameters
    ----------
    table
        One of `KINDS_OF_WORK`.
    rows
        Keys as `select_for_dispatch` returned them; all if not given.
    """
    which = table.next_try.is_not(None) if rows is None else table.id.in_(rows)
    forgotten = update(table).where(which).values(sent=None)
    session.execute(forgotten.execution_options(synchronize_session=False))


def release(
    session: Session, reason: str, owners: Collection[str] = (), is_death: bool = True
) -> list[tuple[type, int]]:
    """Take rows away from processes that died, or could not end what they had in hand.

    Parameters
    ----------
    reason
        How they died, in plain words.
    owners
        Whose rows; those whose lease has run out if empty.
    is_death
        Whether that counts as a death of its process: after `MOST_DEATHS` the row is given up.

    Returns
    -------
    list of tuple (type, int)
        Table and key of each row that was released. Where a lease has run out but the row is locked by somebody at this
        moment, that is left to the next time.
    """
    released = []
    for table in KINDS_OF_WORK:
        lost = select(table.id, table.owner)
        if owners:
            # told once: this waits for a server that still ends what the dead had begun
            lost = lost.where(table.owner.in_(owners))
        else:
            lost = lost.where(table.owner != "", table.lease < clock(session)).with_for_update(skip_locked=True)
        for row_id, owner in session.execute(lost).all():
            if not confirm_owner(session, table, row_id, owner):
                continue
            if is_death:
                record_death(session, session.get_one(table, row_id, populate_existing=True), reason)
            else:
                give_back(session, table, row_id, owner)
            released.append((table, row_id))
    return released


def record_death(session: Session, work, reason: str) -> None:
    """Write down that the process that worked on a row died; another may take it, but not for ever.

    Parameters
    ----------
    work : Frame, Stacking, Delivery or NightSummary
        Whose owner died.
    reason
        How, in plain words.
    """
    moment = clock(session)
    work.deaths += 1
    given_up = work.deaths >= MOST_DEATHS
    if given_up:
        reason = f"given up: the process died at it {work.deaths} times; the last time: {reason}"
    if isinstance(work, Frame):
        outcome = State.FAILED if given_up else State.RETRY
        # when it was taken is not known any more; the lease was counted from then
        attempt = Attempt(
            frame_id=work.id,
            started=moment,
            finished=moment,
            outcome=outcome,
            reason=reason,
            traceback="",
            code_version=__version__,
            measurements={},
        )
        record(session, attempt)
    else:
        work.tries += 1
        work.owner, work.lease = "", None
        if isinstance(work, Delivery | NightSummary):
            work.reason = reason
    work.next_try = None if given_up else moment + timedelta(seconds=SHORTEST_PAUSE_S * (work.deaths - 1))


def request(session: Session, frame: Frame, low_priority: bool = False) -> None:
    """Ask for a frame to be worked on now, whatever has become of it so far.

    Parameters
    ----------
    frame
        One that no process is working on. One that is done stays done until then.
    low_priority
        Whether its turn comes when nothing else is due.
    """
    frame.low_priority = low_priority
    frame.next_try, frame.sent, frame.deaths, frame.retries = clock(session), None, 0, 0
    if frame.state != State.DONE:
        frame.state, frame.reason, frame.updated = State.QUEUED, "", now()


def _take_turns(session, row_id) -> None:
    """Let whoever asks for another row of the same file wait: each would find the other in nobody's hands."""
    if session.get_bind().dialect.name == "postgresql":
        name = select(Frame.filename).where(Frame.id == row_id).scalar_subquery()
        session.execute(select(func.pg_advisory_xact_lock(_TURNS, func.hashtext(name))))


def _no_version_at_work():
    """Two versions of a frame write the same products: they take turns."""
    other = aliased(Frame)
    at_work = (other.filename == Frame.filename, other.id != Frame.id, other.owner != "")
    return ~select(other.id).where(*at_work).exists()
