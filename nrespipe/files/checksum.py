"""Checksums of files."""

import hashlib
from pathlib import Path

from nrespipe.files.regular import opened


def md5(path: str | Path) -> str:
    """Return the checksum of a file.

    Returns
    -------
    str
        MD5 as hexadecimal digits.

    Raises
    ------
    BadFrame
        If there is no file but a pipe, a device or a directory.
    """
    with opened(path) as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
