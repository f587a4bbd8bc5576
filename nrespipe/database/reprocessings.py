"""What people have asked to be reduced again, and why."""

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import JSON, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from nrespipe import __version__
from nrespipe.database.base import Row
from nrespipe.database.columns import Moment, clock

if TYPE_CHECKING:
    from nrespipe.frames.raw import Kind


class Reprocessing(Row):
    """One run over nights that had been reduced before.

    Attributes
    ----------
    site, first_day, last_day
        Whose nights, both included.
    kinds
        What was done again.
    why
        The reason, in the words of the person who asked for it.
    code_version
        Version of the program.
    begun, finished
        When; `finished` is None while it runs, or where it was interrupted.
    """

    __tablename__ = "reprocessings"

    id: Mapped[int] = mapped_column(primary_key=True)
    site: Mapped[str] = mapped_column(Text)
    first_day: Mapped[str] = mapped_column(Text)
    last_day: Mapped[str] = mapped_column(Text)
    kinds: Mapped[list] = mapped_column(JSON, default=list)
    why: Mapped[str] = mapped_column(Text, default="")
    code_version: Mapped[str] = mapped_column(Text)
    begun: Mapped[datetime] = mapped_column(Moment)
    finished: Mapped[datetime | None] = mapped_column(Moment)


def begin(session: Session, site: str, first_day: str, last_day: str, kinds: "list[Kind]", why: str) -> Reprocessing:
    """Return the row of a run: that of the same one by the same version that was interrupted, or a new one.

    Parameters
    ----------
    site, first_day, last_day
        Whose nights, both included.
    kinds
        What is done again.
    why
        The reason. One that is asked for again for another reason is another run: something has changed meanwhile.
    """
    same = {"site": site, "first_day": first_day, "last_day": last_day, "why": why, "code_version": __version__}
    query = select(Reprocessing).filter_by(**same, finished=None).order_by(Reprocessing.id.desc())
    words = [str(kind) for kind in kinds]
    for row in session.scalars(query):
        if row.kinds == words:
            return row
    row = Reprocessing(**same, kinds=words, begun=clock(session))
    session.add(row)
    session.flush()
    return row


def finish(session: Session, row_id: int) -> None:
    """Write down that a run has come to its end."""
    session.get_one(Reprocessing, row_id).finished = clock(session)
