"""Servers of our own for the tests: private, on no fixed port, and gone afterwards."""

import fcntl
import os
import pwd
import shutil
import subprocess
import tempfile
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.engine import URL

from nrespipe.database.administration import connection, schema

_numbers = count()


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
