"""What is known of raw frames: which there are, which are due, what came of each attempt."""

import math
from datetime import timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import aliased

from nrespipe.database.columns import State, clock, insert, now
from nrespipe.database.tables import Frame

#: States of a frame on which work may go on by itself.
UNFINISHED = (State.QUEUED, State.WAITING, State.RETRY)
#: After so many attempts in a row that something outside the frame ended, a day and a half, nobody waits any more.
MOST_RETRIES = 40
#: Pauses before the first and after many of these attempts [second].
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 30.0, 3600.0
#: A frame that waits for a master is told when it is made; in case it was not, it looks by itself so often [second].
LOOK_AGAIN_S = 1800.0


def arrive(session, filename, md5, **facts):
    """Return the row of a raw file, and make it if this name with this content was never seen.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session; the caller commits.
    filename : str
        Base name without ``.fits`` or ``.fits.fz``.
    md5 : str
        Checksum of the whole file.
    **facts : object
        Other columns of the row. Of a row that exists only `path` is brought up to date.

    Returns
    -------
    frame : Frame
        The row.
    is_new : bool
        Whether it was made now.
    """
    # another process may insert between the question and the answer: then the question is asked again
    while True:
        frame = session.scalar(select(Frame).where(Frame.filename == filename, Frame.md5 == md5))
        if frame is not None:
            frame.path = facts.get("path") or frame.path
            return frame, False
        version = session.scalar(select(func.max(Frame.version)).where(Frame.filename == filename)) or 0
        made = _insert(session, filename=filename, md5=md5, version=version + 1, **facts)
        if made is not None:
            _replace_older(session, filename, version + 1)
            return session.get_one(Frame, made), True


def identify(frame, facts):
    """Write down what a frame is that could not be told before; it is new again.

    Parameters
    ----------
    frame : Frame
        A row of which no more is known than its name tells.
    facts : mapping of str to object
        Columns that are known now.
    """
    for name, value in facts.items():
        setattr(frame, name, value)
    if frame.state != State.RUNNING:
        frame.state, frame.reason, frame.next_try, frame.updated = State.QUEUED, "", now(), now()


def latest():
    """Return the condition that a row is the last version of its file.

    Returns
    -------
    sqlalchemy.ColumnElement
        For the ``where`` of a select from `Frame`.
    """
    newer = aliased(Frame)
    return ~select(newer.id).where(newer.filename == Frame.filename, newer.version > Frame.version).exists()


def due(session, kind, code_version):
    """Return the frames of one kind that wait for work.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session.
    kind : Kind
        Which frames.
    code_version : str
        Version of the program: what another version failed on is due again.

    Returns
    -------
    list of Frame
        Last versions only, by file name; not those of which nothing but the name is known, nor those that a process
        is working on. How long ago the last attempt was does not matter.
    """
    open_again = (Frame.state == State.FAILED) & (Frame.code_version != code_version)
    is_due = (Frame.state.in_(UNFINISHED) | open_again) & Frame.start_mjd.is_not(None) & (Frame.owner == "")
    query = select(Frame).where(Frame.kind == kind, is_due, latest())
    return list(session.scalars(query.order_by(Frame.filename)))


def to_redo(session, kind):
    """Return the frames of one kind that have a result and can have a better one.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session.
    kind : Kind
        Which frames.

    Returns
    -------
    list of Frame
        The oldest request first.
    """
    asked = (Frame.low_priority, Frame.next_try <= clock(session), Frame.owner == "")
    query = select(Frame).where(Frame.kind == kind, *asked, latest())
    return list(session.scalars(query.order_by(Frame.next_try, Frame.filename)))


def record(session, attempt, quality=0, products=(), velocities=(), drift=None):
    """Write down what came of an attempt, and with it the state of the frame.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session; the caller commits.
    attempt : Attempt
        A new row with everything but its key.
    quality : int
        Bits of ``frames.quality.Quality``.
    products : sequence of Product
        New rows without their keys: the files that were written.
    velocities : sequence of StarVelocity
        New rows without their keys.
    drift : FrameDrift, optional
        A new row without its key. All of these replace those of an earlier reduction; an attempt that did not end done
        leaves these alone.

    Returns
    -------
    Frame
        The frame in its new state, in nobody's hands. One that was done stays so with what it has, and its reason tells
        how the later attempt ended; but a calibration, which has no products, is no longer good where it is found bad.
    """
    session.flush()  # or what was changed here would be read over
    frame = session.get_one(Frame, attempt.frame_id, populate_existing=True)
    attempt.measurements = {name: _finite(value) for name, value in attempt.measurements.items()}
    frame.attempts.append(attempt)
    frame.tries += 1
    frame.owner, frame.lease, frame.updated = "", None, now()
    frame.retries = frame.retries + 1 if attempt.outcome == State.RETRY else 0
    if frame.retries >= MOST_RETRIES:
        attempt.outcome = State.FAILED
        attempt.reason = f"given up after {frame.retries} attempts: {attempt.reason}"
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


def postpone(session, frame_id, reason):
    """Write down why a frame goes on waiting, or keeps the result that it has; this is no attempt.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session; the caller commits.
    frame_id : int
        The frame.
    reason : str
        What it waits for, in plain words.
    """
    frame = session.get_one(Frame, frame_id, populate_existing=True)
    frame.owner, frame.lease, frame.next_try, frame.low_priority = "", None, None, False
    frame.updated = now()
    if frame.state != State.DONE:
        frame.state, frame.reason = State.WAITING, reason
        frame.next_try = clock(session) + timedelta(seconds=LOOK_AGAIN_S)


def find(session, name):
    """Return all versions of the frame with a name.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session.
    name : str
        Base name without ``.fits`` or ``.fits.fz``.

    Returns
    -------
    list of Frame
        Newest first.
    """
    return list(session.scalars(select(Frame).where(Frame.filename == name).order_by(Frame.version.desc())))


def pause_s(retries):
    """Return how long to wait after something outside made an attempt fail.

    Parameters
    ----------
    retries : int
        How often that was so, one after the other.

    Returns
    -------
    float
        Twice as long each time, within bounds [second].
    """
    # a power that is too large is an error, not infinity
    return min(SHORTEST_PAUSE_S * 2.0 ** min(retries - 1, 30), LONGEST_PAUSE_S)


def counts(session):
    """Count the frames by night, kind and state.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session.

    Returns
    -------
    list of tuple
        (site, instrument, camera, day, kind, state, count), sorted; last versions only.
    """
    columns = (Frame.site, Frame.instrument, Frame.camera, Frame.day, Frame.kind, Frame.state)
    rows = session.execute(select(*columns, func.count()).where(latest()).group_by(*columns))
    return sorted(
        (tuple(row) for row in rows), key=lambda row: tuple("" if cell is None else str(cell) for cell in row)
    )


def unhappy(session):
    """Return the frames that are neither done nor still to come.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session.

    Returns
    -------
    list of Frame
        Last versions only, by file name.
    """
    query = select(Frame).where(Frame.state.not_in((State.DONE, State.QUEUED, State.RUNNING)), latest())
    return list(session.scalars(query.order_by(Frame.filename)))


def _insert(session, **columns):
    """Insert a frame that is due at once, and return its key; None where such a row exists."""
    row = insert(session, Frame).values(**{"state": State.QUEUED, "next_try": clock(session), **columns})
    return session.scalar(row.on_conflict_do_nothing().returning(Frame.id))


def _replace_older(session, filename, version):
    """Close the earlier versions of a file on which nobody works: they will never be worked on."""
    older = (Frame.filename == filename, Frame.version < version, Frame.owner == "", Frame.state.in_(UNFINISHED))
    closed = {"state": State.SKIPPED, "next_try": None, "reason": f"replaced by version {version} of the file"}
    closed["updated"] = now()
    session.execute(update(Frame).where(*older).values(**closed).execution_options(synchronize_session="fetch"))


def _next_try(session, frame, outcome):
    if outcome == State.RETRY:
        return clock(session) + timedelta(seconds=pause_s(frame.retries))
    if outcome == State.WAITING and frame.state != State.DONE:
        return clock(session) + timedelta(seconds=LOOK_AGAIN_S)
    return None


def _keeps_result(frame, outcome):
    """Whether a frame has a good result that an attempt leaves standing."""
    verdict = outcome in (State.BAD, State.SKIPPED)
    return frame.state == State.DONE != outcome and (bool(frame.products) or not verdict)


def _finite(value):
    return float(value) if value is not None and math.isfinite(value) else None
