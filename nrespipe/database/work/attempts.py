"""The result of an attempt, and the state of the frame that follows from it."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from nrespipe.database.dialects import clock, now
from nrespipe.database.states import FINAL, State
from nrespipe.database.tables import Attempt, Frame
from nrespipe.database.work import notifications

if TYPE_CHECKING:
    from nrespipe.database.tables import FrameDrift, Product, StarVelocity

#: After so many attempts in a row that failed for a reason outside the frame, a day and a half, it is given up.
MOST_RETRIES = 40
#: Pauses before the first and after many of these attempts [second].
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 30.0, 3600.0
#: A frame that waits for a master is made due with it; in case it was not, it is due after this time [second].
LOOK_AGAIN_S = 1800.0


def record_attempt(
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
    notifications.resend_other_versions(session, frame.id)
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
    notifications.resend_other_versions(session, frame.id)
    if frame.state != State.DONE:
        frame.state, frame.reason = State.WAITING, reason
        frame.next_try = clock(session) + timedelta(seconds=LOOK_AGAIN_S)


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


def _next_try(session: Session, frame: Frame, outcome: State) -> datetime | None:
    if outcome == State.RETRY:
        return clock(session) + timedelta(seconds=pause_s(frame.retries))
    if outcome == State.WAITING and frame.state != State.DONE:
        return clock(session) + timedelta(seconds=LOOK_AGAIN_S)
    return None


def _keeps_result(frame: Frame, outcome: State) -> bool:
    """Return whether a frame keeps the good result that it has after an attempt."""
    return frame.state == State.DONE != outcome and (bool(frame.products) or outcome not in FINAL)


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
