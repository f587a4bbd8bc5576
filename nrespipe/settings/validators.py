"""The forms that values of environment variables have: what is refused, and what a value becomes.

Of a value that is refused no message shows anything: it may be a password that was put in the wrong place.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

#: Address of the broker that lives in the memory of one process.
MEMORY = SecretStr("memory://localhost/")

_BROKERS = ("amqp", "amqps", "pyamqp", "memory")
HOST = r"([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"


def _stripped(given: object) -> object:
    return given.strip() if isinstance(given, str) else given


def lower(given: str) -> str:
    """Return a word in small letters, without blanks."""
    return given.strip().lower()


def upper(given: str) -> str:
    """Return a word in capital letters, without blanks."""
    return given.strip().upper()


def from_one(given: object) -> object:
    """Refuse a text that is not a whole number from 1."""
    if isinstance(given, str) and not re.fullmatch("0*[1-9][0-9]*", given.strip()):
        raise ValueError("not a whole number from 1")
    return given


def _host(text: str) -> str:
    found = re.fullmatch(rf"{HOST}(:([0-9]+))?", text)
    if not found or not 0 < int(found[4] or 1) < 65536:
        raise ValueError("not a host")
    return text


def _port_of(url: str) -> int | None:
    # of the library's ValueError the text may be a piece of a password
    try:
        return urlsplit(url).port
    except ValueError:
        raise ValueError("not a port") from None


def _broker(secret: SecretStr) -> SecretStr:
    urls = secret.get_secret_value().split(";")
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in _BROKERS:
            raise ValueError("not a broker")
        if parts.scheme == "memory":
            return MEMORY
        _port_of(url)
        # a password with one of these in it, which then begins the host, the path or the options
        if not re.fullmatch(HOST, _bare_host(parts)) or "@" in parts.path + parts.query or "#" in url:
            raise ValueError("not a host")
    return secret


def _bare_host(parts: SplitResult) -> str:
    return re.sub(r":[0-9]+$", "", parts.netloc.rpartition("@")[2])


def database(secret: SecretStr) -> SecretStr:
    """Refuse what is no SQLAlchemy URL, or has a character of a password where another part begins."""
    if not secret.get_secret_value():
        return secret
    # a command that opens no database starts without SQLAlchemy
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(secret.get_secret_value())
    except (ArgumentError, ValueError):
        # the text of the error may be a piece of a password
        raise ValueError("not a database") from None
    # a password with one of these in it, which then begins the host or the name of the database
    if url.get_backend_name() != "sqlite" and ("@" in (url.host or "") or re.search("[@/#]", url.database or "")):
        raise ValueError("an @, a / or a # too many")
    return secret


def web_address(text: str) -> str:
    """Refuse what is no web address, or has more in it than a server and a path."""
    parts = urlsplit(text)
    _port_of(text)
    # neither was ever sent: a password goes into AUTH_TOKEN
    if parts.scheme not in ("http", "https") or not re.fullmatch(HOST, _bare_host(parts)):
        raise ValueError("not a web address")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("more than a web address")
    return text


def delivery_target(text: str) -> str:
    """Refuse what is neither ``file:///directory`` nor a web address."""
    parts = urlsplit(text)
    if parts.scheme != "file":
        return web_address(text)
    is_here = parts.netloc in ("", "localhost") and unquote(parts.path).startswith("/")
    if not is_here or parts.query or parts.fragment:
        raise ValueError("not a directory")
    return text


def split_words(given: object) -> object:
    """Split a text at its commas."""
    return tuple(word.strip() for word in given.split(",") if word.strip()) if isinstance(given, str) else given


def is_private(url: str) -> bool:
    """Return whether nobody on the way sees what is sent to an address of the web.

    Returns
    -------
    bool
        True with TLS, and for this machine.
    """
    parts = urlsplit(url)
    return parts.scheme == "https" or bool(re.fullmatch(r"localhost|127\.[0-9.]+|::1", parts.hostname or ""))


def is_given(value: str | SecretStr | None) -> bool:
    """Return whether a setting has a value other than its default."""
    return bool(value.get_secret_value() if isinstance(value, SecretStr) else value) and value != MEMORY


def joined(scheme: str, values: Mapping[str, Any], part: str) -> str:
    """Return a URL of its parts, whatever characters they have."""
    words = [values.get(f"{part}_username", ""), values.get(f"{part}_password", SecretStr("")).get_secret_value()]
    who = ":".join(quote(word, safe="") for word in words if word)
    return f"{scheme}://{who}{'@' * bool(who)}{values[f'{part}_host']}/"


def ascii_only(pattern: str) -> AfterValidator:
    """Refuse a secret with other characters than a pattern has."""

    def check(secret: SecretStr) -> SecretStr:
        if not re.fullmatch(pattern, secret.get_secret_value()):
            raise ValueError("other characters")
        return secret

    return AfterValidator(check)


Text = Annotated[str, BeforeValidator(_stripped)]
Directory = Annotated[Path | None, BeforeValidator(_stripped)]
Secret = Annotated[SecretStr, BeforeValidator(_stripped)]
Broker = Annotated[Secret, AfterValidator(_broker)]
Host = Annotated[Text, AfterValidator(_host)]
MailAddress = Annotated[Text, Field(pattern=r"^[^@\s,<>]+@[^@\s,<>]+$")]
HostPattern = Annotated[str, Field(pattern=r"^[A-Za-z0-9.*-]+$")]
Count = Annotated[int | None, Field(ge=1)]
Port = Annotated[int | None, Field(ge=1, le=65535)]
