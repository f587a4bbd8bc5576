"""The way to the database: an engine, and the tables at their newest revision."""

from functools import cache
from importlib.resources import as_file, files
from multiprocessing.reduction import ForkingPickler

from sqlalchemy import create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.orm import sessionmaker

from nrespipe.database import forking

_BUSY_TIMEOUT_MS = 30_000
#: A PostgreSQL server ends a transaction in which nothing was asked for so long, and gives free what it has locked
#: [second]: its process is frozen, or its machine away. Ours pause for a quarter of a second where they write (the
#: checksum of a master), and for 10 s where they only read (the report of a site, on a machine that is far too busy).
LONGEST_SILENCE_S = 120.0
#: What the driver is told, where the URL does not tell it otherwise: a server that went away without a word is noticed
#: within two minutes, not after hours (the times of the probes in seconds, the last one in milliseconds).
_PATIENCE = {
    "connect_timeout": 10,
    "keepalives_idle": 60,
    "keepalives_interval": 10,
    "keepalives_count": 6,
    "tcp_user_timeout": 120_000,
}
#: Any number that no other program locks: two processes that start at once must not both make the tables.
_UPGRADE_LOCK = 522_118_067


def connect(url):
    """Open a database and bring its tables up to date.

    Parameters
    ----------
    url : str or sqlalchemy.URL
        SQLAlchemy URL, e.g. ``sqlite:////data/nrespipe.sqlite``. The directory of an SQLite file must exist.

    Returns
    -------
    sqlalchemy.orm.sessionmaker
        Makes sessions; what they return stays readable after a commit.
    """
    engine = open_engine(url)
    upgrade(engine)
    return sessionmaker(engine, expire_on_commit=False)


def open_engine(url):
    """Make an engine; nothing is read or written yet.

    Parameters
    ----------
    url : str or sqlalchemy.URL
        SQLAlchemy URL.

    Returns
    -------
    sqlalchemy.Engine

    Notes
    -----
    A PostgreSQL server ends transactions of this engine in which nothing was asked for `LONGEST_SILENCE_S`. Whoever
    wakes in one is told by a ``DBAPIError`` with ``connection_invalidated``, has written nothing, and begins anew.
    """
    url = make_url(url)
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, pool_pre_ping=True)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        forking.guard(engine)
        return engine
    if url.drivername == "postgresql":
        # the driver that this package brings
        url = url.set(drivername="postgresql+psycopg")
    patience = {name: value for name, value in _PATIENCE.items() if name not in url.query}
    engine = create_engine(url, pool_pre_ping=True, connect_args=patience)
    event.listen(engine, "connect", _prepare_postgresql)
    return engine


def upgrade(engine, revision="head"):
    """Bring the tables to a revision, in one transaction.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        The database.
    revision : str
        Revision of the migrations; the newest if not given.
    """
    # the migrations bring a tenth of a second of libraries with them
    from alembic import command
    from alembic.config import Config

    with as_file(files("nrespipe.database") / "migrations") as folder, engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"select pg_advisory_xact_lock({_UPGRADE_LOCK})")
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


@cache
def _opened(url):
    return sessionmaker(open_engine(url), expire_on_commit=False)


# what makes sessions travels to another process by its address: there it has connections of its own
ForkingPickler.register(sessionmaker, lambda sessions: (_opened, (sessions.kw["bind"].url,)))


def _prepare_postgresql(connection, _record):
    # by a statement: ``options`` of the connection would take the place of those in the URL
    with connection.cursor() as cursor:
        cursor.execute(f"set idle_in_transaction_session_timeout = {round(1000 * LONGEST_SILENCE_S)}")
    connection.commit()


def _prepare_sqlite(connection, _record):
    # the driver's own transactions begin late (at the first write) and then fail at once with "locked" when another
    # process has written meanwhile; BEGIN IMMEDIATE waits for its turn instead
    connection.isolation_level = None
    # the patience first: the change of the journal waits for a migration of another process as well
    for pragma in (f"busy_timeout={_BUSY_TIMEOUT_MS}", "journal_mode=WAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection):
    connection.exec_driver_sql("BEGIN IMMEDIATE")
