"""The migrations and the tables describe the same database."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.resources import as_file, files

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select, text
from sqlalchemy.orm import sessionmaker

from nrespipe.database import (
    connection,
    frames,
    reprocessings,  # noqa: F401
)
from nrespipe.database.columns import Standing, State
from nrespipe.database.tables import Frame, Master, Row


def differences(engine):
    with engine.begin() as opened:
        return compare_metadata(MigrationContext.configure(opened), Row.metadata)


def test_the_newest_revision_holds_exactly_the_tables_of_the_program(database_url):
    engine = connection.open_engine(database_url)
    assert differences(engine), "an empty database must differ, or the comparison compares nothing"
    connection.upgrade(engine)
    assert differences(engine) == []


def test_programs_that_start_at_once_on_an_empty_database_take_turns_at_making_the_tables(database_url):
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: connection.connect(database_url), range(4)))
    with made[0].begin() as session:
        assert differences(session.get_bind()) == []


@pytest.mark.slow
def test_upgrading_twice_changes_nothing(database_url):
    engine = connection.open_engine(database_url)
    connection.upgrade(engine)
    connection.upgrade(engine)
    assert differences(engine) == []


def test_a_database_in_a_directory_with_a_percent_sign_is_opened(tmp_path):
    (tmp_path / "100%s").mkdir()
    sessions = connection.connect(f"sqlite:///{tmp_path}/100%s/night.sqlite")
    with sessions() as session:
        assert "frames" in inspect(session.connection()).get_table_names()


def test_sqlite_waits_for_its_turn_and_keeps_foreign_keys(tmp_path):
    engine = connection.open_engine(f"sqlite:///{tmp_path}/night.sqlite")
    with engine.connect() as opened:
        pragmas = {
            name: opened.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "busy_timeout", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "busy_timeout": 30_000, "foreign_keys": 1}


def test_what_the_first_revision_knew_is_kept_and_what_was_unfinished_is_due(database_url):
    engine = connection.open_engine(database_url)
    connection.upgrade(engine, "0001")
    states = ("new", "waiting", "retry", "done", "bad")
    with engine.begin() as opened:
        moment = {"created": "2019-04-06 00:00:00", "updated": "2019-04-06 00:00:00"}
        blank = dict.fromkeys(
            ("site", "instrument", "camera", "day", "binning", "objects", "reason", "code_version"), ""
        )
        for number, state in enumerate(states):
            row = {"filename": state, "path": "/a", "md5": str(number), "version": 1, "tries": 1, "quality": 0}
            names = ", ".join({**row, **blank, **moment, "state": state})
            values = ", ".join(f"'{value}'" for value in {**row, **blank, **moment, "state": state}.values())
            opened.exec_driver_sql(f"insert into frames ({names}) values ({values})")
    connection.upgrade(engine)
    with sessionmaker(engine).begin() as session:
        rows = {frame.filename: frame for frame in session.scalars(select(Frame))}
        assert {name: frame.state for name, frame in rows.items()} == {
            name: State(name.replace("new", "queued")) for name in states
        }
        assert {name for name, frame in rows.items() if frame.next_try} == {"new", "waiting", "retry"}


def test_masters_that_were_held_are_used_and_need_review(database_url):
    engine = connection.open_engine(database_url)
    connection.upgrade(engine, "0009")
    finding = {"name": "level_adu", "value": 9.0, "usual": 1.0, "worst": 5.0, "verdict": "held"}
    words = ("kind", "site", "instrument", "camera", "binning", "day", "fibers", "path", "md5", "reason", "traceback")
    columns = {**dict.fromkeys(words, ""), "kind": "bias", "n_inputs": 1, "quality": 0, "code_version": "0"}
    moment = datetime(2019, 4, 6, tzinfo=UTC)
    with engine.begin() as opened:
        for standing, findings in (("held", [finding]), ("bad", None), ("current", [])):
            names = [*columns, "standing", "findings", "created"]
            opened.execute(
                text(f"insert into masters ({', '.join(names)}) values ({', '.join(':' + name for name in names)})"),
                {**columns, "standing": standing, "findings": json.dumps(findings), "created": moment},
            )
    connection.upgrade(engine)
    with sessionmaker(engine).begin() as session:
        rows = session.scalars(select(Master).order_by(Master.id)).all()
        assert [row.standing for row in rows] == [Standing.REVIEW, Standing.REJECTED, Standing.CURRENT]
        assert [row.findings for row in rows] == [[{**finding, "verdict": "needs review"}], None, []]
        assert not any(row.outdated for row in rows)


def test_rows_that_nobody_has_read_are_announcements_and_what_they_hid_is_back(database_url):
    engine = connection.open_engine(database_url)
    connection.upgrade(engine, "0010")
    words = ("site", "instrument", "camera", "day", "binning", "objects", "reason", "code_version", "path")
    moment = datetime(2019, 4, 6, tzinfo=UTC)
    blank = {**dict.fromkeys(words, ""), "tries": 1, "quality": 0, "created": moment, "updated": moment}
    rows = [
        {"filename": "a", "md5": "1", "version": 1, "state": "done", "start_mjd": 58579.0},
        {"filename": "a", "md5": "", "version": 2, "state": "retry"},
        {"filename": "b", "md5": "1", "version": 1, "state": "skipped", "reason": "replaced by version 2 of the file"},
        {"filename": "b", "md5": "2", "version": 2, "state": "queued", "archive_id": 17},
        {"filename": "c", "md5": "1", "version": 1, "state": "skipped", "reason": "replaced by version 2 of the file"},
        {"filename": "c", "md5": "2", "version": 2, "state": "bad"},
    ]
    with engine.begin() as opened:
        for row in rows:
            row = {**blank, **row}
            names = ", ".join(row)
            values = ", ".join(f":{name}" for name in row)
            opened.execute(text(f"insert into frames ({names}) values ({values})"), row)
    connection.upgrade(engine)
    with sessionmaker(engine).begin() as session:
        found = session.scalars(select(Frame).order_by(Frame.id)).all()
        assert [(frame.md5, frame.version) for frame in found] == [
            ("1", 1), (None, None), ("1", 1), ("2", None), ("1", 1), ("2", 2),
        ]  # fmt: skip
        assert [(frame.state, frame.next_try is not None) for frame in (found[2], found[4])] == [
            (State.QUEUED, True), (State.SKIPPED, False),
        ]  # fmt: skip
        frames.announce(session, "a", "/elsewhere")
    with as_file(files("nrespipe.database") / "migrations") as folder, engine.begin() as opened:
        config = Config()
        config.set_main_option("script_location", str(folder))
        config.attributes["connection"] = opened
        command.downgrade(config, "0010")
    with engine.begin() as opened:
        left = opened.execute(text("select filename, md5, version, path from frames order by filename, version")).all()
    assert [tuple(row) for row in left] == [
        ("a", "1", 1, ""), ("a", "", 2, "/elsewhere"), ("b", "1", 1, ""), ("b", "2", 2, ""), ("c", "1", 1, ""),
        ("c", "2", 2, ""),
    ]  # fmt: skip
