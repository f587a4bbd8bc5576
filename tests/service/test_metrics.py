"""Numbers arrive once, whatever they are called, and a server that is away stops nothing."""

import gzip
import json
import math
import multiprocessing
import re
import socket
import threading
import time
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog
from opentsdb import push_thread
from servers import free_ports
from sqlalchemy import select, update

from nrespipe.database.states import Standing, State
from nrespipe.database.tables import Frame, Master
from nrespipe.frames.raw import Kind
from nrespipe.service import metrics, opentsdb_client
from nrespipe.service.batch import night
from nrespipe.service.ingest import submission
from nrespipe.service.outcome import Outcome
from nrespipe.service.reduction.frame_results import Result
from nrespipe.service.work import execution

ROOT = Path(__file__).parents[2]
MOMENT = datetime(2019, 4, 6, tzinfo=UTC)


@pytest.fixture
def reduced():
    """A frame and what came of it."""
    row = Frame(site="lsc", instrument="nres01", kind=Kind.SCIENCE)
    star = {"fiber": 0, "snr": 100.0, "rv_err_ms": 5.0, "drift_ms": None}
    value = Result(0, {"trace_shift_px": 0.25, "hopeless": math.nan}, (star,), (), seconds={"recipe": 9.0})
    return row, Outcome(State.DONE, "", "", MOMENT, MOMENT + timedelta(seconds=12.5), value)


def test_a_reduced_frame_tells_its_time_its_measurements_and_its_stars(reduced):
    points = {point.name: point for point in metrics.of_frame(*reduced)}
    assert {name: point.value for name, point in points.items()} == {
        "nrespipe.frame.seconds": 12.5,
        "nrespipe.frame.trace_shift_px": 0.25,
        "nrespipe.step.seconds": 9.0,
        "nrespipe.star.snr": 100.0,
        "nrespipe.star.rv_error_ms": 5.0,
    }
    tags = {"site": "lsc", "instrument": "nres01", "kind": "science"}
    assert points["nrespipe.frame.seconds"].tags == {**tags, "state": "done"}
    assert points["nrespipe.star.snr"].tags == {**tags, "fiber": "0"}
    assert points["nrespipe.step.seconds"].tags == {**tags, "step": "recipe"}


def test_the_database_tells_how_many_frames_are_in_each_state(archive, run, query):
    archive.calibrations()
    archive.add("e", "STAR CRASH&thar&none")
    run()
    with query.sessions.begin() as session:
        points = {(p.name, *p.tags.values()): p.value for p in metrics.of_database(session)}
    assert points["nrespipe.frames", "done"] == 8
    assert points["nrespipe.frames", "failed"] == 1
    assert points["nrespipe.attempts", "done"] == 8
    assert points["nrespipe.masters", "current"] == 4
    assert points["nrespipe.oldest_due.seconds",] == 0


def test_of_earlier_nights_only_frames_without_an_end_and_masters_without_a_review_are_counted(archive, run, query):
    for day in ("20180405", "20190405"):
        archive.calibrations(day=day)
    run()
    with query.sessions.begin() as session:
        for of_state, name in ((State.WAITING, "0001"), (State.FAILED, "0002")):
            changed = update(Frame).where(Frame.day == "20180405", Frame.filename.like(f"%-{name}-%"))
            session.execute(changed.values(state=of_state))
        reviewed = update(Master).where(Master.day == "20180405", Master.kind == Kind.BIAS)
        session.execute(reviewed.values(standing=Standing.REVIEW))
    with query.sessions.begin() as session:
        points = {(p.name, *p.tags.values()): p.value for p in metrics.of_database(session)}
    assert {key[1]: value for key, value in points.items() if key[0] == "nrespipe.frames"} == {"done": 8, "waiting": 1}
    assert points["nrespipe.masters", "needs review"] == 1
    assert points["nrespipe.masters", "current"] == 4


@pytest.mark.slow
def test_every_point_arrives_once_with_its_tags(influx, reduced):
    recorder = metrics.Recorder("127.0.0.1", influx.port)
    recorder.send(metrics.of_frame(*reduced))
    odd = {"object": 'HD 1=0,"x"\n', "empty": ""}
    recorder.send([metrics.Point("nrespipe.odd name", 1.0, odd), metrics.Point("nrespipe.nan", math.nan)])
    assert recorder.flush(20)
    end = time.monotonic() + 20
    while not influx.points("nrespipe.odd_name"):
        assert time.monotonic() < end
        time.sleep(0.05)
    # the library itself takes the answer of this server for a failure, and sends again each second
    time.sleep(2.5)
    ((odd,),) = [influx.points("nrespipe.odd_name")]
    assert (odd["value"], odd["object"], odd["empty"]) == (1.0, "HD_1_0__x__", "none")
    ((seconds,),) = [influx.points("nrespipe.frame.seconds")]
    assert (seconds["value"], seconds["site"], seconds["state"]) == (12.5, "lsc", "done")
    assert influx.points("nrespipe.nan") == []


@pytest.mark.slow
def test_the_time_of_every_step_of_a_frame_arrives(influx, archive, service):
    recorder = metrics.Recorder("127.0.0.1", influx.port)
    # the numbers of other tests are those of another spectrograph
    submission.submit(service, [archive.add("b", site="elp", camera="fa17")])
    with service.sessions.begin() as session:
        row = session.scalars(select(Frame)).one()
    assert execution.execute(replace(service, recorder=recorder), Frame, row.id, "me").state is State.DONE
    assert recorder.flush(20)
    end = time.monotonic() + 20
    ours = lambda name: [point for point in influx.points(name) if point["instrument"] == "nres02"]  # noqa: E731
    while len(points := ours("nrespipe.step.seconds")) < 4:
        assert time.monotonic() < end, points
        time.sleep(0.05)
    assert {point["step"] for point in points} == {"read", "references", "recipe", "products"}
    assert all(point["value"] >= 0 for point in points)
    (whole,) = [point for point in ours("nrespipe.frame.seconds") if point["kind"] == "bias"]
    assert sum(point["value"] for point in points) <= whole["value"] + 0.01


def _send_from_a_fork(recorder, n):
    recorder.send([metrics.Point("nrespipe.forked", float(n), {"n": str(n)})])
    assert recorder.flush(20)


@pytest.mark.slow
def test_points_of_forked_processes_arrive_too(influx):
    recorder = metrics.Recorder("127.0.0.1", influx.port)
    recorder.send([metrics.Point("nrespipe.forked", 0.0, {"n": "0"})])
    processes = [
        multiprocessing.get_context("fork").Process(target=_send_from_a_fork, args=(recorder, n)) for n in (1, 2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert recorder.flush(20)
    end = time.monotonic() + 20
    while len(points := influx.points("nrespipe.forked")) < 3:
        assert time.monotonic() < end, points
        time.sleep(0.05)
    assert sorted(point["value"] for point in points) == [0.0, 1.0, 2.0]


def warned(log, words):
    """Wait until something is logged."""
    end = time.monotonic() + 20
    while not (found := [line for line in log if words in str(line)]):
        assert time.monotonic() < end, log
        time.sleep(0.01)
    return found


@pytest.mark.slow
def test_a_server_that_is_away_stops_nothing_and_is_told_of_once(reduced, caplog):
    recorder = metrics.Recorder("127.0.0.1", free_ports(1)[0])
    with structlog.testing.capture_logs() as log:
        for _ in range(5):
            recorder.send(metrics.of_frame(*reduced))
        assert not recorder.flush(0.1)
        (line,) = warned(log, "takes no points")
        # a second try
        assert not recorder.flush(1.5)
    assert len(log) == 1
    assert "does not answer" in line["reason"]
    assert caplog.records == []


@pytest.mark.parametrize("code", [500, 404])
@pytest.mark.slow
def test_a_server_that_takes_no_numbers_is_told_of_in_its_own_words_and_when_it_takes_them_again(reduced, code):
    class Handler(BaseHTTPRequestHandler):
        """Answers as InfluxDB does where the database does not exist, until it does."""

        def log_message(self, *_):
            pass

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(self.server.code)
            self.end_headers()
            self.wfile.write(b"" if self.server.code == 204 else b"database not\nfound: numbers")

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, structlog.testing.capture_logs() as log:
        server.code = code
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            recorder = metrics.Recorder("127.0.0.1", server.server_port)
            recorder.send(metrics.of_frame(*reduced))
            (line,) = warned(log, "takes no points")
            assert line["reason"] == f"answers {code} database not found: numbers"
            server.code = 204
            recorder.send(metrics.of_frame(*reduced))
            assert recorder.flush(20)
            (line,) = warned(log, "takes points again")
            assert (line["lost"] > 0) is (code == 404)
        finally:
            server.shutdown()
            thread.join()


class Puzzled(BaseHTTPRequestHandler):
    """Fails at one number whenever it comes, and takes all others."""

    def log_message(self, *_):
        pass

    def do_POST(self):
        points = json.loads(gzip.decompress(self.rfile.read(int(self.headers["Content-Length"]))))
        is_odd = any(point["metric"] == "nrespipe.odd" for point in points)
        self.server.seen += [] if is_odd else points
        self.server.failures += is_odd
        self.send_response(500 if is_odd else 204)
        self.end_headers()


def test_numbers_at_which_a_server_fails_again_and_again_are_dropped_and_counted(monkeypatch):
    monkeypatch.setattr(push_thread, "time", SimpleNamespace(sleep=lambda _: None, time=time.time))
    with ThreadingHTTPServer(("127.0.0.1", 0), Puzzled) as server, structlog.testing.capture_logs() as log:
        server.seen, server.failures = [], 0
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            recorder = metrics.Recorder("127.0.0.1", server.server_port)
            recorder.send([metrics.Point("nrespipe.odd", 1.0, {"n": "0"})])
            warned(log, "takes no points")
            recorder.send([metrics.Point("nrespipe.good", 2.0, {"n": "1"})])
            (line,) = warned(log, "takes points again")
        finally:
            server.shutdown()
            thread.join()
    assert (server.failures, line["lost"]) == (opentsdb_client._MOST_FAILURES, 1)
    assert [point["metric"] for point in server.seen] == ["nrespipe.good"]
    assert recorder.flush(20)


def test_prometheus_is_answered_on_this_machine_alone_unless_told_otherwise():
    (port,) = free_ports(1)
    stop = metrics.serve(port, lambda: [])
    try:
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.2", port), 5)
        socket.create_connection(("127.0.0.1", port), 5).close()
    finally:
        stop()


def test_without_a_server_nothing_is_sent_and_no_thread_is_started(reduced):
    recorder = metrics.Recorder()
    recorder.send(metrics.of_frame(*reduced))
    assert recorder._clients == {}
    assert recorder.flush()


def test_prometheus_reads_what_the_database_tells(archive, service):
    archive.add("b")
    night.reduce_all(service, archive.root)

    def points():
        with service.sessions.begin() as session:
            return metrics.of_database(session)

    (port,) = free_ports(1)
    stop = metrics.serve(port, points)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    finally:
        stop()
    assert 'nrespipe_frames{state="done"} 1.0' in text
    assert "nrespipe_oldest_due_seconds 0.0" in text


def test_the_dashboard_shows_numbers_that_are_sent(archive, run, query, reduced):
    archive.add("b")
    run()
    with query.sessions.begin() as session:
        sent = {point.name for point in (*metrics.of_frame(*reduced), *metrics.of_database(session))}
    board = json.loads((ROOT / "docker/grafana.json").read_text(encoding="utf-8"))
    shown = {
        re.search(r'FROM "([^"]+)"', target["query"])[1] for panel in board["panels"] for target in panel["targets"]
    }
    assert shown <= sent | {"nrespipe.queue_length", "nrespipe.star.drift_ms"}
    # what a recipe measures is sent under the name that the recipe gives it
    named = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "nrespipe/recipes").glob("*.py"))
    measured = {name.removeprefix("nrespipe.frame.") for name in shown} - {"seconds"}
    assert all(f'"{name}"' in named for name in measured if "." not in name)
