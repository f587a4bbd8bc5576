"""Messages become rows, once, and none is lost whatever fails."""

import errno
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from kombu import Connection, Exchange
from kombu.transport import memory
from sqlalchemy import select, update
from sqlalchemy.exc import DataError, InternalError, OperationalError, ProgrammingError
from sqlalchemy.orm import undefer

from nrespipe.database.states import State
from nrespipe.database.tables import Frame
from nrespipe.service.ingest import listener as listeners
from nrespipe.service.ingest import messages
from nrespipe.settings import change

NAME = "lscnrs01-fa09-20190405-0021-e00.fits.fz"
MD5 = "0123456789abcdef0123456789abcdef"


class Idle:
    """A timer that does nothing."""

    def tick(self):
        pass


class Notifier:
    """Notes of which rows workers are notified."""

    def __init__(self):
        self.woken, self.is_full = [], False

    def has_room(self, _table):
        return not self.is_full

    def notify(self, table, row_id):
        self.woken.append((table, row_id))


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
    return listen(service)


def listen(service):
    notifier = Notifier()

    class Settled(listeners.Listener):
        def consume_all(self):
            consumer = self.consume(limit=None, timeout=0.05, safety_interval=0.05)
            try:
                for _ in consumer:
                    pass
            except OSError:
                # no message for a while
                pass

    made = Settled(service, notifier, Idle())
    made.woken = notifier.woken

    def publish(*bodies, content_type="application/json", **others):
        with Connection("memory://localhost/") as connection:
            producer = connection.Producer(exchange=Exchange("fits_files", type="fanout"))
            for body in bodies:
                producer.publish(body, content_type=content_type, content_encoding="utf-8", **others)

    made.consume_all()
    made.publish = publish
    return made


def left(queue="nres_pipeline"):
    """Return how many messages wait, or were taken and not settled."""
    with Connection("memory://localhost/") as connection:
        return connection.default_channel.queue_declare(queue, passive=True).message_count


def refused():
    """Take what was put aside: headers and body of each."""
    found = []
    with Connection("memory://localhost/") as connection:
        while (message := connection.default_channel.basic_get("nres_pipeline.refused", no_ack=True)) is not None:
            found.append((message.headers, message.body))
    return found


def test_a_message_becomes_a_row_that_wakes_a_worker_once(listening, archive, query):
    path = archive.add("b")
    body = json.dumps({"path": str(path)})
    listening.publish(body, body, body)
    listening.consume_all()
    (row,) = query.all(select(Frame).options(undefer(Frame.body)))
    assert (row.filename, row.path, row.body, row.state) == (path.stem, str(path), body, State.QUEUED)
    assert listening.woken == [(Frame, row.id)]


def test_a_frame_of_the_archive_is_written_down_before_it_is_fetched(listening, query, service):
    listening.publish(json.dumps({"filename": NAME, "frameid": 17, "version_set": [{"md5": MD5}], "SITEID": "lsc"}))
    listening.consume_all()
    (row,) = query.all(select(Frame))
    assert (row.archive_id, row.md5, row.site, row.instrument, row.day) == (17, MD5, "lsc", "nres01", "20190405")
    assert row.path == str(service.output / "lsc/nres01/20190405/fetched" / NAME)
    assert not Path(row.path).exists()


def test_no_disk_is_asked_and_what_was_read_before_stays(listening, query):
    body = json.dumps({"path": f"/away/{NAME}"})
    listening.publish(body)
    listening.consume_all()
    (row,) = query.all(select(Frame))
    assert (row.state, row.version, row.md5) == (State.QUEUED, None, None)
    assert (row.site, row.kind, row.start_mjd) == ("lsc", "science", None), "as its name tells"
    with query.sessions.begin() as session:
        session.execute(update(Frame).values(md5=MD5, version=1, state=State.DONE, next_try=None))
    listening.publish(body, body)
    listening.consume_all()
    first, second = query.all(select(Frame).order_by(Frame.id))
    assert (first.state, first.version) == (State.DONE, 1)
    assert (second.state, second.version) == (State.QUEUED, None)


def test_foreign_frames_and_malformed_bodies_never_become_rows(listening, query):
    listening.publish(
        *(json.dumps({"path": f"/archive/cpt1m010-fa16-20190405-{i:04d}-e00.fits.fz"}) for i in range(60))
    )
    listening.publish("not json", "[]", "{}", json.dumps({"filename": NAME}))
    listening.publish(b"\xff\x00", content_type="application/octet-stream")
    listening.consume_all()
    assert query.all(select(Frame)) == []
    assert left() == 0
    told = refused()
    assert [headers["exception"] for headers, _ in told] == ["Malformed"] * 5
    assert {headers["reason"] for headers, _ in told} == {
        "the message is not JSON",
        'the message is JSON of type list; expected an object with "path", or with "filename" and "frameid"',
        'the message names no file; expected "path", "filename" or "basename"',
        'the message has neither the path of the file nor its number in the archive; expected "path" or "frameid"',
        "the message is not text in UTF-8",
    }
    assert told[0][1] == b"not json"


def test_a_broker_that_cannot_wake_a_worker_loses_no_frame(listening, archive, query):
    def deaf(*_):
        raise ConnectionRefusedError

    listening._notifier.notify = deaf
    listening.publish(json.dumps({"path": str(archive.add("b"))}))
    listening.consume_all()
    assert len(query.all(select(Frame))) == 1


def test_a_frame_that_is_left_to_the_sweeps_is_never_stamped_as_sent(listening, archive, query, monkeypatch):
    """A sweep in between would count it as under way, and send others in its place."""
    stamped, announce = [], listeners.messages.register

    def register(session, *arguments, **options):
        row_id, is_due = announce(session, *arguments, **options)
        stamped.append(session.get(Frame, row_id).sent)
        return row_id, is_due

    monkeypatch.setattr(listeners.messages, "register", register)
    for is_full in (True, False):
        listening._notifier.is_full = is_full
        listening.publish(json.dumps({"path": str(archive.add("b"))}))
        listening.consume_all()
    first, second = stamped
    assert first is None
    assert second is not None
    assert [row_id for _, row_id in listening.woken] == [frame.id for frame in query.all(select(Frame))][1:]


def test_a_message_is_not_refused_where_the_room_for_notifications_cannot_be_found_out(
    listening, archive, query, monkeypatch
):
    def broken(*_):
        raise KeyError("a defect of ours")

    monkeypatch.setattr(listening._notifier, "has_room", broken)
    listening.publish(json.dumps({"path": str(archive.add("b"))}))
    listening.consume_all()
    assert [frame.sent for frame in query.all(select(Frame))] == [None]
    assert refused() == []


@pytest.mark.parametrize(
    "trouble",
    [
        *(
            partial(kind, "insert", {}, Exception("server closed the connection"))
            for kind in (OperationalError, InternalError, ProgrammingError)
        ),
        partial(MemoryError, "Unable to allocate"),
        partial(OSError, errno.EMFILE, "Too many open files"),
    ],
)
def test_while_the_database_is_away_or_the_machine_fails_messages_wait(listening, archive, query, monkeypatch, trouble):
    announce, away = listeners.messages.register, iter(range(2))

    def fail(*arguments, **options):
        for _ in away:
            raise trouble()
        return announce(*arguments, **options)

    monkeypatch.setattr(listeners.messages, "register", fail)
    listening.publish(*(json.dumps({"path": str(archive.add("b"))}) for _ in range(3)))
    listening.consume_all()
    assert query.all(select(Frame)) == []
    for _ in range(3):
        listening._not_before = 0.0
        listening._flush()
    assert len(query.all(select(Frame))) == 3
    assert len(listening.woken) == 3


@pytest.mark.parametrize(
    "trouble", [DataError("insert", {}, Exception("out of range")), KeyError("x"), RecursionError()]
)
def test_whatever_goes_wrong_with_one_message_holds_up_no_other(listening, archive, query, monkeypatch, trouble):
    announce, bad = listeners.messages.register, archive.add("b")

    def refuse(session, arrival, output, **options):
        if arrival.path == str(bad):
            raise trouble
        return announce(session, arrival, output, **options)

    monkeypatch.setattr(listeners.messages, "register", refuse)
    listening.publish(*(json.dumps({"path": str(path)}) for path in (bad, archive.add("b"))))
    listening.consume_all()
    assert len(query.all(select(Frame))) == 1
    assert left() == 0
    ((headers, body),) = refused()
    assert headers["exception"] == type(trouble).__name__
    assert "in refuse" in headers["traceback"]
    assert json.loads(body)["path"] == str(bad)


HOSTILE = (
    json.dumps({"path": f"/a/\ud800/{NAME}"}),
    json.dumps({"path": f"/a/\0/{NAME}"}),
    json.dumps({"filename": NAME, "frameid": "9" * 5000}),
    '{"filename": "' + NAME + '", "frameid": ' + "9" * 5000 + "}",
    '{"filename": "' + NAME + '", "frameid": ' + "[" * 900 + "]" * 900 + "}",
    json.dumps({"path": f"/a/{'x' * 256}/{NAME}"}),
    " " * 5_000_000,
)


def test_hostile_messages_are_store_and_good_ones_between_them_are_not(listening, archive, query):
    for body in HOSTILE:
        listening.publish(body, json.dumps({"path": str(archive.add("b"))}))
    # what the library itself cannot unpack
    listening.publish("{}", headers={"compression": "no-such"})
    listening.consume_all()
    assert len(query.all(select(Frame))) == len(HOSTILE)
    assert left() == 0
    told = refused()
    assert len(told) == len(HOSTILE) + 1
    assert all(headers["reason"] for headers, _ in told)
    assert max(len(body) for _, body in told) == 1 << 16
    assert max(headers["bytes"] for headers, _ in told) == 5_000_000


def test_of_a_long_message_the_beginning_is_kept(listening, query):
    body = json.dumps({"path": f"/a/{NAME}", "rest": "x" * 1_000_000})
    listening.publish(body)
    listening.consume_all()
    (row,) = query.all(select(Frame).options(undefer(Frame.body)))
    assert row.body == body[: messages.KEPT_BODY]


def test_a_path_outside_of_the_raw_frames_is_refused_unless_it_is_allowed(service, broker, query, tmp_path):
    confined = change(service.settings, raw_root=tmp_path / "raw")
    bodies = [json.dumps({"path": f"{tmp_path}/{place}/{NAME}"}) for place in ("raw/lsc", "rawest", "raw/../other")]
    for given, rows in ((confined, 1), (change(confined, any_path=True), 3)):
        listening = listen(replace(service, settings=given))
        listening.publish(*bodies)
        listening.consume_all()
        assert len(query.all(select(Frame))) == rows
        assert len(refused()) == 3 - rows


def test_while_refused_messages_cannot_be_stored_they_wait_and_good_ones_do_not(listening, archive, query, monkeypatch):
    put_aside, asked = listening._store, []

    def away(*arguments):
        asked.append(arguments)
        raise listeners._NotStored("timed out")

    monkeypatch.setattr(listening, "_store", away)
    listening.publish("not json", "[]", json.dumps({"path": str(archive.add("b"))}))
    listening.consume_all()
    assert (len(query.all(select(Frame))), refused(), len(asked)) == (1, [], 1)
    listening._refuse_from = 0.0
    listening._flush()
    assert (refused(), len(asked)) == ([], 2)
    monkeypatch.setattr(listening, "_store", put_aside)
    for _ in range(2):
        listening._refuse_from = 0.0
        listening._flush()
    assert sorted(body for _, body in refused()) == [b"[]", b"not json"]
    assert not listening._refusals


def test_where_refused_messages_may_not_be_kept_they_are_rejected(listening, archive, query, monkeypatch):
    def forbid(*_):
        raise PermissionError("ACCESS_REFUSED") from None

    monkeypatch.setattr(listening, "_store", forbid)
    listening.publish("not json", json.dumps({"path": str(archive.add("b"))}))
    listening.consume_all()
    assert (len(query.all(select(Frame))), left()) == (1, 0)


def test_a_listener_without_a_broker_ends_at_once_when_it_is_told_to(listening):
    listening.on_connection_error(OSError("refused"), 2)
    with pytest.raises(SystemExit):
        listening.stop()
