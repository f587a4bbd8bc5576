"""Rows of which workers are notified."""

from frame_rows import arrive

from nrespipe.database.states import State
from nrespipe.database.tables import Frame
from nrespipe.database.work import announcements, notifications
from nrespipe.frames.raw import Kind


def add(session, name):
    return arrive(session, name, "1" * 32, path="/a", kind=Kind.SCIENCE, start_mjd=58579.0)[0]


def test_no_more_rows_are_picked_than_were_asked_for(sessions):
    with sessions.begin() as session:
        found = [add(session, f"{number}-e00") for number in range(7)]
        for frame in found:
            announcements.request(session, frame, low_priority=True)
        rows = [frame.id for frame in found]
    picked = []
    for _ in range(3):
        with sessions.begin() as session:
            assert notifications.select(session, Frame, 60.0, 500) == []
            picked.append(notifications.select(session, Frame, 60.0, 4, low_priority=True))
    assert picked == [rows[:4], rows[4:], []]


def test_a_worker_that_the_listener_notifies_itself_is_not_notified_once_more(sessions):
    with sessions.begin() as session:
        announcements.announce(session, "a-e00", "/a", is_notified=True)
        announcements.announce(session, "b-e00", "/b")
    with sessions.begin() as session:
        assert notifications.count(session, Frame, 60.0) == 1
        selected = notifications.select(session, Frame, 60.0, 10)
        assert [session.get_one(Frame, row).filename for row in selected] == ["b-e00"]
        assert notifications.count(session, Frame, 60.0) == 2


def test_a_frame_that_is_announced_once_more_and_was_notified_counts_as_sent(sessions):
    with sessions.begin() as session:
        frame, _ = announcements.announce(session, "a-e00", "/a", is_notified=True)
        frame.state, frame.next_try = State.RETRY, None
    with sessions.begin() as session:
        _, is_due = announcements.announce(session, "a-e00", "/a", is_notified=True)
        assert is_due
    with sessions.begin() as session:
        assert notifications.select(session, Frame, 60.0, 10) == []
        assert notifications.count(session, Frame, 60.0) == 1
