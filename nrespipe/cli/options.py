"""Options that commands share, checks of their values, and the text of errors."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from sqlalchemy.exc import SQLAlchemyError

from nrespipe import settings
from nrespipe.database.administration.schema import WrongRevision
from nrespipe.errors import MissingCalibration, Unavailable
from nrespipe.files import layout, plain_table
from nrespipe.files.layout import OutputRefused
from nrespipe.service.operations import progress_bar
from nrespipe.service.time_limits import DoNotFit

if TYPE_CHECKING:
    from nrespipe.service.batch.night import Summary
    from nrespipe.settings import Settings

DIRECTORY = click.Path(path_type=Path, file_okay=False)

output_option = click.option(
    "--output",
    type=DIRECTORY,
    metavar="DIR",
    help="Directory of masters and products, and of the database unless --database is given. Default: NRES_DATA_ROOT, "
    "or the output directory in which the command is given.",
)
database_option = click.option("--database", metavar="URL", help="Database, as an SQLAlchemy URL. Default: DB_URL.")
processes_option = click.option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many frames at a time. Default: NRES_PROCESSES, or all cores.",
)

format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="Form of the list.",
)


def day(text: str) -> str:
    """Return a day that was given as ``YYYYMMDD``, unchanged.

    Raises
    ------
    click.BadParameter
        If it is not a day.
    """
    try:
        # strptime alone takes 2019315 as well
        if len(text) != 8 or not (text.isascii() and text.isdecimal()):
            raise ValueError
        datetime.strptime(text, "%Y%m%d")
    except ValueError:
        raise click.BadParameter(f"{text!r} is no day, expected YYYYMMDD") from None
    return text


def check_day(_context: click.Context, _option: click.Parameter, text: str) -> str:
    """Check the value of an option that is a day."""
    return day(text)


def check_days(_context: click.Context, _option: click.Parameter, texts: Sequence[str]) -> list[str]:
    """Check the values of an option that is a day and may be repeated."""
    return [day(text) for text in texts]


def nights(first: str, last: str, prefix: str = "--") -> tuple[str, str]:
    """Return the first and the last of some nights, unchanged.

    Parameters
    ----------
    first, last
        As ``YYYYMMDD``; '' for no limit.
    prefix
        Beginning of the names of the two options.

    Raises
    ------
    click.UsageError
        If one is not a day, or the last is before the first.
    """
    first, last = (day(text) if text else "" for text in (first, last))
    if first and last and first > last:
        raise click.UsageError(f"{prefix}from {first} is after {prefix}to {last}")
    return first, last


def warn_of_earlier(first: str) -> None:
    """Say on standard error that a list begins with a night, and that there are earlier ones.

    Parameters
    ----------
    first
        The night, ``YYYYMMDD``; '' where nothing was left out.
    """
    if first:
        click.echo(f"nights since {first}; for earlier ones see --from", err=True)


def places(
    given: "Settings", output: Path | None, database: str | None, processes: int | None = None
) -> "tuple[Path, Settings]":
    """Join the options of a command with the environment.

    Parameters
    ----------
    output, database, processes
        From the command line; None where not given.

    Returns
    -------
    output : Path
        Output directory.
    settings : Settings
        With the values of the command line.

    Raises
    ------
    click.UsageError
        If there is no output directory, or the URL names no database.
    """
    output = output or given.data_root or _here()
    if output is None:
        raise click.UsageError(
            "no output directory: give --output DIR, set NRES_DATA_ROOT, or change to one that is in use or empty"
        )
    try:
        if database:
            given = settings.change(given, database_url=database)
    except ValueError as error:
        raise click.BadParameter(str(error).replace("DB_URL", "it"), param_hint="--database") from error
    return output, settings.change(given, processes=processes or given.processes)


def _here() -> Path | None:
    """Return the output directory in which the program was started, if it is one."""
    try:
        return layout.output_around(Path.cwd())
    except OSError:
        return None


def progress_report() -> progress_bar.Report:
    """Return ``progress_bar.bar`` at a terminal, ``progress_bar.lines`` anywhere else."""
    return progress_bar.bar if sys.stderr.isatty() else progress_bar.lines


def summary_lines(summary: "Summary") -> list[str]:
    """Return lines for a person that sum up a run."""
    states = ", ".join(f"{count} {state}" for state, count in sorted(summary.counts.items()))
    total = sum(summary.counts.values())
    first = f"{total} frame{'s' * (total != 1)}: {states}; {summary.new} worked on now"
    problems = plain_table.aligned([*summary.masters, *summary.unhappy])
    left = f"{summary.left} frames can have a better result, by the next run"
    return [first, *problems, *[left] * bool(summary.left)]


@contextmanager
def complaints() -> Iterator[None]:
    """Print errors that a person can correct in one line; all others keep their traceback."""
    try:
        yield
    except (OutputRefused, DoNotFit, LookupError, OSError, MissingCalibration, Unavailable, WrongRevision) as error:
        # a reader that has seen enough, as head, is no error: click ends quietly
        if isinstance(error, KeyError | IndexError | BrokenPipeError):
            raise
        raise click.ClickException(str(error)) from error
    except SQLAlchemyError as error:
        raise click.ClickException(f"database: {str(error).splitlines()[0]}") from error
