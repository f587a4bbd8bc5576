"""The rows of raw frames: announce, identify and find them, and record the result of each attempt."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nrespipe.database import notifications
from nrespipe.database.dialects import clock, insert, now
from nrespipe.database.states import State
from nrespipe.database.tables import Attempt, Frame

if TYPE_CHECKING:
    from nrespipe.database.tables import FrameDrift, Product, StarVelocity
    from nrespipe.frames.raw import Kind

#: States of a frame that is tried again without a request.
UNFINISHED = (State.QUEUED, State.WAITING, State.RETRY)
#: States that depend on the content of the file alone: another attempt ends in the same.
_FINAL = (State.BAD, State.SKIPPED)
#: After so many attempts in a row that failed for a reason outside the frame, a day and a half, it is given up.
MOST_RETRIES = 40
#: Pauses before the first and after many of these attempts [second].
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 30.0, 3600.0
#: A frame that waits for a master is made due with it; in case it was not, it is due after this time [second].
LOOK_AGAIN_S = 1800.0


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
    damaged = (Frame.version.is_(None), Frame.md5.is_not(None), Frame.owner == "", Frame.state.in_(_FINAL))
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


def record(
    session: Session,
    attempt: Attempt,
    quality: int = 0,
    products: "Sequence[Product]" = (),
    velocities: "Sequence[StarVelocity]" = (),
    drift: "FrameDrift | None" = None,
) -> Frame:
    """Record the result of an attempt, and with it the state of the frame.

    Parameters
    ----------
    attempt
        A new row with everything but its key.
    quality
        Bits of ``frames.quality.Quality``.
    products
        New rows without their keys: the files that were written.
    velocities
        New rows without their keys.
    drift
        A new row without its key. Products, velocities and drift replace those of an earlier reduction, but only if the
        attempt ended done.

    Returns
    -------
    Frame
        The frame in its new state, without an owner. One that was done stays done with its result, and its reason says
        how the later attempt ended; but a calibration, which has no products, is no longer good where it is found bad.
        One that has failed `MOST_RETRIES` times in a row for a reason outside the frame ends failed, and so does the
        attempt.
    """
    session.flush()  # otherwise changes of this session would be overwritten by the values that are read
    frame = session.get_one(Frame, attempt.frame_id, populate_existing=True)
    attempt.measurements = {name: _finite(value) for name, value in attempt.measurements.items()}
    frame.attempts.append(attempt)
    frame.tries += 1
    frame.owner, frame.lease, frame.updated = "", None, now()
    frame.retries = frame.retries + 1 if attempt.outcome == State.RETRY else 0
    if frame.retries >= MOST_RETRIES:
        attempt.outcome = State.FAILED
        attempt.reason = f"given up after {frame.retries} attempts: {attempt.reason}"
    notifications.cancel_versions(session, frame.id)
    frame.next_try = _next_try(session, frame, attempt.outcome)
    frame.low_priority = frame.low_priority and frame.next_try is not None
    if _keeps_result(frame, attempt.outcome):
        frame.reason = f"an earlier result is kept; the last attempt ended {attempt.outcome}: {attempt.reason}"
        return frame
    frame.state, frame.reason, frame.code_version = attempt.outcome, attempt.reason, attempt.code_version
    if attempt.outcome == State.DONE:
        frame.deaths = 0
        session.flush()
        frame.products.clear()
        frame.velocities.clear()
        frame.drift = None
        session.flush()  # the old rows must be gone before new ones take their (frame, fiber)
        for product in products:
            product.attempt_id = attempt.id
        frame.quality = int(quality)
        frame.products.extend(products)
        frame.velocities.extend(velocities)
        frame.drift = drift
    return frame


def record_wait(session: Session, frame_id: int, reason: str) -> None:
    """Record why a frame goes on waiting, or keeps the result that it has; this does not count as an attempt.

    Parameters
    ----------
    reason
        Why it waits, in plain words.
    """
    frame = session.get_one(Frame, frame_id, populate_existing=True)
    frame.owner, frame.lease, frame.next_try, frame.low_priority = "", None, None, False
    frame.updated = now()
    notifications.cancel_versions(session, frame.id)
    if frame.state != State.DONE:
        frame.state, frame.reason = State.WAITING, reason
        frame.next_try = clock(session) + timedelta(seconds=LOOK_AGAIN_S)


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


def pause_s(retries: int) -> float:
    """Return the pause after an attempt that failed for a reason outside the frame.

    Parameters
    ----------
    retries
        Number of such attempts in a row.

    Returns
    -------
    float
        Twice as long each time, within bounds [second].
    """
    # a power that is too large is an error, not infinity
    return min(SHORTEST_PAUSE_S * 2.0 ** min(retries - 1, 30), LONGEST_PAUSE_S)


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


def _insert(session: Session, **columns: object) -> int | None:
    """Insert a frame that is due at once, and return its key; None where such a row exists."""
    row = insert(session, Frame).values(**{"state": State.QUEUED, **columns})
    return session.scalar(row.on_conflict_do_nothing().returning(Frame.id))


def _request_again(frame: Frame, moment: datetime, is_notified: bool, facts: Mapping[str, Any]) -> bool:
    """Make a row due that is announced once more, if there is anything new; return whether it is due now."""
    if frame.archive_id is None:
        frame.archive_id = facts.get("archive_id")
    if frame.version is not None or (frame.md5 is not None and frame.state in _FINAL):
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


def _next_try(session: Session, frame: Frame, outcome: State) -> datetime | None:
    if outcome == State.RETRY:
        return clock(session) + timedelta(seconds=pause_s(frame.retries))
    if outcome == State.WAITING and frame.state != State.DONE:
        return clock(session) + timedelta(seconds=LOOK_AGAIN_S)
    return None


def _keeps_result(frame: Frame, outcome: State) -> bool:
    """Return whether a frame keeps the good result that it has after an attempt."""
    return frame.state == State.DONE != outcome and (bool(frame.products) or outcome not in _FINAL)


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
