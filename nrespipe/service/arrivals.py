"""Raw files on a disk -> rows of frames."""

import os
import re
from pathlib import Path

from nrespipe import __version__
from nrespipe.database import frames
from nrespipe.database.columns import State
from nrespipe.database.tables import Attempt
from nrespipe.files import identity
from nrespipe.files.checksum import md5
from nrespipe.service import outcome

# what the name alone tells of a file that cannot be read, so that a person finds it among its night
_NAME = re.compile(r"(?P<site>[a-z]{3})nrs(?P<number>\d\d)-(?P<camera>[a-z]{2}\d\d)-(?P<day>\d{8})-")


class OutputRefused(ValueError):
    """The output directory lies among raw files."""


def require_apart(output, raw_root):
    """Check that nothing would be written into a directory of raw files.

    Parameters
    ----------
    output : Path
        Output directory.
    raw_root : Path
        Directory below which the raw files lie.

    Raises
    ------
    OutputRefused
        If `output` is, or lies in, a directory named ``raw`` or one that holds raw files and is `raw_root` or below it.
    """
    output, raw_root = output.resolve(), raw_root.resolve()
    for folder in (output, *output.parents):
        among = folder == raw_root or raw_root in folder.parents
        if folder.name == "raw" or (
            among and folder.is_dir() and any(_is_raw(entry.name) for entry in folder.iterdir())
        ):
            raise OutputRefused(f"{output} lies in {folder}, which holds raw files: choose another output directory")


def find(raw_root, output):
    """Find the raw files below a directory.

    Parameters
    ----------
    raw_root : Path
        Where to begin.
    output : Path
        Output directory; it is left out if it lies below `raw_root`.

    Returns
    -------
    list of Path
        Files named like raw frames, ``....00.fits`` or ``....00.fits.fz``, in the order of their names. Of a frame that
        lies in a directory packed and unpacked, the packed one.
    """
    found = []
    for folder, subfolders, names in os.walk(raw_root.resolve()):
        subfolders[:] = [name for name in subfolders if Path(folder, name) != output.resolve()]
        # .fits.fz sorts after .fits and takes its place
        found += {identity.stem(name): Path(folder, name) for name in sorted(names) if _is_raw(name)}.values()
    return sorted(found, key=lambda path: (path.name, path))


def look(path):
    """Tell what a raw file is, from its header, or from its name where the header does not tell.

    Parameters
    ----------
    path : Path
        A raw file.

    Returns
    -------
    facts : dict of str to object
        Columns of its row.
    result : Outcome
        Done, or why it cannot be reduced.
    """
    # a command that looks at no raw file starts without the reader, and without astropy.io.fits
    from nrespipe.files import cdp

    result = outcome.attempt(cdp.identify, path)
    if result.state is not State.DONE:
        return named(path.name), result
    facts = dict(vars(result.value))
    del facts["filename"]
    return facts | {"objects": "&".join(facts["objects"])}, result


def record(session, path, facts, result):
    """Return the row of a raw file, and make it if this content of it was never seen.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session; the caller commits.
    path : Path
        A raw file.
    facts, result : dict of str to object, Outcome
        What `look` tells of it; with its checksum as `md5`, or that is computed.

    Returns
    -------
    Frame
        A new one is already skipped or bad where `result` says so.
    """
    facts = dict(facts)
    if "md5" not in facts:
        facts, result = check(path, facts, result)
    frame, is_new = frames.arrive(session, identity.stem(path), path=str(path), **facts)
    if result.state is State.DONE and frame.start_mjd is None:
        # an earlier look could not tell what it is: the disk was away, or the program did not understand the header
        frames.identify(frame, facts)
    elif result.state is not State.DONE and (is_new or frame.state is State.RETRY):
        frames.record(session, attempt_row(frame.id, result))
    return frame


def check(path, facts, result):
    """Add the checksum of a raw file to what is known of it.

    Parameters
    ----------
    path : Path
        A raw file.
    facts, result : dict of str to object, Outcome
        What `look` tells of it.

    Returns
    -------
    facts : dict of str to object
        With `md5`; '' where the file cannot be read.
    result : Outcome
        Why it cannot be read, if so.
    """
    checksum = outcome.attempt(md5, path)
    return facts | {"md5": checksum.value or ""}, result if checksum.state is State.DONE else checksum


def examine(path):
    """Tell what a raw file is, with its checksum.

    Parameters
    ----------
    path : Path
        A raw file.

    Returns
    -------
    facts : dict of str to object
        As `look` tells it, with `md5`.
    result : Outcome
        Done, or why it cannot be reduced.
    """
    return check(path, *look(path))


def attempt_row(frame_id, result, **others):
    """Return the row of an attempt.

    Parameters
    ----------
    frame_id : int
        The frame.
    result : Outcome
        What came of it.
    **others : object
        Other columns.

    Returns
    -------
    Attempt
        Not yet in any session.
    """
    return Attempt(
        frame_id=frame_id,
        started=result.started,
        finished=result.finished,
        outcome=result.state,
        reason=result.reason,
        traceback=result.traceback,
        code_version=__version__,
        **{"measurements": {}, **others},
    )


def named(filename):
    """Tell what the name alone tells of a raw file.

    Parameters
    ----------
    filename : str
        Name of the file.

    Returns
    -------
    dict of str to object
        Columns of its row; none where it is named otherwise.
    """
    name = _NAME.match(filename)
    if not name:
        return {}
    place = {key: name[key] for key in ("site", "camera", "day")}
    return {"instrument": f"nres{name['number']}", "kind": identity.kind_named(filename), **place}


def _is_raw(name):
    return name.isascii() and not name.startswith(".") and name.endswith(("00.fits", "00.fits.fz"))
