"""Copies of a database, made while others write to it."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from nrespipe.database.administration.connection import sqlite_driver

if TYPE_CHECKING:
    from sqlalchemy import Engine


def write(engine: "Engine", path: Path) -> None:
    """Copy a database into a file.

    Parameters
    ----------
    path
        The copy: an SQLite database, or an archive for ``pg_restore``. It appears once it is complete and was read
        back, or not at all.

    Raises
    ------
    OSError
        If the file exists, if it cannot be written, or if the copy is damaged.
    """
    if path.exists():
        raise FileExistsError(f"{path} is there already: give another name")
    # not named by the number of the process, which can be the same in two containers
    partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")
    try:
        # readable by its owner alone: it contains the whole database
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        if engine.dialect.name == "sqlite":
            _copy_file(engine, partial)
        else:
            _dump(engine, partial)
        with open(partial, "rb") as stream:
            os.fsync(stream.fileno())
        os.replace(partial, path)
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()


def _copy_file(engine: "Engine", partial: Path) -> None:
    with engine.connect() as connection, closing(sqlite3.connect(partial)) as copy:
        # in one step: with several the copy of a database that is written to all the time would start again for ever
        sqlite_driver(connection).backup(copy)
        # one file, which can be read from a read-only disk
        copy.execute("PRAGMA journal_mode=DELETE")
        told = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if told != "ok":
        raise OSError(f"the copy is damaged, and so may be the database: {told}; see `nrespipe database check`")


def _dump(engine: "Engine", partial: Path) -> None:
    from psycopg.conninfo import make_conninfo

    words, options = engine.dialect.create_connect_args(engine.url)
    options = {name: value for name, value in options.items() if name != "context"}
    secret = options.pop("password", None)
    environment = {**os.environ, **({"PGPASSWORD": str(secret)} if secret else {})}
    where = make_conninfo(*words, **options)
    _run("pg_dump", ["--format=custom", "--no-password", f"--file={partial}", f"--dbname={where}"], environment)
    _run("pg_restore", ["--list", f"{partial}"], environment)


def _run(program: str, words: list[str], environment: dict[str, str]) -> None:
    found = shutil.which(program, path=environment.get("PATH"))
    if found is None:
        raise FileNotFoundError(
            f"{program} is not on the PATH: install the client programs of PostgreSQL (Debian: postgresql-client) of"
            " the version of the server or later, or back the database up on the server"
        )
    done = subprocess.run(
        [found, *words], env=environment, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL,
        check=False,
    )  # fmt: skip
    if done.returncode:
        told = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise OSError(f"{Path(found).name}: {told[-1]}")
