"""The way to the database: an engine, and the tables at their newest revision."""

from importlib.resources import as_file, files

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.orm import sessionmaker

_BUSY_TIMEOUT_MS = 30_000
_CONNECT_TIMEOUT_S = 10
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
    """
    url = make_url(url)
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, pool_pre_ping=True)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if url.drivername == "postgresql":
        # the driver that this package brings
        url = url.set(drivername="postgresql+psycopg")
    return create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": _CONNECT_TIMEOUT_S})


def upgrade(engine, revision="head"):
    """Bring the tables to a revision, in one transaction.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        The database.
    revision : str
        Revision of the migrations; the newest if not given.
    """
    with as_file(files("nrespipe.database") / "migrations") as folder, engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"select pg_advisory_xact_lock({_UPGRADE_LOCK})")
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def _prepare_sqlite(connection, _record):
    # the driver's own transactions begin late (at the first write) and then fail at once with "locked" when another
    # process has written meanwhile; BEGIN IMMEDIATE waits for its turn instead
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", f"busy_timeout={_BUSY_TIMEOUT_MS}", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection):
    connection.exec_driver_sql("BEGIN IMMEDIATE")
