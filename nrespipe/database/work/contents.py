"""The content of a raw file that was read: its version and its header values in the row."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nrespipe.database.dialects import now
from nrespipe.database.states import FINAL, UNFINISHED, State
from nrespipe.database.tables import Frame


def assign_version(session: Session, frame: Frame) -> None:
    """Give a file whose content is known its version; earlier versions are not worked on any more.

    Parameters
    ----------
    frame
        Its row, with its checksum. One that has a version keeps it.
    """
    if frame.version is not None:
        return
    session.flush()
    damaged = (Frame.version.is_(None), Frame.md5.is_not(None), Frame.owner == "", Frame.state.in_(FINAL))
    older = select(Frame).where(Frame.filename == frame.filename, Frame.id != frame.id, *damaged).order_by(Frame.id)
    # a content that was announced earlier and could not be understood is older than this
    for one in (*session.scalars(older), frame):
        _number(session, one.id)
        session.refresh(one)
    _close_older(session, frame)


def record_header(frame: Frame, facts: Mapping[str, object], moment: datetime) -> None:
    """Record the header values of a frame of which only the file name was known; it is queued again.

    Parameters
    ----------
    facts
        Values of columns that are known now.
    moment
        The present moment, by the clock of the database.
    """
    for name, value in facts.items():
        setattr(frame, name, value)
    if not frame.owner:
        frame.state, frame.reason, frame.next_try, frame.updated = State.QUEUED, "", moment, now()


def _number(session: Session, row_id: int) -> None:
    """Give a row the next version of its file; another process may do the same with another row."""
    name = select(Frame.filename).where(Frame.id == row_id).scalar_subquery()
    while True:
        newest = session.scalar(select(func.max(Frame.version)).where(Frame.filename == name)) or 0
        numbered = update(Frame).where(Frame.id == row_id).values(version=newest + 1)
        try:
            with session.begin_nested():
                session.execute(numbered.execution_options(synchronize_session=False))
            return
        except IntegrityError:
            continue


def _close_older(session: Session, frame: Frame) -> None:
    """Close the earlier versions of a file on which no process works: they will never be worked on."""
    older = (Frame.filename == frame.filename, Frame.version < frame.version)
    idle = (Frame.owner == "", Frame.state.in_(UNFINISHED))
    reason = f"replaced by version {frame.version} of the file"
    closed = update(Frame).where(*older, *idle)
    closed = closed.values(state=State.SKIPPED, next_try=None, reason=reason, updated=now())
    session.execute(closed.execution_options(synchronize_session="fetch"))
