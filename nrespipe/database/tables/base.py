"""Base classes: of all tables, and of the tables whose rows are work."""

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import MetaData, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from nrespipe.database.tables.column_types import Moment

# every constraint has a name, by which a later migration finds it on every engine
_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


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
    A row is due once `next_try` has come and `owner` is ''. Whoever notifies a worker of it writes the moment to
    `sent`: where ``sent >= next_try`` a message is under way, and no other is sent until it counts as lost. The worker
    that claims the row writes `owner` and `lease`; a `next_try` that changes from then on tells it that the row was
    announced again. With the result it clears both, and writes the time of the next try, which is later than `sent`: no
    message is under way any more. The same happens where a row is given back, or released because its process died.
    """

    __abstract__ = True
    if TYPE_CHECKING:
        # each table declares its own
        id: Mapped[int]

    owner: Mapped[str] = mapped_column(Text, default="", server_default="")
    lease: Mapped[datetime | None] = mapped_column(Moment)
    next_try: Mapped[datetime | None] = mapped_column(Moment, index=True)
    sent: Mapped[datetime | None] = mapped_column(Moment)
    tries: Mapped[int] = mapped_column(default=0, server_default="0")
    deaths: Mapped[int] = mapped_column(default=0, server_default="0")
