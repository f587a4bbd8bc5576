"""Rows of frames: one a content, states that follow from attempts."""

import math
from datetime import UTC, datetime

import pytest
from frame_rows import arrive
from servers import with_tables
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError, StatementError

from nrespipe.database import claims, frames, measurements
from nrespipe.database.states import State
from nrespipe.database.tables import Attempt, Frame, FrameDrift, Product, StarVelocity
from nrespipe.frames.raw import Kind

MOMENT = datetime(2019, 4, 6, tzinfo=UTC)


@pytest.fixture
def session(database_url):
    with with_tables(database_url).begin() as opened:
        yield opened


def attempt(frame, outcome, **others):
    return Attempt(
        frame_id=frame.id,
        started=MOMENT,
        finished=MOMENT,
        outcome=outcome,
        **{"code_version": "1", "reason": "", "traceback": "", "measurements": {}, **others},
    )


def test_the_same_content_under_the_same_name_is_one_row(session):
    first, first_is_new = arrive(session, "a-e00", "1" * 32, path="/old/a-e00.fits", kind=Kind.SCIENCE)
    again, again_is_new = arrive(session, "a-e00", "1" * 32, path="/new/a-e00.fits", archive_id=17)
    assert (first_is_new, again_is_new) == (True, False)
    assert (again.id, again.path, again.archive_id) == (first.id, "/old/a-e00.fits", 17)


def test_an_announcement_hides_nothing_and_is_one_for_each_path(session):
    done, _ = arrive(session, "a-e00", "1" * 32, kind=Kind.SCIENCE, start_mjd=58579.0, state=State.DONE)
    told = [frames.announce(session, "a-e00", path) for path in ("/a", "/b", "/a")]
    assert [frame.path for frame, _ in told] == ["/a", "/b", "/a"]
    assert told[0][0].id == told[2][0].id
    assert [is_due for _, is_due in told] == [True, True, False]
    assert {frame.version for frame, _ in told} == {None}
    assert {frame.id for frame in session.scalars(select(Frame).where(Frame.is_latest()))} == {
        done.id, told[0][0].id, told[1][0].id,
    }  # fmt: skip
    assert frames.find(session, "a-e00")[-1] == done
    assert claims.claim(session, Frame, told[0][0].id, "me")


def test_an_announcement_that_was_given_up_is_due_when_it_is_told_of_again(session):
    frame, _ = frames.announce(session, "a-e00", "/a")
    for _ in range(frames.MOST_RETRIES):
        frames.record(session, attempt(frame, State.RETRY, reason="away"))
    assert (frame.state, frame.next_try) == (State.FAILED, None)
    again, is_due = frames.announce(session, "a-e00", "/a")
    assert (again.id, is_due, again.state, again.retries) == (frame.id, True, State.QUEUED, 0)


def test_a_content_that_cannot_be_understood_gets_its_version_when_a_good_one_follows(session):
    done, _ = arrive(session, "a-e00", "1" * 32)
    damaged, _ = frames.announce(session, "a-e00", "/b", "2" * 32)
    frames.record(session, attempt(damaged, State.BAD, reason="damaged"))
    assert frames.announce(session, "a-e00", "/b", "2" * 32) == (damaged, False), "it would be said of it again"
    third, _ = arrive(session, "a-e00", "3" * 32)
    assert [frame.version for frame in (done, damaged, third)] == [1, 2, 3]


def test_another_content_under_the_same_name_is_a_new_version_and_only_that_is_due(session):
    arrive(session, "a-e00", "1" * 32, path="/a", kind=Kind.SCIENCE, start_mjd=58579.0)
    second, is_new = arrive(session, "a-e00", "2" * 32, path="/a", kind=Kind.SCIENCE, start_mjd=58579.0)
    assert is_new
    assert second.version == 2
    assert frames.pending(session, Kind.SCIENCE, "1") == [second]
    assert [frame.version for frame in frames.find(session, "a-e00")] == [2, 1]


def test_the_database_refuses_the_same_content_twice(session):
    session.add_all([Frame(filename="a", md5="1" * 32, path="/a"), Frame(filename="a", md5="1" * 32, path="/a")])
    with pytest.raises(IntegrityError):
        session.flush()


@pytest.mark.parametrize(
    ("outcome", "is_due"),
    [
        (State.DONE, False),
        (State.BAD, False),
        (State.SKIPPED, False),
        (State.FAILED, False),
        (State.WAITING, True),
        (State.RETRY, True),
    ],
)
@pytest.mark.slow
def test_only_what_may_still_succeed_is_due_again(session, outcome, is_due):
    frame, _ = arrive(session, "a-e00", "1" * 32, path="/a", kind=Kind.SCIENCE, start_mjd=58579.0)
    frames.record(session, attempt(frame, outcome, reason="so"))
    assert (frame.state, frame.reason, frame.tries) == (outcome, "so", 1)
    assert bool(frames.pending(session, Kind.SCIENCE, "1")) == is_due


def test_a_frame_of_which_only_the_name_is_known_is_not_due(session):
    arrive(session, "a-e00", "1" * 32, path="/a", kind=Kind.SCIENCE)
    assert frames.pending(session, Kind.SCIENCE, "1") == []


def test_a_failure_is_due_again_for_another_version_of_the_program(session):
    frame, _ = arrive(session, "a-e00", "1" * 32, path="/a", kind=Kind.SCIENCE, start_mjd=58579.0)
    frames.record(session, attempt(frame, State.FAILED))
    assert frames.pending(session, Kind.SCIENCE, "2") == [frame]


def test_a_later_reduction_replaces_products_and_velocities_and_a_failed_one_leaves_them(session):
    frame, _ = arrive(session, "a-e00", "1" * 32, path="/a", kind=Kind.SCIENCE)
    for _ in range(2):
        frames.record(
            session,
            attempt(frame, State.DONE),
            quality=3,
            products=[Product(path="/p", level="91", md5="3" * 32)],
            velocities=[StarVelocity(fiber=0, object="A", mask="G2", rv_ms=1.0, quality=0)],
            drift=FrameDrift(velocity_ms=3.0, velocity_err_ms=math.inf, n_lines=900),
        )
    frames.record(session, attempt(frame, State.RETRY))
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
    frames.record(session, attempt(frame, State.DONE), products=[Product(path="p", level="91", md5="3" * 32)])
    frames.record(session, attempt(frame, outcome, reason="so", code_version="2"))
    assert (frame.state, frame.tries, frame.code_version) == (State.DONE, 2, "1")
    assert frame.reason == f"an earlier result is kept; the last attempt ended {outcome}: so"
    assert frame.attempts[1].outcome == outcome
    frames.record(session, attempt(frame, State.DONE, code_version="2"))
    assert (frame.state, frame.reason, frame.code_version) == (State.DONE, "", "2")


@pytest.mark.parametrize(
    ("outcome", "state"),
    [(State.BAD, State.BAD), (State.SKIPPED, State.SKIPPED), (State.RETRY, State.DONE), (State.WAITING, State.DONE)],
)
@pytest.mark.slow
def test_a_good_calibration_is_good_until_it_is_found_bad(session, outcome, state):
    frame, _ = arrive(session, "a-b00", "1" * 32, path="/a", kind=Kind.BIAS)
    frames.record(session, attempt(frame, State.DONE))
    frames.record(session, attempt(frame, outcome, reason="so"))
    assert frame.state == state


def test_numbers_that_are_none_are_kept_as_null_and_moments_as_utc(database_url):
    sessions = with_tables(database_url)
    with sessions.begin() as session:
        frame, _ = arrive(session, "a-e00", "1" * 32, path="/a", kind=Kind.SCIENCE, start_mjd=float("nan"))
        frames.record(session, attempt(frame, State.DONE, measurements={"x": float("inf"), "y": 2}))
    with sessions.begin() as session:
        (frame,) = session.scalars(select(Frame))
        assert frame.start_mjd is None
        assert frame.attempts[0].measurements == {"x": None, "y": 2.0}
        assert frame.attempts[0].started == MOMENT
        assert frame.attempts[0].started.tzinfo is not None


def test_a_word_that_this_program_does_not_know_ends_nothing(session):
    frame, _ = arrive(session, "a-e00", "1" * 32, kind=Kind.BIAS)
    session.execute(text("update frames set kind = 'skyflat', state = 'archived'"))
    session.expire_all()
    assert (frame.kind, frame.state) == ("skyflat", "archived")
    assert frames.counts(session)[0][4:] == ("skyflat", "archived", 1)


def test_a_moment_without_a_zone_is_refused(session):
    frame, _ = arrive(session, "a-e00", "1" * 32, path="/a")
    row = attempt(frame, State.DONE)
    row.started = datetime(2019, 4, 6)
    with pytest.raises(StatementError, match="time zone"):
        frames.record(session, row)


def test_counts_go_by_night_kind_and_state(session):
    for name in ("a", "b"):
        arrive(session, f"{name}-b00", "1" * 32, path="/a", kind=Kind.BIAS, site="lsc", day="20190405")
    arrive(session, "c-e00", "1" * 32, path="/c")
    assert [(row[0], row[4], row[5], row[6]) for row in frames.counts(session)] == [
        ("", None, State.QUEUED, 1),
        ("lsc", Kind.BIAS, State.QUEUED, 2),
    ]
