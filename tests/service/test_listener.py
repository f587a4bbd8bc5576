"""Messages become rows, once, and none is lost whatever fails."""

import json
import os
from pathlib import Path

import pytest
from kombu import Connection, Exchange
from kombu.transport import memory
from sqlalchemy import select
from sqlalchemy.exc import DataError, OperationalError

from nrespipe.database.columns import State
from nrespipe.database.tables import Frame
from nrespipe.service import listener as listeners
from nrespipe.service import reading

NAME = "lscnrs01-fa09-20190405-0021-e00.fits.fz"
MD5 = "0123456789abcdef0123456789abcdef"


class Idle:
    """A timer that does nothing."""

    def tick(self):
        pass


@pytest.fixture
def broker():
    """A broker in memory that is empty before and after."""
    memory.Transport.global_state.clear()
    memory.Channel.queues.clear()
    yield
    memory.Transport.global_state.clear()
    memory.Channel.queues.clear()


@pytest.fixture
def listening(service, broker):
    """Publish messages and listen until all are settled."""
    woken = []

    def wake(table, row_id):
        woken.append((table, row_id))

    class Settled(listeners.Listener):
        def consume_all(self):
            consumer = self.consume(limit=None, timeout=0.05, safety_interval=0.05)
            try:
                for _ in consumer:
                    pass
            except OSError:
                # no message for a while
                pass

    made = Settled(service, wake, Idle())
    made.woken = woken

    def publish(*bodies, content_type="application/json"):
        with Connection("memory://localhost/") as connection:
            producer = connection.Producer(exchange=Exchange("fits_files", type="fanout"))
            for body in bodies:
                producer.publish(body, content_type=content_type, content_encoding="utf-8")

    made.consume_all()
    made.publish = publish
    return made


def left(listener):
    """Return how many messages wait, or were taken and not settled."""
    with Connection("memory://localhost/") as connection:
        return connection.default_channel.queue_declare("nres_pipeline", passive=True).message_count


def test_a_message_becomes_a_row_that_wakes_a_worker_once(listening, archive, query):
    path = archive.add("b")
    body = json.dumps({"path": str(path)})
    listening.publish(body, body, body)
    listening.consume_all()
    (row,) = query.all(select(Frame))
    assert (row.filename, row.path, row.body, row.state) == (path.stem, str(path), body, State.QUEUED)
    assert listening.woken == [(Frame, row.id)]


def test_a_frame_of_the_archive_is_written_down_before_it_is_fetched(listening, query, service):
    listening.publish(json.dumps({"filename": NAME, "frameid": 17, "version_set": [{"md5": MD5}], "SITEID": "lsc"}))
    listening.consume_all()
    (row,) = query.all(select(Frame))
    assert (row.archive_id, row.md5, row.site, row.instrument, row.day) == (17, MD5, "lsc", "nres01", "20190405")
    assert row.path == str(service.output / "lsc/nres01/20190405/fetched" / NAME)
    assert not Path(row.path).exists()


def test_a_damaged_file_is_a_row_with_its_reason_and_wakes_nobody(listening, archive, query):
    path = archive.add("b")
    path.write_bytes(b"")
    listening.publish(json.dumps({"path": str(path)}))
    listening.consume_all()
    (row,) = query.all(select(Frame))
    assert (row.state, row.reason) == (State.BAD, f"{path.name}: the file is empty")
    assert listening.woken == []


def test_foreign_frames_and_malformed_bodies_never_become_rows(listening, query):
    listening.publish(
        *(json.dumps({"path": f"/archive/cpt1m010-fa16-20190405-{i:04d}-e00.fits.fz"}) for i in range(60))
    )
    listening.publish("not json", "[]", "{}", json.dumps({"filename": NAME}))
    listening.publish(b"\xff\x00", content_type="application/octet-stream")
    listening.consume_all()
    assert query.all(select(Frame)) == []
    assert left(listening) == 0


def test_a_broker_that_cannot_wake_a_worker_loses_no_frame(listening, archive, query):
    def deaf(*_):
        raise ConnectionRefusedError

    listening._wake = deaf
    listening.publish(json.dumps({"path": str(archive.add("b"))}))
    listening.consume_all()
    assert len(query.all(select(Frame))) == 1


def test_while_the_database_is_away_messages_wait(listening, archive, query, monkeypatch):
    write_down, away = listeners.write_down, iter(range(2))

    def fail(*arguments):
        for _ in away:
            raise OperationalError("insert", {}, Exception("server closed the connection"))
        return write_down(*arguments)

    monkeypatch.setattr(listeners, "write_down", fail)
    listening.publish(*(json.dumps({"path": str(archive.add("b"))}) for _ in range(3)))
    listening.consume_all()
    assert query.all(select(Frame)) == []
    for _ in range(3):
        listening._not_before = 0.0
        listening._flush()
    assert len(query.all(select(Frame))) == 3
    assert len(listening.woken) == 3


def test_a_file_that_its_disk_does_not_give_is_a_row_to_try_later_and_holds_up_nothing(listening, archive, query):
    hanging, good = archive.add("b"), archive.add("b")
    hanging.unlink()
    # whoever opens it waits for a writer, as for a disk that is away
    os.mkfifo(hanging)
    listening._reader = reading.Reader(0.2)
    listening.publish(*(json.dumps({"path": str(path)}) for path in (hanging, good)))
    listening.consume_all()
    first, second = query.all(select(Frame).order_by(Frame.filename))
    assert (first.state, first.reason) == (State.RETRY, f"{hanging.name}: the disk does not answer within 0.2 s")
    assert (first.site, first.kind) == ("lsc", "bias"), "its name tells"
    assert second.state == State.QUEUED
    assert left(listening) == 0


def test_what_the_database_will_never_take_holds_up_nothing(listening, archive, query, monkeypatch):
    write_down = listeners.write_down
    bad = archive.add("b")

    def refuse(assembly, arrival, reader):
        if arrival.path == str(bad):
            raise DataError("insert", {}, Exception("value out of range"))
        return write_down(assembly, arrival, reader)

    monkeypatch.setattr(listeners, "write_down", refuse)
    listening.publish(*(json.dumps({"path": str(path)}) for path in (bad, archive.add("b"))))
    listening.consume_all()
    assert len(query.all(select(Frame))) == 1
    assert left(listening) == 0


def test_a_listener_without_a_broker_ends_at_once_when_it_is_told_to(listening):
    listening.on_connection_error(OSError("refused"), 2)
    with pytest.raises(SystemExit):
        listening.stop()
