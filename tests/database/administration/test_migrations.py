"""The migrations and the tables describe the same database, and no row is lost on the way."""

import json
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from servers import with_tables
from sqlalchemy import event, inspect, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import sessionmaker

from nrespipe.database.administration import connection, integrity, migration_steps, schema
from nrespipe.database.states import Standing, State
from nrespipe.database.tables import Frame, Master, Row
from nrespipe.database.work import announcements

FIRST, *_, LAST = schema.known()
#: What a column holds in rows that are there to be counted.
SAMPLES = {sa.Integer: 1, sa.String: "x", sa.Float: 1.5, sa.Boolean: True, sa.JSON: []}
MOMENT = datetime(2019, 4, 6, tzinfo=UTC)


@pytest.fixture
def engine(database_url):
    made = connection.open_engine(database_url)
    yield made
    made.dispose()


def differences(engine):
    with engine.begin() as opened:
        return compare_metadata(MigrationContext.configure(opened), Row.metadata)


def described(engine):
    """Tell all that the database itself knows of its tables."""
    look = inspect(engine)
    facts = (look.get_pk_constraint, look.get_foreign_keys, look.get_unique_constraints, look.get_indexes)
    return {
        table: [
            {column["name"]: (str(column["type"]), column["nullable"], column["default"]) for column in columns},
            *(sorted(map(worded, told)) if isinstance(told := fact(table), list) else told for fact in facts),
        ]
        for table in look.get_table_names()
        for columns in [look.get_columns(table)]
    }


def worded(fact):
    """Tell a fact of a table in words; the condition of an index is one as well."""
    conditions = {name: str(value) for name, value in fact.get("dialect_options", {}).items()}
    return str({**fact, "dialect_options": conditions})


def fill(engine):
    """Put a row into every table that has none, whatever the revision; each refers to rows that are there."""
    reflected = sa.MetaData()
    with engine.begin() as opened:
        reflected.reflect(opened)
        for table in reflected.sorted_tables:
            if table.name not in ("alembic_version", "compatibility") and not count(opened, table):
                opened.execute(table.insert().values({column.name: sample(column) for column in table.columns}))


def sample(column):
    if isinstance(column.type, sa.DateTime):
        # SQLite forgets the zone in its description of a table
        return MOMENT if column.type.timezone else MOMENT.replace(tzinfo=None)
    return next(value for kind, value in SAMPLES.items() if isinstance(column.type, kind))


def count(opened, table):
    return opened.scalar(select(sa.func.count()).select_from(table))


def counts(engine):
    reflected = sa.MetaData()
    with engine.begin() as opened:
        reflected.reflect(opened)
        return {name: count(opened, table) for name, table in reflected.tables.items() if name != "compatibility"}


def migrated_one_by_one(engine, path, migrate):
    """Go along some revisions with a row in every table; after each step tell which tables have lost rows."""
    lost = {}
    for revision in path:
        fill(engine)
        before = counts(engine)
        migrate(engine, revision)
        after = counts(engine)
        lost |= {(revision, name): n for name, n in before.items() if name in after and after[name] != n}
    return lost


@pytest.mark.slow
def test_a_database_with_every_table_filled_goes_up_and_down_through_all_revisions_and_loses_no_row(engine):
    schema.upgrade(engine, FIRST)
    own = schema.known()
    assert migrated_one_by_one(engine, own[1:], schema.upgrade) == {}
    fill(engine)
    assert set(counts(engine).values()) == {1}
    assert migrated_one_by_one(engine, own[-2::-1], schema.downgrade) == {}
    # and at once, with all rows of the last one
    assert schema.upgrade(engine) == (FIRST, LAST)
    fill(engine)
    before = counts(engine)
    assert schema.downgrade(engine, FIRST) == (LAST, FIRST)
    assert counts(engine).items() <= before.items()
    schema.upgrade(engine)
    assert differences(engine) == []
    assert not any(integrity.defects(engine).values())


@pytest.mark.slow
def test_tables_that_are_made_at_once_are_those_that_all_migrations_make(database_url, tmp_path, request):
    made = with_tables(database_url).kw["bind"]
    is_file = made.dialect.name == "sqlite"
    url = f"sqlite:///{tmp_path}/other.sqlite" if is_file else request.getfixturevalue("postgres").create()
    migrated = connection.open_engine(url)
    schema.upgrade(migrated, FIRST)
    assert differences(migrated), "the comparison compares nothing"
    schema.upgrade(migrated)
    assert described(made) == described(migrated)
    assert differences(made) == []
    with made.connect() as first, migrated.connect() as second:
        assert schema.read(first) == schema.read(second) == (LAST, schema.oldest_program(LAST))


def test_the_revisions_are_known_without_alembic_in_the_order_of_their_names():
    scripts = ScriptDirectory(str(schema.MIGRATIONS))
    chain = [script.revision for script in scripts.walk_revisions()]
    assert schema.known() == chain[::-1]


def test_programs_that_start_at_once_on_an_empty_database_take_turns_at_making_the_tables(database_url):
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: with_tables(database_url), range(4)))
    assert differences(made[0].kw["bind"]) == []


def test_upgrades_that_begin_at_once_take_turns_and_all_come_to_an_end(database_url):
    first = connection.open_engine(database_url)
    schema.upgrade(first, FIRST)
    with ThreadPoolExecutor(3) as pool:
        ends = list(pool.map(lambda _: schema.upgrade(connection.open_engine(database_url)), range(3)))
    assert {after for _, after in ends} == {LAST}
    assert differences(first) == []


@pytest.mark.slow
def test_an_upgrade_that_is_cut_off_at_any_statement_goes_on_when_it_is_started_again(postgres, monkeypatch):
    monkeypatch.setattr(migration_steps, "BATCH", 1)
    done = 0
    for cut in range(1, 1000, 3):
        engine = connection.open_engine(postgres.create())
        schema.upgrade(engine, FIRST)
        with engine.begin() as opened:
            for number in range(3):
                opened.execute(text(a_frame(f"f{number}", "new")))
        seen = Counter()

        @event.listens_for(engine, "after_cursor_execute")
        def cut_off(_connection, _cursor, statement, *_, cut=cut, seen=seen):
            if not statement.lstrip().lower().startswith(("select", "set")):
                seen["changes"] += 1
                if seen["changes"] == cut:
                    raise KeyboardInterrupt

        with suppress(KeyboardInterrupt):
            schema.upgrade(engine, "0002")
            done = cut
        event.remove(engine, "after_cursor_execute", cut_off)
        schema.upgrade(engine, "0002")
        with engine.connect() as opened:
            assert opened.scalar(text("select count(*) from frames where state = 'queued' and next_try = created")) == 3
            names = {index["name"] for index in inspect(opened).get_indexes("frames")}
        assert {"ix_frames_next_try", "uq_frames_filename_version"} <= names
        assert not any(integrity.defects(engine)[name] for name in ("indices", "constraints"))
        engine.dispose()
        if done:
            break
    assert done > 10, "nothing was cut off"


@pytest.mark.slow
def test_the_velocities_of_an_earlier_program_get_the_key_of_their_star(engine):
    schema.upgrade(engine, "0014")
    names = ("HD 010700", "eps Eri", "")
    with engine.begin() as opened:
        opened.execute(text(a_frame("f", "done")))
        for fiber, name in enumerate(names):
            values = f"(1, {fiber}, '{name}', '', 0)"
            opened.execute(text(f"insert into velocities (frame_id, fiber, object, mask, quality) values {values}"))
    schema.upgrade(engine)
    with engine.begin() as opened:
        keys = list(opened.scalars(text("select object_key from velocities order by fiber")))
    assert keys == ["HD10700", "EPSERI", ""]


def test_a_column_that_a_later_program_adds_leaves_the_indices_of_parts_of_a_table(engine, later):
    later("with op.batch_alter_table('frames') as t: t.add_column(sa.Column('more', sa.Text()))", additive=True)
    indices = {index["name"]: worded(index) for index in inspect(engine).get_indexes("frames")}
    assert "next_try is not null" in indices["ix_frames_due"].lower()
    assert "owner <> ''" in indices["ix_frames_owner"]


@pytest.mark.slow
def test_an_index_that_was_left_invalid_is_found_and_built_again(postgres):
    engine = connection.open_engine(postgres.create())
    schema.upgrade(engine, FIRST)
    with engine.connect() as opened:
        opened = opened.execution_options(isolation_level="AUTOCOMMIT")
        for number in range(2):
            opened.execute(text(a_frame(f"f{number}", "done")))
        # two rows that are alike end the build, as a crash would
        with suppress(sa.exc.IntegrityError):
            opened.execute(text("create unique index concurrently ix_frames_next_try on frames (path)"))
    assert integrity.defects(engine)["indices"] == ["ix_frames_next_try is invalid: its build was interrupted"]
    schema.upgrade(engine)
    assert not any(integrity.defects(engine).values())


def test_a_migration_that_waits_for_a_reader_lets_others_pass_and_is_tried_again(postgres, monkeypatch):
    monkeypatch.setattr(schema, "LOCK_TIMEOUT_S", 0.2)
    monkeypatch.setattr(schema, "PAUSES_S", (0.1,) * 100)
    url = postgres.create()
    engine = connection.open_engine(url)
    schema.upgrade(engine, "0010")
    with ThreadPoolExecutor(1) as pool, connection.open_engine(url).connect() as reader:
        reader.execute(text("select count(*) from frames"))
        migration = pool.submit(schema.upgrade, engine)
        for _ in range(5):
            # behind a migration that waits without an end this would wait as well
            with engine.begin() as opened:
                opened.execute(text("set local lock_timeout = '20s'"))
                opened.execute(text("select count(*) from frames"))
        assert not migration.done()
        reader.rollback()
        assert migration.result(60) == ("0010", LAST)


def test_a_lock_that_is_never_had_ends_the_upgrade_and_changes_nothing(postgres, monkeypatch):
    monkeypatch.setattr(schema, "LOCK_TIMEOUT_S", 0.1)
    monkeypatch.setattr(schema, "PAUSES_S", (0.05,))
    url = postgres.create()
    engine = connection.open_engine(url)
    schema.upgrade(engine, "0010")
    with connection.open_engine(url).connect() as reader:
        reader.execute(text("select count(*) from frames"))
        with pytest.raises(OperationalError, match="lock timeout"):
            schema.upgrade(engine)
    with engine.connect() as opened:
        assert schema.read(opened).revision == "0010"


def test_a_migration_that_would_leave_orphans_is_undone_and_those_that_were_there_hinder_none(
    tmp_path, newer, monkeypatch
):
    engine = connection.open_engine(f"sqlite:///{tmp_path}/night.sqlite")
    schema.upgrade(engine, "0010")
    with engine.connect() as opened:
        opened.connection.dbapi_connection.execute("PRAGMA foreign_keys=OFF")
        opened.connection.dbapi_connection.execute("insert into master_inputs values (7, 8)")
    schema.upgrade(engine)
    fill(engine)
    newer("op.execute('delete from frames')", additive=True)
    with pytest.raises(schema.WrongRevision, match="1 of attempts to frames"):
        schema.upgrade(engine)
    with engine.connect() as opened:
        assert schema.read(opened).revision == LAST
        assert count(opened, Frame.__table__) == 1
        assert opened.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


@pytest.fixture
def newer(tmp_path, monkeypatch):
    """Return a function that makes this program a later one, with one more migration."""

    def become(does, additive):
        folder = tmp_path / "later"
        shutil.copytree(schema.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "versions/9999_later.py").write_text(
            f'revision = "9999"\ndown_revision = "{LAST}"\nadditive = {additive}\nfrom alembic import op\n'
            f"import sqlalchemy as sa\n\n\ndef upgrade():\n    {does}\n\n\ndef downgrade():\n    pass\n",
            encoding="utf-8",
        )
        monkeypatch.setattr(schema, "MIGRATIONS", folder)

    return become


@pytest.fixture
def later(engine, newer, monkeypatch):
    """Return a function that upgrades the database with a later program, and becomes the earlier one again."""

    def upgrade(does, additive):
        with_tables(engine.url.render_as_string(False)).kw["bind"].dispose()
        own = schema.MIGRATIONS
        newer(does, additive)
        assert schema.upgrade(engine) == (LAST, "9999")
        monkeypatch.setattr(schema, "MIGRATIONS", own)

    return upgrade


ADDS = "op.add_column('frames', sa.Column('more', sa.Text(), nullable=False, server_default=''))"


def test_a_program_works_with_the_tables_of_a_later_one_that_only_adds_to_them(engine, later):
    later(ADDS, additive=True)
    assert schema.require(engine) == "9999"
    assert schema.upgrade(engine) == ("9999", "9999")
    schema.prepare(engine)
    with sessionmaker(engine).begin() as session:
        session.add(Frame(filename="a", path="/a", md5="1"))
    with sessionmaker(engine).begin() as session:
        assert session.scalars(select(Frame)).one().state is State.QUEUED


def test_a_program_refuses_the_tables_of_a_later_one_that_change_what_it_knows(engine, later):
    later("op.drop_column('frames', 'body')", additive=False)
    for work in (schema.require, schema.prepare, schema.upgrade):
        with pytest.raises(schema.WrongRevision, match=f"revision 9999, for which this program, of revision {LAST}"):
            work(engine)
    with pytest.raises(schema.WrongRevision, match="only a later program"):
        schema.downgrade(engine, FIRST)


def test_what_a_later_program_says_of_another_revision_does_not_count(engine, later):
    later(ADDS, additive=True)
    with engine.begin() as opened:
        # somebody has put a revision there by hand
        opened.execute(text("update alembic_version set version_num = 'abcdef'"))
    with pytest.raises(schema.WrongRevision, match="abcdef"):
        schema.require(engine)


def test_an_older_database_is_refused_with_the_command_that_mends_it_and_is_not_changed(engine):
    schema.upgrade(engine, "0009")
    for work in (schema.require, schema.prepare):
        with pytest.raises(schema.WrongRevision, match=f"0009; this program needs {LAST}.*database upgrade"):
            work(engine)
    with engine.connect() as opened:
        assert schema.read(opened) == ("0009", "")


def test_a_database_of_another_program_is_refused_by_what_it_holds(engine):
    with engine.begin() as opened:
        opened.execute(text("create table frames (id integer primary key)"))
    for work in (schema.require, schema.prepare, schema.upgrade):
        with pytest.raises(schema.WrongRevision, match="a table frames and no revision"):
            work(engine)


def test_tables_of_others_beside_ours_hinder_nothing(engine):
    with engine.begin() as opened:
        opened.execute(text("create table spatial_ref_sys (id integer primary key)"))
    schema.prepare(engine)
    assert schema.require(engine) == LAST


def test_a_revision_that_does_not_exist_or_lies_the_other_way_is_refused(engine):
    schema.upgrade(engine, "0003")
    with pytest.raises(schema.WrongRevision, match="there is no revision 0815"):
        schema.upgrade(engine, "0815")
    with pytest.raises(schema.WrongRevision, match="to 0001 leads `nrespipe database downgrade`"):
        schema.upgrade(engine, FIRST)
    with pytest.raises(schema.WrongRevision, match="to 0004 leads `nrespipe database upgrade`"):
        schema.downgrade(engine, "0004")


def test_what_only_adds_to_the_tables_says_so_in_every_migration_since_there_is_a_place_for_it():
    for revision, path in schema._files().items():
        lines = path.read_text(encoding="utf-8").splitlines()
        assert revision < "0011" or {"additive = True", "additive = False"} & set(lines), path.name


def test_a_database_in_a_directory_with_a_percent_sign_is_opened(tmp_path):
    (tmp_path / "100%s?#").mkdir()
    url = sa.URL.create("sqlite", database=f"{tmp_path}/100%s?#/night.sqlite")
    schema.upgrade(connection.open_engine(url), FIRST)
    schema.upgrade(connection.open_engine(url))
    with connection.connect_to_read(url)() as session:
        assert "frames" in inspect(session.connection()).get_table_names()


def a_frame(name, state):
    """Statement that adds a frame to the tables of the first revision."""
    row = {"filename": name, "path": "/a", "md5": name, "version": 1, "tries": 1, "quality": 0, "state": state}
    row |= {"created": "2019-04-06 00:00:00", "updated": "2019-04-06 00:00:00"}
    row |= dict.fromkeys(("site", "instrument", "camera", "day", "binning", "objects", "reason", "code_version"), "")
    return f"insert into frames ({', '.join(row)}) values ({', '.join(repr(str(value)) for value in row.values())})"


def test_what_the_first_revision_knew_is_kept_and_what_was_unfinished_is_due(engine):
    schema.upgrade(engine, FIRST)
    states = ("new", "waiting", "retry", "done", "bad")
    with engine.begin() as opened:
        for state in states:
            opened.execute(text(a_frame(state, state)))
    schema.upgrade(engine)
    with sessionmaker(engine).begin() as session:
        rows = {frame.filename: frame for frame in session.scalars(select(Frame))}
        assert {name: frame.state for name, frame in rows.items()} == {
            name: State(name.replace("new", "queued")) for name in states
        }
        assert {name for name, frame in rows.items() if frame.next_try} == {"new", "waiting", "retry"}


@pytest.mark.parametrize("batch", [1, 5000])
def test_masters_that_were_held_are_used_and_need_review(engine, monkeypatch, batch):
    monkeypatch.setattr(migration_steps, "BATCH", batch)
    schema.upgrade(engine, "0009")
    finding = {"name": "level_adu", "value": 9.0, "usual": 1.0, "worst": 5.0, "verdict": "held"}
    words = ("kind", "site", "instrument", "camera", "binning", "day", "fibers", "path", "md5", "reason", "traceback")
    columns = {**dict.fromkeys(words, ""), "kind": "bias", "n_inputs": 1, "quality": 0, "code_version": "0"}
    with engine.begin() as opened:
        for standing, findings in (("held", [finding]), ("bad", None), ("current", [])):
            names = [*columns, "standing", "findings", "created"]
            opened.execute(
                text(f"insert into masters ({', '.join(names)}) values ({', '.join(':' + name for name in names)})"),
                {**columns, "standing": standing, "findings": json.dumps(findings), "created": MOMENT},
            )
    schema.upgrade(engine)
    with sessionmaker(engine).begin() as session:
        rows = session.scalars(select(Master).order_by(Master.id)).all()
        assert [row.standing for row in rows] == [Standing.REVIEW, Standing.REJECTED, Standing.CURRENT]
        assert [row.findings for row in rows] == [[{**finding, "verdict": "needs review"}], None, []]
        assert not any(row.outdated for row in rows)


def test_rows_that_nobody_has_read_are_announcements_and_what_they_hid_is_back(database_url):
    engine = connection.open_engine(database_url)
    schema.upgrade(engine, "0010")
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
    schema.upgrade(engine)
    with sessionmaker(engine).begin() as session:
        found = session.scalars(select(Frame).order_by(Frame.id)).all()
        assert [(frame.md5, frame.version) for frame in found] == [
            ("1", 1), (None, None), ("1", 1), ("2", None), ("1", 1), ("2", 2),
        ]  # fmt: skip
        assert [(frame.state, frame.next_try is not None) for frame in (found[2], found[4])] == [
            (State.QUEUED, True), (State.SKIPPED, False),
        ]  # fmt: skip
        announcements.announce(session, "a", "/elsewhere")
    schema.downgrade(engine, "0010")
    with engine.begin() as opened:
        left = opened.execute(text("select filename, md5, version, path from frames order by filename, version")).all()
    assert [tuple(row) for row in left] == [
        ("a", "1", 1, ""), ("a", "", 2, "/elsewhere"), ("b", "1", 1, ""), ("b", "2", 2, ""), ("c", "1", 1, ""),
        ("c", "2", 2, ""),
    ]  # fmt: skip
