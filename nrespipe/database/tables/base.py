"""Base classes: of all tables, and of the tables whose rows are work."""

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Index, MetaData, Text, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from nrespipe.database.tables.column_types import Moment

# every constraint has a name, by which a later migration finds it on every engine
_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


def part_index(name: str, *columns: str, where: str) -> Index:
    """Return an index of the few rows of a large table that fulfil a condition.

    Parameters
    ----------
    name
        Name of the index.
    *columns
        What it orders by.
    where
        The condition, in SQL. SQLite uses the index for a query that has the same condition in the same words; of ``is
        not null`` a comparison is enough.
    """
    condition = text(where)
    return Index(name, *columns, postgresql_where=condition, sqlite_where=condition)


def work_indices(table: str) -> tuple[Index, ...]:
    """Return the indices of a table of work: few of its rows are due, or have an owner.

    Parameters
    ----------
    table
        Name of the table.
    """
    is_open = "next_try is not null"
    return (
        part_index(f"ix_{table}_due", "next_try", where=is_open),
        part_index(f"ix_{table}_sent", "sent", where=is_open),
        part_index(f"ix_{table}_owner", "owner", where=OWNED),
    )


#: Condition that a process works on a row.
OWNED = "owner <> ''"


class Row(DeclarativeBase):
    """Base class of all tables."""

    metadata = MetaData(naming_convention=_NAMES)


class Work(Row):
    """Columns of a row that is work, for one process at a time.

    Attributes
    ----------
    owner
        Process that works on it; '' where none does.
    lease
        Until when its owner may keep it: a process that takes longer is taken for dead.
    next_try
        From when on it is due; None where nothing is left to do.
    sent
        When a worker was last notified of it, or is about to be; None where none was, or its message was lost.
    tries, deaths
        How often it was tried; how many of these tries ended with the death of the process since the last request.

    Notes
    -----
    A row is due once `next_try` has come and `owner` is ''. The program that notifies a worker of it writes the moment
    to `sent`: where ``sent >= next_try`` a message is under way, and no other is sent until it counts as lost. The
    worker that claims the row writes `owner` and `lease`; a `next_try` that changes from then on tells it that the row
    was announced again. With the result it clears both, and writes the time of the next try, which is later than
    `sent`: no message is under way any more. The same happens where a row is given back, or released because its
    process died.
    """

    __abstract__ = True
    if TYPE_CHECKING:
        # each table declares its own
        id: Mapped[int]

    owner: Mapped[str] = mapped_column(Text, default="", server_default="")
    lease: Mapped[datetime | None] = mapped_column(Moment)
    next_try: Mapped[datetime | None] = mapped_column(Moment)
    sent: Mapped[datetime | None] = mapped_column(Moment)
    tries: Mapped[int] = mapped_column(default=0, server_default="0")
    deaths: Mapped[int] = mapped_column(default=0, server_default="0")
