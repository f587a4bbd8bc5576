"""How a person sees that a long command is alive: a bar at a terminal, plain lines in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
import structlog

_log = structlog.get_logger(__name__)


@contextmanager
def bar(label: str, total: int) -> Iterator[Callable[..., Any]]:
    """Show a bar on standard error.

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
    with click.progressbar(length=total, label=f"{label:<16}", file=sys.stderr, item_show_func=_shown) as shown:
        yield lambda name, **_: shown.update(1, name)


@contextmanager
def lines(label: str, total: int) -> Iterator[Callable[..., Any]]:
    """Log a line for each piece.

    Parameters
    ----------
    label
        What is being done.
    total
        How many pieces there are.

    Yields
    ------
    callable
        ``advance(name, **facts)`` after each piece; the facts go into the line.
    """
    done = 0

    def advance(name, **facts):
        nonlocal done
        done += 1
        _log.info(label, name=name, progress=f"{done}/{total}", **facts)

    yield advance


@contextmanager
def words(label: str, total: int) -> Iterator[Callable[..., Any]]:
    """Print a line when the work begins and one when it has ended, for a person who reads them later.

    Parameters
    ----------
    label
        What is being done.
    total
        How many pieces there are.

    Yields
    ------
    callable
        ``advance(name, **facts)`` after each piece; one that is not done is named with its reason.
    """
    start = time.monotonic()
    click.echo(f"{label} ({total}) ...", err=True)

    def advance(name, reason="", **_):
        if reason:
            click.echo(f"  {name}: {reason}", err=True)

    yield advance
    click.echo(f"{label} ({total}) took {time.monotonic() - start:.0f} s", err=True)


def _shown(name):
    return name or ""
