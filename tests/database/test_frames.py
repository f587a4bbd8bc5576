"""Rows of frames: one a content, states that follow from attempts."""

from datetime import UTC, datetime

import pytest
from frame_rows import arrive
from servers import with_tables
from sqlalchemy import text
from sqlalchemy.exc import StatementError

from nrespipe.database import frames
from nrespipe.database.states import State
from nrespipe.database.tables import Attempt
from nrespipe.database.work import attempts
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
    attempts.record_attempt(session, attempt(frame, outcome, reason="so"))
    assert (frame.state, frame.reason, frame.tries) == (outcome, "so", 1)
    assert bool(frames.pending(session, Kind.SCIENCE, "1")) == is_due


def test_a_frame_of_which_only_the_name_is_known_is_not_due(session):
    arrive(session, "a-e00", "1" * 32, path="/a", kind=Kind.SCIENCE)
    assert frames.pending(session, Kind.SCIENCE, "1") == []


def test_a_failure_is_due_again_for_another_version_of_the_program(session):
    frame, _ = arrive(session, "a-e00", "1" * 32, path="/a", kind=Kind.SCIENCE, start_mjd=58579.0)
    attempts.record_attempt(session, attempt(frame, State.FAILED))
    assert frames.pending(session, Kind.SCIENCE, "2") == [frame]


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
        attempts.record_attempt(session, row)


def test_counts_go_by_night_kind_and_state(session):
    for name in ("a", "b"):
        arrive(session, f"{name}-b00", "1" * 32, path="/a", kind=Kind.BIAS, site="lsc", day="20190405")
    arrive(session, "c-e00", "1" * 32, path="/c")
    assert [(row[0], row[4], row[5], row[6]) for row in frames.counts(session)] == [
        ("", None, State.QUEUED, 1),
        ("lsc", Kind.BIAS, State.QUEUED, 2),
    ]
