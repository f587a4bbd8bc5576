"""Whether the service can work: its database, brokers, disk, masters and clock."""

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from kombu import Connection
from kombu.exceptions import OperationalError as BrokerError
from pydantic import SecretStr
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from nrespipe.database import frames
from nrespipe.database.administration import schema
from nrespipe.database.dialects import clock, now
from nrespipe.database.masters import calibrations
from nrespipe.database.tables import Frame
from nrespipe.frames.raw import Kind
from nrespipe.service import time_limits
from nrespipe.settings import MEMORY

if TYPE_CHECKING:
    from nrespipe.service.assembly import Assembly

#: A night of one spectrograph comes to about this [byte].
_ENOUGH_DISK = 20e9
#: A clock that is off by this much moves a barycentric velocity by 1 cm/s or more [second].
_CLOCK_S = 5.0
_RECENT_NIGHTS = 7


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Attributes
    ----------
    name
        Name of the check.
    state
        ``ok``; ``warning`` where a person should look, but the service works; ``broken``.
    words
        Value found, and what to do.
    """

    name: str
    state: str
    words: str


def examine(assembly: "Assembly") -> list[Finding]:
    """Check everything that the service needs."""
    settings = assembly.settings
    parts = [
        ("database", lambda: _database(assembly)),
        ("broker of raw frames", lambda: _broker(settings.fits_broker)),
        ("broker of the workers", lambda: _broker(settings.broker_url)),
        ("limits", lambda: _limits(assembly)),
        ("disk", lambda: _disk(assembly.output)),
        ("raw frames", lambda: _raw(settings.raw_root)),
        ("masters", lambda: _masters(assembly)),
        ("clock", lambda: _clock(assembly)),
        ("Earth rotation", _earth),
    ]
    return [_finding(name, look) for name, look in parts]


def _finding(name: str, look: Callable[[], tuple[str, str]]) -> Finding:
    try:
        return Finding(name, *look())
    except Exception as error:
        # what is broken in one place hides nothing of the others
        words = next(iter(str(error).splitlines()), "")
        is_clear = isinstance(error, OSError | SQLAlchemyError | schema.WrongRevision) and bool(words)
        return Finding(name, "broken", words if is_clear else f"{type(error).__name__}: {words}")


def _database(assembly: "Assembly") -> tuple[str, str]:
    if (path := _absent(assembly)) is not None:
        return "warning", f"no {path} yet: the first program that writes makes it"
    revision = schema.require(assembly.readers.kw["bind"])
    with assembly.readers.begin() as session:
        newest = frames.newest_night(session)
        words = f"last night {newest}" if newest else "no frames yet"
        return "ok", f"{session.get_bind().dialect.name}, revision {revision}, {words}"


def _absent(assembly: "Assembly") -> str | None:
    """Path of a database that is to be a file and is not there yet; None for all others."""
    url = assembly.readers.kw["bind"].url
    path: str | None = url.database if url.get_backend_name() == "sqlite" else None
    return path if path and not os.path.exists(path) else None


def _broker(url: SecretStr) -> tuple[str, str]:
    if url == MEMORY:
        return "ok", "none: within one program"
    # the address of a broker holds its password
    with Connection(url.get_secret_value(), connect_timeout=5) as connection:
        try:
            connection.ensure_connection(max_retries=1, interval_start=0.1, timeout=5)
        except (*connection.connection_errors, BrokerError) as error:
            return "broken", f"{connection.as_uri()} does not answer: {error}"
        return "ok", connection.as_uri()


def _limits(assembly: "Assembly") -> tuple[str, str]:
    try:
        time_limits.require_fit(assembly.settings, assembly.pace)
    except time_limits.DoNotFit as error:
        return "broken", str(error)
    given = assembly.limits
    return "ok", f"a frame may take {given.work_s:g} s, a worker {given.stop_s:g} s to stop"


def _disk(output: Path) -> tuple[str, str]:
    with tempfile.TemporaryFile(dir=output) as stream:
        stream.write(b"x" * 4096)
        stream.flush()
        os.fsync(stream.fileno())
    free = shutil.disk_usage(output).free
    return "warning" if free < _ENOUGH_DISK else "ok", f"{free / 1e9:.1f} GB free at {output}"


def _raw(raw_root: Path | None) -> tuple[str, str]:
    if raw_root is None:
        return "ok", "NRES_RAW_ROOT is not set"
    next(os.scandir(raw_root), None)
    return "ok", str(raw_root)


def _masters(assembly: "Assembly") -> tuple[str, str]:
    """Every camera that took stars lately needs masters that serve them."""
    if _absent(assembly) is not None:
        return "ok", "no stars yet"
    with assembly.readers.begin() as session:
        # of each camera the last star of the last nights
        nights = frames.of_nights(Frame, "", frames.first_of_last_nights(session, _RECENT_NIGHTS))
        recent = (*nights, Frame.kind == Kind.SCIENCE)
        place = [getattr(Frame, name) for name in calibrations.Night._fields if name != "day"]
        newest = session.scalars(
            select(func.max(Frame.id)).where(*recent, Frame.start_mjd.is_not(None)).group_by(*place)
        )
        last = list(session.scalars(select(Frame).where(Frame.id.in_(newest.all())).order_by(Frame.start_mjd)))
        if not last:
            return "ok", "no stars lately"
        lacking = [
            f"{frame.instrument} {frame.camera} lacks a {kind} for {frame.day}"
            for frame in last
            for kind in assembly.recipes[Kind.SCIENCE].NEEDS
            if calibrations.nearest(session, kind, frame) is None
        ]
    return ("warning", "; ".join(lacking)) if lacking else ("ok", f"{len(last)} cameras have all that their stars need")


def _clock(assembly: "Assembly") -> tuple[str, str]:
    with assembly.readers.begin() as session:
        before = now()
        off_s = (clock(session) - before).total_seconds()
    if abs(off_s) > _CLOCK_S:
        return "broken", f"this host and the database differ by {off_s:.1f} s"
    # a monotonic clock that ran longer than the world: the clock of the host was never set
    return ("broken", f"it is {before:%Y}") if before.year < 2020 else ("ok", f"{before:%Y-%m-%d %H:%M:%S} UTC")


def _earth() -> tuple[str, str]:
    """Leap seconds and Earth orientation that were shipped with astropy; nothing is fetched from a network."""
    # here, not above: it brings the tables of astropy with it, which no other command needs
    from astropy.utils import iers

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        leap = iers.LeapSeconds.auto_open()
    expires = leap.expires.to_datetime().replace(tzinfo=None)
    left = expires - now().replace(tzinfo=None)
    words = f"leap seconds are known until {expires:%Y-%m-%d}"
    return ("warning", f"{words}: update astropy-iers-data") if left < timedelta(0) else ("ok", words)
