"""Rows become due: a message announces a raw file, or somebody requests that a frame is reduced once more."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from nrespipe.database.dialects import clock, insert, now
from nrespipe.database.states import FINAL, State
from nrespipe.database.tables import Frame


def announce(
    session: Session,
    filename: str,
    path: str,
    md5: str | None = None,
    *,
    is_notified: bool = False,
    **facts: object,
) -> tuple[Frame, bool]:
    """Return the row of a raw file that a message announces, and create it if there is none; the file is not read.

    Parameters
    ----------
    filename
        Base name without ``.fits`` or ``.fits.fz``.
    path
        Where the message says that it is.
    md5
        Checksum of the whole file, if that is known.
    is_notified
        Whether the caller notifies a worker of a row that is due: it then counts as sent.
    **facts
        Other columns of the row.

    Returns
    -------
    frame : Frame
        The row: of this content where the checksum is known, else the announcement of this path.
    is_due : bool
        Whether it was created now, or requested once more, and no process works on it. A row that is known by its
        checksum is not requested again, unless it never could be read; nor is one that waits for its first worker.

    Notes
    -----
    An announcement on which a process works at this moment has its ``next_try`` changed: the process may have read an
    older content, and looks once more.
    """
    known = select(Frame).where(Frame.filename == filename, Frame.md5 == md5)
    if md5 is None:
        known = select(Frame).where(Frame.filename == filename, Frame.md5.is_(None), Frame.path == path)
    moment = clock(session)
    while True:
        # until the end of the transaction no process can claim it
        frame = session.scalar(known.with_for_update().execution_options(populate_existing=True).limit(1))
        if frame is not None:
            return frame, _request_again(frame, moment, is_notified, facts)
        sent = moment if is_notified else None
        created = _insert(session, filename=filename, path=path, md5=md5, next_try=moment, sent=sent, **facts)
        # None where another process has inserted it between the question and the answer
        if created is not None:
            return session.get_one(Frame, created), True


def request(session: Session, frame: Frame, low_priority: bool = False) -> None:
    """Request that a frame is reduced now, whatever its state.

    Parameters
    ----------
    frame
        One that no process is working on. One that is done stays done until then.
    low_priority
        Whether it is reduced only when nothing else is due.
    """
    frame.low_priority = low_priority
    frame.next_try, frame.sent, frame.deaths, frame.retries = clock(session), None, 0, 0
    if frame.state != State.DONE:
        frame.state, frame.reason, frame.updated = State.QUEUED, "", now()


def _insert(session: Session, **columns: object) -> int | None:
    """Insert a frame that is due at once, and return its key; None where such a row exists."""
    row = insert(session, Frame).values(**{"state": State.QUEUED, **columns})
    return session.scalar(row.on_conflict_do_nothing().returning(Frame.id))


def _request_again(frame: Frame, moment: datetime, is_notified: bool, facts: Mapping[str, Any]) -> bool:
    """Make a row due that is announced once more, if there is anything new; return whether it is due now."""
    if frame.archive_id is None:
        frame.archive_id = facts.get("archive_id")
    if frame.version is not None or (frame.md5 is not None and frame.state in FINAL):
        # its content is known, and so is the result
        return False
    if not frame.owner and frame.state == State.QUEUED:
        # no process has read it yet, and a worker is notified already
        return False
    frame.next_try, frame.body = moment, facts.get("body", frame.body)
    if frame.owner:
        return False
    frame.state, frame.reason, frame.updated = State.QUEUED, "", now()
    frame.sent = moment if is_notified else None
    frame.deaths = frame.retries = 0
    return True
