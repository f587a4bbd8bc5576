"""The schema of the database: its revision, the one that this program needs, upgrades and downgrades."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from typing import NamedTuple

import structlog
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    delete,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError

from nrespipe.database.administration.connection import sqlite_driver
from nrespipe.database.tables import Compatibility, Row

_log = structlog.get_logger(__name__)

#: Where the migrations are.
MIGRATIONS = files("nrespipe.database") / "migrations"
#: A migration waits for a lock of PostgreSQL no longer than this, because all later statements wait behind it; then it
#: lets them go first, and is tried again after these pauses [second].
LOCK_TIMEOUT_S = 5.0
PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 30.0, 30.0, 30.0, 30.0)
#: How often to look whether another process has finished its upgrade [second].
_POLL_S = 0.25
#: Any number that no other program locks: two processes must not change the tables at once.
_UPGRADE_LOCK = 522_118_067
#: Errors of PostgreSQL that a later try may not meet: a lock that was not had in time, a deadlock.
_TRANSIENT = ("55P03", "40P01")
# as Alembic makes it
_ALEMBIC = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32)),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
_HINT = "run `nrespipe database upgrade`, with the same --output and --database"


class WrongRevision(Exception):
    """The tables of the database are not those that this program works with; the message says what to do."""


class Found(NamedTuple):
    """Revision of the tables of a database.

    Attributes
    ----------
    revision
        '' where there are no tables.
    oldest
        Revision of the oldest program that can work with them; '' where unknown.
    """

    revision: str
    oldest: str


def known() -> list[str]:
    """Return the revisions that this program knows.

    Returns
    -------
    list of str
        The oldest first; the last one is that which it needs. From the names of the files: Alembic takes a tenth of a
        second to load, and most commands need no more.
    """
    return list(_files())


def _files() -> dict[str, Traversable]:
    """Return the file of each migration by its revision, the oldest first."""
    found = {
        path.name.partition("_")[0]: path for path in (MIGRATIONS / "versions").iterdir() if path.name.endswith(".py")
    }
    return dict(sorted(found.items()))


def oldest_program(revision: str) -> str:
    """Return the oldest program that can work with the tables of a revision.

    Parameters
    ----------
    revision
        One of `known`.

    Returns
    -------
    str
        Its revision: that of the last migration that did more than add to the tables. A migration that only
        adds has a line ``additive = True``.
    """
    files_of = _files()
    until = list(files_of).index(revision) + 1
    for one, path in reversed(list(files_of.items())[:until]):
        if "\nadditive = True\n" not in path.read_text(encoding="utf-8"):
            return one
    return next(iter(files_of))


def note(connection: Connection, revision: str) -> None:
    """Record in the database which programs can work with its tables.

    Parameters
    ----------
    connection
        To the database; the caller commits.
    revision
        That the tables have now. Those before 0014 have no place for it.
    """
    if inspect(connection).has_table(Compatibility.__tablename__):
        connection.execute(delete(Compatibility))
        connection.execute(insert(Compatibility).values(revision=revision, oldest_program=oldest_program(revision)))


def read(connection: Connection) -> Found:
    """Return the revision of the tables of a database.

    Raises
    ------
    WrongRevision
        If there are tables, and no single revision.
    """
    names = set(inspect(connection).get_table_names())
    revisions: list[str] = []
    if _ALEMBIC.name in names:
        revisions += connection.scalars(select(_ALEMBIC.c.version_num))
    ours = sorted(names & set(Row.metadata.tables))
    if len(revisions) > 1 or (ours and not revisions):
        tables = f"the revisions {', '.join(sorted(revisions))}" if revisions else f"a table {ours[0]} and no revision"
        raise WrongRevision(f"the database has {tables}; expected one revision: this is not a database of nrespipe")
    if not revisions:
        return Found("", "")
    oldest: list[str] = []
    if Compatibility.__tablename__ in names:
        query = select(Compatibility.oldest_program).where(Compatibility.revision == revisions[0])
        oldest += connection.scalars(query)
    return Found(revisions[0], oldest[0] if oldest else "")


def require(engine: Engine) -> str:
    """Check that this program can work with the tables of a database; nothing is changed.

    Returns
    -------
    str
        Its revision. It is a later one than this program knows where all later migrations only add to the tables.

    Raises
    ------
    WrongRevision
        If it cannot.
    """
    with engine.connect() as connection:
        return require_of(connection)


def require_of(connection: Connection) -> str:
    """Check that this program can work with the tables at the end of a connection, as `require` does.

    Returns
    -------
    str
        Its revision.

    Raises
    ------
    WrongRevision
        If it cannot.
    """
    return _require(read(connection))


def _require(found: Found) -> str:
    own = known()
    if found.revision == own[-1]:
        return found.revision
    if not found.revision:
        raise WrongRevision(f"the database has no tables yet; expected revision {own[-1]}: {_HINT}")
    if found.revision in own:
        raise WrongRevision(f"the database has revision {found.revision}; this program needs {own[-1]}: {_HINT}")
    if found.oldest in own:
        return found.revision
    least = f"one of revision {found.oldest} or later" if found.oldest else "a later one"
    raise WrongRevision(
        f"the database has revision {found.revision}, for which this program, of revision {own[-1]}, is too old; "
        f"expected {least}: install the later version, or take the tables back with it by "
        f"`nrespipe database downgrade --to {own[-1]}`"
    )


def prepare(engine: Engine) -> None:
    """Create the tables of a database that is empty, and check those of any other.

    Raises
    ------
    WrongRevision
        As `require` does.
    """
    with engine.connect() as connection:
        found = read(connection)
    if found.revision:
        _require(found)
    else:
        create(engine)


def create(engine: Engine) -> None:
    """Create the tables of an empty database; of several processes at once the first one does.

    Parameters
    ----------
    engine
        The database; where there are tables already nothing is changed.
    """
    with _alone(engine) as connection, connection.begin():
        if not read(connection).revision:
            _create(connection)


def _create(connection: Connection) -> None:
    # all migrations come to the same end and take ten times as long; the tests compare the two
    Row.metadata.create_all(connection)
    _ALEMBIC.create(connection, checkfirst=True)
    connection.execute(_ALEMBIC.insert().values(version_num=known()[-1]))
    note(connection, known()[-1])


def upgrade(engine: Engine, revision: str = "") -> tuple[str, str]:
    """Bring the tables to a revision: create them in an empty database, migrate those of any other.

    Parameters
    ----------
    revision
        Of the migrations; the newest if not given.

    Returns
    -------
    before, after : str
        Revisions; '' for an empty database. Tables of a later program that this one can work with stay as they are.

    Raises
    ------
    WrongRevision
        If this program does not know the revision of the database, or the one that is asked for, or if rows would refer
        to rows that are not there. Then nothing was changed.

    Notes
    -----
    On SQLite all migrations are one transaction. On PostgreSQL each is one, or several that can be done again: an
    upgrade that was interrupted goes on where it was.
    """
    return _migrate(engine, revision or known()[-1], is_upgrade=True)


def downgrade(engine: Engine, revision: str) -> tuple[str, str]:
    """Take the tables back to an earlier revision; values without a column there are lost.

    Returns
    -------
    before, after : str
        Revisions.

    Raises
    ------
    WrongRevision
        As `upgrade` does.
    """
    return _migrate(engine, revision, is_upgrade=False)


def _migrate(engine: Engine, revision: str, is_upgrade: bool) -> tuple[str, str]:
    if revision not in known():
        raise WrongRevision(f"there is no revision {revision}; known: {', '.join(known())}")
    pauses = list(PAUSES_S)
    while True:
        try:
            with _alone(engine) as connection:
                return _try(connection, revision, is_upgrade)
        except DBAPIError as error:
            if not pauses or getattr(error.orig, "sqlstate", None) not in _TRANSIENT:
                raise
            pause_s = pauses.pop(0)
            _log.warning("the migration lets others go first", reason=_first_line(error.orig), pause_s=pause_s)
            time.sleep(pause_s)


def _try(connection: Connection, revision: str, is_upgrade: bool) -> tuple[str, str]:
    own = known()
    with connection.begin():
        found = read(connection)
        if not found.revision and is_upgrade and revision == own[-1]:
            _create(connection)
            return "", revision
    if found.revision and found.revision not in own:
        if is_upgrade:
            return found.revision, _require(found)
        raise WrongRevision(f"the database has revision {found.revision}, which only a later program can take back")
    now = own.index(found.revision) if found.revision else -1
    if own.index(revision) != now and (own.index(revision) > now) != is_upgrade:
        way = "downgrade" if is_upgrade else "upgrade"
        raise WrongRevision(
            f"the database has revision {found.revision}: to {revision} leads `nrespipe database {way}`"
        )
    _run(connection, revision, is_upgrade)
    return found.revision, revision


def _run(connection: Connection, revision: str, is_upgrade: bool) -> None:
    # the migrations bring a tenth of a second of libraries with them
    from alembic import command
    from alembic.config import Config

    run = command.upgrade if is_upgrade else command.downgrade
    with as_file(MIGRATIONS) as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes["connection"] = connection
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"set lock_timeout = {round(1000 * LOCK_TIMEOUT_S)}")
            # the index of a large table takes as long as it takes
            connection.exec_driver_sql("set statement_timeout = 0")
            connection.commit()
            run(config, revision)
            connection.commit()
            return
        # SQLite changes a table by creating another: with foreign keys the rows that refer to the old one would prevent
        # that, or be deleted with it. Within a transaction this pragma has no effect.
        sqlite_driver(connection).execute("PRAGMA foreign_keys=OFF")
        with connection.begin():
            before = orphans(connection)
            run(config, revision)
            new = orphans(connection) - before
            if new:
                orphaned = ", ".join(
                    f"{count} of {child} to {parent}" for (child, parent), count in sorted(new.items())
                )
                raise WrongRevision(f"the migration would leave rows that refer to rows that are not there: {orphaned}")


def orphans(connection: Connection) -> Counter[tuple[str, str]]:
    """Count the rows of an SQLite database that refer to rows that are not there.

    Returns
    -------
    collections.Counter
        By the table of these rows and the table that they refer to.
    """
    rows = connection.exec_driver_sql("PRAGMA foreign_key_check")
    return Counter((str(child), str(parent)) for child, _, parent, _ in rows)


def _first_line(error: BaseException | None) -> str:
    return str(error).strip().partition("\n")[0]


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """Open a connection of its own while no other process changes the tables."""
    with engine.connect() as connection:
        try:
            while connection.dialect.name == "postgresql":
                # asked again and again: an index that the other process builds concurrently waits for all who wait
                taken = connection.scalar(text("select pg_try_advisory_lock(:number)"), {"number": _UPGRADE_LOCK})
                connection.commit()
                if taken:
                    break
                time.sleep(_POLL_S)
            yield connection
        finally:
            # no other user gets this connection: its lock and its settings end with it
            if not connection.invalidated:
                connection.invalidate()
