"""Connections to the database: engines, and sessions that write or only read."""

import sqlite3
from collections.abc import Callable
from functools import cache
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, Dialect, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session, sessionmaker

from nrespipe.database.administration import forking

if TYPE_CHECKING:
    from psycopg import Connection as PostgresConnection

_BUSY_TIMEOUT_MS = 30_000
#: A PostgreSQL server ends a transaction without a statement for so long, and releases its locks [second]: the process
#: is frozen, or its machine away. Our transactions pause for a quarter of a second where they write (the checksum of a
#: master), and for 10 s where they only read (the report of a site, on a machine that is far too busy).
LONGEST_SILENCE_S = 120.0
#: Options of the driver, unless the URL sets them: a server that disappeared is noticed within two minutes, not after
#: hours (the times of the probes in seconds, the last one in milliseconds).
_PATIENCE = {
    "connect_timeout": 10,
    "keepalives_idle": 60,
    "keepalives_interval": 10,
    "keepalives_count": 6,
    "tcp_user_timeout": 120_000,
}


def connect(url: str | URL) -> sessionmaker[Session]:
    """Open a database for programs that write; its tables are left as they are.

    Parameters
    ----------
    url
        SQLAlchemy URL, e.g. ``sqlite:////data/nrespipe.sqlite``. The directory of an SQLite file must exist.

    Returns
    -------
    sqlalchemy.orm.sessionmaker
        Makes sessions whose rows stay readable after a commit.
    """
    return sessionmaker(open_engine(url), expire_on_commit=False)


def connect_to_read(url: str | URL) -> sessionmaker[Session]:
    """Open a database that exists, to read from it.

    Returns
    -------
    sqlalchemy.orm.sessionmaker
        As `read_only` makes it. Not even the file or the journal of an SQLite database is created.
    """
    return read_only(sessionmaker(open_engine(url, writes=False)))


def read_only(sessions: sessionmaker[Session]) -> sessionmaker[Session]:
    """Return sessions of the same database that only read.

    Parameters
    ----------
    sessions
        From `connect`; the connections are shared.

    Returns
    -------
    sqlalchemy.orm.sessionmaker
        Makes sessions in which every attempt to write is an error of the database. On SQLite they wait for no writer,
        and no writer waits for them.
    """
    engine = sessions.kw["bind"].execution_options(reads_only=True, postgresql_readonly=True)
    return sessionmaker(engine, expire_on_commit=False)


def open_engine(url: str | URL, writes: bool = True) -> Engine:
    """Create an engine; nothing is read or written yet.

    Parameters
    ----------
    writes
        Whether an SQLite file is created where there is none, and gets a journal with which readers can read while
        another process writes.

    Notes
    -----
    A PostgreSQL server ends transactions of this engine that are silent for `LONGEST_SILENCE_S`. A process that
    goes on with one gets a ``DBAPIError`` with ``connection_invalidated``, has written nothing, and starts again. No
    error shows the values of a statement: errors end in logs and reasons, and values may be secret, or very long.
    """
    url = make_url(url)
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, pool_pre_ping=True, hide_parameters=True)
        if not writes:
            event.listen(engine, "do_connect", _require_file)
        event.listen(engine, "connect", _prepare_sqlite)
        if writes:
            event.listen(engine, "connect", _journal_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        forking.guard(engine)
        return engine
    if url.drivername == "postgresql":
        # the driver that this package brings
        url = url.set(drivername="postgresql+psycopg")
    patience = {name: value for name, value in _PATIENCE.items() if name not in url.query}
    engine = create_engine(url, pool_pre_ping=True, hide_parameters=True, connect_args=patience)
    event.listen(engine, "connect", _prepare_postgresql)
    return engine


def sqlite_driver(connection: Connection) -> sqlite3.Connection:
    """Return the connection of the driver of an SQLite database, for statements outside any transaction.

    Raises
    ------
    TypeError
        If the database is another one.
    """
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        raise TypeError(f"the driver of the database is {type(driver).__name__}; expected that of sqlite3")
    return driver


@cache
def _opened(url: URL, reads: bool) -> sessionmaker[Session]:
    sessions = sessionmaker(open_engine(url), expire_on_commit=False)
    return read_only(sessions) if reads else sessions


def _by_address(
    sessions: sessionmaker[Session],
) -> tuple[Callable[[URL, bool], sessionmaker[Session]], tuple[URL, bool]]:
    engine = sessions.kw["bind"]
    return _opened, (engine.url, engine.get_execution_options().get("reads_only", False))


# a sessionmaker is sent to another process as the URL of its database: there it opens connections of its own
ForkingPickler.register(sessionmaker, _by_address)


def _prepare_postgresql(connection: "PostgresConnection[Any]", _record: object) -> None:
    # with a statement: ``options`` of the connection would replace those in the URL
    with connection.cursor() as cursor:
        cursor.execute(f"set idle_in_transaction_session_timeout = {round(1000 * LONGEST_SILENCE_S)}")
    connection.commit()


def _require_file(
    _dialect: Dialect, _record: object, words: tuple[str, ...], options: dict[str, Any]
) -> sqlite3.Connection | None:
    # sqlite3 makes an empty file where there is none, unless it is told otherwise in a URI
    if not options.get("uri"):
        opened: sqlite3.Connection = sqlite3.connect(f"{Path(words[0]).as_uri()}?mode=rw", uri=True, **options)
        return opened
    return None


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # the driver's own transactions begin late (at the first write) and then fail at once with "locked" when another
    # process has written meanwhile; those of _begin_sqlite wait for their turn instead
    connection.isolation_level = None
    for pragma in (f"busy_timeout={_BUSY_TIMEOUT_MS}", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _journal_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # after busy_timeout is set: the change of the journal waits for a migration of another process as well
    connection.execute("PRAGMA journal_mode=WAL")


def _begin_sqlite(connection: Connection) -> None:
    reads = connection.get_execution_options().get("reads_only", False)
    # the connections are shared by sessions of both kinds
    sqlite_driver(connection).execute(f"PRAGMA query_only={'ON' if reads else 'OFF'}")
    connection.exec_driver_sql("BEGIN DEFERRED" if reads else "BEGIN IMMEDIATE")
