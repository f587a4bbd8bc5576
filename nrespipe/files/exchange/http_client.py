"""Requests to other servers: verified TLS, short waits, and messages without secrets."""

import re
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit

import urllib3

from nrespipe.errors import Unavailable
from nrespipe.settings import is_private

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

#: A server that does not take a connection in this time is away [second].
CONNECT_S = 5.0
#: Size of the pieces in which a file is sent or received [byte].
CHUNK = 1 << 16
_HTTPError = urllib3.exceptions.HTTPError


class ServerAway(Unavailable):
    """A server that cannot serve anybody now, whatever it is asked for.

    Parameters
    ----------
    words
        The failure.
    pause_s
        Pause that the server has asked for [second].
    """

    def __init__(self, words: str, pause_s: float = 0.0) -> None:
        super().__init__(words)
        self.pause_s = pause_s


@contextmanager
def request(
    method: str,
    url: str,
    *,
    token: str = "",
    allow_http: bool = False,
    patience_s: float = 30.0,
    headers: dict[str, str] | None = None,
    body: Iterable[bytes] | None = None,
) -> "Iterator[BaseHTTPResponse]":
    """Send a request to a server, and read the answer in the block; a redirect is an answer.

    Parameters
    ----------
    method
        As ``GET``.
    url
        Address of the request.
    token
        Token that identifies us; it is sent without TLS only to this machine.
    allow_http
        Whether requests without TLS are allowed.
    patience_s
        Longest time that the server may be silent [second].

    Yields
    ------
    urllib3.BaseHTTPResponse
        Its content is not read yet, nor decoded.

    Raises
    ------
    ServerAway
        If the server does not answer, or breaks off.
    Unavailable
        If the address is not allowed.
    """
    require_safe(url, token, allow_http)
    headers = {"Accept-Encoding": "identity", "User-Agent": "nrespipe", **(headers or {})}
    if token:
        headers["Authorization"] = f"Token {token}"
    waits = urllib3.Timeout(connect=min(CONNECT_S, patience_s), read=patience_s)
    with _pool(url) as pool:
        try:
            answer = pool.request(
                method, url, body=body, headers=headers, timeout=waits, retries=False, redirect=False,
                preload_content=False, decode_content=False, enforce_content_length=False,
            )  # fmt: skip
        # also an address with characters that it cannot have
        except (_HTTPError, OSError, ValueError) as error:
            raise ServerAway(f"{place(url)}: {words(error)}") from error
        try:
            yield answer
        except _HTTPError as error:
            raise ServerAway(f"{place(url)}: {words(error)}") from error
        finally:
            # not given back to the pool: nobody reads the rest
            answer.close()


def require_safe(url: str, token: str = "", allow_http: bool = False) -> None:
    """Refuse an address that is no web address, or to which secrets would be sent unencrypted.

    Parameters
    ----------
    token
        Token that is to be sent.
    allow_http
        Whether requests without TLS are allowed.

    Raises
    ------
    Unavailable
        If it is none of the web, has a password in it, or is without TLS where that is not allowed.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except (ValueError, TypeError, AttributeError):
        raise Unavailable("the address is not one of the web") from None
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc:
        raise Unavailable("the address is not one of the web")
    if not is_private(url) and (token or not allow_http):
        what = "the token is not sent" if token else "it is not asked"
        raise Unavailable(f"{place(url)}: {what} without TLS: expected https")


def place(url: str) -> str:
    """Return the server of an address, without a password, a path or options, which may be keys."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def status(answer: "BaseHTTPResponse") -> str:
    """Return the status of an answer for a message: its number and its words, which are cleaned."""
    return f"{answer.status} {re.sub('[^ -~]', '?', answer.reason or '')[:60]}".strip()


def words(error: Exception) -> str:
    """Return the message of an error of the library, without the address."""
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    text = getattr(cause, "strerror", None) or str(cause.args[-1] if cause.args else "") or type(cause).__name__
    # the library names the pool of its connections first
    return re.sub(r"^\w+\(host=.*?\): ", "", text)


def chunks(stream: BinaryIO, seconds: float) -> Iterator[bytes]:
    """Yield the content of a file in pieces, as long as there is time.

    Parameters
    ----------
    stream
        Open file, read from its present position.
    seconds
        Longest time for all of it.

    Raises
    ------
    Unavailable
        If the file cannot be read.
    ServerAway
        If the receiver of the pieces needs longer.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            chunk = stream.read(CHUNK)
        except OSError as error:
            # not for the network library, which would take it for a failure of the server
            raise Unavailable(f"cannot be read: {error.strerror}") from error
        if not chunk:
            return
        if time.monotonic() > end:
            raise ServerAway(f"the server takes the file too slowly: not within {seconds:g} s")
        yield chunk


def _pool(url: str) -> urllib3.PoolManager:
    """Return a client that goes through the proxy of the environment, if there is one for this host."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if not proxy or (parts.scheme == "http" and is_private(url)) or urllib.request.proxy_bypass(parts.hostname or ""):
        return urllib3.PoolManager()
    known = urlsplit(proxy)
    named = f"{known.username}:{known.password or ''}" if known.username else None
    return urllib3.ProxyManager(proxy, proxy_headers=urllib3.make_headers(proxy_basic_auth=named))
