"""Rows of frames: one a content, states that follow from attempts."""

from datetime import datetime, timedelta

import pytest
from frame_rows import arrive, attempt
from sqlalchemy import text
from sqlalchemy.exc import StatementError

from nrespipe.database import frames
from nrespipe.database.states import State
from nrespipe.database.work import attempts
from nrespipe.frames.raw import Kind


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


def of_days(session, *days):
    for number, day in enumerate(days):
        arrive(session, f"f{number}-b00", "1" * 32, path="/a", kind=Kind.BIAS, site="lsc", day=day)


def test_the_last_nights_are_those_of_which_there_are_frames_whatever_the_year(session):
    assert frames.last_nights(session, "lsc", "", "") == ({"site": "lsc", "first_day": "", "last_day": ""}, "")
    # a header may give any day
    of_days(session, "20190405", "20190301", "88069999", "")
    assert frames.last_nights(session, "", "", "")[0] == {"site": "", "first_day": "20190323", "last_day": ""}
    assert frames.last_nights(session, "", "", "")[1] == "20190323"
    asked = {"site": "", "first_day": "20190301", "last_day": ""}
    assert frames.last_nights(session, "", "20190301", "") == (asked, "")
    assert [row[3] for row in frames.counts(session, first_day="20190323")] == ["20190405", "88069999"]


def test_all_nights_are_in_one_of_the_parts_and_no_part_is_long(session):
    days = ("20190405", "20190301", "20180101", "", "88069999")
    of_days(session, *days)
    for limits in (("", ""), ("20180101", "20190405"), ("20190302", "")):
        parts = frames.spans(session, *limits)
        within = [row[3] for part in parts for row in frames.counts(session, first_day=part[0], last_day=part[1])]
        first, last = limits[0], limits[1] or "99999999"
        assert sorted(within) == sorted(day for day in days if first <= day <= last)
        lengths = [datetime.strptime(b, "%Y%m%d") - datetime.strptime(a, "%Y%m%d") for a, b in parts if a and b]
        assert all(length <= timedelta(days=7) for length in lengths)


def test_frames_with_problems_are_those_of_the_last_nights_where_there_are_too_many(session):
    of_days(session, "20190405", "20190406", "20190407")
    session.execute(text("update frames set state = 'failed'"))
    assert [frame.filename for frame in frames.with_problems(session, most=2)] == ["f1-b00", "f2-b00"]
    assert [frame.filename for frame in frames.with_problems(session, last_day="20190405")] == ["f0-b00"]
    assert frames.with_problems(session, states=[State.BAD]) == []
