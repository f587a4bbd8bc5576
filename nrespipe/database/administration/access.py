"""Open the database of an output directory: the one of the settings, else an SQLite file in the directory."""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import Session, sessionmaker

from nrespipe.database.administration import connection, schema

if TYPE_CHECKING:
    from nrespipe.settings import Settings

#: Name of the embedded database in the output directory.
FILE = "nrespipe.sqlite"


def url(output: Path, settings: "Settings"):
    """Return where the database is.

    Parameters
    ----------
    settings
        Whose ``database_url`` comes first.

    Returns
    -------
    sqlalchemy.URL
        Without a setting that of an SQLite file in `output`. It is printed without its password.
    """
    if given := settings.database_url.get_secret_value():
        return make_url(given)
    # not by a text: a question mark in a directory's name would begin the options
    return URL.create("sqlite", database=str(output.resolve() / FILE))


def to_read(output: Path, settings: "Settings") -> sessionmaker[Session]:
    """Open a database that exists, to read what is known; nothing is made, migrated or written.

    Returns
    -------
    sessionmaker
        Makes sessions that only read.

    Raises
    ------
    FileNotFoundError
        If there is no database.
    WrongRevision
        If its tables are not those that this program works with.
    """
    return _existing(output, settings, connection.connect_to_read)


def to_change(output: Path, settings: "Settings") -> sessionmaker[Session]:
    """Open a database that exists, to change what is known.

    Raises
    ------
    FileNotFoundError, WrongRevision
        As `to_read` does.
    """
    return _existing(output, settings, connection.connect)


def require(output: Path, settings: "Settings") -> None:
    """Check that there is a database, without opening it.

    Raises
    ------
    FileNotFoundError
        If it is to be an SQLite file, and there is none.
    """
    place = url(output, settings)
    if place.get_backend_name() == "sqlite" and place.database and not Path(place.database).is_file():
        where = place.database if settings.database_url.get_secret_value() else f"in {output}"
        raise FileNotFoundError(f"no database {where}: nothing was reduced into this directory yet")


def _existing(output, settings, connect):
    require(output, settings)
    sessions = connect(url(output, settings))
    schema.require(sessions.kw["bind"])
    return sessions
