"""Programs of the service with fast fake recipes, on private servers."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from xmlrpc.client import ServerProxy

import pytest
from kombu import Connection, Exchange, Queue
from servers import free_ports, with_tables
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError
from supervisor.xmlrpc import SupervisorTransport

from nrespipe.database.states import State
from nrespipe.database.tables import Attempt, Frame, Master, Product, ScheduledMaster, StarVelocity

ROOT = Path(__file__).parents[2]
FAKES = ROOT / "tests/plugins/fakes"


#: How much of each log a failure shows.
_TAIL = 25
#: Columns that show why a row is not done.
_TELLING = (
    "filename", "kind", "day", "state", "reason", "owner", "lease", "next_try", "sent", "tries", "deaths", "updated",
)  # fmt: skip


class Rig:
    """Programs of the service, a broker and a database of one test."""

    def __init__(self, stack, output, database_url, broker_url):
        self.output, self.database_url, self.broker_url = output, database_url, broker_url
        self._stack, self._folder = stack, output.parent
        self.metrics_port = None
        self.sessions = with_tables(database_url)
        stack.callback(self.sessions.kw["bind"].dispose)

    def start(self, what, name="", host="", **variables):
        """Start a program of the service; with the name of a host, as if it ran on that host."""
        words = ["--queue", "all", "--name", name] if name else []
        command = [sys.executable, FAKES / "run_cli.py", what, *words]
        if host:
            # with processes of its own, which nobody elsewhere sees
            apart = ["unshare", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
            if subprocess.run([*apart, "true"], check=False, capture_output=True).returncode:
                pytest.skip("a host of another name can only be made by root")
            command = [*apart, "sh", "-c", 'hostname "$0" && exec "$@"', host, *command]
        return self.launch(command, f"{what}{name}{host}", **variables)

    def launch(self, command, log, **variables):
        """Start any program in the environment of the service."""
        environment = {
            **os.environ,
            "PYTHONPATH": f"{FAKES}:{ROOT}",
            "DB_URL": self.database_url,
            "FITS_BROKER": self.broker_url,
            "BROKER_URL": self.broker_url,
            "NRES_DATA_ROOT": str(self.output),
            "NRES_PROCESSES": "1",
            "NRES_TIME_LIMIT": "60",
            # a drawing takes longer than all else of a frame of this size; tests of drawings are apart
            "NRES_DO_DRAW": "false",
            **variables,
        }
        with open(self._folder / f"{log}.log", "ab") as out:
            process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True)
        self._stack.callback(self.end, process)
        return process

    def end(self, process):
        """End a program and all processes that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def log(self, name):
        """Return the log of a program."""
        return (self._folder / f"{name}.log").read_text(encoding="utf-8")

    def publish(self, *bodies):
        """Send messages as the archive does."""
        # a broker that is killed keeps what it has confirmed
        with Connection(self.broker_url, transport_options={"confirm_publish": True}) as connection:
            exchange = Exchange("fits_files", type="fanout")
            # a message that comes before the listener waits
            Queue("nres_pipeline", exchange).bind(connection.default_channel).declare()
            producer = connection.Producer(exchange=exchange)
            for body in bodies:
                producer.publish(body, content_type="application/json", content_encoding="utf-8")

    def announce(self, *paths):
        """Announce files to the service."""
        self.publish(*(json.dumps({"path": str(path)}) for path in paths))

    def all(self, statement):
        """Return all rows of a query."""
        with self.sessions.begin() as session:
            return list(session.scalars(statement))

    def until(self, condition, seconds=120.0, pause=0.1):
        """Wait until something holds, and return it; if it never does, fail with a report of rows and logs."""
        end = time.monotonic() + seconds
        while True:
            trouble = ""
            try:
                found = condition()
                if found:
                    return found
            except DBAPIError as error:
                trouble = f"; the database: {error}"
            assert time.monotonic() < end, f"it never happened in {seconds:g} s{trouble}\n{self.report()}"
            time.sleep(pause)

    def report(self):
        """Return unfinished rows and the ends of all logs, to explain a failure."""
        lines = [f"now {datetime.now(UTC)}"]
        try:
            for table in (Frame, ScheduledMaster):
                for row in self.all(select(table).order_by(table.id)):
                    if getattr(row, "state", None) != State.DONE or row.owner or row.next_try:
                        facts = {name: value for name, value in vars(row).items() if value and name in _TELLING}
                        lines.append(f"{table.__tablename__} {row.id}: {facts}")
        except DBAPIError as error:
            lines.append(f"the database does not answer: {error}")
        for path in sorted(self._folder.glob("*.log")):
            text = path.read_text(encoding="utf-8", errors="replace").splitlines()
            lines += [f"--- {path.name}, the last of {len(text)} lines", *text[-_TAIL:]]
        return "\n".join(lines)

    def states(self):
        """Count the frames by state."""
        with self.sessions.begin() as session:
            counts = session.execute(select(Frame.state, func.count()).group_by(Frame.state))
            return Counter({str(state): count for state, count in counts})

    def settled(self, n, **states):
        """Wait until there are n frames and none is scheduled or at work; check their states."""
        self.until(lambda: sum(self.states().values()) == n and not self.n_pending())
        expected = Counter({"done": n - sum(states.values()), **states})
        assert +self.states() == +expected, self.reasons()
        self.check()

    def n_pending(self):
        """Return the number of rows that are at work or scheduled."""
        busy = [(table.owner != "") | table.next_try.is_not(None) for table in (Frame, ScheduledMaster)]
        with self.sessions.begin() as session:
            return sum(session.scalar(select(func.count()).where(condition)) for condition in busy)

    def reasons(self):
        """Return the reasons of the frames that are not done."""
        return [(f.filename, f.state, f.reason) for f in self.all(select(Frame).where(Frame.state != State.DONE))]

    def check(self, once=True):
        """Check that every frame has one result or one reason; with `once`, that it was reduced one time."""
        for frame in self.all(select(Frame)):
            done = self.all(select(Attempt).where(Attempt.frame_id == frame.id, Attempt.outcome == State.DONE))
            products = self.all(select(Product).where(Product.frame_id == frame.id))
            stars = self.all(select(StarVelocity).where(StarVelocity.frame_id == frame.id))
            science = frame.kind == "science"
            if frame.state == State.DONE:
                assert done, f"{frame.filename} was never done"
                assert len(done) == 1 or not once, f"{frame.filename} was done {len(done)} times"
                assert (len(products), len(stars)) == ((2, 1) if science else (0, 0))
                assert all((self.output / product.path).is_file() for product in products)
            else:
                assert (done, products, stars) == ([], [], [])
                assert frame.reason
        assert not list(self.output.rglob("*.partial"))


def begun(rig):
    """Wait until a worker reduces a star that lacks no master, and return its row."""
    current = select(Master).where(Master.standing == "current")
    rig.until(lambda: len(rig.all(current)) == 4)
    working = select(Frame).where(Frame.owner != "", Frame.kind == "science")
    return rig.until(lambda: rig.all(working))[0]


def child(frame):
    """Return the process that works on a frame, by its owner."""
    return int(frame.owner.split("/")[2].split(".")[0])


@pytest.fixture
def rig(tmp_path, postgres, rabbit):
    """Real servers, and nothing running yet."""
    with ExitStack() as stack:
        yield Rig(stack, tmp_path / "out", postgres.create(), rabbit.create())


@pytest.fixture
def supervised(rig, tmp_path):
    """Start the supervisord of the container with the programs of the service; return how to control it."""
    program = tmp_path / "bin/nrespipe"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKES}/run_cli.py" "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    text = (ROOT / "supervisord.conf").read_text(encoding="utf-8").replace("/tmp/", f"{tmp_path}/")
    text = text.replace("startsecs=5", "startsecs=1")
    configuration = tmp_path / "supervisord.conf"
    configuration.write_text(text, encoding="utf-8")
    (rig.metrics_port,) = free_ports(1)
    variables = {"NRES_WORKERS": "2", "NRES_STOP_WAIT": "100", "PATH": f"{program.parent}:{os.environ['PATH']}"}
    variables["NRES_METRICS_PORT"] = str(rig.metrics_port)
    words = [sys.executable, "-m", "supervisor.supervisord", "--configuration", configuration]
    process = rig.launch(words, "supervisord", **variables)

    def control(*words):
        command = [sys.executable, "-m", "supervisor.supervisorctl", "--configuration", configuration, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **variables})
        return done.stdout

    # over its socket: a program of its own for every look would slow down what is looked at
    def programs():
        transport = SupervisorTransport(serverurl=f"unix://{tmp_path}/supervisor.sock")
        with suppress(OSError), ServerProxy("http://localhost", transport) as server:
            return {program["name"]: program for program in server.supervisor.getAllProcessInfo()}
        return {}

    def running():
        return {name for name, program in programs().items() if program["statename"] == "RUNNING"}

    rig.until(lambda: len(running()) == 6)
    yield SimpleNamespace(process=process, control=control, running=running)
    left = [program["pid"] for program in programs().values() if program["pid"]]
    # first of all the one that would start the others again
    rig.end(process)
    for pid in left:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
