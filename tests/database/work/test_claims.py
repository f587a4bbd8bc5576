"""One process at a time works on a row, and none that died keeps it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from frame_rows import add_star
from servers import with_tables

from nrespipe.database.dialects import clock, now
from nrespipe.database.states import State
from nrespipe.database.tables import Frame
from nrespipe.database.work import announcements, attempts, claims, contents, notifications, releases


def test_a_frame_is_taken_once_and_is_running_then(sessions):
    with sessions.begin() as session:
        frame = add_star(session)
        assert claims.claim(session, Frame, frame.id, "one")
        assert not claims.claim(session, Frame, frame.id, "two")
        session.refresh(frame)
        assert (frame.state, frame.owner) == (State.RUNNING, "one")
        assert claims.confirm_owner(session, Frame, frame.id, "one")
        assert not claims.confirm_owner(session, Frame, frame.id, "two")


@pytest.mark.slow
def test_of_many_that_ask_at_once_each_frame_has_one_owner(sessions):
    with sessions.begin() as session:
        rows = [add_star(session, f"a{number}-e00").id for number in range(30)]

    def ask(owner):
        taken = []
        for row in rows:
            with sessions.begin() as session:
                if claims.claim(session, Frame, row, owner):
                    taken.append(row)
        return taken

    with ThreadPoolExecutor(6) as pool:
        taken = list(pool.map(ask, map(str, range(6))))
    assert sorted(row for rows in taken for row in rows) == rows


def test_a_frame_is_not_taken_before_its_time_unless_somebody_insists(sessions):
    with sessions.begin() as session:
        frame = add_star(session)
        frame.next_try = clock(session) + timedelta(hours=1)
        session.flush()
        assert not claims.claim(session, Frame, frame.id, "one")
        assert claims.claim(session, Frame, frame.id, "one", tries_seen=frame.tries)


def test_who_insists_does_not_repeat_what_another_has_done_since(sessions):
    with sessions.begin() as session:
        frame = add_star(session)
        seen = frame.tries
        claims.claim(session, Frame, frame.id, "one", tries_seen=seen)
        frame.owner, frame.tries = "", seen + 1
        session.flush()
        assert not claims.claim(session, Frame, frame.id, "two", tries_seen=seen)


def test_a_frame_that_is_done_again_stays_done(sessions):
    with sessions.begin() as session:
        frame = add_star(session, state=State.DONE)
        assert claims.claim(session, Frame, frame.id, "one")
        session.refresh(frame)
        assert frame.state is State.DONE


@pytest.mark.slow
def test_only_the_last_version_is_worked_on_and_not_while_the_one_before_is(sessions):
    with sessions.begin() as session:
        first = add_star(session)
        assert claims.claim(session, Frame, first.id, "one")
        second = add_star(session, md5="2" * 32)
        assert not claims.claim(session, Frame, second.id, "two")
        claims.give_back(session, Frame, first.id, "one")
        assert not claims.claim(session, Frame, first.id, "one")
        assert claims.claim(session, Frame, second.id, "two")


def test_what_was_given_back_is_due_and_was_no_attempt(sessions):
    with sessions.begin() as session:
        frame = add_star(session)
        claims.claim(session, Frame, frame.id, "one")
        claims.give_back(session, Frame, frame.id, "two")
        claims.give_back(session, Frame, frame.id, "one")
        session.refresh(frame)
        assert (frame.state, frame.owner, frame.tries, frame.attempts) == (State.QUEUED, "", 0, [])
        assert claims.claim(session, Frame, frame.id, "two")


def test_when_a_frame_changed_last_is_not_moved_by_those_who_take_it_or_are_told_of_it(sessions):
    with sessions.begin() as session:
        row = add_star(session, updated=datetime(2019, 4, 6, tzinfo=UTC)).id

    def changed(work):
        with sessions.begin() as session:
            frame = session.get_one(Frame, row)
            before = frame.updated
            work(session, frame)
            session.flush()
            session.refresh(frame)
            return frame.updated != before

    quiet = (
        lambda session, _: notifications.select(session, Frame, 60.0, 1),
        lambda session, _: notifications.mark_unsent(session, Frame),
        lambda session, _: claims.claim(session, Frame, row, "one"),
        lambda session, _: claims.confirm_owner(session, Frame, row, "one"),
        lambda session, _: claims.give_back(session, Frame, row, "one"),
        lambda session, frame: setattr(frame, "path", "/b"),
    )
    assert [changed(work) for work in quiet] == [False] * 6
    loud = (
        lambda session, _: attempts.record_wait(session, row, "no master"),
        lambda session, frame: announcements.request(session, frame),
        lambda session, frame: releases.record_death(session, frame, "killed"),
        lambda session, frame: contents.record_header(frame, {}, now()),
        lambda session, _: add_star(session, md5="2" * 32),
    )
    assert [changed(work) for work in loud] == [True] * 5


def test_of_two_rows_of_one_file_that_are_asked_for_at_once_one_is_taken(database_url):
    sessions = with_tables(database_url)
    with sessions.begin() as session:
        moment = clock(session)
        rows = [
            Frame(filename="f", path="/f", md5="1" * 32, version=1, next_try=moment),
            Frame(filename="f", path="/g", next_try=moment),
        ]
        session.add_all(rows)
        session.flush()
        keys = [row.id for row in rows]
    answers, both = [], threading.Event()

    def ask(key):
        with sessions.begin() as session:
            answers.append(claims.claim(session, Frame, key, str(key)))
            if len(answers) == 2:
                both.set()
            # the other may ask before this is committed
            both.wait(0.3)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(ask, keys))
    assert sorted(answers) == [False, True]
    sessions.kw["bind"].dispose()
