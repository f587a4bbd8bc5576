"""Checksums of files."""

import hashlib

from nrespipe.files.regular import opened


def md5(path):
    """Return the checksum of a file.

    Parameters
    ----------
    path : str or Path
        Any file.

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
