"""Raw files on a disk: find them, and inspect each one."""

import os
from pathlib import Path
from typing import Any

import structlog

from nrespipe.database.states import State
from nrespipe.errors import Unavailable
from nrespipe.files import layout
from nrespipe.files.atomic_files import md5
from nrespipe.files.raw import identity
from nrespipe.service import outcome
from nrespipe.service.outcome import Outcome

#: Columns of the row of a frame that its file determines, and its checksum as `md5`.
Facts = dict[str, Any]

_log = structlog.get_logger(__name__)


def find(raw_root: Path, output: Path) -> list[Path]:
    """Find the raw files below a directory.

    Parameters
    ----------
    output
        Output directory; it is left out if it is below `raw_root`.

    Returns
    -------
    list of Path
        Files named like raw frames, ``....00.fits`` or ``....00.fits.fz``, in the order of their names. Of a frame that
        is in a directory packed and unpacked, the packed one. A directory whose name is not text is left out, with a
        line in the log.

    Raises
    ------
    Unavailable
        If the name of `raw_root` itself is not text.
    """
    top = raw_root.resolve()
    found: list[Path] = []
    require_utf8(top)
    for folder, subfolders, names in os.walk(top):
        try:
            require_utf8(folder)
        except Unavailable as error:
            _log.warning("directory left out", reason=str(error))
            subfolders.clear()
            continue
        subfolders[:] = [name for name in subfolders if Path(folder, name) != output.resolve()]
        # .fits.fz sorts after .fits and takes its place
        raw = filter(layout.has_raw_name, sorted(names))
        found += {identity.stem(name): Path(folder, name) for name in raw}.values()
    return sorted(found, key=lambda path: (path.name, path))


def require_utf8(path: str | Path) -> None:
    """Check that a path is text in UTF-8: to the system a name is bytes, to the database text.

    Raises
    ------
    Unavailable
        If it is not.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise Unavailable(f"{shown}: a name in this path is not text in UTF-8: give it another name") from None


def identify(path: Path) -> tuple[Facts, Outcome[object]]:
    """Identify a raw file by its header, or by its name where the header cannot be read.

    Returns
    -------
    facts : dict of str to Any
        Columns of its row; with its checksum as `md5`, unless the disk does not give the file.
    ended : Outcome
        Done, or why it cannot be reduced.
    """
    # a command that inspects no raw file starts without the reader, and without astropy.io.fits
    from nrespipe.files.raw import raw_file

    before, facts = _state(path), identity.parse_name(path.name)
    # a file that cannot be read is filed under the night in its name, so that a person finds it
    ended = outcome.run(raw_file.read_identity, path)
    if ended.value is not None:
        facts = {**vars(ended.value), "objects": "&".join(ended.value.objects), "quality": int(ended.value.quality)}
        del facts["filename"]
    checksum = outcome.run(md5, path)
    if checksum.state is not State.DONE:
        # the reader of the header has the better reason
        return facts, ended if ended.state is State.RETRY else checksum
    if _state(path) != before:
        return facts, outcome.of(Unavailable(f"{path.name}: it is being written; it is tried again"), ended.started)
    # where the header could not be read for the moment, the checksum alone does not identify the file
    return facts if ended.state is State.RETRY else facts | {"md5": checksum.value}, ended


def _state(path: Path) -> tuple[int, int, int] | None:
    """Return numbers that change when somebody writes to a file; None where there is none."""
    try:
        known = os.stat(path)
    except OSError:
        return None
    return known.st_ino, known.st_size, known.st_mtime_ns
