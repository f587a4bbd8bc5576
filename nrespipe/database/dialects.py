"""Statements that differ between SQLite and PostgreSQL: the present moment, inserts of rows that may exist."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import DateTime, func, select
from sqlalchemy.orm import DeclarativeBase, Session

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite


def now() -> datetime:
    """Return the present moment by the clock of this host.

    Returns
    -------
    datetime
        In UTC, aware of it.
    """
    return datetime.now(UTC)


def insert(session: Session, table: type[DeclarativeBase]) -> "postgresql.Insert | sqlite.Insert":
    """Return an INSERT of the session's database, with ``on_conflict_do_nothing`` for rows that exist.

    Parameters
    ----------
    table
        Whose row is inserted.
    """
    if session.get_bind().dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as of_postgresql

        return of_postgresql(table)
    from sqlalchemy.dialects.sqlite import insert as of_sqlite

    return of_sqlite(table)


def clock(session: Session) -> datetime:
    """Return the present moment by the clock of the database, on which all hosts that share it agree.

    Returns
    -------
    datetime
        In UTC. That of this host where the database is a file.
    """
    if session.get_bind().dialect.name != "postgresql":
        return now()
    # now() of PostgreSQL stands still within a transaction
    moment = session.scalars(select(func.clock_timestamp(type_=DateTime(timezone=True)))).one()
    return moment.astimezone(UTC)
