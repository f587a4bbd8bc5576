"""Deliveries of products: into a directory, or to a server."""

import base64
import os
import urllib.parse
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import BinaryIO

from nrespipe.errors import BadFrame, Unavailable
from nrespipe.files.atomic_files import md5 as checksum
from nrespipe.files.atomic_files import temporary_path
from nrespipe.files.exchange import http_client
from nrespipe.files.exchange.http_client import ServerAway

#: Status of answers that do not depend on the file: unauthorized, forbidden, too early, too many requests.
_SERVER_AWAY = (401, 403, 407, 408, 425, 429)


def deliver(
    path: str,
    md5: str,
    output: Path,
    target: str,
    *,
    token: str = "",
    allow_http: bool = False,
    patience_s: float = 30.0,
    longest_s: float = 600.0,
) -> None:
    """Deliver a file.

    Parameters
    ----------
    path
        The file, below the output directory; it is delivered under the same path.
    md5
        Checksum that it was recorded with.
    target
        ``file:///deliveries``, or the URL of a server below which files are PUT.
    token
        Token that identifies us.
    allow_http
        Whether requests without TLS are allowed.
    patience_s
        Longest time that a server may be silent [second].
    longest_s
        Longest time for the whole file [second].

    Raises
    ------
    ServerAway
        If the directory or the server takes no files now, whichever they are.
    Unavailable
        If the server refuses this one, or the file cannot be read.
    BadFrame
        If the file is not the one that was recorded: it was replaced, and the new one is delivered by itself.
    """
    source = Path(output) / path
    try:
        if checksum(source) != md5:
            raise BadFrame(f"{source.name}: was replaced since it was recorded")
    except OSError as error:
        raise Unavailable(f"{source.name}: cannot be delivered: {error}") from error
    there = folder(target)
    try:
        with open(source, "rb") as stream:
            if there is not None:
                _copy(stream, there / path, longest_s)
            else:
                url = f"{target.rstrip('/')}/{urllib.parse.quote(path)}"
                _put(stream, url, md5, longest_s, token=token, allow_http=allow_http, patience_s=patience_s)
    except ServerAway as error:
        raise ServerAway(f"{source.name}: cannot be delivered: {error}", error.pause_s) from error
    except (OSError, Unavailable) as error:
        raise Unavailable(f"{source.name}: cannot be delivered: {error}") from error


def folder(target: str) -> Path | None:
    """Return the directory that a target names.

    Parameters
    ----------
    target
        As for `deliver`.

    Returns
    -------
    Path or None
        None where it names a server.
    """
    parts = urllib.parse.urlsplit(target)
    return Path(urllib.parse.unquote(parts.path)) if parts.scheme == "file" else None


def _copy(stream: BinaryIO, target: Path, longest_s: float) -> None:
    partial = temporary_path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(partial, "wb") as written:
                for chunk in http_client.chunks(stream, longest_s):
                    written.write(chunk)
                written.flush()
                os.fsync(written.fileno())
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        # of the directory: what reads the file has its own words
        raise ServerAway(str(error)) from error


def _put(
    stream: BinaryIO, url: str, md5: str, longest_s: float, *, token: str, allow_http: bool, patience_s: float
) -> None:
    headers = {
        "Content-Length": str(os.fstat(stream.fileno()).st_size),
        "Content-MD5": base64.b64encode(bytes.fromhex(md5)).decode(),
        "Content-Type": "application/octet-stream",
    }
    # a server that refuses and hangs up before it has read the file is heard too
    body = http_client.chunks(stream, longest_s)
    request = http_client.request(
        "PUT", url, token=token, allow_http=allow_http, patience_s=patience_s, headers=headers, body=body
    )
    with request as answer:
        if 200 <= answer.status < 300:
            return
        told = f"{http_client.place(url)} answers {http_client.status(answer)}"
        # a redirect is not followed: it sends everybody elsewhere, and the token must not go there
        if answer.status >= 500 or answer.status < 400 or answer.status in _SERVER_AWAY:
            raise ServerAway(told, _wish_s(answer.headers.get("Retry-After", "")))
        raise Unavailable(told)


def _wish_s(text: str) -> float:
    """Return the pause of a Retry-After header, 0 where it has none that can be read [second]."""
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        wish = parsedate_to_datetime(text)
        return max((wish - datetime.now(wish.tzinfo and UTC)).total_seconds(), 0.0)
    except (TypeError, ValueError, OverflowError):
        return 0.0
