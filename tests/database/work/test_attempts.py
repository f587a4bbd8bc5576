"""The state of a frame follows from its attempts."""

import math

import pytest
from frame_rows import MOMENT, arrive, attempt
from servers import with_tables
from sqlalchemy import select

from nrespipe.database import measurements
from nrespipe.database.states import State
from nrespipe.database.tables import Frame, FrameDrift, Product, StarVelocity
from nrespipe.database.work import attempts
from nrespipe.frames.raw import Kind


def test_a_later_reduction_replaces_products_and_velocities_and_a_failed_one_leaves_them(session):
    frame, _ = arrive(session, "a-e00", "1" * 32, path="/a", kind=Kind.SCIENCE)
    for _ in range(2):
        attempts.record_attempt(
            session,
            attempt(frame, State.DONE),
            quality=3,
            products=[Product(path="/p", level="91", md5="3" * 32)],
            velocities=[StarVelocity(fiber=0, object="A", mask="G2", rv_ms=1.0, quality=0)],
            drift=FrameDrift(velocity_ms=3.0, velocity_err_ms=math.inf, n_lines=900),
        )
    attempts.record_attempt(session, attempt(frame, State.RETRY))
    session.flush()
    assert frame.quality == 3
    assert [row["rv_ms"] for row in measurements.velocity_table(session)] == [1.0]
    assert len(session.scalars(select(StarVelocity)).all()) == 1
    (drift,) = measurements.drift_table(session)
    assert (drift["filename"], drift["velocity_ms"], drift["n_lines"]) == ("a-e00", 3.0, 900)
    assert drift["velocity_err_ms"] is None
    (product,) = session.scalars(select(Product))
    assert product.attempt_id == frame.attempts[1].id


@pytest.mark.parametrize("outcome", [State.BAD, State.SKIPPED, State.WAITING, State.RETRY, State.FAILED])
@pytest.mark.slow
def test_a_frame_with_products_stays_done_whatever_a_later_attempt_comes_to(session, outcome):
    frame, _ = arrive(session, "a-e00", "1" * 32, path="/a", kind=Kind.SCIENCE)
    attempts.record_attempt(session, attempt(frame, State.DONE), products=[Product(path="p", level="91", md5="3" * 32)])
    attempts.record_attempt(session, attempt(frame, outcome, reason="so", code_version="2"))
    assert (frame.state, frame.tries, frame.code_version) == (State.DONE, 2, "1")
    assert frame.reason == f"an earlier result is kept; the last attempt ended {outcome}: so"
    assert frame.attempts[1].outcome == outcome
    attempts.record_attempt(session, attempt(frame, State.DONE, code_version="2"))
    assert (frame.state, frame.reason, frame.code_version) == (State.DONE, "", "2")


@pytest.mark.parametrize(
    ("outcome", "state"),
    [(State.BAD, State.BAD), (State.SKIPPED, State.SKIPPED), (State.RETRY, State.DONE), (State.WAITING, State.DONE)],
)
@pytest.mark.slow
def test_a_good_calibration_is_good_until_it_is_found_bad(session, outcome, state):
    frame, _ = arrive(session, "a-b00", "1" * 32, path="/a", kind=Kind.BIAS)
    attempts.record_attempt(session, attempt(frame, State.DONE))
    attempts.record_attempt(session, attempt(frame, outcome, reason="so"))
    assert frame.state == state


def test_numbers_that_are_none_are_kept_as_null_and_moments_as_utc(database_url):
    sessions = with_tables(database_url)
    with sessions.begin() as session:
        frame, _ = arrive(session, "a-e00", "1" * 32, path="/a", kind=Kind.SCIENCE, start_mjd=float("nan"))
        attempts.record_attempt(session, attempt(frame, State.DONE, measurements={"x": float("inf"), "y": 2}))
    with sessions.begin() as session:
        (frame,) = session.scalars(select(Frame))
        assert frame.start_mjd is None
        assert frame.attempts[0].measurements == {"x": None, "y": 2.0}
        assert frame.attempts[0].started == MOMENT
        assert frame.attempts[0].started.tzinfo is not None
