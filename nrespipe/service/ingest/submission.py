"""Raw frames that people submit, requeue, or find missing."""

from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from nrespipe.database import frames
from nrespipe.database.states import State
from nrespipe.database.tables import Frame
from nrespipe.database.work import announcements
from nrespipe.errors import Unavailable
from nrespipe.files import layout
from nrespipe.files.raw import identity
from nrespipe.service.ingest import raw_files, registration

if TYPE_CHECKING:
    from nrespipe.service.assembly import Assembly


def submit(assembly: "Assembly", paths: Sequence[Path]) -> list[tuple[Path, State, str]]:
    """Make the rows of raw files; the service reduces them.

    Parameters
    ----------
    paths
        Raw files, and directories that hold some.

    Returns
    -------
    list of (Path, State, str)
        File, state of its row, and the reason for it.

    Raises
    ------
    OutputRefused
        If the output directory is among the raw files.
    """
    files: list[Path] = []
    for path in paths:
        layout.require_apart(assembly.output, path if path.is_dir() else path.resolve().parent)
        files += raw_files.find(path, assembly.output) if path.is_dir() else [path.resolve()]
    submitted: list[tuple[Path, State, str]] = []
    for path in files:
        try:
            frame = registration.register_file(assembly.sessions, path, *raw_files.identify(path))
        except Unavailable as error:
            # it has no row, and the others have theirs
            submitted.append((path, State.BAD, str(error)))
        else:
            submitted.append((path, frame.state, frame.reason))
    return submitted


def requeue(
    session: Session, names: Collection[str] = (), states: Collection[State] = (), since: datetime | None = None
) -> list[str]:
    """Make frames due again.

    Parameters
    ----------
    names
        Their names; directory and extension do not matter.
    states
        States that they are in.
    since
        Moment after which they changed last.

    Returns
    -------
    list of str
        Names of the frames, last versions only, that meet all conditions and that no process works on.

    Raises
    ------
    LookupError
        If no frame has one of the names.
    """
    stems = {identity.stem(name) for name in names}
    unknown = sorted(stem for stem in stems if not frames.find(session, stem))
    if unknown:
        raise LookupError(f"nothing is known of {', '.join(unknown)}: no such frame was found so far")
    conditions = [Frame.is_latest(), Frame.owner == ""]
    conditions += [Frame.filename.in_(stems)] if stems else []
    conditions += [Frame.state.in_(states)] if states else []
    conditions += [Frame.updated >= since] if since else []
    found = list(session.scalars(select(Frame).where(*conditions).order_by(Frame.filename)))
    for frame in found:
        announcements.request(session, frame)
    return [frame.filename for frame in found]


def find_missed(session: Session, raw_root: Path, site: str, day: str) -> list[Path]:
    """Find the raw files of a night that have no row.

    Parameters
    ----------
    raw_root
        Directory of raw frames, with a directory for each site.
    site, day
        ``lsc``, ``YYYYMMDD``.

    Returns
    -------
    list of Path
        By instrument and number.

    Raises
    ------
    FileNotFoundError
        If the site has no directory there: a disk that is away must not look like a night without frames.
    """
    place = Path(raw_root) / site
    if not place.is_dir():
        raise FileNotFoundError(f"{place}: no such directory; mount the raw archive, or correct --raw and --site")
    instruments = sorted(path.name for path in place.iterdir() if path.is_dir())
    found = [
        path for name in instruments for path in layout.raw_frames(layout.raw_directory(raw_root, site, name, day))
    ]
    stems = [identity.stem(path) for path in found]
    rows = session.execute(select(Frame.filename, Frame.version, Frame.path).where(Frame.filename.in_(stems))).all()
    # what was announced at another place may never appear there
    known = {name for name, version, _ in rows if version is not None} | {path for _, _, path in rows}
    return [path for path in found if identity.stem(path) not in known and str(path) not in known]
