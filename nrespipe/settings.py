"""Every environment variable, typed, read once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@dataclass(frozen=True)
class Settings:
    """What the environment says; an option of a command comes before it.

    Attributes
    ----------
    database_url : str
        ``DB_URL``: SQLAlchemy URL of the database; '' (the default) means one SQLite file in the output directory.
    data_root : Path or None
        ``NRES_DATA_ROOT``: output directory of the commands that are given none; None where there is none.
    processes : int or None
        ``NRES_PROCESSES``: frames to reduce at a time; None means one a processor core.
    log_level : str
        ``NRES_LOG_LEVEL``: least severe lines to log, one of DEBUG, INFO (the default), WARNING, ERROR.
    """

    database_url: str = ""
    data_root: Path | None = None
    processes: int | None = None
    log_level: str = "INFO"


def read(environment: Mapping[str, str] = os.environ):
    """Read the settings.

    Parameters
    ----------
    environment : mapping of str to str
        Variables by name; a blank one counts as absent.

    Returns
    -------
    Settings

    Raises
    ------
    ValueError
        If a variable has a value that it cannot have; the message names the variable and what it expects.
    """
    given = {name: text.strip() for name, text in environment.items() if text.strip()}
    return Settings(
        database_url=_url(given.get("DB_URL", "")),
        data_root=Path(given["NRES_DATA_ROOT"]) if "NRES_DATA_ROOT" in given else None,
        processes=_positive("NRES_PROCESSES", given["NRES_PROCESSES"]) if "NRES_PROCESSES" in given else None,
        log_level=_one_of("NRES_LOG_LEVEL", given.get("NRES_LOG_LEVEL", "INFO").upper(), _LOG_LEVELS),
    )


def _url(text):
    try:
        if text:
            make_url(text)
    except ArgumentError:
        # the text may hold a password: it is not repeated
        raise ValueError("DB_URL is not a database URL; expected e.g. sqlite:////data/nrespipe.sqlite") from None
    return text


def _positive(name, text):
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{name} is {text!r}; expected a whole number from 1")
    return int(text)


def _one_of(name, text, choices):
    if text not in choices:
        raise ValueError(f"{name} is {text!r}; expected one of {', '.join(choices)}")
    return text
