"""The content of a raw file that was read: the row that has it, its version and its header values."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nrespipe.database.dialects import clock, now
from nrespipe.database.states import FINAL, UNFINISHED, State
from nrespipe.database.tables import Frame
from nrespipe.database.work import announcements, notifications


def last_path(session: Session, filename: str, md5: str | None) -> str | None:
    """Return where the file of a content was seen last; None where the content is not known."""
    return session.scalar(select(Frame.path).where(Frame.filename == filename, Frame.md5 == md5)) if md5 else None


def record_content(
    session: Session,
    frame: Frame,
    path: Path,
    facts: Mapping[str, Any],
    *,
    is_read: bool,
    has_moved: bool = False,
) -> Frame:
    """Record the content of a file that was read; a row with the same content takes its place.

    Parameters
    ----------
    frame
        Row of the file; no process owns it, or the caller does.
    path
        Where it was read.
    facts
        Columns that its file determines, with its checksum as `md5`.
    is_read
        Whether the header could be read.
    has_moved
        Whether the content is known from `last_path`, and no more there.

    Returns
    -------
    Frame
        Row of this content: the given one; or that which had this content before, and the given one is deleted. It has
        a version now, unless its content cannot be understood and another version exists.
    """
    while (known := _lock(session, frame.filename, facts["md5"])) is None:
        try:
            with session.begin_nested():
                frame.md5, frame.path = facts["md5"], str(path)
                session.flush()
        except IntegrityError:
            # another process has read the same content at the same time
            session.refresh(frame)
    if has_moved:
        known.path = str(path)
        if known.state in (State.RETRY, State.FAILED) and not known.owner:
            announcements.request(session, known)
    if known.id != frame.id:
        known.archive_id = frame.archive_id if known.archive_id is None else known.archive_id
        for attempt in frame.attempts:
            session.delete(attempt)
        notifications.resend_other_versions(session, frame.id)
        session.delete(frame)
        session.flush()
    if is_read and known.start_mjd is None:
        record_header(known, facts, clock(session))
    others = select(Frame.id).where(Frame.filename == known.filename, Frame.version.is_not(None))
    if is_read or session.scalar(others.limit(1)) is None:
        assign_version(session, known)
    return known


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


def _lock(session: Session, filename: str, md5: str) -> Frame | None:
    """Return the row of a content, and keep others from changing it; None where there is none."""
    known = select(Frame).where(Frame.filename == filename, Frame.md5 == md5)
    return session.scalar(known.with_for_update().execution_options(populate_existing=True))


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
