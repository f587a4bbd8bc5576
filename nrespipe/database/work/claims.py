"""Claims on rows that are work: one process works on a row at a time."""

from datetime import timedelta

from sqlalchemy import case, func, select, update
from sqlalchemy.orm import Session

from nrespipe.database.dialects import clock
from nrespipe.database.states import State
from nrespipe.database.tables import Frame, Work
from nrespipe.database.work import notifications

#: A process that keeps a row longer than this is taken for dead [second], unless it says otherwise.
LEASE_S = 7200.0
#: Number of the PostgreSQL locks of this module; any number that no other lock has.
_TURNS = 1


def claim(
    session: Session,
    table: type[Work],
    row_id: int,
    owner: str,
    lease_s: float = LEASE_S,
    tries_seen: int | None = None,
) -> bool:
    """Claim a row to work on it, if no other process has it.

    Parameters
    ----------
    session
        An open session; the row is claimed once the caller commits.
    table
        One of ``tables.WORK_TABLES``.
    lease_s
        Longest time that the process may keep the row [second].
    tries_seen
        Number of tries that the caller has seen: the row is then claimed if nobody has tried it since. Without it the
        row must be due now.

    Returns
    -------
    bool
        Whether the row was free. A frame that is done stays done while it is reduced again, any other is running.

    Notes
    -----
    One conditional update: of several processes that ask at once exactly one gets the row, on every engine. Processes
    that ask for two rows of one file take turns. Nothing stays locked while the work goes on.
    """
    moment = clock(session)
    conditions = [table.id == row_id, table.owner == ""]
    conditions.append(table.next_try <= moment if tries_seen is None else table.tries == tries_seen)
    values = {"owner": owner, "lease": moment + timedelta(seconds=lease_s)}
    statement = update(table)
    if table is Frame:
        _take_turns(session, row_id)
        conditions += [Frame.is_latest(), Frame.no_version_at_work()]
        statement = statement.values(state=case((Frame.state == State.DONE, State.DONE), else_=State.RUNNING))
    claimed = statement.where(*conditions).values(**values).returning(table.id)
    return session.scalar(claimed.execution_options(synchronize_session=False)) is not None


def confirm_owner(session: Session, table: type[Work], row_id: int, owner: str) -> bool:
    """Return whether a process still owns a row, and keep others from claiming it until the caller commits.

    Parameters
    ----------
    table
        One of ``tables.WORK_TABLES``.
    """
    kept = update(table).where(table.id == row_id, table.owner == owner).values(owner=owner).returning(table.id)
    return session.scalar(kept.execution_options(synchronize_session=False)) is not None


def is_owner(session: Session, table: type[Work], row_id: int, owner: str) -> bool:
    """Return whether a process owns a row at this moment; unlike `confirm_owner` this locks nothing.

    Parameters
    ----------
    table
        One of ``tables.WORK_TABLES``.
    """
    return session.scalar(select(table.id).where(table.id == row_id, table.owner == owner)) is not None


def give_back(session: Session, table: type[Work], row_id: int, owner: str) -> None:
    """Give back a row on which no work was begun; it is due at once.

    Parameters
    ----------
    table
        One of ``tables.WORK_TABLES``.
    owner
        The process that claimed it; nothing happens where the row belongs to another by now.
    """
    back = update(table).where(table.id == row_id, table.owner == owner)
    back = back.values(owner="", lease=None, next_try=clock(session))
    if table is Frame:
        back = back.values(state=case((Frame.state == State.RUNNING, State.QUEUED), else_=Frame.state))
    session.execute(back.execution_options(synchronize_session=False))
    if table is Frame:
        notifications.resend_other_versions(session, row_id)


def _take_turns(session: Session, row_id: int) -> None:
    """Let processes that claim rows of the same file wait for each other: both would find no version at work."""
    if session.get_bind().dialect.name == "postgresql":
        name = select(Frame.filename).where(Frame.id == row_id).scalar_subquery()
        session.execute(select(func.pg_advisory_xact_lock(_TURNS, func.hashtext(name))))
