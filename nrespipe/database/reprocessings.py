"""What people have asked to be reduced again, and why."""

from datetime import datetime

from sqlalchemy import JSON, Text, select
from sqlalchemy.orm import Mapped, mapped_column

from nrespipe import __version__
from nrespipe.database.base import Row
from nrespipe.database.columns import Moment, clock


class Reprocessing(Row):
    """One run over nights that had been reduced before.

    Attributes
    ----------
    site, first_day, last_day : str
        Whose nights, both included.
    kinds : list of str
        What was done again.
    why : str
        The reason, in the words of the person who asked for it.
    code_version : str
        Version of the program.
    begun, finished : datetime
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


def begin(session, site, first_day, last_day, kinds, why):
    """Return the row of a run: that of the same one by the same version that was interrupted, or a new one.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session; the caller commits.
    site, first_day, last_day : str
        Whose nights, both included.
    kinds : list of Kind
        What is done again.
    why : str
        The reason. One that is asked for again for another reason is another run: something has changed meanwhile.

    Returns
    -------
    Reprocessing
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


def finish(session, row_id):
    """Write down that a run has come to its end.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session; the caller commits.
    row_id : int
        Its row.
    """
    session.get_one(Reprocessing, row_id).finished = clock(session)
