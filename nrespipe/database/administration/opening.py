"""Open the database of an output directory: the one of the settings, else an SQLite file in the directory."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import Session, sessionmaker

from nrespipe.database.administration import connection, schema

if TYPE_CHECKING:
    from nrespipe.settings import Settings

#: Name of the embedded database in the output directory.
FILE = "nrespipe.sqlite"


def url(output: Path, settings: "Settings") -> URL:
    """Return the URL of the database of an output directory.

    Parameters
    ----------
    settings
        Their ``database_url`` comes first.

    Returns
    -------
    sqlalchemy.URL
        Without a setting that of an SQLite file in `output`. When it is printed the password is hidden.
    """
    if given := settings.database_url.get_secret_value():
        return make_url(given)
    # not from a text: a question mark in the name of a directory would begin the options
    return URL.create("sqlite", database=str(output.resolve() / FILE))


def to_read(output: Path, settings: "Settings") -> sessionmaker[Session]:
    """Open a database that exists, to read from it; nothing is created, migrated or written.

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
    """Open a database that exists, to change its rows.

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
        If it is an SQLite file that does not exist.
    """
    place = url(output, settings)
    if place.get_backend_name() == "sqlite" and place.database and not Path(place.database).is_file():
        where = place.database if settings.database_url.get_secret_value() else f"in {output}"
        raise FileNotFoundError(f"no database {where}: nothing was reduced into this directory yet")


def _existing(
    output: Path, settings: "Settings", connect: Callable[[URL], sessionmaker[Session]]
) -> sessionmaker[Session]:
    require(output, settings)
    sessions = connect(url(output, settings))
    schema.require(sessions.kw["bind"])
    return sessions
