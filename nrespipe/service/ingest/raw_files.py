"""Raw files on a disk: where they lie, and what each of them is."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from nrespipe.database.states import State
from nrespipe.errors import Unavailable
from nrespipe.files import layout
from nrespipe.files.disk import md5
from nrespipe.files.raw import identity
from nrespipe.service import outcome

if TYPE_CHECKING:
    from nrespipe.service.outcome import Outcome

_log = structlog.get_logger(__name__)

# what the name alone tells of a file that cannot be read, so that a person finds it among its night
_NAME = re.compile(r"(?P<site>[a-z]{3})nrs(?P<number>\d\d)-(?P<camera>[a-z]{2}\d\d)-(?P<day>\d{8})-")


def find(raw_root: Path, output: Path) -> list[Path]:
    """Find the raw files below a directory.

    Parameters
    ----------
    output
        Output directory; it is left out if it lies below `raw_root`.

    Returns
    -------
    list of Path
        Files named like raw frames, ``....00.fits`` or ``....00.fits.fz``, in the order of their names. Of a frame that
        lies in a directory packed and unpacked, the packed one. A directory below whose name is no text is left out,
        and the log tells so.

    Raises
    ------
    Unavailable
        If the name of `raw_root` itself is no text.
    """
    found, top = [], raw_root.resolve()
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
    """Check that a path can be written down: to the system a name is bytes, and to the database text.

    Parameters
    ----------
    path
        Of a file or a directory.

    Raises
    ------
    Unavailable
        If it cannot.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        told = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise Unavailable(f"{told}: a name in this path is not text in UTF-8: give it another name") from None


def inspect(path: Path) -> "tuple[dict[str, object], Outcome]":
    """Tell what a raw file is, from its header, or from its name where the header does not tell.

    Returns
    -------
    facts : dict of str to object
        Columns of its row; with its checksum as `md5`, unless the disk does not give the file.
    result : Outcome
        Done, or why it cannot be reduced.
    """
    # a command that looks at no raw file starts without the reader, and without astropy.io.fits
    from nrespipe.files.raw import raw_file

    before, facts = _state(path), parse_name(path.name)
    result = outcome.attempt(raw_file.identify, path)
    if result.state is State.DONE:
        facts = dict(vars(result.value))
        del facts["filename"]
        facts |= {"objects": "&".join(facts["objects"])}
    checksum = outcome.attempt(md5, path)
    if checksum.state is not State.DONE:
        # the reader of the header says it in words
        return facts, result if result.state is State.RETRY else checksum
    if _state(path) != before:
        return facts, outcome.of(Unavailable(f"{path.name}: it is being written"), result.started)
    # what the disk did not give to the first reader is not known by what it gave to the second
    return facts if result.state is State.RETRY else facts | {"md5": checksum.value}, result


def parse_name(filename: str) -> dict[str, object]:
    """Tell what the name alone tells of a raw file.

    Parameters
    ----------
    filename
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


def _state(path):
    """Return what differs when somebody has written to a file; None where there is none."""
    try:
        known = os.stat(path)
    except OSError:
        return None
    return known.st_ino, known.st_size, known.st_mtime_ns
