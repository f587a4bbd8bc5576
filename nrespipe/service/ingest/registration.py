"""Register a raw file that lies on the disk: no message need announce it, and it is inspected at once."""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from nrespipe.database.states import State
from nrespipe.database.tables import Frame
from nrespipe.database.work import announcements, attempts, contents
from nrespipe.files.raw import identity
from nrespipe.service import outcome
from nrespipe.service.ingest import raw_files
from nrespipe.service.ingest.raw_files import Facts

if TYPE_CHECKING:
    from nrespipe.service.outcome import Outcome


def register_file(sessions: sessionmaker[Session], path: Path, facts: Facts, ended: "Outcome[object]") -> Frame:
    """Make or find the row of a raw file that was inspected.

    Parameters
    ----------
    facts, ended
        As ``raw_files.identify`` returns them.

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
    stem, md5, is_read = identity.stem(path), facts.get("md5"), ended.state is State.DONE

    with sessions.begin() as session:
        seen = contents.last_path(session, stem, md5)
    # outside of a transaction, which must not wait for the disk
    has_moved = seen is not None and seen != str(path) and not Path(seen).exists()
    with sessions.begin() as session:
        known = session.scalar(select(Frame).where(Frame.filename == stem, Frame.md5 == md5)) if md5 else None
        announced = select(Frame.id).where(Frame.filename == stem, Frame.md5.is_(None), Frame.path == str(path))
        frame, is_announced = known, session.scalar(announced.limit(1)) is not None
        if frame is not None and frame.start_mjd is not None and not (is_announced or has_moved):
            # as a rule: nothing is new
            return frame
        if frame is None or is_announced:
            frame, _ = announcements.announce(session, stem, str(path), **identity.parse_name(path.name))
            if frame.owner:
                # a worker reads it at this moment, and will identify it
                return known or frame
        if md5 is not None:
            frame = contents.record_content(session, frame, path, facts, is_read=is_read, has_moved=has_moved)
        if not is_read and frame.state in (State.QUEUED, State.RETRY) and not frame.owner:
            attempts.record_attempt(session, outcome.attempt_row(frame.id, ended))
        return frame
