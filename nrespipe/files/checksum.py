"""Checksums of files."""

import hashlib


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
    """
    with open(path, "rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
