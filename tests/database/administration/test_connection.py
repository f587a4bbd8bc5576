"""A process that falls silent within a transaction holds nobody up for long, and finds its way back when it wakes."""

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from datetime import timedelta
from multiprocessing.reduction import ForkingPickler

import pytest
from frame_rows import arrive
from servers import with_tables
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from nrespipe.database.administration import connection
from nrespipe.database.dialects import clock
from nrespipe.database.tables import Frame
from nrespipe.database.work import claims, notifications, releases
from nrespipe.frames.raw import Kind

FACTS = {"path": "/a", "kind": Kind.SCIENCE, "start_mjd": 58579.0}


@pytest.fixture
def url(postgres):
    """An empty database of a server."""
    return postgres.create()


@pytest.fixture
def sessions(url, monkeypatch):
    """Of processes that may be silent for a second."""
    monkeypatch.setattr(connection, "LONGEST_SILENCE_S", 1.0)
    made = with_tables(url)
    yield made
    made.kw["bind"].dispose()


def add(sessions, name="a-e00", owner=""):
    with sessions.begin() as session:
        frame = arrive(session, name, "1" * 32, **FACTS)[0]
        frame.next_try = clock(session) - timedelta(seconds=1)
        session.flush()
        if owner:
            assert claims.claim(session, Frame, frame.id, owner, lease_s=-1)
        return frame.id


def at_once(session):
    """Fail rather than wait for ever for what somebody else has locked."""
    session.execute(text("set local lock_timeout = '30s'"))


def until(sessions, work):
    """Do something in transactions of its own until it gives something."""
    end, found = time.monotonic() + 60, None
    while True:
        try:
            with sessions.begin() as session:
                at_once(session)
                found = work(session)
        except DBAPIError as error:
            # on a busy machine this process itself may be silent for a second, and be cut off
            if not error.connection_invalidated:
                raise
        if found:
            return found
        assert time.monotonic() < end, "it never came to anything"
        time.sleep(0.1)


@pytest.mark.slow
def test_a_process_that_falls_silent_within_a_transaction_does_not_keep_its_row(sessions):
    row = add(sessions, owner="silent")
    with sessions() as silent:
        assert claims.confirm_owner(silent, Frame, row, "silent")
        assert until(sessions, lambda session: releases.release(session, "took too long")) == [(Frame, row)]
        assert until(sessions, lambda session: claims.claim(session, Frame, row, "another"))
        silent.invalidate()


@pytest.mark.slow
def test_a_row_that_was_being_taken_by_one_that_fell_silent_is_taken_by_another(sessions):
    row = add(sessions)
    with sessions() as silent:
        assert claims.claim(silent, Frame, row, "silent")
        assert until(sessions, lambda session: claims.claim(session, Frame, row, "another"))
        silent.invalidate()


@pytest.mark.slow
def test_one_that_wakes_after_its_transaction_was_ended_is_told_and_has_written_nothing(sessions):
    row = add(sessions)
    with sessions() as silent:
        assert claims.claim(silent, Frame, row, "silent")
        assert until(sessions, lambda session: claims.claim(session, Frame, row, "another"))
        with pytest.raises(DBAPIError) as told:
            silent.commit()
    assert told.value.connection_invalidated
    with sessions.begin() as session:
        assert releases.owners(session) == {"another"}


@pytest.mark.slow
def test_one_that_wakes_goes_on_over_a_new_connection(sessions):
    row = add(sessions)
    with sessions() as silent:
        assert claims.claim(silent, Frame, row, "silent")
        assert until(sessions, lambda session: claims.claim(session, Frame, row, "another"))
        with pytest.raises(DBAPIError):
            claims.confirm_owner(silent, Frame, row, "silent")
        silent.rollback()
        assert not claims.confirm_owner(silent, Frame, row, "silent")
        assert claims.confirm_owner(silent, Frame, row, "another")


def test_workers_are_told_of_all_other_rows_while_one_is_locked(url):
    sessions = with_tables(url)
    locked, free = add(sessions), add(sessions, "b-e00")
    with sessions() as silent:
        assert claims.claim(silent, Frame, locked, "silent")
        with sessions.begin() as session:
            at_once(session)
            assert notifications.select(session, Frame, 60.0, 500) == [free]
    with sessions.begin() as session:
        assert notifications.select(session, Frame, 60.0, 500) == [locked]
    sessions.kw["bind"].dispose()


def test_of_leases_that_have_run_out_all_others_are_released_while_one_row_is_locked(url):
    sessions = with_tables(url)
    locked, free = add(sessions, owner="silent"), add(sessions, "b-e00", owner="dead")
    with sessions() as silent:
        assert claims.confirm_owner(silent, Frame, locked, "silent")
        with sessions.begin() as session:
            at_once(session)
            assert releases.release(session, "took too long") == [(Frame, free)]
    with sessions.begin() as session:
        assert releases.release(session, "took too long") == [(Frame, locked)]
    sessions.kw["bind"].dispose()


def test_a_server_that_goes_away_without_a_word_is_noticed_unless_the_url_says_otherwise(url):
    told = {}
    for words in ("", "&keepalives_idle=7"):
        engine = connection.open_engine(url + words)
        with engine.connect() as opened:
            told[words] = opened.connection.dbapi_connection.info.get_parameters()
        engine.dispose()
    assert [given["keepalives_idle"] for given in told.values()] == ["60", "7"]
    assert {given["tcp_user_timeout"] for given in told.values()} == {"120000"}


@pytest.mark.slow
def test_a_program_that_opens_a_new_database_waits_for_the_one_that_makes_its_tables(tmp_path):
    path = tmp_path / "nrespipe.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as busy:
        busy.execute("BEGIN EXCLUSIVE")
        busy.execute("create table begun (id integer)")
        with ThreadPoolExecutor(1) as pool:
            opened = pool.submit(lambda: connection.open_engine(f"sqlite:///{path}").connect().close())
            # longer than the driver would wait by itself
            time.sleep(6)
            assert not opened.done()
            busy.execute("COMMIT")
            opened.result()


def test_sessions_that_read_still_only_read_in_another_process(tmp_path):
    sessions = with_tables(f"sqlite:///{tmp_path}/night.sqlite")
    for made, told in (
        (sessions, nullcontext()),
        (connection.read_only(sessions), pytest.raises(OperationalError, match="readonly")),
    ):
        arrived = ForkingPickler.loads(ForkingPickler.dumps(made))
        with told, arrived.begin() as session:
            session.add(Frame(filename="a", path="/a", md5=str(type(told))))


def test_an_error_of_the_database_shows_no_values(database_url):
    sessions = with_tables(database_url)

    def fail():
        with sessions.begin() as session:
            session.add_all([Frame(filename="f", path="/a", md5="1" * 32, body="a canary") for _ in range(2)])

    with pytest.raises(IntegrityError) as caught:
        fail()
    assert "canary" not in f"{caught.value} {caught.value!r}"
    sessions.kw["bind"].dispose()
