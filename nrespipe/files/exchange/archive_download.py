"""Downloads of raw frames from the archive, by the number of the frame."""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from nrespipe.errors import Unavailable
from nrespipe.files.atomic_files import temporary_path
from nrespipe.files.exchange import http_client

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

#: Largest description of a frame [byte].
_LONGEST_ANSWER = 1 << 20
#: Largest raw frame [byte]; one has 34 MB without compression.
MOST_BYTES = 200_000_000
_MOST_HOPS = 5
_REDIRECTS = (301, 302, 303, 307, 308)


def fetch(
    frame_id: int,
    path: Path,
    md5: str,
    *,
    api_root: str,
    token: str = "",
    hosts: Sequence[str] = (),
    allow_http: bool = False,
    patience_s: float = 30.0,
    longest_s: float = 900.0,
    most_bytes: int = MOST_BYTES,
) -> None:
    """Fetch a frame from the archive.

    Parameters
    ----------
    path
        File; its directory is created. It appears only when it is complete.
    md5
        Checksum that it must have; '' for any.
    api_root
        URL of the archive.
    token
        Token that identifies us. It is sent to ``api_root`` alone, not to other hosts that its answers name.
    hosts
        Names of hosts, beside the archive's own, that the file may come from, with ``*`` for any characters.
    allow_http
        Whether requests without TLS are allowed.
    patience_s
        Longest time that a server may be silent [second].
    longest_s
        Longest time for the whole file [second].
    most_bytes
        Largest size of the file [byte].

    Raises
    ------
    Unavailable
        If the archive or the disk fails, or the file is not the one that was announced.
    """
    path = Path(path)
    if not api_root:
        raise Unavailable(f"{path.name}: nobody said which archive frame {frame_id} is in: set API_ROOT")
    patterns = [urlsplit(api_root).hostname or "", *map(str.lower, hosts)]
    end = time.monotonic() + longest_s

    def get(url: str, token: str = "") -> "AbstractContextManager[BaseHTTPResponse]":
        return _followed(url, patterns, end, token=token, allow_http=allow_http, patience_s=patience_s)

    try:
        with get(f"{api_root.rstrip('/')}/frames/{frame_id}/", token) as answer:
            url = _address(_taken(answer, _LONGEST_ANSWER, end), frame_id)
        with get(url) as answer:
            _store(_taken(answer, most_bytes, end), path, md5, answer.headers)
    except Unavailable as error:
        raise Unavailable(f"{path.name}: cannot be fetched: {error}") from error
    except OSError as error:
        raise Unavailable(f"{path.name}: cannot be fetched: {error.strerror or type(error).__name__}") from error


@contextmanager
def _followed(
    url: str, patterns: Sequence[str], end: float, *, token: str, allow_http: bool, patience_s: float
) -> "Iterator[BaseHTTPResponse]":
    """Send a request and follow its redirects: every host must be allowed, the first alone gets the token."""
    for _ in range(_MOST_HOPS):
        http_client.require_safe(url, token, allow_http)
        if not any(fnmatchcase(urlsplit(url).hostname or "", pattern) for pattern in patterns):
            raise Unavailable(
                f"the archive sends us to {http_client.place(url)}: expected a host of NRES_ARCHIVE_HOSTS"
            )
        _require_time(end)
        with http_client.request("GET", url, token=token, allow_http=allow_http, patience_s=patience_s) as answer:
            if answer.status == 200:
                yield answer
                return
            there = answer.headers.get("Location", "")
            if answer.status not in _REDIRECTS or not there:
                raise Unavailable(f"{http_client.place(url)} answers {http_client.status(answer)}")
        try:
            url, token = urljoin(url, there), ""
        except ValueError:
            raise Unavailable(f"{http_client.place(url)} sends us to an address that is not one of the web") from None
    raise Unavailable(f"{http_client.place(url)}: more than {_MOST_HOPS} redirects")


def _require_time(end: float) -> None:
    if time.monotonic() > end:
        raise Unavailable("the archive sends it too slowly")


def _taken(answer: "BaseHTTPResponse", most_bytes: int, end: float) -> Iterator[bytes]:
    """Yield the content of an answer in pieces; Unavailable where it differs from its headers."""
    length, encoding = answer.headers.get("Content-Length"), answer.headers.get("Content-Encoding", "identity")
    if length is not None and not (length.isascii() and length.isdecimal() and len(length) < 16):
        raise Unavailable("the archive announces a length that is no number")
    if encoding.lower() != "identity":
        raise Unavailable(f"the archive sends it as {encoding[:20]!r}, which nobody asked for")
    announced = None if length is None else int(length)
    if announced is not None and announced > most_bytes:
        raise Unavailable(f"{announced} bytes; expected no more than {most_bytes}")
    size = 0
    # a trickle never runs into the patience of one read
    while chunk := answer.read1(http_client.CHUNK):
        size += len(chunk)
        if size > most_bytes:
            raise Unavailable(f"longer than the {most_bytes} bytes that it may have")
        _require_time(end)
        yield chunk
    if announced is not None and size != announced:
        raise Unavailable(f"truncated on its way: {size} bytes of {announced}")


def _address(content: Iterable[bytes], frame_id: int) -> str:
    """Return the address of a frame in its description by the archive."""
    text = b"".join(content)
    try:
        url: str = json.loads(text)["url"]
        if urlsplit(url).scheme not in ("http", "https"):
            raise ValueError
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise Unavailable(f"the archive does not tell where frame {frame_id} lies") from None
    return url


def _store(content: Iterable[bytes], path: Path, md5: str, headers: Mapping[str, str]) -> None:
    if not md5 and "Content-Length" not in headers and "chunked" not in headers.get("Transfer-Encoding", ""):
        raise Unavailable("the archive announces neither a length nor a checksum: nobody could tell a part of it")
    partial = temporary_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with open(partial, "wb") as stream:
            for chunk in content:
                digest.update(chunk)
                stream.write(chunk)
            stream.flush()
            os.fsync(stream.fileno())
        if md5 and digest.hexdigest() != md5:
            raise Unavailable(f"it has the checksum {digest.hexdigest()}, the archive announced {md5}")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
