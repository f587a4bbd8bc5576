"""Progress of a long command: a bar at a terminal, plain lines in a log."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import click
import structlog

_log = structlog.get_logger(__name__)


class Advance(Protocol):
    """Reports that one piece is done."""

    def __call__(self, name: str, **facts: object) -> object:
        """Report a piece; the facts go into its line."""


#: Shows the progress of so many pieces of work with a label, as long as a block lasts.
Report = Callable[[str, int], AbstractContextManager[Advance]]


#: Characters of the label and of the bar: with the count, the time and the name of a frame they fit 80 columns.
_LABEL_WIDTH, _BAR_WIDTH = 16, 10


@contextmanager
def bar(label: str, total: int) -> Iterator[Advance]:
    """Show a bar on standard error, with the count, the time since its beginning and the last name, on one line.

    Parameters
    ----------
    label
        What is being done.
    total
        How many pieces there are.

    Yields
    ------
    callable
        ``advance(name, **facts)`` after each piece.
    """
    start = time.monotonic()

    def info(name: str | None) -> str:
        seconds = int(time.monotonic() - start)
        used = len(f"{label:<{_LABEL_WIDTH}}  [{' ' * _BAR_WIDTH}]  {total}/{total}  00:00  ")
        # the last column stays free: some terminals begin a new line where it is written
        room = max(shutil.get_terminal_size().columns - 1 - used, 0)
        return f"{seconds // 60:02d}:{seconds % 60:02d}  {_end_of(name or '', room)}"

    with click.progressbar(
        length=total,
        label=f"{label:<{_LABEL_WIDTH}}",
        file=sys.stderr,
        width=_BAR_WIDTH,
        show_eta=False,
        show_percent=False,
        show_pos=True,
        item_show_func=info,
    ) as shown:

        def advance(name: str, **_: object) -> None:
            shown.update(1, name)

        yield advance


@contextmanager
def lines(label: str, total: int) -> Iterator[Advance]:
    """Log a line for each piece.

    Yields
    ------
    callable
        ``advance(name, **facts)`` after each piece; the facts go into the line.
    """
    done = 0

    def advance(name: str, **facts: object) -> None:
        nonlocal done
        done += 1
        _log.info(label, name=name, progress=f"{done}/{total}", **facts)

    yield advance


@contextmanager
def words(label: str, total: int) -> Iterator[Advance]:
    """Print a line when the work begins and one when it has ended.

    Yields
    ------
    callable
        ``advance(name, **facts)`` after each piece; one that is not done is named with its reason.
    """
    start = time.monotonic()
    click.echo(f"{label} ({total}) ...", err=True)

    def advance(name: str, reason: object = "", **_: object) -> None:
        if reason:
            click.echo(f"  {name}: {reason}", err=True)

    yield advance
    click.echo(f"{label} ({total}) took {time.monotonic() - start:.0f} s", err=True)


def _end_of(name: str, room: int) -> str:
    """Return the end of a name, which is where names of frames and kernels differ."""
    return name if len(name) <= room else ("…" + name[len(name) - room + 1 :] if room > 1 else "")
