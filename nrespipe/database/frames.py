"""Queries of the rows of raw frames: which are to be reduced, their numbers, and those with problems."""

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nrespipe.database.dialects import clock
from nrespipe.database.states import UNFINISHED, State
from nrespipe.database.tables import Frame

if TYPE_CHECKING:
    from nrespipe.frames.raw import Kind


def pending(session: Session, kind: "Kind", code_version: str) -> list[Frame]:
    """Return the frames of one kind that are still to be reduced.

    Parameters
    ----------
    code_version
        Version of the program: a frame on which another version failed is tried again.

    Returns
    -------
    list of Frame
        Last versions only, by file name; without those of which only the name is known, and those that a process is
        working on. The time of the last attempt does not matter.
    """
    open_again = (Frame.state == State.FAILED) & (Frame.code_version != code_version)
    is_due = (Frame.state.in_(UNFINISHED) | open_again) & Frame.start_mjd.is_not(None) & (Frame.owner == "")
    query = select(Frame).where(Frame.kind == kind, is_due, Frame.is_latest())
    return list(session.scalars(query.order_by(Frame.filename)))


def to_reduce_again(session: Session, kind: "Kind") -> list[Frame]:
    """Return the frames of one kind that are to be reduced again because a better result is possible.

    Returns
    -------
    list of Frame
        The oldest request first.
    """
    asked = (Frame.low_priority, Frame.next_try <= clock(session), Frame.owner == "")
    query = select(Frame).where(Frame.kind == kind, *asked, Frame.is_latest())
    return list(session.scalars(query.order_by(Frame.next_try, Frame.filename)))


def find(session: Session, name: str) -> list[Frame]:
    """Return all versions of a frame.

    Parameters
    ----------
    name
        Base name without ``.fits`` or ``.fits.fz``.

    Returns
    -------
    list of Frame
        Newest first; before them announcements that were not read yet.
    """
    newest_first = (Frame.version.desc().nulls_first(), Frame.id.desc())
    return list(session.scalars(select(Frame).where(Frame.filename == name).order_by(*newest_first)))


def counts(session: Session) -> list[tuple[Any, ...]]:
    """Count the frames by night, kind and state.

    Returns
    -------
    list of tuple
        (site, instrument, camera, day, kind, state, count), sorted; last versions only.
    """
    columns = (Frame.site, Frame.instrument, Frame.camera, Frame.day, Frame.kind, Frame.state)
    rows = session.execute(select(*columns, func.count()).where(Frame.is_latest()).group_by(*columns))
    return sorted(
        (tuple(row) for row in rows), key=lambda row: tuple("" if cell is None else str(cell) for cell in row)
    )


def with_problems(session: Session) -> list[Frame]:
    """Return the frames that were tried and are not done.

    Returns
    -------
    list of Frame
        Last versions only, by file name.
    """
    query = select(Frame).where(Frame.state.not_in((State.DONE, State.QUEUED, State.RUNNING)), Frame.is_latest())
    return list(session.scalars(query.order_by(Frame.filename)))
