"""Notifications: select the due rows of which no message is under way, and stamp them as sent (see `Work.sent`)."""

from collections.abc import Collection
from datetime import datetime, timedelta

import sqlalchemy as sql
from sqlalchemy import ColumnElement, case, func, literal, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from nrespipe.database.dialects import clock
from nrespipe.database.tables import Frame, Work

#: Number of the PostgreSQL locks of this module; any number that no other lock has.
_TURNS = 2


def select(
    session: Session, table: type[Work], lost_after_s: float, most: int, low_priority: bool = False
) -> list[int]:
    """Select due rows about which a worker is to be notified, and stamp them as sent.

    Parameters
    ----------
    session
        An open session; the caller commits, and notifies the workers then.
    table
        One of ``tables.WORK_TABLES``.
    lost_after_s
        Time after which a worker is notified again of a row that no worker has claimed [second].
    most
        Largest number of rows.
    low_priority
        Whether to select frames that are reduced when nothing else is due, or all others.

    Returns
    -------
    list of int
        Keys of due rows: first those of the nights that go on now, then all others, each the oldest first. Processes
        that select at the same time get different rows. A row that another process has locked at this moment is left
        to the next call: a process that hangs must not stop the service.
    """
    moment = clock(session)
    never_sent = (table.sent.is_(None)) | (table.sent < table.next_try)
    conditions = [
        table.owner == "",
        table.next_try <= moment,
        never_sent | (table.sent < moment - timedelta(seconds=lost_after_s)),
    ]
    if table is Frame:
        conditions += [Frame.is_latest(), Frame.low_priority == low_priority, Frame.no_version_at_work()]
    order = (_rank_of_night(table, moment), table.next_try, table.id)
    # a table of its own: PostgreSQL may ask a subquery row by row, and find others when these are stamped
    first = sql.select(table.id).where(*conditions).order_by(*order).limit(most)
    first_rows = first.with_for_update(skip_locked=True).cte("first")
    # the conditions once more: another process that selects at the same time may have been first
    stamped = update(table).where(table.id.in_(sql.select(first_rows.c.id)), *conditions).values(sent=moment)
    rows = session.execute(stamped.returning(*order).execution_options(synchronize_session=False)).all()
    return [row_id for _, _, row_id in sorted((rank, due, row_id) for rank, due, row_id in rows)]


def take_turns(session: Session, table: type[Work]) -> None:
    """Let sweeps of a table wait for each other: two would both count the same free places.

    They wait to the end of the transaction.

    Parameters
    ----------
    table
        One of ``tables.WORK_TABLES``.
    """
    # on SQLite only one transaction writes at a time
    if session.get_bind().dialect.name == "postgresql":
        session.execute(sql.select(func.pg_advisory_xact_lock(_TURNS, func.hashtext(table.__tablename__))))


def count(session: Session, table: type[Work], lost_after_s: float) -> int:
    """Count the rows about which a worker was notified and which no worker has claimed yet.

    Parameters
    ----------
    table
        One of ``tables.WORK_TABLES``.
    lost_after_s
        Messages that were sent longer ago than this count as lost [second].
    """
    moment = clock(session)
    conditions = [table.owner == "", table.next_try <= moment, table.sent >= table.next_try]
    conditions.append(table.sent >= moment - timedelta(seconds=lost_after_s))
    if table is Frame:
        # a worker that was notified of a row leaves it alone while another version of its file is worked on
        conditions += [Frame.is_latest(), Frame.no_version_at_work()]
    return session.scalars(sql.select(func.count()).select_from(table).where(*conditions)).one()


def mark_unsent(session: Session, table: type[Work], rows: Collection[int] | None = None) -> None:
    """Note that the messages about some rows were not sent, or are lost.

    Parameters
    ----------
    table
        One of ``tables.WORK_TABLES``.
    rows
        Keys as `select` returned them; all if not given.
    """
    which = table.next_try.is_not(None) if rows is None else table.id.in_(rows)
    session.execute(update(table).where(which).values(sent=None).execution_options(synchronize_session=False))


def resend_other_versions(session: Session, row_id: int) -> None:
    """Make the next sweep notify workers of the other versions of a file, which have waited for their turn.

    Parameters
    ----------
    row_id
        The frame whose work has ended.
    """
    name = sql.select(Frame.filename).where(Frame.id == row_id).scalar_subquery()
    others = (Frame.filename == name, Frame.id != row_id, Frame.owner == "", Frame.next_try.is_not(None))
    # rows that other processes have locked change without this, and two processes could wait for each other
    free = list(session.scalars(sql.select(Frame.id).where(*others).with_for_update(skip_locked=True)))
    cancelled = update(Frame).where(Frame.id.in_(free)).values(sent=None)
    session.execute(cancelled.execution_options(synchronize_session=False))


def _rank_of_night(table: type[Work], moment: datetime) -> ColumnElement[int]:
    """Rank the nights that go on now, or have just ended, before all others."""
    day: InstrumentedAttribute[str] | None = getattr(table, "day", None)
    if day is None:
        return literal(0)
    first, last = (f"{moment + timedelta(days=days):%Y%m%d}" for days in (-1, 1))
    return case((day.between(first, last), 0), else_=1)
