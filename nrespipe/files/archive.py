"""Raw frames of the archive: a number in, a file on our disk out."""

import hashlib
import http.client
import json
import os
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from nrespipe.errors import Unavailable

_CHUNK = 1 << 20
#: Largest answer that still is a description of a frame [byte].
_LONGEST_ANSWER = 1 << 24
# an http.client.HTTPException is no OSError: a server that ends in the middle of its answer
_TROUBLE = (OSError, http.client.HTTPException)


def fetch(frame_id, path, md5, *, api_root, token="", patience_s=30.0, longest_s=900.0):
    """Fetch a frame from the archive.

    Parameters
    ----------
    frame_id : int
        Its number there.
    path : Path
        Where it goes; its directory is made. Nobody ever sees a part of it.
    md5 : str
        Checksum that it must have; '' for any.
    api_root : str
        URL of the archive.
    token : str
        What the archive knows us by. It is shown to the archive alone, not to the server that the file comes from.
    patience_s : float
        How long a server may be silent [second].
    longest_s : float
        How long the file may take in all [second].

    Raises
    ------
    Unavailable
        If the archive or the disk fails, or what came is not the file that was announced.
    """
    path = Path(path)
    if not api_root:
        raise Unavailable(f"{path.name}: nobody said which archive frame {frame_id} is in: set API_ROOT")
    try:
        url = _address(frame_id, api_root, token, patience_s, path.name)
        _download(url, path, md5, patience_s, time.monotonic() + longest_s)
    except urllib.error.HTTPError as error:
        raise Unavailable(f"{path.name}: the archive answers {error.code} {error.reason}") from error
    except _TROUBLE as error:
        reason = getattr(error, "reason", None) or error
        raise Unavailable(f"{path.name}: cannot be fetched: {reason or type(error).__name__}") from error


def _address(frame_id, api_root, token, patience_s, name):
    """Ask the archive where a frame lies."""
    request = urllib.request.Request(f"{api_root.rstrip('/')}/frames/{frame_id}/")
    if token:
        # not passed on where the archive sends us elsewhere
        request.add_unredirected_header("Authorization", f"Token {token}")
    with urllib.request.urlopen(request, timeout=patience_s) as answer:
        text = answer.read(_LONGEST_ANSWER)
    try:
        url = json.loads(text)["url"]
        if urlsplit(url).scheme not in ("http", "https"):
            raise ValueError
    except (ValueError, TypeError, LookupError, AttributeError):
        raise Unavailable(f"{name}: the archive does not tell where frame {frame_id} lies") from None
    return url


def _download(url, path, md5, patience_s, end):
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with urllib.request.urlopen(url, timeout=patience_s) as answer, open(partial, "wb") as stream:
            announced = answer.headers.get("Content-Length")
            # a trickle never runs into the patience of one read
            while chunk := answer.read1(_CHUNK):
                digest.update(chunk)
                stream.write(chunk)
                if time.monotonic() > end:
                    raise Unavailable(f"{path.name}: the archive sends it too slowly")
            size = stream.tell()
            stream.flush()
            os.fsync(stream.fileno())
        if announced is not None and size != int(announced):
            raise Unavailable(f"{path.name}: truncated on its way: {size} bytes of {announced}")
        if md5 and digest.hexdigest() != md5:
            raise Unavailable(f"{path.name}: has the checksum {digest.hexdigest()}, the archive announced {md5}")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
