"""The migrations and the tables describe the same database."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select
from sqlalchemy.orm import sessionmaker

from nrespipe.database import (
    connection,
    reprocessings,  # noqa: F401
)
from nrespipe.database.columns import State
from nrespipe.database.tables import Frame, Row


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
