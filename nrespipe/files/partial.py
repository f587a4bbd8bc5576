"""Files that are not whole yet."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


def beside(path: Path) -> Path:
    """Return where a file is written before it takes its place.

    Returns
    -------
    Path
        In the same directory, hidden, and like no other: two workers may write the same file at once, and the numbers
        of their processes are the same in two containers.
    """
    return path.with_name(f".{path.name}.{uuid4().hex}.partial")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file in the block, which takes its place at the end of it; where the block fails nothing is left.

    Parameters
    ----------
    path
        Where it goes; its directory is made.

    Yields
    ------
    Path
        Where it is written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    written = beside(path)
    try:
        yield written
        os.replace(written, path)
    finally:
        written.unlink(missing_ok=True)
