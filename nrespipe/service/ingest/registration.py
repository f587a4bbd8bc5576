"""Register a raw frame: a message or a file becomes a row of the database."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from nrespipe.database import claims, frames
from nrespipe.database.dialects import clock
from nrespipe.database.states import State
from nrespipe.database.tables import Frame
from nrespipe.files import layout
from nrespipe.files.raw import identity
from nrespipe.service import outcome
from nrespipe.service.ingest import raw_files
from nrespipe.service.ingest.raw_files import Facts

if TYPE_CHECKING:
    from nrespipe.service.assembly import Assembly
    from nrespipe.service.ingest.messages import Arrival
    from nrespipe.service.outcome import Outcome

T = TypeVar("T")

_NOWHERE = {"site": "", "instrument": "", "day": ""}


def register_message(session: Session, assembly: "Assembly", arrival: "Arrival") -> tuple[int, bool]:
    """Make the row of a raw frame that a message announces, if there is none; no disk is read.

    Returns
    -------
    row_id : int
        Key of the row.
    is_due : bool
        Whether a worker is to be notified.
    """
    facts, moment = raw_files.parse_name(arrival.name), clock(session)
    announced = {"archive_id": arrival.archive_id, "body": arrival.body, "sent": moment}
    path = arrival.path or str(fetched_path(assembly.output, arrival.name))
    frame, is_due = frames.announce(session, identity.stem(arrival.name), path, arrival.md5, **facts, **announced)
    return frame.id, is_due


def fetched_path(output: Path, name: str) -> Path:
    """Return the path of a file that is fetched from the archive, by the night in its name."""
    return layout.fetched_path(output, Frame(**{**_NOWHERE, **raw_files.parse_name(name)}), name)


def register_file(sessions: sessionmaker[Session], path: Path, facts: Facts, result: "Outcome[object]") -> Frame:
    """Make or find the row of a raw file that was inspected.

    Parameters
    ----------
    facts, result
        As ``raw_files.inspect`` returns them.

    Returns
    -------
    Frame
        Row of this content; where the file cannot be read, that of its announcement, with the reason.

    Raises
    ------
    Unavailable
        If its path is not text.
    """
    raw_files.require_utf8(path)
    stem, md5 = identity.stem(path), facts.get("md5")

    def ask(work: Callable[[Session], T]) -> T:
        with sessions.begin() as session:
            return work(session)

    moved = has_moved(ask, path, md5, Path.exists)
    with sessions.begin() as session:
        known = session.scalar(select(Frame).where(Frame.filename == stem, Frame.md5 == md5)) if md5 else None
        announced = select(Frame.id).where(Frame.filename == stem, Frame.md5.is_(None), Frame.path == str(path))
        frame, is_announced = known, session.scalar(announced.limit(1)) is not None
        if frame is not None and frame.start_mjd is not None and not (is_announced or moved):
            # as a rule: nothing is new
            return frame
        if frame is None or is_announced:
            frame, _ = frames.announce(session, stem, str(path), **raw_files.parse_name(path.name))
            if frame.owner:
                # a worker reads it at this moment, and will identify it
                return known or frame
        if md5 is not None:
            frame = identify(session, frame, path, facts, result, moved)
        if result.state is not State.DONE and frame.state in (State.QUEUED, State.RETRY) and not frame.owner:
            frames.record(session, outcome.attempt_row(frame.id, result))
        return frame


def identify(
    session: Session, frame: Frame, path: Path, facts: Facts, result: "Outcome[object]", moved: bool = False
) -> Frame:
    """Record the identity of a file that was read; a row with the same content takes its place.

    Parameters
    ----------
    frame
        Row of the file; no process owns it, or the caller does.
    path
        Where it was read.
    facts, result
        As ``raw_files.inspect`` returns them; with the checksum.
    moved
        As `has_moved` returns it.

    Returns
    -------
    Frame
        Row of this content: the given one; or that which had this content before, and the given one is deleted. It has
        a version now, unless its content cannot be understood and another version exists.
    """
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
            claims.request(session, known)
    if known.id != frame.id:
        known.archive_id = frame.archive_id if known.archive_id is None else known.archive_id
        for attempt in frame.attempts:
            session.delete(attempt)
        frames.cancel_dispatch_of_versions(session, frame.id)
        session.delete(frame)
        session.flush()
    if result.state is State.DONE and known.start_mjd is None:
        frames.identify(known, facts, clock(session))
    others = select(Frame.id).where(Frame.filename == known.filename, Frame.version.is_not(None))
    if result.state is State.DONE or session.scalar(others.limit(1)) is None:
        frames.assign_version(session, known)
    return known


def has_moved(
    ask: "Callable[[Callable[[Session], str | None]], str | None]",
    path: Path,
    md5: str | None,
    exists: Callable[[Path], bool],
) -> bool:
    """Return whether a known content is no more where it was seen last; the disk is read outside of transactions.

    Parameters
    ----------
    ask
        ``ask(query)`` returns ``query(session)``, done in a transaction.
    path
        Where it was seen now.
    exists
        Reads the disk.

    Returns
    -------
    bool
        False where it is not known, or was seen at the same place.
    """
    if md5 is None:
        return False
    query = select(Frame.path).where(Frame.filename == identity.stem(path), Frame.md5 == md5)
    seen = ask(lambda session: session.scalar(query))
    return seen is not None and seen != str(path) and not exists(Path(seen))


def _known(session: Session, filename: str, md5: str | None) -> Frame | None:
    """Return the row of a content; None where there is none, or the content is not known."""
    known = select(Frame).where(Frame.filename == filename, Frame.md5 == md5)
    return None if md5 is None else session.scalar(known.with_for_update().execution_options(populate_existing=True))
