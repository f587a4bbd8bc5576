"""Upkeep of the database as a whole: bring its tables to a revision, check it, copy it."""

import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from nrespipe.database.administration import backups, connection, integrity, opening, schema

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from nrespipe.settings import Settings

_log = structlog.get_logger(__name__)

_PAUSE_S = 2.0


def upgrade(output: Path, settings: "Settings", wait_s: float = 0.0) -> list[str]:
    """Make the tables of the database, or bring them to the revision of this program.

    Parameters
    ----------
    output
        Output directory; it is made.
    wait_s
        How long to wait for a database that does not answer [second].

    Returns
    -------
    list of str
        What was done.

    Raises
    ------
    WrongRevision
        If this program cannot bring them there.
    """
    output.mkdir(parents=True, exist_ok=True)
    engine = connection.open_engine(opening.url(output, settings))
    _wait(engine, wait_s)
    return _migrated(engine, schema.upgrade, schema.known()[-1])


def downgrade(output: Path, settings: "Settings", revision: str) -> list[str]:
    """Take the tables of the database back to an earlier revision.

    Returns
    -------
    list of str
        What was done.

    Raises
    ------
    FileNotFoundError
        If there is no database.
    WrongRevision
        If this program cannot take them there.
    """
    opening.require(output, settings)
    engine = connection.open_engine(opening.url(output, settings))
    return _migrated(engine, schema.downgrade, revision)


def check(output: Path, settings: "Settings") -> dict[str, list[str]]:
    """Check the database for defects; nothing is changed.

    Returns
    -------
    dict of str to list of str
        As ``integrity.defects`` returns them.

    Raises
    ------
    FileNotFoundError
        If there is no database.
    """
    opening.require(output, settings)
    sessions = connection.connect_to_read(opening.url(output, settings))
    return integrity.defects(sessions.kw["bind"])


def backup(output: Path, settings: "Settings", path: Path) -> None:
    """Copy the database into a file while others write to it.

    Raises
    ------
    OSError
        If there is no database, or as ``backups.write`` does.
    """
    opening.require(output, settings)
    sessions = connection.connect_to_read(opening.url(output, settings))
    backups.write(sessions.kw["bind"], path)


def _migrated(engine: "Engine", migrate: "Callable[[Engine, str], tuple[str, str]]", revision: str) -> list[str]:
    copy = _copied(engine, revision)
    try:
        before, after = migrate(engine, revision)
    except BaseException:
        # all or nothing: the database is as it was, and a program that tries again and again must not fill the disk
        if copy is not None:
            copy.unlink()
        raise
    if before == after:
        if copy is not None:
            # another process was faster, and has a copy
            copy.unlink()
        return [f"revision {after}: nothing to do"]
    lines = [f"revision {before or 'none, the database was empty'} -> {after}"]
    return [*lines, *([f"the database of before is kept as {copy}"] if copy is not None else [])]


def _copied(engine: "Engine", target: str) -> Path | None:
    """Copy an SQLite database beside itself; a server is backed up by those who run it."""
    if engine.dialect.name != "sqlite":
        return None
    path = Path(engine.url.database or "")
    with engine.connect() as opened:
        revision = schema.read(opened).revision
    if revision == target or revision not in schema.known():
        return None
    names = (f"{path.stem}-{revision}{f'-{n}' if n else ''}{path.suffix}" for n in count())
    copy = next(path.with_name(name) for name in names if not path.with_name(name).exists())
    backups.write(engine, copy)
    return copy


def _wait(engine: "Engine", wait_s: float) -> None:
    end = time.monotonic() + wait_s
    while True:
        try:
            with engine.connect():
                return
        except (OperationalError, InterfaceError) as error:
            if time.monotonic() > end:
                raise
            _log.warning("database away", reason=str(error.orig).strip(), pause_s=_PAUSE_S)
            time.sleep(_PAUSE_S)
