"""The content of a file is known: its version."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from frame_rows import STELLAR, add_star, arrive, attempt
from sqlalchemy.exc import IntegrityError

from nrespipe.database import frames
from nrespipe.database.states import State
from nrespipe.database.tables import Frame
from nrespipe.database.work import announcements, attempts
from nrespipe.frames.raw import Kind


def test_a_content_that_cannot_be_understood_gets_its_version_when_a_good_one_follows(session):
    done, _ = arrive(session, "a-e00", "1" * 32)
    damaged, _ = announcements.announce(session, "a-e00", "/b", "2" * 32)
    attempts.record_attempt(session, attempt(damaged, State.BAD, reason="damaged"))
    assert announcements.announce(session, "a-e00", "/b", "2" * 32) == (damaged, False), "it would be said of it again"
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


def test_two_contents_that_come_at_once_are_two_versions(sessions):
    def bring(number):
        with sessions.begin() as session:
            return arrive(session, "a-e00", str(number) * 32, **STELLAR)[0].version

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(bring, range(4))) == [1, 2, 3, 4]


def test_a_version_that_was_replaced_before_its_turn_says_so(sessions):
    with sessions.begin() as session:
        first = add_star(session)
        add_star(session, md5="2" * 32)
        session.refresh(first)
        assert (first.state, first.next_try) == (State.SKIPPED, None)
        assert first.reason == "replaced by version 2 of the file"
