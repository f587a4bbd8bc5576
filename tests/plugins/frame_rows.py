"""Rows of frames whose files have arrived, and of attempts at them."""

from datetime import UTC, datetime

from nrespipe.database.tables import Attempt
from nrespipe.database.work import announcements, contents
from nrespipe.frames.raw import Kind

#: When the attempts begin and end.
MOMENT = datetime(2019, 4, 6, tzinfo=UTC)
#: What is known of a stellar frame.
STELLAR = {"path": "/a", "kind": Kind.SCIENCE, "start_mjd": 58579.0}


def arrive(session, filename, md5, path="/a", **facts):
    """Make the row of a file with this checksum, or find it; return it and whether it is new."""
    frame, is_new = announcements.announce(session, filename, path, md5, **facts)
    contents.assign_version(session, frame)
    return frame, is_new


def add_star(session, name="a-e00", md5="1" * 32, **others):
    """Return the row of a stellar frame."""
    return arrive(session, name, md5, **STELLAR, **others)[0]


def attempt(frame, outcome, **others):
    """Return an attempt at a frame, not recorded yet."""
    return Attempt(
        frame_id=frame.id,
        started=MOMENT,
        finished=MOMENT,
        outcome=outcome,
        **{"code_version": "1", "reason": "", "traceback": "", "measurements": {}, **others},
    )
