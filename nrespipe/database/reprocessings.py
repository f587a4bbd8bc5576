"""Records of the reprocessings that people have asked for, with their reasons."""

from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from nrespipe import __version__
from nrespipe.database.dialects import clock
from nrespipe.database.tables import Reprocessing

if TYPE_CHECKING:
    from nrespipe.frames.raw import Kind


def begin(session: Session, site: str, first_day: str, last_day: str, kinds: "list[Kind]", why: str) -> Reprocessing:
    """Return the row of a run: that of the same one by the same version that was interrupted, or a new one.

    Parameters
    ----------
    site, first_day, last_day
        Site and nights, both included.
    kinds
        Kinds of frames that are reduced again.
    why
        The reason. The same request with another reason is another run: something has changed meanwhile.
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
    """Record that a run has ended."""
    session.get_one(Reprocessing, row_id).finished = clock(session)
