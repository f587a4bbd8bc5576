"""Few messages wait for the workers at a time, and what is sent next is what comes first."""

import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from frame_rows import arrive
from servers import with_tables
from sqlalchemy import select, update

from nrespipe.database import nodes
from nrespipe.database.administration import connection
from nrespipe.database.dialects import clock
from nrespipe.database.tables import Frame, Node, ScheduledMaster
from nrespipe.database.work import announcements, claims, notifications
from nrespipe.frames.raw import Kind
from nrespipe.service.time_limits import Pace
from nrespipe.service.work import dispatch
from nrespipe.settings import Settings

TONIGHT = f"{datetime.now(UTC):%Y%m%d}"


@pytest.fixture
def service(database_url):
    """A database, and what was told to the workers."""
    sessions = with_tables(database_url)
    readers = connection.read_only(sessions)
    yield SimpleNamespace(sessions=sessions, readers=readers, pace=Pace(), settings=Settings(), told=[])
    sessions.kw["bind"].dispose()


def add(service, count, day="20190405", **others):
    """Make rows of frames that are due; return their keys."""
    with service.sessions.begin() as session:
        number = len(list(session.scalars(select(Frame.id))))
        facts = {"path": "/a", "kind": Kind.SCIENCE, "start_mjd": 58579.0, "day": day}
        made = [arrive(session, f"{number + i:06d}-e00", "1" * 32, **facts)[0] for i in range(count)]
        for frame in made:
            for name, value in others.items():
                setattr(frame, name, value)
        return [frame.id for frame in made]


def swept(service, is_empty=lambda _: False, send=None):
    """Sweep once; return the keys of the frames of which a worker was told."""
    service.told.clear()
    dispatch.sweep(service, send or (lambda table, row: service.told.append((table, row))), is_empty)
    return [row for table, row in service.told if table is Frame]


def take(service, rows):
    with service.sessions.begin() as session:
        assert all(claims.claim(session, Frame, row, "one/a:b:c/1.1") for row in rows)


def age(service, seconds, table=Frame):
    """Let all that was told have been told some time ago."""
    with service.sessions.begin() as session:
        for row in session.scalars(select(table).where(table.sent.is_not(None))):
            row.sent -= timedelta(seconds=seconds)
            row.next_try -= timedelta(seconds=seconds)


def test_no_more_messages_wait_than_the_workers_need_until_the_next_sweep(service):
    rows = add(service, 40)
    assert swept(service) == rows[:16]
    assert swept(service) == []
    take(service, rows[:3])
    assert swept(service) == rows[16:19]
    assert swept(service) == []


def test_two_sweeps_at_once_send_no_more_messages_than_one(service, monkeypatch):
    add(service, 40)
    counted, capacity = threading.Barrier(2), dispatch.capacity

    def slow(session, table, *others):
        found = capacity(session, table, *others)
        # a sweep that lets the other one wait counts alone
        with suppress(threading.BrokenBarrierError):
            counted.wait(0.5)
        return found

    monkeypatch.setattr(dispatch, "capacity", slow)
    told = []
    sweeps = [
        threading.Thread(target=dispatch.sweep, args=(service, lambda table, row: told.append((table, row))))
        for _ in range(2)
    ]
    for sweep in sweeps:
        sweep.start()
    for sweep in sweeps:
        sweep.join()
    assert len([row for table, row in told if table is Frame]) == 16


def test_many_processes_are_told_of_more_and_those_that_are_silent_of_none(service):
    rows = add(service, 60)
    with service.sessions.begin() as session:
        nodes.register(session, "one@a", "one", processes=8, queues="reduction")
        nodes.register(session, "two@a", "two", processes=4, queues="periodic,reduction")
        nodes.register(session, "three@a", "three", processes=8, queues="periodic")
        nodes.register(session, "four@a", "four", processes=8, queues="reduction")
        session.get_one(Node, "four@a").heartbeat -= timedelta(minutes=5)
    assert swept(service) == rows[:48]


def test_frames_of_tonight_come_before_a_backlog_that_was_asked_for_before(service):
    backlog = add(service, 40)
    assert swept(service) == backlog[:16]
    tonight = add(service, 3, TONIGHT)
    take(service, backlog[:5])
    assert swept(service) == [*tonight, *backlog[16:18]]


@pytest.mark.parametrize("day", ["", "20990101", "99999999", "19700101"])
def test_a_night_that_cannot_go_on_now_has_no_priority(service, day):
    backlog = add(service, 20)
    add(service, 1, day)
    assert swept(service) == backlog[:16]


def test_masters_of_tonight_come_before_others(service):
    with service.sessions.begin() as session:
        place = dict.fromkeys(("site", "instrument", "camera", "binning"), "x")
        for number in range(20):
            day = TONIGHT if number == 19 else f"201904{number + 1:02d}"
            session.add(ScheduledMaster(kind=Kind.BIAS, day=day, next_try=clock(session), **place))
    swept(service)
    rows = [row for table, row in service.told if table is ScheduledMaster]
    assert len(rows) == 16
    with service.sessions.begin() as session:
        assert session.get_one(ScheduledMaster, rows[0]).day == TONIGHT


def test_frames_that_are_reduced_again_come_when_nothing_else_is_due_and_few_messages_wait(service):
    again = add(service, 30)
    with service.sessions.begin() as session:
        for row in again:
            announcements.request(session, session.get_one(Frame, row), low_priority=True)
    new = add(service, 17)
    empty = lambda _: True  # noqa: E731
    assert swept(service, empty) == new[:16]
    assert swept(service, empty) == [], "one is due, and enough wait"
    take(service, new[:16])
    assert swept(service, empty) == new[16:]
    assert swept(service, empty) == again[:4]
    take(service, [new[16], *again[:4]])
    assert swept(service) == [], "nobody knows whether the workers have something to do"


def test_messages_that_were_lost_hold_nothing_up_for_long(service):
    rows = add(service, 40)
    assert swept(service) == rows[:16]
    # a queue that was purged, or a broker that was started without it
    assert swept(service, lambda _: True) == []
    age(service, service.pace.lost_s + 1)
    assert swept(service, lambda _: False) == [], "a long queue is not lost"
    assert swept(service, lambda _: True) == rows[:16]
    age(service, service.pace.queued_s + 1)
    assert swept(service, lambda _: False) == rows[:16], "a broker that does not tell how long its queue is"


def test_new_frames_wake_a_worker_at_once_while_few_messages_wait_and_others_wait_for_their_turn(service):
    sent, backlog = [], []
    notifier = dispatch.Notifier(service, lambda table, row: sent.append(row))
    for _ in range(50):
        with service.sessions.begin() as session:
            moment = clock(session)
        # as the listener makes a row
        has_room = notifier.has_room(Frame)
        backlog += add(service, 1, next_try=moment, sent=moment if has_room else None)
        if has_room:
            notifier.notify(Frame, backlog[-1])
    assert sent == backlog[: len(sent)]
    assert 15 <= len(sent) <= 16
    tonight = add(service, 2, TONIGHT)
    take(service, sent[:4])
    found = swept(service)
    assert found == [*tonight, *backlog[len(sent) :]][: len(found)]
    with service.sessions.begin() as session:
        assert notifications.count(session, Frame, 3600.0) == 16


def test_a_frame_of_which_no_worker_could_be_told_is_told_of_by_the_next_sweep(service):
    with service.sessions.begin() as session:
        moment = clock(session)
    (row,) = add(service, 1, next_try=moment, sent=moment)

    def away(*_):
        raise ConnectionError("broker away")

    with pytest.raises(ConnectionError):
        dispatch.Notifier(service, away).notify(Frame, row)
    assert swept(service, send=away) == []
    assert swept(service) == [row]


def test_a_row_that_is_due_once_more_is_told_of_although_it_was_told_of_before(service):
    (row,) = add(service, 1)
    assert swept(service) == [row]
    with service.sessions.begin() as session:
        session.execute(update(Frame).values(next_try=clock(session)))
    assert swept(service) == [row]


def test_rows_of_one_file_that_wait_for_each_other_keep_no_other_frame_from_its_turn(service):
    """Many messages tell of one file at many places, and the disk of the first hangs."""
    with service.sessions.begin() as session:
        moment = clock(session) - timedelta(seconds=60)
        session.add_all([Frame(filename="a-e00", path=f"/{n}/a", next_try=moment) for n in range(40)])
    first = swept(service)
    with service.sessions.begin() as session:
        taken = [row for row in first if claims.claim(session, Frame, row, "worker")]
    assert taken == first[:1]
    others = add(service, 3)
    assert swept(service) == others
    with service.sessions.begin() as session:
        claims.give_back(session, Frame, taken[0], "worker")
    assert len(swept(service)) == 16 - len(others)
