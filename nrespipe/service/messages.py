"""A body on the wire -> what has arrived."""

import json
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from nrespipe.errors import Skipped
from nrespipe.files import identity

#: Largest number of a frame that the database can hold.
_LARGEST_ID = 2**63 - 1
#: Longest path that a disk takes.
_LONGEST_PATH = 4096
_OURS = re.compile(r"[a-z]{3}nrs\d\d-")
_NAME = re.compile(r"[\w.+-]{1,200}", re.ASCII)


class Malformed(ValueError):
    """The body of a message cannot be understood."""


@dataclass(frozen=True)
class Arrival:
    """A raw frame that somebody tells of.

    Attributes
    ----------
    name : str
        Name of the file.
    path : str
        Where it lies; '' where it must be fetched from the archive.
    archive_id : int or None
        Its number in the archive; None where it lies on a disk.
    md5 : str
        Checksum of the file as the message has it; '' where it has none.
    body : str
        The message as it came.
    """

    name: str
    path: str = ""
    archive_id: int | None = None
    md5: str = ""
    body: str = ""


def read(body):
    """Understand the body of a message.

    Parameters
    ----------
    body : bytes or str
        JSON: an object that names a file, ``{"path": ...}``, or the header of a frame of the archive with ``filename``,
        ``frameid`` and ``version_set[0].md5``.

    Returns
    -------
    Arrival

    Raises
    ------
    Malformed
        If it is no such thing.
    Skipped
        If it tells of a frame that is not ours to reduce: of another instrument, of a guider, or already reduced.
    """
    text = _decoded(body)
    message = _parsed(text)
    path = _path(message)
    name = PurePosixPath(path).name if path else _filename(message)
    if not _NAME.fullmatch(name):
        raise Malformed(f"the message names no file that could exist: {name[:80]!r}")
    if not _OURS.match(name) and "nres" not in str(message.get("TELESCOP", "")).lower():
        raise Skipped(f"{name}: not a frame of an NRES spectrograph")
    identity.require_raw_name(name)
    if path:
        return Arrival(name, path=path, body=text)
    return Arrival(name, archive_id=_archive_id(message), md5=_md5(message), body=text)


def _decoded(body):
    try:
        return body if isinstance(body, str) else bytes(body).decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("the message is not text in UTF-8") from None


def _parsed(text):
    try:
        message = json.loads(text)
    # a deep nest of brackets is a RecursionError
    except (ValueError, RecursionError):
        raise Malformed("the message is not JSON") from None
    if not isinstance(message, dict):
        raise Malformed("the message is JSON but no object")
    return message


def _path(message):
    path = message.get("path")
    if path is None:
        return ""
    if not isinstance(path, str) or not path.startswith("/") or "\0" in path or len(path) > _LONGEST_PATH:
        raise Malformed("the path of the message is not an absolute path")
    return path


def _filename(message):
    name = message.get("filename")
    if name is None and isinstance(message.get("basename"), str):
        name = message["basename"] + str(_version(message).get("extension", ".fits.fz"))
    if not isinstance(name, str) or not name:
        raise Malformed("the message names no file")
    return name


def _archive_id(message):
    number = message.get("frameid", message.get("id"))
    # True is an int to Python
    if isinstance(number, bool) or not str(number).isascii() or not str(number).isdecimal():
        raise Malformed("the message has neither the path of the file nor its number in the archive")
    if int(number) > _LARGEST_ID:
        raise Malformed("the number of the frame in the archive is beyond all bounds")
    return int(number)


def _md5(message):
    md5 = _version(message).get("md5") or ""
    if md5 and not (isinstance(md5, str) and re.fullmatch(r"[0-9a-fA-F]{32}", md5)):
        raise Malformed("the checksum in the message is no md5")
    return md5.lower()


def _version(message):
    versions = message.get("version_set")
    first = versions[0] if isinstance(versions, list) and versions else {}
    return first if isinstance(first, dict) else {}
