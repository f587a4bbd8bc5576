"""What is owed: which masters are to be made, and when."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from nrespipe.database.dialects import clock
from nrespipe.database.frames import latest
from nrespipe.database.masters import calibrations, stackings
from nrespipe.database.states import USABLE, State
from nrespipe.database.tables import Frame, Master, Stacking
from nrespipe.files.disk import md5
from nrespipe.service import isolated, outcome

if TYPE_CHECKING:
    from nrespipe.database.tables.base import Row
    from nrespipe.service.assembly import Assembly
    from nrespipe.service.outcome import Outcome

_log = structlog.get_logger(__name__)

_EVER = datetime(1970, 1, 1, tzinfo=UTC)
#: Two transactions at once do not see each other; none takes longer, and the clocks of hosts differ by less.
_AT_ONCE = timedelta(seconds=10)


def add(session: Session, frame: Frame, assembly: "Assembly") -> bool:
    """Write down that the night of a frame owes a master, if its kind has any and the frame counts for it.

    Parameters
    ----------
    frame
        One that was tried: it counts where it is done, and where it is bad now although the last master contains it.

    Returns
    -------
    bool
        Whether it does, and its end is known.

    Notes
    -----
    A master is made when the night is over (and the delay of the settings has passed); but where no other serves the
    frames of this camera, as soon as the sequence is complete. Each frame that comes later puts it off or asks for it
    once more. There is one row for each kind and night, whoever asks and however often.
    """
    if not hasattr(assembly.recipes.get(frame.kind), "combine") or not _counts(session, frame):
        return False
    after_night = due_after(frame, assembly)
    if after_night is None:
        # `add_all` asks again
        return False
    row = stackings.get_or_create(session, frame.kind, calibrations.night_of(frame))
    moment = clock(session)
    pace = assembly.pace
    when = moment + timedelta(seconds=pace.quiet_s if moment < after_night else pace.past_s)
    if calibrations.nearest(session, frame.kind, frame) is not None:
        when = max(when, after_night)
    row.next_try = when
    return True


def find_damaged(job, result: "Outcome") -> list[int]:
    """Tell which masters work waits for although they were made; not within a transaction, which files may hold up.

    Parameters
    ----------
    job : reduction.Job or stacking.Job
        What was to be done.
    result
        What came of it.

    Returns
    -------
    list of int
        Rows of those whose files are gone, or are not what was written.
    """
    if result.state is not State.WAITING or job.missing:
        return []
    return [row for row, path, checksum in job.masters.values() if not _is_whole(Path(path), checksum)]


def _is_whole(path, checksum):
    # one that the disk does not give at this moment is not lost
    return path.is_file() and outcome.attempt(md5, path).value in (checksum, None)


def remake(session: Session, rows: Sequence[int]) -> None:
    """Ask for masters to be made again whose files are gone or damaged.

    Parameters
    ----------
    rows
        Their rows. What waits for them is due when they are made.
    """
    for row in rows:
        master = session.get_one(Master, row)
        stackings.get_or_create(session, master.kind, calibrations.night_of(master)).next_try = clock(session)


def _counts(session, frame):
    last = calibrations.last_attempt(session, frame.kind, calibrations.night_of(frame))
    # by its name: an earlier version of the file may have been good
    is_in = last is not None and frame.filename in {one.filename for one in last.inputs}
    return frame.state == State.DONE or (is_in and frame.state in (State.BAD, State.SKIPPED))


def due_after(frame: "Frame | Row", assembly: "Assembly") -> datetime | None:
    """Return when the masters of a night are made.

    Parameters
    ----------
    frame
        Of the night: its instrument and its day.
    assembly
        Whose settings tell the delay.

    Returns
    -------
    datetime or None
        End of the night, when the robot of the site begins a new one, and the delay [UTC]. None where nobody knows: the
        spectrograph has no table, or one that cannot be read, or the day is none. That is logged, once.
    """
    try:
        begins = datetime.strptime(frame.day, "%Y%m%d").replace(tzinfo=UTC)
        restart_hour = assembly.spectrographs(frame.instrument).restart_hour_utc
        return begins + timedelta(hours=24 + restart_hour + assembly.settings.stack_delay_h)
    except Exception as error:
        _say_once(frame.instrument, frame.day, f"{type(error).__name__}: {error}")
        return None


@lru_cache(maxsize=1000)
def _say_once(instrument, day, reason) -> None:
    """Log why the end of a night is not known: it is asked for every minute."""
    _log.warning("nobody knows when a night ends", instrument=instrument, day=day, reason=reason)


def is_ready(session: Session, stacking: Stacking) -> bool:
    """Tell whether all frames of a night that may enter its master have been tried.

    Parameters
    ----------
    stacking
        The master that is owed.
    """
    night = calibrations.night_of(stacking)
    same = {name: getattr(Frame, name) == value for name, value in night._asdict().items()}
    # of a frame that nobody has read yet no more is known than its name tells
    told = [Frame.start_mjd.is_(None), *(same[name] for name in ("site", "instrument", "camera", "day"))]
    open_yet = or_(Frame.owner != "", Frame.state == State.QUEUED, Frame.next_try <= clock(session))
    either = or_(and_(*same.values()), and_(*told))
    query = select(Frame.id).where(Frame.kind == stacking.kind, either, latest(), open_yet)
    return session.scalar(query.limit(1)) is None


def add_all(session: Session, assembly: "Assembly") -> int:
    """Write down all that the nights of the database owe and nobody has written down.

    Returns
    -------
    int
        How many nights and kinds that are. Those of which a worker was told, or whose last master was made, after the
        last of their frames changed are none of them: whoever calls this often changes nothing.
    """
    key = ("kind", *calibrations.Night._fields)
    made = _newest(session, key, Master, Master.created)
    looked = _newest(session, key, Stacking, Stacking.sent)
    open_yet = {
        row[:-1] for row in session.execute(_by(key, Stacking, func.count()).where(Stacking.next_try.is_not(None)))
    }
    good = _by(key, Frame, func.count(), func.max(Frame.updated), func.min(Frame.id)).where(
        Frame.state == State.DONE, latest()
    )
    owed = 0
    for *place, count, changed, frame_id in session.execute(good):
        place, recipe = tuple(place), assembly.recipes.get(place[0])
        seen = [moment for moment in (made.get(place), looked.get(place)) if moment is not None]
        if (
            hasattr(recipe, "combine")
            and place not in open_yet
            and count >= recipe.MINIMUM
            and changed > max(seen, default=_EVER)
        ):
            owed += bool(isolated.do(f"master {' '.join(map(str, place))}", _owe_one, session, frame_id, assembly))
    return owed


def _owe_one(session, frame_id, assembly):
    # what fails in one night undoes nothing of the others
    with session.begin_nested():
        return add(session, session.get_one(Frame, frame_id), assembly)


def release_waiting(session: Session) -> int:
    """Make due the frames that wait although a master of their camera was made after they looked for one.

    A new master wakes what waits for it, but not a frame that was written down as waiting at the same moment.

    Returns
    -------
    int
        How many frames that are.
    """
    moment = clock(session)
    same = calibrations.same_detector(Master, Frame)
    waiting = (Frame.state == State.WAITING, Frame.owner == "", Frame.next_try > moment, latest())
    newest = (
        select(Frame, func.max(Master.created))
        .join(Master, and_(*same, Master.standing.in_(USABLE)))
        .where(*waiting)
        .group_by(Frame.id)
    )
    missed = [frame for frame, made in session.execute(newest) if made > frame.updated - _AT_ONCE]
    for frame in missed:
        frame.next_try = moment
    return len(missed)


def _by(key, table, *measures):
    columns = [getattr(table, name) for name in key]
    return select(*columns, *measures).group_by(*columns)


def _newest(session, key, table, moment):
    """Return the last of some moments by kind and night."""
    return {tuple(row[:-1]): row[-1] for row in session.execute(_by(key, table, func.max(moment)))}
