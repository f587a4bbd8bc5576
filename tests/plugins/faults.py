"""Faults of the service, one function for each, while frames flow through its programs.

A fault gets the number of frames to bring, and returns the number of rows that it must leave in each state.
"""

import fcntl
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from service_rig import FAKES, ROOT
from sqlalchemy import select, text

from nrespipe import settings
from nrespipe.database.states import State
from nrespipe.database.tables import Attempt, Breaker, Delivery, Frame, StarVelocity
from nrespipe.files.atomic_files import md5
from nrespipe.files.catalog import targets
from nrespipe.service.work import celery_app
from nrespipe.service.work.queues import ROUTES

#: Programs that the service has at work, by what their logs are called.
PROGRAMS = {"listen": ("listen", ""), "one": ("work", "one"), "two": ("work", "two"), "schedule": ("schedule", "")}
_PRODUCTS = """
    SELECT products.path, products.md5 FROM products JOIN frames ON frames.id = products.frame_id
    WHERE NOT EXISTS (
        SELECT 1 FROM frames newer WHERE newer.filename = frames.filename AND newer.version > frames.version
    )
"""
#: A new process needs seconds until its first frame, on a machine that does other things.
LIMITS = {"NRES_TIME_LIMIT": "30", "NRES_MEMORY_LIMIT": "700"}
#: Where a fault waits until a limit is reached.
SHORT = {"NRES_TIME_LIMIT": "6"}


class World:
    """A running service with its archive and its servers."""

    def __init__(self, rig, archive, rabbit, postgres, seed=0):
        self.rig, self.archive, self.rabbit, self.postgres = rig, archive, rabbit, postgres
        self.random, self.processes, self.expected = random.Random(seed), {}, set()
        archive.calibrations()
        self.announce(*archive.root.rglob("*.fits"))
        for name in PROGRAMS:
            self.start(name)
        self.quiet()

    def start(self, name, **others):
        """Start a program of the service."""
        self.processes[name] = self.rig.start(*PROGRAMS[name], **LIMITS | others)

    def kill(self, name):
        """End a program and its children at once."""
        self.rig.end(self.processes.pop(name))

    def restart(self, name, **others):
        """Tell a program to end if it runs, and start it again."""
        if process := self.processes.pop(name, None):
            process.send_signal(signal.SIGTERM)
            # 143: the signal came before it had begun
            assert process.wait(90) in (0, 143), f"{name} ended with {process.returncode}"
        self.start(name, **others)

    @contextmanager
    def workers(self, **variables):
        """Give the workers other settings for as long as the block lasts."""
        for name in ("one", "two"):
            self.restart(name, **variables)
        yield
        self.quiet()
        for name in ("one", "two"):
            self.restart(name)

    def stars(self, number, word="A"):
        """Write raw frames of stars, and return their paths."""
        return [self.archive.add("e", f"STAR {word}&thar&none") for _ in range(number)]

    def bring(self, number, word="A"):
        """Write raw frames of stars, announce them, and return their paths."""
        paths = self.stars(number, word)
        self.announce(*paths)
        return paths

    def announce(self, *paths):
        """Announce files to the service, as the archive does."""
        self.expected |= {path.name.split(".")[0] for path in paths}
        self.rig.announce(*paths)

    def begun(self):
        """Wait until a worker reduces a star; return its row."""
        working = select(Frame).where(Frame.owner != "", Frame.kind == "science")
        return self.rig.until(lambda: self.rig.all(working))[0]

    def rows(self, paths):
        """Return the rows of some files."""
        names = [path.name.split(".")[0] for path in paths]
        return self.rig.all(select(Frame).where(Frame.filename.in_(names)).order_by(Frame.filename, Frame.id))

    def velocities(self, paths):
        """Count the velocities of some files."""
        ids = [frame.id for frame in self.rows(paths)]
        return len(self.rig.all(select(StarVelocity.id).where(StarVelocity.frame_id.in_(ids))))

    def forget_announcements(self):
        """Cancel frames that were announced and never came; return the number of those at work or just released."""
        with self.rig.sessions.begin() as session:
            session.execute(text("UPDATE frames SET next_try = NULL WHERE version IS NULL AND owner = ''"))
            left = "SELECT count(*) FROM frames WHERE version IS NULL AND (owner <> '' OR next_try IS NOT NULL)"
            return session.execute(text(left)).scalar()

    def attempts(self, paths):
        """Return the attempts at some files."""
        ids = [frame.id for frame in self.rows(paths)]
        return self.rig.all(select(Attempt).where(Attempt.frame_id.in_(ids)))

    def deaths(self, frames):
        """Return the reasons of the attempts at some frames that something outside them ended."""
        ends = (Attempt.frame_id.in_([frame.id for frame in frames]), Attempt.outcome == State.RETRY)
        return [attempt.reason for attempt in self.rig.all(select(Attempt).where(*ends))]

    def command(self, *words, status=0):
        """Run a command of the program, and return what it prints."""
        environment = {**os.environ, "PYTHONPATH": f"{FAKES}:{ROOT}", "DB_URL": self.rig.database_url}
        environment |= {
            "NRES_DATA_ROOT": str(self.rig.output),
            "NRES_PROCESSES": "1",
            "NRES_DO_DRAW": "false",
            "BROKER_URL": self.rig.broker_url,
        }
        command = [sys.executable, FAKES / "run_cli.py", *map(str, words)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout

    def count(self):
        """Count the frames by state, in SQL."""
        with self.rig.sessions.begin() as session:
            return Counter(dict(session.execute(text("SELECT state, count(*) FROM frames GROUP BY state")).all()))

    def quiet(self):
        """Wait until every announced frame has a row, and none of these and no master is scheduled or at work."""
        self.rig.until(
            lambda: self.expected <= set(self.rig.all(select(Frame.filename))) and not self.rig.n_pending(), 180
        )

    def check(self, once=True):
        """Every frame has one result or one reason, every product is the one of the database, every program lives."""
        ended = [name for name, process in self.processes.items() if process.poll() is not None]
        assert not ended, f"programs that nobody has ended: {ended}\n{self.rig.report()}"
        self.rig.check(once)
        with self.rig.sessions.begin() as session:
            products = session.execute(text(_PRODUCTS)).all()
        wrong = [path for path, checksum in products if md5(self.rig.output / path) != checksum]
        assert not wrong, f"products that are not those of the database: {wrong}"


@contextmanager
def held(path):
    """Let whoever opens a file wait, as for a disk that is away; for 45 s at most, then the system ends the lease."""
    before = signal.signal(signal.SIGIO, lambda *_: None)
    descriptor = os.open(path, os.O_RDWR)
    try:
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError:
            pytest.skip("the disk of the tests gives no leases")
        yield
    finally:
        os.close(descriptor)
        signal.signal(signal.SIGIO, before)


def nothing(world, number):
    """Frames come, and nothing happens."""
    world.bring(number)
    return {"done": number}


def killed_worker(world, number):
    """A worker is killed while it reduces a frame, and started again."""
    world.bring(number, "SLOW")
    frame = world.begun()
    name = frame.owner.split("@")[0]
    world.kill(name)
    world.start(name)
    world.quiet()
    assert world.deaths([frame]) in (["its process died"], ["its worker was started anew"])
    return {"done": number}


def killed_child(world, number):
    """The process that reduces a frame is killed."""
    world.bring(number, "SLOW")
    frame = world.begun()
    os.kill(_process(frame), signal.SIGKILL)
    world.quiet()
    (died,) = world.deaths([frame])
    assert died.startswith("its process died"), died
    return {"done": number}


def killed_listener(world, number):
    """The listener is killed while messages come, and started again."""
    world.bring(number)
    world.kill("listen")
    world.announce(*(more := world.stars(number)))
    world.start("listen")
    return {"done": number + len(more)}


def killed_scheduler(world, number):
    """The scheduler is killed and started again."""
    world.kill("schedule")
    world.bring(number)
    world.start("schedule")
    return {"done": number}


def restarted(world, number):
    """Every program gets the signal to end while frames are at work, finishes them, and is started again."""
    paths = world.bring(number, "SLOW")
    world.begun()
    for name in list(world.processes):
        world.restart(name)
    world.quiet()
    assert world.deaths(world.rows(paths)) == []
    return {"done": number}


def frozen_worker(world, number):
    """A worker is frozen while it reduces a frame until its lease has run out, and goes on."""
    with world.workers(**SHORT):
        world.bring(number, "SLOW")
        frame = world.begun()
        name = frame.owner.split("@")[0]
        frozen = world.processes.pop(name)
        os.killpg(frozen.pid, signal.SIGSTOP)
        world.quiet()
        os.killpg(frozen.pid, signal.SIGCONT)
        # it goes on, or has noticed that its name was taken for dead
        world.rig.end(frozen)
    return {"done": number}


def frames_that_kill(world, number):
    """Frames crash, hang, kill their process, take all memory, contradict themselves; others are among them."""
    world.bring(number)
    with world.workers(**SHORT):
        bad = [world.bring(1, word)[0] for word in ("CRASH", "SLEEPER", "KILL", "HOG", "BAD")]
        world.bring(number)
        world.quiet()
    crash, sleeper, kill, hog, contradictory = (frame.reason for frame in world.rows(bad))
    assert "asked for" in crash, crash
    assert sleeper.endswith("it took longer than it may and was stopped"), sleeper
    assert kill.startswith("given up: the process died at it 3 times"), kill
    assert hog.endswith(" MB of memory, 700 MB are allowed, and was stopped"), hog
    assert "asked for" in contradictory, contradictory
    return {"done": 2 * number, "failed": 4, "bad": 1}


def killed_broker(world, number):
    """The broker is killed while frames are at work, and comes back."""
    paths = world.bring(number, "SLOW")
    world.begun()
    world.rabbit.kill()
    world.rig.until(lambda: not world.rig.all(select(Frame).where(Frame.owner != "")))
    world.rabbit.start()
    later = world.bring(number)
    world.quiet()
    # what was begun is finished without a broker
    assert world.deaths(world.rows([*paths, *later])) == []
    return {"done": 2 * number}


def frozen_broker(world, number):
    """The broker does not answer for a while."""
    world.bring(number, "SLOW")
    world.begun()
    world.rabbit.kill(signal.SIGSTOP)
    world.rig.until(lambda: not world.rig.all(select(Frame).where(Frame.owner != "")))
    world.rabbit.kill(signal.SIGCONT)
    return {"done": number}


def stopped_database(world, number):
    """The database is cut off while frames are at work, and comes back."""
    world.bring(number, "SLOW")
    world.begun()
    world.postgres.stop()
    world.announce(*(more := world.stars(number)))
    world.postgres.start()
    return {"done": number + len(more)}


def purged_queues(world, number):
    """Somebody empties the queues of the workers."""
    world.bring(number, "SLOW")
    app = celery_app.application(settings.Settings(broker_url=world.rig.broker_url))
    with app.connection_for_write() as connection:
        for queue in sorted({route.queue for route in ROUTES.values()}):
            connection.default_channel.queue_purge(queue)
    return {"done": number}


def duplicates(world, number):
    """Every message comes three times, in any order, to two listeners; workers get many notices of each frame."""
    paths = world.stars(number) * 3
    world.random.shuffle(paths)
    second = world.rig.start("listen")
    world.announce(*paths)
    app = celery_app.application(settings.Settings(broker_url=world.rig.broker_url))
    world.rig.until(lambda: len(world.rows(paths)) >= number)
    for frame in world.rows(paths) * 3:
        celery_app.sender(app)(Frame, frame.id)
    world.quiet()
    world.rig.end(second)
    return {"done": number}


def copies(world, number):
    """Frames lie in the archive packed under the name of a plain file, and are announced while they are written."""
    paths = world.stars(number)
    whole = {path: path.read_bytes() for path in paths}
    for path in paths:
        path.unlink()
    world.announce(*paths)
    world.rig.until(lambda: len(world.rows(paths)) == number and {f.state for f in world.rows(paths)} == {"retry"})
    for path, content in whole.items():
        path.with_suffix(".writing").write_bytes(content)
        path.with_suffix(".writing").rename(path)
    return {"done": number}


def hung_disk(world, number):
    """One file of the archive cannot be read from the disk; the others can."""
    paths = world.stars(number + 1)
    with held(paths[0]):
        world.announce(*paths)
        world.rig.until(lambda: {frame.state for frame in world.rows(paths[1:])} == {State.DONE})
        world.rig.until(lambda: "does not answer" in " ".join(world.deaths(world.rows(paths[:1]))))
    return {"done": number + 1}


def other_host(world, number):
    """A worker of the same name runs on another host, and goes away while it reduces a frame."""
    world.kill("one")
    # another host cannot see that the process has ended: its lease must run out
    away = world.rig.start("work", "one", host="alpha", **LIMITS | SHORT)
    world.bring(number + 1, "SLOW")
    world.begun()
    world.rig.end(away)
    world.start("one")
    return {"done": number + 1}


def next_to_a_command(world, number):
    """Somebody runs ``nrespipe night`` on the database of the service."""
    paths = world.bring(number, "SLOW")
    # 1: there are frames that other faults have left failed
    world.command("night", world.archive.root, "--output", world.rig.output, status=1)
    return {"done": len(paths)}


def hostile(rng):
    """Return bodies of messages that no archive sends, in any order."""
    name = "lscnrs01-fa09-20190405-0021-e00.fits.fz"
    bodies = [
        b"", b"\xff\xfe\x00", b"[]", b"{}", b"null", b"1e999", b"not json", b"[" * 20_000, b'"' + b"a" * 100_000 + b'"',
        json.dumps({"path": f"/a/\ud800/{name}"}),
        json.dumps({"path": f"/a/\x00/{name}"}),
        json.dumps({"path": "/" + "a/" * 40_000 + name}),
        json.dumps({"path": f"/nowhere/../../{name}\n"}),
        json.dumps({"path": [name]}),
        json.dumps({"filename": name, "frameid": int("9" * 4000)}),
        f'{{"filename": "{name}", "frameid": {"9" * 5000}}}',
        f'{{"filename": "{name}", "frameid": "{"9" * 5000}"}}',
        json.dumps({"filename": name, "frameid": 1, "version_set": [{"md5": "\udfff" * 32}]}),
        json.dumps({"filename": "lscnrs01-fa09-20190405-0021-e00\ud800.fits.fz", "frameid": 1}),
        json.dumps({"basename": name, "version_set": [[]], "frameid": {}}),
        json.dumps({"TELESCOP": {"nres": "nres"}, "filename": "x" * 10_000, "frameid": 1}),
    ]  # fmt: skip
    return rng.sample(bodies, len(bodies))


def hostile_messages(world, number):
    """Messages that no archive sends come between good ones."""
    bodies, paths = hostile(world.random), world.stars(number)
    for i, path in enumerate(paths):
        world.rig.publish(*bodies[i :: len(paths)])
        world.announce(path)
    return {"done": number}


def foreign_messages(world, number):
    """A flood of messages of other instruments."""
    world.rig.publish(
        *(json.dumps({"path": f"/archive/cpt1m010-fa16-20190405-{i:04d}-e00.fits.fz"}) for i in range(500))
    )
    world.bring(number)
    return {"done": number}


def unknown_spectrograph(world, number):
    """Frames of tonight come from a spectrograph that has no table, and the scheduler plans its masters."""
    today = f"{datetime.now(UTC):%Y%m%d}"
    strange = [world.archive.add("e", "STAR A&thar&none", day=today, TELESCOP=f"nres0{8 + i}") for i in range(2)]
    world.announce(*strange)
    world.bring(number)
    world.quiet()
    world.restart("schedule")
    return {"done": number, "skipped": 2}


def announced_elsewhere(world, number):
    """Frames that are done are announced again with wrong paths and without a checksum."""
    paths = world.bring(number)
    world.quiet()
    for path in paths:
        world.announce(Path("/nowhere", path.name))
        world.rig.publish(json.dumps({"filename": path.name, "frameid": 4711}))
    assert world.velocities(paths) == number
    world.rig.until(lambda: len(world.rows(paths)) == 3 * number)
    told = world.command("velocities", "--format", "csv", "--from", "20000101")
    assert all(path.stem in told for path in paths), "a frame that is done has vanished"
    assert world.velocities(paths) == number
    # nobody waits for a day until they are given up; one that a worker has in hand is asked for once more
    world.rig.until(lambda: not world.forget_announcements())
    left = Counter(frame.state for frame in world.rows(paths) if frame.version is None)
    return {"done": number} | left


def replaced_file(world, number):
    """Files of the archive are replaced by others of the same name, one of them while a worker reduces it."""
    paths = world.bring(number, "SLOW")
    world.begun()
    for path in paths:
        path.with_suffix(".new").write_bytes(path.read_bytes() + b"\0" * 2880)
        path.with_suffix(".new").replace(path)
    world.announce(*paths)
    world.quiet()
    rows = world.rows(paths)
    assert {md5(path) for path in paths} <= {row.md5 for row in rows}, "the last content of a file was not seen"
    return Counter(row.state for row in rows)


def second_of_a_name(world, number):
    """A second worker of a name is started while the first lives, here and as if in another container."""
    paths = world.bring(number, "SLOW")
    frame = world.begun()
    name = frame.owner.split("@")[0]
    for host in ("", socket.gethostname()):
        second = world.rig.start("work", name, host=host, **LIMITS)
        assert second.wait(90) == 1, "a live name was not refused"
    world.quiet()
    assert world.processes[name].poll() is None
    assert world.deaths(world.rows(paths)) == [], "something was taken"
    return {"done": number}


def backlog(world, number):
    """Somebody submits old frames by the dozen, and the night goes on."""
    old = [world.archive.add("e", "STAR SLOW&thar&none", day="20190404") for _ in range(30 + 2 * number)]
    world.command("submit", *old)
    # of a spectrograph that nobody knows: their messages need no masters of tonight
    today = f"{datetime.now(UTC):%Y%m%d}"
    tonight = [world.archive.add("e", "STAR A&thar&none", day=today, TELESCOP="nres09") for _ in range(number)]
    world.announce(*tonight)
    world.rig.until(lambda: {frame.state for frame in world.rows(tonight)} == {State.SKIPPED})
    came = max(frame.created for frame in world.rows(tonight))
    gone = max(attempt.finished for attempt in world.attempts(tonight))
    before = [attempt for attempt in world.attempts(old) if came < attempt.finished < gone]
    # those of which the workers were notified before, and those at work
    assert len(before) <= 20, f"{len(before)} frames of the backlog came before tonight's"
    return {"done": len(old), "skipped": number}


def full_disk(world, number):
    """The disk of the products is full for a while."""
    folder = world.rig.output / "lsc/nres01/20190403/processed"
    folder.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", folder], check=False).returncode:
        pytest.skip("a small disk can only be mounted by root")
    try:
        paths = [world.archive.add("e", "STAR A&thar&none", day="20190403") for _ in range(number)]
        world.announce(*paths)
        world.rig.until(lambda: "No space left on device" in " ".join(world.deaths(world.rows(paths))))
        # between two attempts; a part of a file that was left would lie there for ever
        world.rig.until(lambda: not list(folder.iterdir()))
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
    return {"done": number}


def damaged_catalog(world, number):
    """Somebody damages the catalog of stars of the site, and mends it."""
    catalog = targets.deployed(world.rig.output, "lsc")
    catalog.parent.mkdir(parents=True, exist_ok=True)
    catalog.write_bytes(b"name,ra\xff\x00\n")
    paths = world.bring(number)
    world.rig.until(lambda: catalog.name in " ".join(world.deaths(world.rows(paths))))
    world.restart("schedule")
    catalog.unlink()
    return {"done": number}


def sick_receiver(world, number):
    """The server that products are delivered to has a fault for a while."""
    with receiver() as server:
        given = {"DO_INGEST": "true", "NRES_INGEST_TO": f"http://127.0.0.1:{server.server_port}/"}
        with world.workers(**given):
            world.bring(number)
            world.quiet()
            world.rig.until(lambda: world.rig.all(select(Breaker).where(Breaker.next_try.is_not(None))))
            server.well.set()
            world.rig.until(lambda: not world.rig.all(select(Delivery).where(Delivery.delivered.is_(None))))
    return {"done": number}


@contextmanager
def receiver():
    """A server that takes files once it is well."""

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(201 if self.server.well.is_set() else 503)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.well = True, threading.Event()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


#: Every fault of the table; the first is none.
FAULTS = (
    nothing, killed_worker, killed_child, killed_listener, killed_scheduler, restarted, frozen_worker, frames_that_kill,
    killed_broker, frozen_broker, stopped_database, purged_queues, duplicates, copies, hung_disk, other_host,
    next_to_a_command, hostile_messages, foreign_messages, unknown_spectrograph, announced_elsewhere, replaced_file,
    second_of_a_name, backlog, full_disk, damaged_catalog, sick_receiver,
)  # fmt: skip


def strike(world, fault, number):
    """Let a fault happen, wait until all is done, and return None or the defect that it has left."""
    before = world.count()
    expected = Counter(fault(world, number))
    world.quiet()
    left = world.count()
    left.subtract(before)
    found = {state: count for state, count in left.items() if count}
    assert found == dict(expected), f"{fault.__name__}: left {found}, expected {dict(expected)}\n{world.rig.report()}"
    world.check()


def _process(frame):
    """Return the process that reduces a frame, by its owner."""
    return int(frame.owner.split("/")[-2].split(".")[0])
