"""Rows of frames whose files have arrived."""

from nrespipe.database.work import announcements, contents


def arrive(session, filename, md5, path="/a", **facts):
    """Make the row of a file with this checksum, or find it; return it and whether it is new."""
    frame, is_new = announcements.announce(session, filename, path, md5, **facts)
    contents.assign_version(session, frame)
    return frame, is_new
