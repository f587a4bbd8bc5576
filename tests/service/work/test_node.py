"""The name of a node: one live process has it, and what a dead one had in hand is free at once."""

import os
import signal
import threading
import time
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from frame_rows import arrive
from servers import with_tables
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from nrespipe.database import nodes
from nrespipe.database.dialects import clock
from nrespipe.database.states import State
from nrespipe.database.tables import Attempt, Frame, Node
from nrespipe.database.work import claims
from nrespipe.errors import Unavailable
from nrespipe.frames.raw import Kind
from nrespipe.service.time_limits import Pace
from nrespipe.service.work import node, owners, programs

NAME = "one@nrespipe"
_, PLACE, PROCESS = owners.this_process(NAME).split("/")
MACHINE, BOOT, _ = PLACE.split(":")
#: A process of another container, and one of another host whose container has the same name.
CONTAINER, HOST = f"{MACHINE}:{BOOT}:1/1.100", ":another:4026531836/1.100"
DEAD = f"{PLACE}/{os.getpid()}.1"


@pytest.fixture
def service(database_url):
    """A database, and a pace at which a node is given up soon."""
    sessions = with_tables(database_url)
    yield SimpleNamespace(sessions=sessions, pace=Pace(beat_s=0.02, stale_s=0.3, patience_s=5.0))
    sessions.kw["bind"].dispose()


def held(service, process, name=NAME):
    """A node has a name and one frame in hand; return the frame."""
    with service.sessions.begin() as session:
        nodes.register(session, name, f"{name}/{process}", processes=1, queues="reduction")
        facts = {"path": "/a", "kind": Kind.SCIENCE, "start_mjd": 58579.0}
        row = arrive(session, f"{name}{process}-e00", "1" * 32, **facts)[0]
        assert claims.claim(session, Frame, row.id, f"{name}/{process}/task")
        return row.id


def take(service, name=NAME):
    return node.register(service, name, 2, "reduction")


def row(service, table, key):
    with service.sessions.begin() as session:
        return session.get(table, key)


@pytest.fixture
def alive(service):
    """Let other nodes say that they live, until the test ends."""
    stopped, threads = threading.Event(), []

    def start(process, name=NAME):
        def beat():
            while not stopped.wait(0.02):
                with service.sessions.begin() as session:
                    nodes.record_heartbeat(session, name, f"{name}/{process}")

        threads.append(threading.Thread(target=beat))
        threads[-1].start()

    yield start
    stopped.set()
    for thread in threads:
        thread.join()


def test_a_name_that_nobody_has_is_taken_at_once_and_given_back_at_the_end(service):
    service.pace = replace(service.pace, stale_s=3600.0)
    for _ in range(2):
        with take(service):
            mine = row(service, Node, NAME)
            assert (mine.owner, mine.processes, mine.queues) == (owners.this_process(NAME), 2, "reduction")
        assert row(service, Node, NAME) is None


@pytest.mark.parametrize("process", [CONTAINER, HOST])
def test_a_name_that_a_live_node_has_is_refused_and_nothing_is_taken(service, alive, process):
    frame = held(service, process)
    alive(process)
    words = rf"a node {NAME} runs already, as {NAME}/.*start this one with another"
    with pytest.raises(Unavailable, match=words), take(service):
        pytest.fail("it has no name")
    assert row(service, Frame, frame).owner == f"{NAME}/{process}/task"
    assert row(service, Node, NAME).owner == f"{NAME}/{process}"


def test_a_node_that_was_killed_gives_its_name_and_its_frames_to_the_next_without_delay(service):
    service.pace = replace(service.pace, stale_s=3600.0)
    frame = held(service, DEAD)
    other = held(service, DEAD, "two@nrespipe")
    with take(service):
        freed = row(service, Frame, frame)
        assert (freed.owner, freed.state, freed.reason) == ("", State.RETRY, node.RESTARTED)
    assert row(service, Frame, other).owner, "of another name"


@pytest.mark.parametrize("process", [CONTAINER, HOST])
def test_a_node_of_a_container_that_was_started_anew_waits_until_the_former_one_is_silent(service, process):
    frame = held(service, process)
    begin = time.monotonic()
    with take(service):
        assert time.monotonic() - begin > service.pace.stale_s
        assert row(service, Frame, frame).reason == node.RESTARTED
        assert row(service, Node, NAME).owner == owners.this_process(NAME)


def test_rows_of_a_namesake_elsewhere_that_never_had_the_name_are_left_alone(service):
    frame = held(service, DEAD)
    with service.sessions.begin() as session:
        facts = {"path": "/a", "kind": Kind.SCIENCE, "start_mjd": 58579.0}
        elsewhere = arrive(session, "b-e00", "1" * 32, **facts)[0].id
        assert claims.claim(session, Frame, elsewhere, f"{NAME}/{HOST}/task")
    with take(service):
        assert row(service, Frame, frame).owner == ""
        assert row(service, Frame, elsewhere).owner == f"{NAME}/{HOST}/task"


def test_a_live_node_that_could_not_speak_while_the_database_was_away_keeps_its_name(service, alive):
    # it said so last long ago, and says so again as soon as it can
    frame = held(service, HOST)
    with service.sessions.begin() as session:
        session.get_one(Node, NAME).heartbeat = clock(session).replace(year=2019)
    alive(HOST)
    with pytest.raises(Unavailable), take(service):
        pytest.fail("it has no name")
    assert row(service, Frame, frame).owner


def test_of_many_that_want_the_name_of_a_dead_node_one_gets_it(service):
    held(service, DEAD)
    with service.sessions.begin() as session:
        seen = nodes.find(session, NAME)
    taken = []
    for number in range(3):
        with service.sessions.begin() as session:
            taken.append(nodes.register(session, NAME, f"{NAME}/{PLACE}/{number}", seen, processes=1, queues=""))
            assert not nodes.register(session, NAME, "late", processes=1, queues="")
    assert taken == [True, False, False]


def test_a_node_whose_name_was_taken_while_it_was_frozen_ends_and_takes_nothing_from_its_heir(service, monkeypatch):
    told = []
    monkeypatch.setattr(node.os, "kill", lambda *words: told.append(words))
    with take(service) as lost:
        with service.sessions.begin() as session:
            mine = nodes.find(session, NAME)
            # in the same container, as nobody can tell a frozen process from a dead one
            assert nodes.register(session, NAME, f"{NAME}/{PLACE}/1.1", mine, processes=1, queues="reduction")
            facts = {"path": "/a", "kind": Kind.SCIENCE, "start_mjd": 58579.0}
            frame = arrive(session, "a-e00", "1" * 32, **facts)[0].id
            assert claims.claim(session, Frame, frame, f"{NAME}/{PLACE}/2.2/task")
        assert lost.wait(10)
    assert told == [(os.getpid(), signal.SIGTERM)]
    assert row(service, Node, NAME).owner == f"{NAME}/{PLACE}/1.1"
    assert row(service, Frame, frame).owner == f"{NAME}/{PLACE}/2.2/task"


def test_a_node_goes_on_while_the_database_is_away_and_says_that_it_lives_when_it_is_back(service, monkeypatch):
    beat, calls, back = nodes.record_heartbeat, [], threading.Event()

    def away(*words):
        calls.append(words)
        if len(calls) < 3:
            raise OperationalError("update", None, Exception("away"))
        back.set()
        return beat(*words)

    monkeypatch.setattr(nodes, "record_heartbeat", away)
    with take(service) as lost:
        assert back.wait(10)
        assert not lost.is_set()


def test_frames_that_a_node_leaves_behind_when_it_is_told_to_end_at_once_are_free(service):
    with take(service), service.sessions.begin() as session:
        facts = {"path": "/a", "kind": Kind.SCIENCE, "start_mjd": 58579.0}
        frame = arrive(session, "a-e00", "1" * 32, **facts)[0].id
        assert claims.claim(session, Frame, frame, f"{NAME}/{PLACE}/2.2/task")
    with service.sessions.begin() as session:
        assert [attempt.reason for attempt in session.scalars(select(Attempt))] == [node.STOPPED]
        assert session.get_one(Frame, frame).owner == ""


def test_processes_of_nodes_that_are_silent_or_serve_other_queues_do_not_count(service):
    with service.sessions.begin() as session:
        since = clock(session)
        for number, queues in enumerate(["reduction", "periodic,reduction", "periodic", "reduction"]):
            nodes.register(session, str(number), "x", processes=2 + number, queues=queues)
        session.get_one(Node, "3").heartbeat = since.replace(year=2019)
        session.flush()
        assert nodes.count_processes(session, "reduction", since) == 5


def test_a_node_that_is_silent_for_days_is_forgotten_and_one_that_lives_after_all_keeps_its_name(service):
    with service.sessions.begin() as session:
        nodes.register(session, "gone@host", "gone/x/1.1", processes=1, queues="reduction")
        nodes.register(session, "quiet@host", "quiet/x/1.1", processes=1, queues="reduction")
        session.get_one(Node, "gone@host").heartbeat = clock(session) - timedelta(days=programs._GONE_DAYS, seconds=60)
        session.get_one(Node, "quiet@host").heartbeat = clock(session) - timedelta(days=programs._GONE_DAYS / 2)
    with service.sessions.begin() as session:
        programs._forget_nodes(session)
        assert list(session.scalars(select(Node.name))) == ["quiet@host"]
    with take(service) as lost:
        with service.sessions.begin() as session:
            assert nodes.delete_silent(session, clock(session) + timedelta(days=1)) == [NAME, "quiet@host"]
        end = time.monotonic() + 10
        while row(service, Node, NAME) is None:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert not lost.is_set()
        kept = row(service, Node, NAME)
        assert (kept.owner, kept.processes, kept.queues) == (owners.this_process(NAME), 2, "reduction")
    assert row(service, Node, NAME) is None


def test_a_name_that_somebody_took_and_gave_back_at_the_same_moment_is_taken(service, monkeypatch):
    tries, real = iter([False]), nodes.register
    monkeypatch.setattr(nodes, "register", lambda *words, **facts: next(tries, None) is None and real(*words, **facts))
    with take(service):
        assert row(service, Node, NAME).owner == owners.this_process(NAME)
