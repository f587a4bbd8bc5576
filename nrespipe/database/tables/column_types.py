"""Column types that mean the same on SQLite and PostgreSQL."""

import math
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import DateTime, Dialect, Float, String
from sqlalchemy.types import TypeDecorator


class Moment(TypeDecorator[datetime]):
    """A point in time, always UTC and always aware of it; SQLite alone would forget the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the value in UTC; a naive one is refused with a ValueError."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"a moment needs a time zone, got {value!r}")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the value as an aware moment in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Real(TypeDecorator[float]):
    """A double that is either a finite number or NULL.

    SQLite stores NaN as NULL and PostgreSQL as a NaN that sorts above all numbers; NULL is the same on both.
    """

    impl = Float(53)
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        """Return the value as a plain float, or None where it is not finite."""
        return float(value) if value is not None and math.isfinite(value) else None


class _Word(TypeDecorator[str]):
    """A word of a StrEnum as plain text; one that this version of the program does not know is read as it is.

    One row that a newer program or a person has written must not end a program that reads a thousand others.
    """

    impl = String
    cache_ok = True

    def __init__(self, enum: type[StrEnum]) -> None:
        super().__init__(16)
        self.enum, self._known = enum, frozenset(map(str, enum))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the value as plain text."""
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the member of the StrEnum, or the text where there is none of this value."""
        return self.enum(value) if value in self._known else value


def words(enum: type[StrEnum]) -> TypeDecorator[str]:
    """Return a column type that stores the values of a StrEnum as text.

    Returns
    -------
    sqlalchemy.types.TypeDecorator
        Plain VARCHAR on every engine: a new word needs no migration. A word that the enum lacks is read as text.
    """
    return _Word(enum)
