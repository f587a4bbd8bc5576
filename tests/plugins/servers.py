"""Private servers for the tests (PostgreSQL, RabbitMQ, InfluxDB), on free ports, and removed afterwards."""

import fcntl
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from itertools import count
from pathlib import Path

import pytest
from kombu import Connection
from sqlalchemy import create_engine
from sqlalchemy.engine import URL

from nrespipe.database.administration import connection, schema

_numbers = count()
#: Longest start of RabbitMQ [second].
_START_S = 90.0
#: InfluxDB that takes points as OpenTSDB does.
CONFIGURATION = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
dir = "{folder}/meta"
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
[http]
bind-address = "127.0.0.1:{http}"
[[opentsdb]]
enabled = true
bind-address = "127.0.0.1:{port}"
database = "numbers"
batch-timeout = "100ms"
"""


def debian(program, package):
    """Return the path of a program of a Debian package, which is installed where that is possible; else skip."""
    path = _path(program)
    if path is None and os.getuid() == 0 and shutil.which("apt-get"):
        # several processes run the tests: the first one installs, the others find what it has installed
        with open(Path(tempfile.gettempdir(), "nrespipe-tests-install"), "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            path = _path(program) or _install(program, package)
    if path is None:
        pytest.skip(f"{program} is not here: install the package {package}")
    return path


def _install(program, package):
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in (["update"], ["install", "-y", "--no-install-recommends", package]):
        command = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", *step]
        subprocess.run(command, env=environment, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    return _path(program)


def _path(program):
    found = shutil.which(program)
    # Debian keeps the programs of the PostgreSQL server off the path
    found = found or max(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{program}")), default=None)
    return found and os.path.realpath(found)


def free_ports(number):
    """Return ports that nobody listens on."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [server.getsockname()[1] for server in held]
    for server in held:
        server.close()
    return ports


class Postgres:
    """A PostgreSQL server that listens in a directory of its own."""

    def __init__(self):
        self.bin = Path(debian("initdb", "postgresql")).parent
        # not below the directory of the tests: that belongs to root, and the server may not
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self.user = None
        if os.getuid() == 0:
            self.user = "postgres" if _exists("postgres") else "nobody"
            shutil.chown(self.folder, self.user)
        self.data, self.process = self.folder / "data", None
        self._run("initdb", "--no-sync", "--auth=trust", "--username=nres", f"--pgdata={self.data}")

    def start(self):
        """Start, and wait until it answers."""
        options = f"-c listen_addresses= -c unix_socket_directories={self.folder} -c fsync=off -c max_connections=60"
        self._run(
            "pg_ctl", "start", "--wait", "--silent", f"--pgdata={self.data}", f"--log={self.folder}/log", "-o", options
        )

    def stop(self, how="immediate"):
        """Stop; ``immediate`` cuts every connection off as a crash does."""
        self._run("pg_ctl", "stop", "--wait", "--silent", f"--mode={how}", f"--pgdata={self.data}")

    def remove(self):
        """Stop it and leave nothing behind."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database="postgres"):
        """Return the URL of a database."""
        where = {"host": str(self.folder)}
        return URL.create("postgresql+psycopg", "nres", database=database, query=where).render_as_string(False)

    def create(self):
        """Make an empty database and return its URL."""
        name = f"night{next(_numbers)}"
        engine = create_engine(self.url(), isolation_level="AUTOCOMMIT")
        with engine.connect() as server:
            server.exec_driver_sql(f"create database {name}")
        engine.dispose()
        return self.url(name)

    def _run(self, program, *arguments):
        # a server that inherited the pipes would keep them open
        with open(self.folder / "out", "ab") as out:
            command = [self.bin / program, *arguments]
            subprocess.run(command, user=self.user, cwd=self.folder, stdout=out, stderr=out, check=True)


def _exists(user):
    try:
        return bool(pwd.getpwnam(user))
    except KeyError:
        return False


def with_tables(url):
    """Open a database, empty or not, whose tables are then those of the program."""
    sessions = connection.connect(url)
    schema.prepare(sessions.kw["bind"])
    return sessions


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server for the whole session."""
    server = Postgres()
    server.start()
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, tmp_path):
    """URL of an empty database, once of each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/work.sqlite"
    return request.getfixturevalue("postgres").create()


class Rabbit:
    """A RabbitMQ node."""

    def __init__(self):
        debian("rabbitmq-server", "rabbitmq-server")
        self.folder = Path(tempfile.mkdtemp(prefix="mq-"))
        self.port, dist, epmd = free_ports(3)
        (self.folder / "enabled_plugins").write_text("[].", encoding="utf-8")
        self.environment = {
            **os.environ,
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": f"nres{os.getpid()}@localhost",
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(dist),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "ERL_EPMD_PORT": str(epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        self.process = None

    def start(self):
        """Start, and wait until it answers."""
        # the script of the package changes the user; the one below it does not
        command = ["/usr/lib/rabbitmq/bin/rabbitmq-server"]
        with open(self.folder / "out", "ab") as out:
            self.process = subprocess.Popen(
                command, env=self.environment, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True
            )
        end = time.monotonic() + _START_S
        while True:
            try:
                with Connection(self.url("/"), connect_timeout=2) as link:
                    link.connect()
                return
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise RuntimeError((self.folder / "out").read_text(encoding="utf-8")[-2000:]) from None
                time.sleep(0.2)

    def kill(self, how=signal.SIGKILL):
        """Send a signal to the server; a dead one is waited for."""
        os.killpg(self.process.pid, how)
        if how == signal.SIGKILL:
            self.process.wait()
            # epmd left the group, and remembers the node for a moment
            time.sleep(0.2)

    def control(self, *words):
        """Run rabbitmqctl."""
        command = ["/usr/lib/rabbitmq/bin/rabbitmqctl", "--quiet", *words]
        subprocess.run(command, env=self.environment, check=True, capture_output=True, stdin=subprocess.DEVNULL)

    def url(self, vhost):
        """Return the URL of a virtual host."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{'' if vhost == '/' else vhost}"

    def create(self):
        """Make an empty virtual host and return its URL."""
        name = f"night{next(_numbers)}"
        self.control("add_vhost", name)
        self.control("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
        return self.url(name)

    def remove(self):
        """Stop it and its name server, and leave nothing behind."""
        self.kill()
        # epmd is a daemon of its own; it ends when it is asked on its own port
        subprocess.run(["epmd", "-kill"], env=self.environment, capture_output=True, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def rabbit():
    """A RabbitMQ server for the whole session."""
    server = Rabbit()
    try:
        server.start()
        yield server
    finally:
        server.remove()


class Influx:
    """An InfluxDB server."""

    def __init__(self):
        self.program = debian("influxd", "influxdb")
        self.folder = Path(tempfile.mkdtemp(prefix="influx-"))
        self.rpc, self.http, self.port = free_ports(3)
        text = CONFIGURATION.format(folder=self.folder, rpc=self.rpc, http=self.http, port=self.port)
        (self.folder / "conf").write_text(text, encoding="utf-8")
        self.process = None

    def start(self):
        """Start, and wait until it answers."""
        with open(self.folder / "out", "ab") as out:
            command = [self.program, "-config", self.folder / "conf"]
            self.process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while True:
            try:
                # the listener does not make its database
                self._ask("create database numbers", b"")
                return
            except OSError:
                assert time.monotonic() < end, (self.folder / "out").read_text(encoding="utf-8")[-2000:]
                time.sleep(0.1)

    def points(self, name):
        """Return the points of a name, each with its value and tags."""
        result = self._ask(f'select * from "{name}"')
        return [dict(zip(s["columns"], row)) for s in result.get("series", []) for row in s["values"]]

    def _ask(self, words, body=None):
        query = urllib.parse.urlencode({"db": "numbers", "q": words})
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/query?{query}", body, timeout=5) as answer:
            (result,) = json.load(answer)["results"]
        return result

    def remove(self):
        """Stop it and leave nothing behind."""
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def influx():
    """An InfluxDB server for the whole session."""
    server = Influx()
    try:
        server.start()
        yield server
    finally:
        server.remove()
