"""Messages of the broker: the body of a message becomes an `Arrival`, and that a row."""

import bz2
import json
import lzma
import os
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from nrespipe.database.work import announcements
from nrespipe.errors import Skipped
from nrespipe.files import layout
from nrespipe.files.raw import identity

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

#: Largest number of a frame that the database can hold.
_LARGEST_ID = 2**63 - 1
#: Longest path that a disk takes, and longest name in it [byte].
_LONGEST_PATH, _LONGEST_WORD = 4096, 255
#: A longer body is not read: its objects might need more memory than there is [byte]. A header has some 20 kB.
_LONGEST_BODY = 1 << 22
#: So much of a body is kept [character].
KEPT_BODY = 1 << 16
Message = dict[str, Any]

_NAME = re.compile(r"[\w.+-]{1,200}", re.ASCII)


class Malformed(ValueError):
    """The body of a message cannot be understood."""


@dataclass(frozen=True)
class Arrival:
    """A raw frame that a message announces.

    Attributes
    ----------
    name
        Name of the file.
    path
        Where it is; '' where it must be fetched from the archive.
    archive_id
        Its number in the archive; None where it is on a disk.
    md5
        Checksum of the file as the message has it; None where it has none.
    body
        The message as it came, cut after `KEPT_BODY` characters.
    """

    name: str
    path: str = ""
    archive_id: int | None = None
    md5: str | None = None
    body: str = ""


def limit_decompression() -> None:
    """Limit the size of bodies that the library of the broker unpacks.

    Notes
    -----
    The library unpacks a body that a header calls packed before anybody sees the message, and a megabyte can unpack to
    a gigabyte. A body that is too long is then an error of the message, like one that is not packed at all.
    """
    # here, not above: commands that only query the service start without it
    from kombu import compression

    known: dict[str, Callable[[], Any]] = {
        "application/x-gzip": zlib.decompressobj,
        "application/x-bz2": bz2.BZ2Decompressor,
        "application/x-lzma": lzma.LZMADecompressor,
    }
    for name in compression.encoders():
        compression.register(compression.get_encoder(name)[0], partial(_unpacked, known.get(name)), name)


def _unpacked(make: "Callable[[], Any] | None", body: bytes) -> bytes:
    if make is None:
        raise Malformed("the message is compressed in an unknown way; expected gzip, bzip2 or LZMA")
    unpacker = make()
    content: bytes = unpacker.decompress(body, _LONGEST_BODY)
    if not unpacker.eof:
        raise Malformed(f"the message is cut off, or longer than {_LONGEST_BODY} bytes after decompression")
    return content


def read(body: bytes | str, below: Path | None = None) -> Arrival:
    """Parse the body of a message.

    Parameters
    ----------
    body
        JSON: an object that names a file, ``{"path": ...}``, or the header of a frame of the archive with ``filename``,
        ``frameid`` and ``version_set[0].md5``.
    below
        Directory below which a path must be; any path is accepted if not given.

    Returns
    -------
    Arrival
        Its fields can be stored, and used as the name of a file.

    Raises
    ------
    Malformed
        If it is nothing of the kind.
    Skipped
        If it announces a frame that is not ours to reduce: of another instrument, of a guider, or already reduced.
    """
    text = _decoded(body)
    message = _parsed(text)
    path = _path(message)
    name = PurePosixPath(path).name if path else _filename(message)
    if not _NAME.fullmatch(name):
        raise Malformed(f"the message names the file {name[:80]!r}; expected 1 to 200 letters, digits, and . _ + -")
    if not identity.has_nres_name(name) and "nres" not in _text(message, "TELESCOP").lower():
        raise Skipped(f"{name}: not a frame of an NRES spectrograph")
    identity.require_raw_name(name)
    if path:
        return Arrival(name, path=path if below is None else _confined(path, below), body=text[:KEPT_BODY])
    return Arrival(name, archive_id=_archive_id(message), md5=_md5(message), body=text[:KEPT_BODY])


def register(session: "Session", arrival: Arrival, output: Path, is_notified: bool = False) -> tuple[int, bool]:
    """Make the row of the raw frame that a message announces, if there is none; no disk is read.

    Parameters
    ----------
    output
        Output directory; a file of the archive is fetched below it.
    is_notified
        Whether a worker is notified right after the commit; a sweep in between would send a second message.

    Returns
    -------
    row_id : int
        Key of the row.
    is_due : bool
        Whether a worker is to be notified.
    """
    announced = {**identity.parse_name(arrival.name), "archive_id": arrival.archive_id, "body": arrival.body}
    path = arrival.path or str(layout.fetched_path(output, arrival.name))
    frame, is_due = announcements.announce(
        session, identity.stem(arrival.name), path, arrival.md5, is_notified=is_notified, **announced
    )
    return frame.id, is_due


def _decoded(body: bytes | str) -> str:
    if len(body) > _LONGEST_BODY:
        raise Malformed(f"the message is {len(body)} bytes long; expected at most {_LONGEST_BODY}")
    try:
        text = body if isinstance(body, str) else bytes(body).decode("utf-8")
        text.encode("utf-8")
    except UnicodeError:
        raise Malformed("the message is not text in UTF-8") from None
    return text


def _parsed(text: str) -> Message:
    try:
        message = json.loads(text)
    # a deep nest of brackets is a RecursionError
    except (ValueError, RecursionError):
        raise Malformed("the message is not JSON") from None
    if not isinstance(message, dict):
        raise Malformed(
            f"the message is JSON of type {type(message).__name__}; "
            'expected an object with "path", or with "filename" and "frameid"'
        )
    return message


def _text(message: Message, key: str, default: str = "") -> str:
    value = message.get(key)
    return value if isinstance(value, str) else default


def _path(message: Message) -> str:
    path = message.get("path")
    if path is None:
        return ""
    if not isinstance(path, str) or not path.startswith("/") or "\0" in path:
        raise Malformed(f"the path of the message is {str(path)[:200]!r}; expected an absolute path")
    try:
        encoded = path.encode("utf-8")
    except UnicodeEncodeError:
        # JSON may hold halves of characters, as "\ud800"
        raise Malformed(
            f"the path of the message, {path[:200]!r}, contains half a character; expected text in UTF-8"
        ) from None
    if len(encoded) > _LONGEST_PATH or max(map(len, encoded.split(b"/"))) > _LONGEST_WORD:
        raise Malformed(
            f"the path of the message has {len(encoded)} bytes; "
            f"expected at most {_LONGEST_PATH}, and {_LONGEST_WORD} in a name"
        )
    return str(PurePosixPath(path))


def _confined(path: str, below: Path) -> str:
    """Return a path without ``..`` in it, which is below a directory; no disk is read."""
    root = os.path.abspath(below)
    # two slashes at the beginning may mean something else than one
    plain = os.path.normpath("/" + path.lstrip("/"))
    if os.path.commonpath([root, plain]) != root:
        raise Malformed(
            f"the path of the message, {plain[:200]!r}, is not below {root}, the directory of the raw frames "
            "(NRES_RAW_ROOT); where such frames are to be reduced, set NRES_ANY_PATH"
        )
    return plain


def _filename(message: Message) -> str:
    name = message.get("filename")
    if name is None and isinstance(message.get("basename"), str):
        name = message["basename"] + _text(_version(message), "extension", ".fits.fz")
    if not isinstance(name, str) or not name:
        raise Malformed('the message names no file; expected "path", "filename" or "basename"')
    return name


def _archive_id(message: Message) -> int:
    number = message.get("frameid", message.get("id"))
    # True is an int to Python
    if isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= _LARGEST_ID:
        return number
    # by its length first: Python reads no number of thousands of digits
    if isinstance(number, str) and re.fullmatch("[0-9]{1,19}", number) and int(number) <= _LARGEST_ID:
        return int(number)
    raise Malformed(
        'the message has neither the path of the file nor its number in the archive; expected "path" or "frameid"'
    )


def _md5(message: Message) -> str | None:
    md5 = _version(message).get("md5")
    if not md5:
        return None
    if not (isinstance(md5, str) and re.fullmatch(r"[0-9a-fA-F]{32}", md5)):
        raise Malformed(f"the checksum in the message is {str(md5)[:80]!r}; expected an md5 of 32 hexadecimal digits")
    return md5.lower()


def _version(message: Message) -> Message:
    versions = message.get("version_set")
    first = versions[0] if isinstance(versions, list) and versions else {}
    return first if isinstance(first, dict) else {}
