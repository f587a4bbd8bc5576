"""Plain files: open them (only files, no pipe), compute their checksums, and replace them as a whole."""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from nrespipe.errors import BadFrame

if TYPE_CHECKING:
    from io import BufferedReader

_WHAT = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def open_regular(path: str | Path) -> "BufferedReader":
    """Open a file to read its bytes.

    Returns
    -------
    io.BufferedReader
        The open file.

    Raises
    ------
    BadFrame
        If it is a pipe, a device or a directory, from which a read would last for ever or fail.
    OSError
        If there is nothing, or the disk does not give it.
    """
    kind = stat.S_IFMT(os.stat(path).st_mode)
    if kind != stat.S_IFREG:
        raise BadFrame(f"{Path(path).name}: not a file but {_WHAT.get(kind, 'something else')}")
    return open(path, "rb")


def md5(path: str | Path) -> str:
    """Return the checksum of a file.

    Returns
    -------
    str
        MD5 as hexadecimal digits.

    Raises
    ------
    BadFrame
        As `open_regular` does.
    """
    with open_regular(path) as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def temporary_path(path: Path) -> Path:
    """Return a temporary path at which a file is written before it is moved to its place.

    Returns
    -------
    Path
        In the same directory, hidden, and unique: two workers may write the same file at once, and the numbers
        of their processes are the same in two containers.
    """
    return path.with_name(f".{path.name}.{uuid4().hex}.partial")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file at a temporary path in the block, and move it to its place at the end if the block succeeds.

    Parameters
    ----------
    path
        The file; its directory is created.

    Yields
    ------
    Path
        The temporary path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    written = temporary_path(path)
    try:
        yield written
        os.replace(written, path)
    finally:
        written.unlink(missing_ok=True)
