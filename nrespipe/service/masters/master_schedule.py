"""Schedule of the masters: which are to be made, and when."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from nrespipe.database import frames
from nrespipe.database.dialects import clock
from nrespipe.database.frames import of_nights
from nrespipe.database.masters import calibrations, scheduled_masters
from nrespipe.database.states import USABLE, State
from nrespipe.database.tables import Frame, Master, ScheduledMaster
from nrespipe.files.atomic_files import md5
from nrespipe.frames.raw import Kind
from nrespipe.service import outcome

if TYPE_CHECKING:
    from nrespipe.service.assembly import Assembly
    from nrespipe.service.outcome import Outcome


class _Job(Protocol):
    """Job of a frame or of a master."""

    @property
    def masters(self) -> Mapping[Kind, tuple[int, str, str]]: ...

    @property
    def missing(self) -> str: ...


_log = structlog.get_logger(__name__)

_EVER = datetime(1970, 1, 1, tzinfo=UTC)
#: Two transactions at once do not see each other; none takes longer, and the clocks of hosts differ by less.
_AT_ONCE = timedelta(seconds=10)


def add(session: Session, frame: Frame, assembly: "Assembly") -> bool:
    """Schedule the master of the night of a frame, if its kind has any and the frame counts for it.

    Parameters
    ----------
    frame
        A frame that was tried: it counts where it is done, and where it is bad now but part of the last master.

    Returns
    -------
    bool
        Whether it was scheduled: the frame counts, and the end of its night is known.

    Notes
    -----
    A master is made when the night is over and the delay of the settings has passed; but where no other is near enough
    for the frames of this camera, as soon as the sequence is complete. Each later frame postpones it or requests it
    once more. There is one row for each kind and night, however often it is scheduled.
    """
    if frame.kind is None or not hasattr(assembly.recipes.get(frame.kind), "combine"):
        return False
    after_night = due_after(frame.instrument, frame.day, assembly) if _counts(session, frame, frame.kind) else None
    if after_night is None:
        # where the end of the night is not known `add_all` tries again
        return False
    row = scheduled_masters.get_or_create(session, frame.kind, calibrations.night_of(frame))
    moment = clock(session)
    pace = assembly.pace
    when = moment + timedelta(seconds=pace.quiet_s if moment < after_night else pace.past_s)
    if calibrations.nearest(session, frame.kind, frame) is not None:
        when = max(when, after_night)
    row.next_try = when
    return True


def find_damaged(job: _Job, ended: "Outcome[object]") -> list[int]:
    """Return the masters whose files are gone or damaged, where a job waits for them although they were made.

    Not within a transaction, which a slow disk would prolong.

    Parameters
    ----------
    job
        Job of a frame or of a master.

    Returns
    -------
    list of int
        Keys of their rows.
    """
    if ended.state is not State.WAITING or job.missing:
        return []
    return [row for row, path, checksum in job.masters.values() if not _is_whole(Path(path), checksum)]


def _is_whole(path: Path, checksum: str) -> bool:
    # a file that the disk does not give at this moment is not lost
    return path.is_file() and outcome.run(md5, path).value in (checksum, None)


def remake(session: Session, rows: Sequence[int]) -> None:
    """Schedule masters again whose files are gone or damaged.

    Parameters
    ----------
    rows
        Keys of their rows. Frames that wait for them are due when they are made.
    """
    for row in rows:
        master = session.get_one(Master, row)
        scheduled_masters.get_or_create(session, master.kind, calibrations.night_of(master)).next_try = clock(session)


def _counts(session: Session, frame: Frame, kind: Kind) -> bool:
    last = calibrations.last_master(session, kind, calibrations.night_of(frame))
    # by its name: an earlier version of the file may have been good
    is_in = last is not None and frame.filename in {one.filename for one in last.inputs}
    return frame.state == State.DONE or (is_in and frame.state in (State.BAD, State.SKIPPED))


def due_after(instrument: str, day: str, assembly: "Assembly") -> datetime | None:
    """Return when the masters of a night are made.

    Returns
    -------
    datetime or None
        End of the night, when the robot of the site begins a new one, plus the delay of the settings [UTC]. None where
        it is not known: the spectrograph has no table, or one that cannot be read, or the day is not a day. That is
        logged once.
    """
    try:
        begins = datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)
        restart_hour = assembly.spectrographs(instrument).restart_hour_utc
        return begins + timedelta(hours=24 + restart_hour + assembly.settings.stack_delay_h)
    except Exception as error:
        _log_once(instrument, day, f"{type(error).__name__}: {error}")
        return None


@lru_cache(maxsize=1000)
def _log_once(instrument: str, day: str, reason: str) -> None:
    """Log why the end of a night is not known: it is needed every minute."""
    _log.warning(
        "end of a night not known: its masters are not scheduled", instrument=instrument, day=day, reason=reason
    )


def is_ready(session: Session, scheduled: ScheduledMaster) -> bool:
    """Return whether all frames of a night that may enter its master have been tried.

    Parameters
    ----------
    scheduled
        The scheduled master.
    """
    night = calibrations.night_of(scheduled)
    same = {name: getattr(Frame, name) == value for name, value in night._asdict().items()}
    # of a frame that was not read yet only its name is known
    unread = [Frame.start_mjd.is_(None), *(same[name] for name in ("site", "instrument", "camera", "day"))]
    open_yet = or_(Frame.owner != "", Frame.state == State.QUEUED, Frame.next_try <= clock(session))
    either = or_(and_(*same.values()), and_(*unread))
    query = select(Frame.id).where(Frame.kind == scheduled.kind, either, Frame.is_latest(), open_yet)
    return session.scalar(query.limit(1)) is None


def nights_to_check(session: Session) -> list[tuple[str, str]]:
    """Return the nights whose masters are looked at in a minute: the recent ones, and in turn all others.

    Returns
    -------
    list of (str, str)
        As ``frames.spans`` returns them: the first part, and another one each minute. Those of ten years come once in
        nine hours.
    """
    recent, *older = frames.spans(session)
    minute = int(clock(session).timestamp() // 60)
    return [recent, older[minute % len(older)]] if older else [recent]


def add_all(session: Session, assembly: "Assembly", first_day: str = "", last_day: str = "") -> int:
    """Schedule all masters of some nights that are missing from the schedule.

    Parameters
    ----------
    first_day, last_day
        Nights, ``YYYYMMDD``, both included; '' for no limit.

    Returns
    -------
    int
        How many were added. Masters that were made, or of which a worker was notified, after the last of their frames
        changed are not among them: a second call changes nothing.
    """
    key = ("kind", *calibrations.Night._fields)

    def within(table: type[Frame] | type[Master] | type[ScheduledMaster]) -> list[ColumnElement[bool]]:
        return of_nights(table, "", first_day, last_day)

    made = _newest(session, key, Master, Master.created, within(Master))
    looked = _newest(session, key, ScheduledMaster, ScheduledMaster.sent, within(ScheduledMaster))
    is_open = _by(key, ScheduledMaster, func.count()).where(
        ScheduledMaster.next_try.is_not(None), *within(ScheduledMaster)
    )
    open_yet = {row[:-1] for row in session.execute(is_open)}
    good = _by(key, Frame, func.count(), func.max(Frame.updated), func.min(Frame.id)).where(
        Frame.state == State.DONE, *within(Frame), Frame.is_latest()
    )
    n_added = 0
    for row in session.execute(good):
        place, recipe = tuple(row[:-3]), assembly.recipes.get(row.kind)
        count, changed, frame_id = row[-3:]
        seen = [moment for moment in (made.get(place), looked.get(place)) if moment is not None]
        if (
            recipe is not None
            and hasattr(recipe, "combine")
            and place not in open_yet
            and count >= recipe.MINIMUM
            and changed > max(seen, default=_EVER)
        ):
            job = f"schedule of the master {' '.join(map(str, place))}"
            n_added += bool(outcome.run_or_log(job, _add_one, session, frame_id, assembly))
    return n_added


def _add_one(session: Session, frame_id: int, assembly: "Assembly") -> bool:
    # an error in one night undoes nothing of the others
    with session.begin_nested():
        return add(session, session.get_one(Frame, frame_id), assembly)


def make_waiting_due(session: Session) -> int:
    """Make frames due that wait although a master of their camera was made after they looked for one.

    A new master releases the frames that wait for it, but not a frame that began to wait at the same moment.

    Returns
    -------
    int
        How many frames were released.
    """
    moment = clock(session)
    waiting = (Frame.state == State.WAITING, Frame.is_not_done(), Frame.owner == "", Frame.next_try > moment)
    oldest = session.scalar(select(func.min(Frame.updated)).where(*waiting))
    if oldest is None:
        return 0
    # few masters are new: compared with these alone
    columns = (Master.instrument, Master.camera, Master.binning, Master.readout_mode)
    new = select(*columns, func.max(Master.created)).where(
        Master.standing.in_(USABLE), Master.created > oldest - _AT_ONCE
    )
    made = {tuple(row[:-1]): row[-1] for row in session.execute(new.group_by(*columns))}
    alike = select(Frame).where(*waiting, Frame.instrument.in_({place[0] for place in made}), Frame.is_latest())
    missed = [
        frame
        for frame in session.scalars(alike)
        if any(_is_alike(frame, place) and created > frame.updated - _AT_ONCE for place, created in made.items())
    ]
    for frame in missed:
        frame.next_try = moment
    return len(missed)


def _is_alike(frame: Frame, place: tuple[str, ...]) -> bool:
    """Whether a frame is of a detector, read out in the same way; as ``calibrations.same_detector``."""
    *detector, mode = place
    is_same_mode = mode == frame.readout_mode or "" in (mode, frame.readout_mode)
    return [frame.instrument, frame.camera, frame.binning] == detector and is_same_mode


def _by(
    key: Sequence[str], table: type[Frame] | type[Master] | type[ScheduledMaster], *measures: ColumnElement[Any]
) -> Select[Any]:
    columns = [getattr(table, name) for name in key]
    return select(*columns, *measures).group_by(*columns)


def _newest(
    session: Session,
    key: Sequence[str],
    table: type[Master] | type[ScheduledMaster],
    moment: ColumnElement[datetime] | InstrumentedAttribute[datetime] | InstrumentedAttribute[datetime | None],
    within: Sequence[ColumnElement[bool]],
) -> dict[tuple[Any, ...], datetime | None]:
    """Return the last of some moments by kind and night."""
    return {tuple(row[:-1]): row[-1] for row in session.execute(_by(key, table, func.max(moment)).where(*within))}
