"""Fetch the raw file of a frame, and inspect it."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from nrespipe.database.tables import Frame
from nrespipe.files import layout, timed_read
from nrespipe.files.atomic_files import md5
from nrespipe.files.exchange import archive_download
from nrespipe.service import outcome
from nrespipe.service.ingest import raw_files
from nrespipe.service.ingest.raw_files import Facts
from nrespipe.service.outcome import Outcome

if TYPE_CHECKING:
    from nrespipe.service.assembly import Assembly

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Inspection:
    """A raw file that was inspected.

    Attributes
    ----------
    path
        Where it was read.
    facts
        Columns of its row, with its checksum as `md5`, as ``raw_files.identify`` returns them; empty where the content
        was recorded before.
    identified
        Done, or why it cannot be reduced.
    """

    path: Path
    facts: Facts
    identified: Outcome[object]


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
    return Inspection(path, *timed_read.call(raw_files.identify, path, may.read_s))


def exists(assembly: "Assembly", path: Path) -> bool:
    """Return whether a file is there; one that the disk does not give at this moment is not gone."""
    read_s = assembly.limits.read_s
    return outcome.run(timed_read.call, Path.exists, path, read_s).value is not False


def _is_whole(checksum: str | None, path: Path) -> bool:
    return checksum is not None and path.is_file() and md5(path) == checksum
