"""Rows of frames whose content is known, for the tests of what is done with them."""

from nrespipe.database import frames


def arrive(session, filename, md5, path="/a", **facts):
    """Return the row of a content, with its version, and whether it was made now."""
    frame, is_new = frames.announce(session, filename, path, md5, **facts)
    frames.assign_version(session, frame)
    return frame, is_new
