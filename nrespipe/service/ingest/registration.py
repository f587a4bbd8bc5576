"""Register a raw frame: a message or a file becomes a row of the database."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from nrespipe.database.states import State
from nrespipe.database.tables import Frame
from nrespipe.database.work import announcements, attempts
from nrespipe.files import layout
from nrespipe.files.raw import identity
from nrespipe.service import outcome
from nrespipe.service.ingest import inspection, raw_files
from nrespipe.service.ingest.inspection import Inspection
from nrespipe.service.ingest.raw_files import Facts

if TYPE_CHECKING:
    from nrespipe.service.assembly import Assembly
    from nrespipe.service.ingest.messages import Arrival
    from nrespipe.service.outcome import Outcome

T = TypeVar("T")


def register_message(session: Session, assembly: "Assembly", arrival: "Arrival") -> tuple[int, bool]:
    """Make the row of a raw frame that a message announces, if there is none; no disk is read.

    Returns
    -------
    row_id : int
        Key of the row.
    is_due : bool
        Whether a worker is to be notified.
    """
    announced = {**identity.parse_name(arrival.name), "archive_id": arrival.archive_id, "body": arrival.body}
    path = arrival.path or str(layout.fetched_path(assembly.output, arrival.name))
    # the listener notifies a worker right after the commit, and a sweep in between would send a second message; where
    # it sends none, the notifier marks the row as not sent
    frame, is_due = announcements.announce(
        session, identity.stem(arrival.name), path, arrival.md5, is_notified=True, **announced
    )
    return frame.id, is_due


def register_file(sessions: sessionmaker[Session], path: Path, facts: Facts, ended: "Outcome[object]") -> Frame:
    """Make or find the row of a raw file that was inspected.

    Parameters
    ----------
    facts, ended
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

    found = Inspection(path, facts, ended)
    moved = inspection.has_moved(ask, found, Path.exists)
    with sessions.begin() as session:
        known = session.scalar(select(Frame).where(Frame.filename == stem, Frame.md5 == md5)) if md5 else None
        announced = select(Frame.id).where(Frame.filename == stem, Frame.md5.is_(None), Frame.path == str(path))
        frame, is_announced = known, session.scalar(announced.limit(1)) is not None
        if frame is not None and frame.start_mjd is not None and not (is_announced or moved):
            # as a rule: nothing is new
            return frame
        if frame is None or is_announced:
            frame, _ = announcements.announce(session, stem, str(path), **identity.parse_name(path.name))
            if frame.owner:
                # a worker reads it at this moment, and will identify it
                return known or frame
        if md5 is not None:
            frame = inspection.record_content(session, frame, found, moved)
        if ended.state is not State.DONE and frame.state in (State.QUEUED, State.RETRY) and not frame.owner:
            attempts.record_attempt(session, outcome.attempt_row(frame.id, ended))
        return frame
