"""Every environment variable, typed, read once."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_BROKERS = ("amqp", "amqps", "pyamqp", "memory")

#: Address of the broker that lives in the memory of one process.
MEMORY = "memory://localhost/"


@dataclass(frozen=True)
class Settings:
    """What the environment says; an option of a command comes before it.

    What may hold a password is left out where the settings are printed.

    Attributes
    ----------
    database_url : str
        ``DB_URL``: SQLAlchemy URL of the database; '' (the default) means one SQLite file in the output directory.
    data_root : Path or None
        ``NRES_DATA_ROOT``: output directory of the commands that are given none; None where there is none.
    raw_root : Path or None
        ``NRES_RAW_ROOT``: directory of raw frames, below which lie the sites; None where there is none.
    processes : int or None
        ``NRES_PROCESSES``: frames to reduce at a time; None means one a processor core.
    log_level : str
        ``NRES_LOG_LEVEL``: least severe lines to log, one of DEBUG, INFO (the default), WARNING, ERROR.
    fits_broker : str
        ``FITS_BROKER``: URL of the broker that tells of new raw frames, as ``amqp://user:password@host/``.
    fits_exchange : str
        ``FITS_EXCHANGE``: name of the fanout exchange at that broker.
    broker_url : str
        ``BROKER_URL``: URL of the broker that wakes the workers; the default lives in one process and serves ``run``.
    broker_host : str
        ``RABBITMQ_HOST``: host of the broker that wakes the workers, where ``BROKER_URL`` is not set; with a port as
        ``rabbit:5673``.
    broker_username : str
        ``BROKER_USERNAME``: what that broker knows this service by.
    broker_password : str
        ``BROKER_PASSWORD``: and by what it believes it.
    time_limit_s : float
        ``NRES_TIME_LIMIT``: a frame or a master that takes longer than this is stopped [second].
    memory_limit_mb : int or None
        ``NRES_MEMORY_LIMIT``: a worker's process that holds more memory than this is ended with its frame, which is
        tried twice more; one that has held half of it is replaced after its frame [MB]. None means no limit.
    do_rv : bool
        ``NRES_DO_RV``: whether velocities are measured; without them a star gets its spectra and wavelengths, and the
        correction to the barycenter.
    stack_delay_h : float
        ``CAL_STACK_DELAY``: how long after the end of a night its masters are made [hour].
    master_patience_days : float
        ``NRES_MASTER_PATIENCE``: how long a star waits for masters near in time before it is reduced with others, and
        flagged [day].
    future_masters : bool
        ``NRES_FUTURE_MASTERS``: whether a frame may be reduced with masters of later nights.
    api_root : str
        ``API_ROOT``: URL of the archive from which frames are fetched that are announced by number.
    auth_token : str
        ``AUTH_TOKEN``: what the archive knows this service by.
    do_ingest : bool
        ``DO_INGEST``: whether products are delivered.
    ingest_to : str
        ``NRES_INGEST_TO``: where to: a directory, as ``file:///deliveries``, or a server that takes files by PUT, as
        ``https://ingest.example.org/nres/``; it is shown ``AUTH_TOKEN``.
    opentsdb_hostname : str
        ``OPENTSDB_HOSTNAME``: server that takes numbers for dashboards; '' (the default) sends none.
    opentsdb_port : int
        ``OPENTSDB_PORT``: where it takes them, over HTTP.
    metrics_port : int or None
        ``NRES_METRICS_PORT``: where the scheduler answers Prometheus; None does not.
    summary_recipients : tuple of str
        ``SUMMARY_RECIPIENTS``: who gets the summary of a night by mail, addresses with commas between them; none (the
        default) gets none.
    summary_sender : str
        ``SUMMARY_SENDER``: address that the mail comes from.
    summary_password : str
        ``SUMMARY_SENDER_PASSWORD``: what its mail server believes the sender by.
    summary_server : str
        ``SUMMARY_SERVER``: mail server, as ``host:port``.
    """

    database_url: str = field(default="", repr=False)
    data_root: Path | None = None
    raw_root: Path | None = None
    processes: int | None = None
    log_level: str = "INFO"
    fits_broker: str = field(default=MEMORY, repr=False)
    fits_exchange: str = "fits_files"
    broker_url: str = field(default=MEMORY, repr=False)
    broker_host: str = ""
    broker_username: str = "guest"
    broker_password: str = field(default="guest", repr=False)
    time_limit_s: float = 1800.0
    memory_limit_mb: int | None = None
    do_rv: bool = True
    stack_delay_h: float = 4.0
    master_patience_days: float = 5.0
    future_masters: bool = True
    api_root: str = ""
    auth_token: str = field(default="", repr=False)
    do_ingest: bool = False
    ingest_to: str = ""
    opentsdb_hostname: str = ""
    opentsdb_port: int = 4242
    metrics_port: int | None = None
    summary_recipients: tuple[str, ...] = ()
    summary_sender: str = ""
    summary_password: str = field(default="", repr=False)
    summary_server: str = "smtp.gmail.com:587"


def read(environment: Mapping[str, str] = os.environ):
    """Read the settings.

    Parameters
    ----------
    environment : mapping of str to str
        Variables by name; a blank one counts as absent.

    Returns
    -------
    Settings

    Raises
    ------
    ValueError
        If a variable has a value that it cannot have; the message names the variable and what it expects.
    """
    given = {}
    for setting, (name, typed) in _VARIABLES.items():
        text = environment.get(name, "").strip()
        if text:
            given[setting] = typed(name, text)
    if given.get("do_ingest") and not given.get("ingest_to"):
        raise ValueError("DO_INGEST is true, but NRES_INGEST_TO does not tell where products are delivered")
    if given.get("summary_recipients") and not given.get("summary_sender"):
        raise ValueError("SUMMARY_RECIPIENTS is set, but SUMMARY_SENDER does not tell whom the mail comes from")
    if "broker_host" in given and "broker_url" not in given:
        names = [given.get(name, getattr(Settings, name)) for name in ("broker_username", "broker_password")]
        given["broker_url"] = f"amqp://{':'.join(quote(name, safe='') for name in names)}@{given['broker_host']}/"
    return Settings(**given)


def names():
    """Return the names of all variables.

    Returns
    -------
    list of str
    """
    return [name for name, _ in _VARIABLES.values()]


def _text(_name, text):
    return text


def _path(_name, text):
    return Path(text)


def _database(name, text):
    # a command that opens no database starts without SQLAlchemy
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        make_url(text)
    except ArgumentError:
        # the text may hold a password: it is not repeated
        raise ValueError(f"{name} is not a database URL; expected e.g. sqlite:////data/nrespipe.sqlite") from None
    return text


def _broker(name, text):
    if urlsplit(text).scheme not in _BROKERS:
        raise ValueError(f"{name} is not the URL of a broker; expected e.g. amqp://user:password@host:5672/")
    return text


def _host(name, text):
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?", text):
        # the text may hold a password: it is not repeated
        raise ValueError(f"{name} is not the name of a host; expected e.g. rabbit or rabbit:5673")
    return text


def _address(name, text):
    if not re.fullmatch(r"[^@\s,]+@[^@\s,]+", text):
        raise ValueError(f"{name} has {text!r}; expected addresses such as nres@example.org")
    return text


def _addresses(name, text):
    return tuple(_address(name, word.strip()) for word in text.split(",") if word.strip())


def _site(name, text):
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"{name} is not a web address; expected e.g. https://archive.example.org/")
    return text


def _positive(name, text):
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise ValueError(f"{name} is {text!r}; expected a whole number from 1")
    return int(text)


def _port(name, text):
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text) < 65536:
        raise ValueError(f"{name} is {text!r}; expected a port, from 1 to 65535")
    return int(text)


def _server(name, text):
    host, colon, port = text.partition(":")
    if not host or "/" in text or (colon and not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536)):
        raise ValueError(f"{name} is {text!r}; expected e.g. mail.example.org:587")
    return text


def _number(least) -> Callable[[str, str], float]:
    def typed(name, text):
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value < float("inf"):
            raise ValueError(f"{name} is {text!r}; expected a number from {least:g}")
        return value

    return typed


def _switch(name, text):
    if text.lower() not in _YES + _NO:
        raise ValueError(f"{name} is {text!r}; expected true or false")
    return text.lower() in _YES


def _target(name, text):
    parts = urlsplit(text)
    if not (parts.scheme in ("http", "https") and parts.netloc) and not (parts.scheme == "file" and parts.path):
        raise ValueError(f"{name} is {text!r}; expected e.g. file:///deliveries or https://ingest.example.org/nres/")
    return text


def _level(name, text):
    if text.upper() not in _LOG_LEVELS:
        raise ValueError(f"{name} is {text!r}; expected one of {', '.join(_LOG_LEVELS)}")
    return text.upper()


_VARIABLES = {
    "database_url": ("DB_URL", _database),
    "data_root": ("NRES_DATA_ROOT", _path),
    "raw_root": ("NRES_RAW_ROOT", _path),
    "processes": ("NRES_PROCESSES", _positive),
    "log_level": ("NRES_LOG_LEVEL", _level),
    "fits_broker": ("FITS_BROKER", _broker),
    "fits_exchange": ("FITS_EXCHANGE", _text),
    "broker_url": ("BROKER_URL", _broker),
    "broker_host": ("RABBITMQ_HOST", _host),
    "broker_username": ("BROKER_USERNAME", _text),
    "broker_password": ("BROKER_PASSWORD", _text),
    "time_limit_s": ("NRES_TIME_LIMIT", _number(1)),
    "memory_limit_mb": ("NRES_MEMORY_LIMIT", _positive),
    "do_rv": ("NRES_DO_RV", _switch),
    "stack_delay_h": ("CAL_STACK_DELAY", _number(0)),
    "master_patience_days": ("NRES_MASTER_PATIENCE", _number(0)),
    "future_masters": ("NRES_FUTURE_MASTERS", _switch),
    "api_root": ("API_ROOT", _site),
    "auth_token": ("AUTH_TOKEN", _text),
    "do_ingest": ("DO_INGEST", _switch),
    "ingest_to": ("NRES_INGEST_TO", _target),
    "opentsdb_hostname": ("OPENTSDB_HOSTNAME", _text),
    "opentsdb_port": ("OPENTSDB_PORT", _port),
    "metrics_port": ("NRES_METRICS_PORT", _port),
    "summary_recipients": ("SUMMARY_RECIPIENTS", _addresses),
    "summary_sender": ("SUMMARY_SENDER", _address),
    "summary_password": ("SUMMARY_SENDER_PASSWORD", _text),
    "summary_server": ("SUMMARY_SERVER", _server),
}
