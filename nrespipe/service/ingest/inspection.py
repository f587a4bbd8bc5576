"""The content of a raw file: fetch the file, inspect it, and record its content in its row."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nrespipe.database.dialects import clock
from nrespipe.database.states import State
from nrespipe.database.tables import Frame
from nrespipe.database.work import announcements, contents, notifications
from nrespipe.files import layout, timed_read
from nrespipe.files.atomic_files import md5
from nrespipe.files.exchange import archive_download
from nrespipe.files.raw import identity
from nrespipe.service import outcome
from nrespipe.service.ingest import raw_files
from nrespipe.service.ingest.raw_files import Facts
from nrespipe.service.outcome import Outcome

if TYPE_CHECKING:
    from nrespipe.service.assembly import Assembly

_log = structlog.get_logger(__name__)


class Content(Enum):
    """End of the record of the content of a file."""

    RECORDED = auto()  #: the row has this content; the frame can be worked on, or its failure recorded
    KNOWN = auto()  #: another row has this content, and has taken the place of this one
    ANNOUNCED_AGAIN = auto()  #: the file may have changed since it was read: the row was given back


@dataclass(frozen=True)
class Inspection:
    """A raw file that was inspected.

    Attributes
    ----------
    path
        Where it was read.
    facts
        Columns of its row, with its checksum as `md5`, as ``raw_files.inspect`` returns them; empty where the content
        was recorded before.
    ended
        Done, or why it cannot be reduced.
    """

    path: Path
    facts: Facts
    ended: Outcome[object]


def fetch_and_inspect(assembly: "Assembly", frame: Frame) -> Inspection:
    """Fetch the file of a frame if it is in the archive, and inspect it unless that was done before.

    Raises
    ------
    Unavailable
        If the archive or the disk does not give it in time.
    """
    path, may = Path(frame.path), assembly.limits
    # another version of it may be there
    if frame.archive_id is not None and not timed_read.call(partial(_is_whole, frame.md5), path, may.read_s):
        given, path = assembly.settings, layout.fetched_path(assembly.output, path.name)
        archive_download.fetch(
            frame.archive_id,
            path,
            frame.md5 or "",
            api_root=given.api_root,
            token=given.auth_token.get_secret_value(),
            hosts=given.archive_hosts,
            allow_http=given.allow_http,
            longest_s=may.fetch_s,
        )
    if frame.start_mjd is not None:
        # a reduction that hangs would be taken for one that takes too long
        timed_read.call(timed_read.touch, path, may.read_s)
        return Inspection(path, {}, outcome.run(lambda: None))
    return Inspection(path, *timed_read.call(raw_files.inspect, path, may.read_s))


def exists(assembly: "Assembly", path: Path) -> bool:
    """Return whether a file is there; one that the disk does not give at this moment is not gone."""
    read_s = assembly.limits.read_s
    return outcome.run(timed_read.call, Path.exists, path, read_s).value is not False


def record(session: Session, frame: Frame, found: Inspection, moved: bool) -> Content:
    """Record the content of a file in its row, if it was not recorded before.

    Parameters
    ----------
    frame
        Row of the file, which the caller owns.
    moved
        As `has_moved` returns it.
    """
    if "md5" in found.facts:
        known = record_content(session, frame, found, moved)
        if known is not frame:
            _log.info("content is known already", version=known.version)
            return Content.KNOWN
    else:
        frame.path = str(found.path)
    session.flush()
    return Content.RECORDED


def record_content(session: Session, frame: Frame, found: Inspection, moved: bool = False) -> Frame:
    """Record the content of a file that was read; a row with the same content takes its place.

    Parameters
    ----------
    frame
        Row of the file; no process owns it, or the caller does.
    found
        With the checksum.
    moved
        As `has_moved` returns it.

    Returns
    -------
    Frame
        Row of this content: the given one; or that which had this content before, and the given one is deleted. It has
        a version now, unless its content cannot be understood and another version exists.
    """
    path, facts, is_read = found.path, found.facts, found.ended.state is State.DONE
    while (known := _known(session, frame.filename, facts["md5"])) is None:
        try:
            with session.begin_nested():
                frame.md5, frame.path = facts["md5"], str(path)
                session.flush()
        except IntegrityError:
            # another process has read the same content at the same time
            session.refresh(frame)
    if moved:
        known.path = str(path)
        if known.state in (State.RETRY, State.FAILED) and not known.owner:
            announcements.request(session, known)
    if known.id != frame.id:
        known.archive_id = frame.archive_id if known.archive_id is None else known.archive_id
        for attempt in frame.attempts:
            session.delete(attempt)
        notifications.resend_other_versions(session, frame.id)
        session.delete(frame)
        session.flush()
    if is_read and known.start_mjd is None:
        contents.record_header(known, facts, clock(session))
    others = select(Frame.id).where(Frame.filename == known.filename, Frame.version.is_not(None))
    if is_read or session.scalar(others.limit(1)) is None:
        contents.assign_version(session, known)
    return known


def has_moved(
    ask: "Callable[[Callable[[Session], str | None]], str | None]",
    found: Inspection,
    exists: Callable[[Path], bool],
) -> bool:
    """Return whether a known content is no more where it was seen last; the disk is read outside of transactions.

    Parameters
    ----------
    ask
        ``ask(query)`` returns ``query(session)``, done in a transaction.
    exists
        Reads the disk.

    Returns
    -------
    bool
        False where it is not known, or was seen at the same place.
    """
    path, checksum = found.path, found.facts.get("md5")
    if checksum is None:
        return False
    query = select(Frame.path).where(Frame.filename == identity.stem(path), Frame.md5 == checksum)
    seen = ask(lambda session: session.scalar(query))
    return seen is not None and seen != str(path) and not exists(Path(seen))


def _known(session: Session, filename: str, md5: str | None) -> Frame | None:
    """Return the row of a content; None where there is none, or the content is not known."""
    known = select(Frame).where(Frame.filename == filename, Frame.md5 == md5)
    return None if md5 is None else session.scalar(known.with_for_update().execution_options(populate_existing=True))


def _is_whole(checksum: str | None, path: Path) -> bool:
    return checksum is not None and path.is_file() and md5(path) == checksum
