"""Statements that differ between SQLite and PostgreSQL: the present moment, inserts of rows that may exist."""

from datetime import UTC, datetime

from sqlalchemy import Insert, text
from sqlalchemy.orm import Session


def now() -> datetime:
    """Return the present moment.

    Returns
    -------
    datetime
        In UTC, aware of it.
    """
    return datetime.now(UTC)


def insert(session: Session, table: type) -> Insert:
    """Return an INSERT of the session's database, which may say what to do about rows that exist.

    Parameters
    ----------
    table
        Whose row is inserted.

    Returns
    -------
    sqlalchemy.Insert
        With ``on_conflict_do_nothing``.
    """
    if session.get_bind().dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql as dialect
    else:
        from sqlalchemy.dialects import sqlite as dialect
    return dialect.insert(table)


def clock(session: Session) -> datetime:
    """Return the present moment by the clock of the database, which all hosts that share it agree on.

    Returns
    -------
    datetime
        In UTC. That of this host where the database is a file.
    """
    if session.get_bind().dialect.name != "postgresql":
        return now()
    # now() of PostgreSQL stands still within a transaction
    return session.scalar(text("select clock_timestamp()")).astimezone(UTC)
