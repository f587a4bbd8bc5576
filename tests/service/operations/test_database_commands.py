"""What reads writes nothing, what writes does not migrate, and a person upgrades, checks and copies a database."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner
from sqlalchemy import event, select, text
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import DBAPIError

from nrespipe import cli
from nrespipe.database.administration import connection, opening, schema
from nrespipe.database.tables import Frame
from nrespipe.service import assembly
from nrespipe.service.batch import night
from nrespipe.service.operations import database_commands
from nrespipe.settings import Settings

FLAT = "flat_lsc_nres01_fa09_20190405"
STAR = "lscnrs01-fa09-20190405-0009-e00"
NIGHT = ["--site", "lsc", "--day", "20190405"]
NIGHTS = ["--site", "lsc", "--from", "20190405", "--to", "20190405"]
#: Words with which each command that only reads succeeds; HERE is a directory for what it draws or copies.
READING = {
    "database backup": ["HERE/copy"],
    "database check": [],
    "doctor": [],
    "drifts": [],
    "export": ["velocities"],
    "masters compare": [FLAT],
    "masters list": [],
    "masters plot": [FLAT, "-o", "HERE/flat.png"],
    "masters region": [FLAT, "-o", "HERE/flat.reg"],
    "masters show": [FLAT],
    "plot": [STAR, "-o", "HERE/star.png"],
    "status": [],
    "summary": NIGHT,
    "template list": [],
    "velocities": ["STAR A"],
    "why": [STAR],
    "zeropoints list": [],
}
#: Those of the commands that write into tables which are there, or into an empty database; RAW holds raw frames.
WRITING = {
    "listen": [],
    "masters bad": [FLAT, "--why", "a test"],
    "masters good": [FLAT, "--why", "a test"],
    "night": ["RAW"],
    "reconcile": ["--raw", "RAW", *NIGHT],
    "reduce": ["RAW/lsc/nres01/20190405/raw/lscnrs01-fa09-20190405-0001-b00.fits"],
    "reprocess": NIGHTS,
    "requeue": ["--state", "failed"],
    "run": [],
    "schedule": ["--once"],
    "site start": ["RAW", "--site", "lsc"],
    "submit": ["RAW/lsc/nres01/20190405/raw/lscnrs01-fa09-20190405-0001-b00.fits"],
    "template build": ["--target", "STAR A", "--site", "lsc"],
    "work": [],
    "zeropoints make": [],
}
#: Those that open no database, or one of their own, or are there to change the tables.
OTHERS = {
    "compile", "database downgrade", "database upgrade", "demo", "simulate night", "targets check", "targets deploy",
}  # fmt: skip


def commands(group, path=()):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name))


def test_of_every_command_it_is_known_whether_it_writes():
    assert sorted([*READING, *WRITING, *OTHERS]) == sorted(commands(cli.main))


@pytest.fixture
def anywhere(archive, tmp_path, build, database_url, monkeypatch):
    """A night in a database of either engine, and the environment that leads to it."""
    for name in ("NRES_RAW_ROOT", "OPENTSDB_HOSTNAME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("BROKER_URL", "FITS_BROKER"):
        # nobody is there: a program that went on would say so
        monkeypatch.setenv(name, "memory://localhost/")
    monkeypatch.setenv("DB_URL", database_url)
    monkeypatch.setenv("NRES_DATA_ROOT", str(tmp_path / "out"))
    archive.calibrations()
    archive.add("e", "STAR A&thar&none")
    fakes = __import__("fake_recipes")
    made = assembly.build(
        tmp_path / "out",
        Settings(processes=0, database_url=database_url),
        fakes.RECIPES,
        fakes.spectrograph,
        fakes.judge,
    )
    night.reduce_all(made, archive.root)
    yield made
    made.sessions.kw["bind"].dispose()


@pytest.fixture
def invoke(archive, tmp_path):
    """Run a command with its words."""
    places = {"HERE": str(tmp_path), "RAW": str(archive.root)}

    def run(name, words=()):
        for place, path in places.items():
            words = [word.replace(place, path) for word in words]
        return CliRunner().invoke(cli.main, [*name.split(), *words])

    return run


def fingerprint(engine):
    """Tell all that is in a database, the definitions of an SQLite file among it."""
    if engine.dialect.name == "sqlite":
        with closing(sqlite3.connect(engine.url.database)) as opened:
            return list(opened.iterdump())
    with engine.connect() as opened:
        tables = opened.scalars(text("select relname from pg_class where relkind = 'r' and relname !~ '^(pg|sql)_'"))
        count = "select coalesce(md5(string_agg(t::text, ',' order by t::text)), '') from {} t"
        return {name: opened.scalar(text(count.format(name))) for name in tables.all()}


@pytest.mark.slow
def test_no_command_that_reads_writes_or_waits_for_one_that_writes(anywhere, invoke, monkeypatch):
    engine, statements = anywhere.sessions.kw["bind"], []
    if engine.dialect.name == "postgresql":
        monkeypatch.setenv("DB_URL", reader_of(engine))
    monkeypatch.setattr(connection, "_BUSY_TIMEOUT_MS", 100)

    def listen(opened, _record):
        if isinstance(opened, sqlite3.Connection):
            opened.set_trace_callback(statements.append)

    event.listen(Engine, "connect", listen)
    try:
        # a program that writes, and does not come to an end
        with anywhere.sessions() as writer:
            writer.add(Frame(filename="busy", path="/a", md5="1"))
            writer.flush()
            before = fingerprint(engine)
            for name, words in READING.items():
                result = invoke(name, words)
                assert result.exit_code == 0, f"{name}: {result.output}"
                assert fingerprint(engine) == before, name
    finally:
        event.remove(Engine, "connect", listen)
    begun = {statement.split()[0].upper() for statement in statements}
    assert begun <= {"SELECT", "PRAGMA", "BEGIN", "COMMIT", "ROLLBACK"}
    assert "BEGIN IMMEDIATE" not in statements
    if engine.dialect.name == "sqlite":
        assert "SELECT" in begun, "nothing was heard of"


def reader_of(engine):
    """Make a user who may read and nothing else; return the URL of the database for this user."""
    with engine.begin() as opened:
        opened.execute(text("do $$ begin create role reader login; exception when duplicate_object then end $$"))
        opened.execute(text("grant select on all tables in schema public to reader"))
        opened.execute(text("grant select on all sequences in schema public to reader"))
    return engine.url.set(username="reader").render_as_string(False)


@pytest.mark.slow
def test_no_command_but_the_upgrade_migrates_and_each_tells_of_it(anywhere, invoke, monkeypatch):
    engine = anywhere.sessions.kw["bind"]
    schema.downgrade(engine, "0010")
    before = fingerprint(engine)
    monkeypatch.setenv("BROKER_URL", "amqp://127.0.0.1:1/")
    monkeypatch.setenv("FITS_BROKER", "amqp://127.0.0.1:1/")
    for name, words in (READING | WRITING).items():
        if name != "database backup":
            result = invoke(name, words)
            assert result.exit_code == 1, f"{name}: {result.output}"
            assert "the database has revision 0010; this program needs" in result.output, name
            assert "run `nrespipe database upgrade`" in result.output, name
            assert fingerprint(engine) == before, name
    result = invoke("database upgrade")
    assert (result.exit_code, result.output.split()[:4]) == (0, ["revision", "0010", "->", schema.known()[-1]])
    assert invoke("status").exit_code == 0
    assert invoke("database upgrade").output.strip() == f"revision {schema.known()[-1]}: nothing to do"


@pytest.fixture
def empty(tmp_path, database_url, monkeypatch):
    """A database of either engine with tables and no rows, and the environment that leads to it."""
    monkeypatch.setenv("DB_URL", database_url)
    monkeypatch.setenv("NRES_DATA_ROOT", str(tmp_path / "out"))
    made = assembly.build(tmp_path / "out", Settings(processes=0, database_url=database_url))
    yield made
    made.sessions.kw["bind"].dispose()


def test_a_session_that_reads_cannot_write_and_the_connections_serve_both(empty):
    for _ in range(2):
        with pytest.raises(DBAPIError, match=r"read-?only"), empty.readers.begin() as session:
            session.add(Frame(filename="a", path="/a", md5="1"))
        with empty.sessions.begin() as session:
            session.add(Frame(filename="b", path="/a", md5="2"))
            session.flush()
            session.rollback()


def test_a_command_that_reads_makes_no_database_where_there_is_none(tmp_path, monkeypatch, invoke):
    monkeypatch.setenv("NRES_DATA_ROOT", str(tmp_path / "out"))
    for url in ("", f"sqlite:///{tmp_path}/other.sqlite"):
        monkeypatch.setenv("DB_URL", url)
        for name, words in READING.items():
            result = invoke(name, words)
            if name == "doctor":
                assert "the first program that writes makes it" in result.output
            else:
                assert result.exit_code == 1, name
                assert "no database" in result.output, f"{name}: {result.output}"
    assert not list(tmp_path.rglob("*.sqlite*"))


def test_the_doctor_tells_of_an_empty_database_and_makes_no_tables(tmp_path, monkeypatch, invoke, database_url):
    engine = connection.open_engine(database_url)
    engine.connect().close()
    monkeypatch.setenv("NRES_DATA_ROOT", str(tmp_path))
    monkeypatch.setenv("DB_URL", database_url)
    result = invoke("doctor")
    assert result.exit_code == 1
    assert "the database has no tables yet" in result.output
    with engine.connect() as opened:
        assert schema.read(opened).revision == ""
    engine.dispose()


def test_a_program_that_writes_makes_the_tables_of_an_empty_database(tmp_path, database_url):
    made = assembly.build(tmp_path / "out", Settings(database_url=database_url))
    assert schema.require(made.sessions.kw["bind"]) == schema.known()[-1]
    made.sessions.kw["bind"].dispose()


def test_an_upgrade_keeps_a_copy_of_an_sqlite_file_and_one_that_fails_keeps_none(tmp_path, monkeypatch):
    given = Settings()
    path = tmp_path / "nrespipe.sqlite"
    engine = connection.open_engine(f"sqlite:///{path}")
    schema.upgrade(engine, "0009")

    def fail(*_):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(schema, "upgrade", fail)
        with pytest.raises(OSError, match="no space"):
            database_commands.upgrade(tmp_path, given)
    assert [found.name for found in tmp_path.glob("*0009*")] == []
    assert database_commands.upgrade(tmp_path, given)[1].endswith("nrespipe-0009.sqlite")
    with connection.connect_to_read(f"sqlite:///{tmp_path}/nrespipe-0009.sqlite")() as session:
        assert schema.read(session.connection()).revision == "0009"
    database_commands.downgrade(tmp_path, given, "0009")
    assert database_commands.upgrade(tmp_path, given)[1].endswith("nrespipe-0009-1.sqlite")


def test_a_database_that_is_away_is_waited_for_as_long_as_was_asked(tmp_path, postgres, monkeypatch, invoke):
    monkeypatch.setenv("NRES_DATA_ROOT", str(tmp_path))
    url = make_url(postgres.create())
    monkeypatch.setenv("DB_URL", url.set(database="nobody").render_as_string(False))
    assert "does not exist" in invoke("database upgrade").output
    pauses = []

    def come_back(seconds):
        pauses.append(seconds)
        monkeypatch.setattr(opening, "url", lambda *_: url)
        with connection.open_engine(url).connect() as opened:
            opened.execution_options(isolation_level="AUTOCOMMIT").execute(text("create database nobody"))

    # of this module alone: threads of other tests sleep as well
    monkeypatch.setattr(
        database_commands, "time", SimpleNamespace(sleep=come_back, monotonic=database_commands.time.monotonic)
    )
    result = invoke("database upgrade", ["--wait", "60"])
    assert (result.exit_code, len(pauses)) == (0, 1), result.output


def test_a_copy_holds_all_rows_while_others_write_and_appears_only_when_it_is_whole(empty, invoke, tmp_path):
    engine = empty.sessions.kw["bind"]
    with empty.sessions.begin() as session:
        session.add_all(Frame(filename=name, path="/a", md5=name) for name in "abc")
    with empty.sessions() as writer:
        writer.add(Frame(filename="busy", path="/a", md5="1"))
        writer.flush()
        result = invoke("database backup", ["HERE/copy"])
    assert (result.exit_code, result.output.strip()) == (0, f"{tmp_path}/copy")
    assert os.stat(tmp_path / "copy").st_mode & 0o077 == 0
    again = invoke("database backup", ["HERE/copy"])
    assert (again.exit_code, "is there already" in again.output) == (1, True)
    assert not list(tmp_path.glob(".*partial*"))
    if engine.dialect.name == "sqlite":
        with connection.connect_to_read(f"sqlite:///{tmp_path}/copy").begin() as session:
            assert session.scalars(select(Frame.filename).order_by(Frame.filename)).all() == ["a", "b", "c"]
        assert not list(tmp_path.glob("copy-*"))


def test_a_copy_that_cannot_be_made_says_why_and_leaves_nothing(tmp_path, monkeypatch, invoke, empty):
    engine = empty.sessions.kw["bind"]
    monkeypatch.setenv("DB_URL", engine.url.set(password="secret").render_as_string(False))
    assert "No such file or directory" in invoke("database backup", ["HERE/nowhere/copy"]).output
    if engine.dialect.name == "postgresql":
        program = tmp_path / "bin/pg_dump"
        program.parent.mkdir()
        program.write_text('#!/bin/sh\necho "$@" >"$0.words"\necho "cannot: $PGPASSWORD" >&2\nexit 3\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        result = invoke("database backup", ["HERE/copy"])
        assert (result.exit_code, "pg_dump: cannot: secret" in result.output) == (1, True)
        words = Path(f"{program}.words").read_text()
        assert "--dbname=" in words
        assert "secret" not in words
        monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
        assert "pg_dump is not on the PATH" in invoke("database backup", ["HERE/copy"]).output
    assert not (tmp_path / "copy").exists()
    assert not list(tmp_path.glob(".copy*"))


def test_a_check_tells_of_what_is_wrong(empty, invoke):
    engine = empty.sessions.kw["bind"]
    result = invoke("database check")
    assert (result.exit_code, {line.split()[-1] for line in result.output.splitlines()[1:]}) == (0, {"ok"})
    with engine.begin() as opened:
        opened.execute(text("drop index ix_frames_due"))
    if engine.dialect.name == "sqlite":
        with closing(sqlite3.connect(engine.url.database)) as opened, opened:
            opened.execute("insert into master_inputs values (7, 8)")
    result = invoke("database check")
    assert result.exit_code == 1
    assert "ix_frames_due" in result.output
    if engine.dialect.name == "sqlite":
        assert "1 rows of master_inputs refer to rows of masters that are not there" in result.output
