"""A process that died keeps no row."""

from frame_rows import add_star
from sqlalchemy import select

from nrespipe.database.dialects import clock
from nrespipe.database.states import State
from nrespipe.database.tables import Frame, ScheduledMaster
from nrespipe.database.work import announcements, attempts, claims, releases
from nrespipe.frames.raw import Kind


def test_the_frame_of_a_process_that_died_is_tried_again_and_its_death_is_told(sessions):
    with sessions.begin() as session:
        frame = add_star(session)
        claims.claim(session, Frame, frame.id, "one")
        assert releases.release(session, "killed", ["another"]) == []
        assert releases.release(session, "killed", ["one"]) == [(Frame, frame.id)]
        assert (frame.state, frame.reason, frame.deaths, frame.owner) == (State.RETRY, "killed", 1, "")
        assert [attempt.reason for attempt in frame.attempts] == ["killed"]
        session.flush()
        assert claims.claim(session, Frame, frame.id, "two")


def test_only_a_lease_that_has_run_out_is_taken_away(sessions):
    with sessions.begin() as session:
        slow, quick = add_star(session, "slow-e00"), add_star(session, "quick-e00")
        claims.claim(session, Frame, slow.id, "one", lease_s=-1)
        claims.claim(session, Frame, quick.id, "two", lease_s=60)
        assert releases.release(session, "took too long") == [(Frame, slow.id)]
        assert releases.owners(session) == {"two"}


def test_a_frame_at_which_the_process_dies_again_and_again_is_given_up(sessions):
    with sessions.begin() as session:
        frame = add_star(session)
        for _ in range(releases.MOST_DEATHS):
            assert claims.claim(session, Frame, frame.id, "one", tries_seen=frame.tries)
            releases.release(session, "killed", ["one"])
            session.flush()
        assert (frame.state, frame.next_try) == (State.FAILED, None)
        assert frame.reason == "given up: the process died at it 3 times; the last time: killed"
        announcements.request(session, frame)
        session.flush()
        assert (frame.state, frame.deaths) == (State.QUEUED, 0)
        assert claims.claim(session, Frame, frame.id, "two")


def test_a_frame_that_is_given_up_after_many_attempts_stays_given_up_if_the_last_was_a_death(sessions):
    with sessions.begin() as session:
        frame = add_star(session)
        frame.retries = attempts.MOST_RETRIES - 1
        claims.claim(session, Frame, frame.id, "one")
        releases.release(session, "killed", ["one"])
        assert (frame.state, frame.next_try) == (State.FAILED, None)


def test_a_master_is_taken_once_and_given_up_like_a_frame(sessions):
    place = dict.fromkeys(("site", "instrument", "camera", "binning", "readout_mode", "day"), "x")
    with sessions.begin() as session:
        work = ScheduledMaster(kind=Kind.BIAS, next_try=clock(session), **place)
        session.add(work)
        session.flush()
        for _ in range(releases.MOST_DEATHS):
            assert claims.claim(session, ScheduledMaster, work.id, "one", tries_seen=work.tries)
            assert not claims.claim(session, ScheduledMaster, work.id, "two", tries_seen=work.tries)
            releases.release(session, "killed", ["one"])
            session.flush()
        assert session.scalars(select(ScheduledMaster)).one().next_try is None
