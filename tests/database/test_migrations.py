"""The migrations and the tables describe the same database."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from nrespipe.database import connection
from nrespipe.database.tables import Row


def differences(engine):
    with engine.begin() as opened:
        return compare_metadata(MigrationContext.configure(opened), Row.metadata)


def test_the_newest_revision_holds_exactly_the_tables_of_the_program(tmp_path):
    engine = connection.open_engine(f"sqlite:///{tmp_path}/night.sqlite")
    assert differences(engine), "an empty database must differ, or the comparison compares nothing"
    connection.upgrade(engine)
    assert differences(engine) == []


def test_upgrading_twice_changes_nothing(tmp_path):
    engine = connection.open_engine(f"sqlite:///{tmp_path}/night.sqlite")
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
