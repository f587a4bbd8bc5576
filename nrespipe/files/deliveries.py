"""Products on their way to others: into a directory, or to a server."""

import base64
import os
import shutil
import urllib.parse
from pathlib import Path

import urllib3

from nrespipe.errors import BadFrame, Unavailable
from nrespipe.files.checksum import md5 as checksum


def deliver(path, md5, output, target, *, token="", patience_s=60.0):
    """Deliver a file.

    Parameters
    ----------
    path : str
        The file, below the output directory; it is delivered under the same path.
    md5 : str
        Checksum that it was recorded with.
    output : Path
        Output directory.
    target : str
        ``file:///deliveries``, or the URL of a server below which files are PUT.
    token : str
        What the server knows us by.
    patience_s : float
        How long a server may be silent [second].

    Raises
    ------
    Unavailable
        If the disk or the server fails.
    BadFrame
        If the file is not the one that was recorded: it was replaced, and the new one is delivered by itself.
    """
    source = Path(output) / path
    try:
        if checksum(source) != md5:
            raise BadFrame(f"{source.name}: was replaced since it was recorded")
        parts = urllib.parse.urlsplit(target)
        if parts.scheme == "file":
            _copy(source, Path(urllib.parse.unquote(parts.path)) / path)
        else:
            _put(source, f"{target.rstrip('/')}/{urllib.parse.quote(path)}", md5, token, patience_s)
    except (OSError, urllib3.exceptions.HTTPError) as error:
        raise Unavailable(f"{source.name}: cannot be delivered: {error or type(error).__name__}") from error


def _copy(source, target):
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(source, "rb") as read, open(partial, "wb") as written:
            shutil.copyfileobj(read, written)
            written.flush()
            os.fsync(written.fileno())
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _put(source, url, md5, token, patience_s):
    headers = {
        "Content-Length": str(source.stat().st_size),
        "Content-MD5": base64.b64encode(bytes.fromhex(md5)).decode(),
        "Content-Type": "application/octet-stream",
    }
    if token:
        headers["Authorization"] = f"Token {token}"
    # hears also a server that refuses and hangs up before it has read the file
    with open(source, "rb") as stream, urllib3.PoolManager() as pool:
        answer = pool.request("PUT", url, body=stream, headers=headers, timeout=patience_s, retries=False)
        if not 200 <= answer.status < 300:
            raise Unavailable(f"{source.name}: the server answers {answer.status} {answer.reason}")
