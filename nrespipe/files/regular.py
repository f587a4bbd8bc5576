"""Opening what must be a file: a pipe, a device or a directory in its place would be read for ever, or not at all."""

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

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


def opened(path: str | Path) -> "BufferedReader":
    """Open a file to read its bytes.

    Returns
    -------
    io.BufferedReader
        The open file.

    Raises
    ------
    BadFrame
        If there is something else in its place.
    OSError
        If there is nothing, or the disk does not give it.
    """
    kind = stat.S_IFMT(os.stat(path).st_mode)
    if kind != stat.S_IFREG:
        raise BadFrame(f"{Path(path).name}: not a file but {_WHAT.get(kind, 'something else')}")
    return open(path, "rb")
