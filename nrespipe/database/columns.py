"""Column types that mean the same on SQLite and PostgreSQL, and the states that the tables store."""

import math
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import DateTime, Float, Insert, String, text
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeDecorator


class State(StrEnum):
    """What has become of a frame so far, or what came of one attempt at it."""

    QUEUED = "queued"  #: its turn has not come yet
    RUNNING = "running"  #: a process is working on it
    DONE = "done"  #: reduced, its products are written
    SKIPPED = "skipped"  #: not ours to reduce
    BAD = "bad"  #: can never be reduced
    WAITING = "waiting"  #: a master that it needs does not exist yet
    RETRY = "retry"  #: something outside the frame failed; it is tried again
    FAILED = "failed"  #: the program failed, and the traceback is kept


class Standing(StrEnum):
    """Whether a master may be used."""

    CURRENT = "current"  #: nothing against it, or nothing that matters
    REVIEW = "needs review"  #: unlike the last good one, or doubtful by itself; used, and its frames say so
    REPLACED = "replaced"  #: a later one of the same night was made of other frames
    REJECTED = "rejected"  #: these frames can make none that serves, or a person has called it bad; the reason is kept
    RETRY = "retry"  #: something outside the frames failed; it is tried again
    FAILED = "failed"  #: the program failed, and the traceback is kept


#: Masters of these standings are used.
USABLE = (Standing.CURRENT, Standing.REVIEW)


class Moment(TypeDecorator):
    """A point in time, always UTC and always aware of it; SQLite alone would forget the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value, dialect):
        """Return the value in UTC; a naive one is refused with a ValueError."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"a moment needs a time zone, got {value!r}")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value, dialect):
        """Return the value as an aware moment in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Real(TypeDecorator):
    """A double that is either a finite number or NULL.

    SQLite stores NaN as NULL and PostgreSQL as a NaN that sorts above all numbers; NULL is the same on both.
    """

    impl = Float(53)
    cache_ok = True

    def process_bind_param(self, value, dialect):
        """Return the value as a plain float, or None where it is not finite."""
        return float(value) if value is not None and math.isfinite(value) else None


class _Word(TypeDecorator):
    """A word of a StrEnum as plain text; one that this version of the program does not know is read as it stands.

    A row that a newer program has written, or a person, must not end what reads a thousand others.
    """

    impl = String
    cache_ok = True

    def __init__(self, enum):
        super().__init__(16)
        self.enum, self._known = enum, frozenset(map(str, enum))

    def process_bind_param(self, value, dialect):
        """Return the value as plain text."""
        return None if value is None else str(value)

    def process_result_value(self, value, dialect):
        """Return the member of the StrEnum, or the text where there is none of this value."""
        return self.enum(value) if value in self._known else value


def words(enum):
    """Return a column type that stores the values of a StrEnum as text.

    Parameters
    ----------
    enum : type of StrEnum
        The words.

    Returns
    -------
    sqlalchemy.types.TypeDecorator
        Plain VARCHAR on every engine: a new word needs no migration. A word that the enum lacks is read as text.
    """
    return _Word(enum)


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
