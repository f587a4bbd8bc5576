"""Master calibrations: which one a frame uses, why there is none, and the records of those that were made."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Select, and_, case, false, func, literal, not_, or_, select, true, update
from sqlalchemy.orm import Session, aliased

from nrespipe.database.dialects import clock
from nrespipe.database.frames import of_nights
from nrespipe.database.states import USABLE, Standing, State
from nrespipe.database.tables import Frame, Master, ScheduledMaster
from nrespipe.frames.raw import Kind

#: Largest distance in time between a frame and its master [day]. Structure of the bias and dark changes with the
#: electronics, traces and blaze whenever the spectrograph is opened, wavelengths with its pressure and temperature.
REACH_DAYS = {Kind.BIAS: 30.0, Kind.DARK: 30.0, Kind.FLAT: 15.0, Kind.ARC: 5.0}


class Night(NamedTuple):
    """One night of one detector, whose frames of one kind make one master.

    Attributes
    ----------
    site, instrument, camera, binning, readout_mode, day
        As in ``RawFrame``.
    """

    site: str
    instrument: str
    camera: str
    binning: str
    readout_mode: str
    day: str


def night_of(row: Frame | Master | ScheduledMaster) -> Night:
    """Return the night that a frame or a master belongs to."""
    return Night(row.site, row.instrument, row.camera, row.binning, row.readout_mode, row.day)


def last_master(session: Session, kind: Kind, night: Night) -> Master | None:
    """Return the last master of a night, or the last attempt at one; None where there was none."""
    return session.scalar(of_night(kind, night).order_by(Master.id.desc()).limit(1))


def nearest(
    session: Session,
    kind: Kind,
    frame: Frame | Master,
    *,
    far: bool = False,
    future: bool = True,
    without: Collection[int] = (),
) -> Master | None:
    """Return the best master for a frame.

    Of the same detector, read out in the same way, with fibers that cover those that are lit; of these that of the same
    night, or else the nearest in time within `REACH_DAYS`.

    Parameters
    ----------
    frame
        Frame that is reduced, or master that is made, with its `mean_mjd`.
    far
        Whether one beyond `REACH_DAYS` is better than none.
    future
        Whether it may be of a later night.
    without
        Keys of masters that are not to be used.

    Returns
    -------
    Master or None
        None where there is none, or the time of the frame is not known.
    """
    moment = _time_of(frame)
    if moment is None:
        return None
    able = of_detector(kind, frame).where(*_covers(frame), Master.id.not_in(without))
    if not future:
        able = able.where(Master.day <= frame.day)
    reach = REACH_DAYS[kind]
    of_its_night = case((Master.day == frame.day, 0), else_=1)
    near = able.where(Master.mean_mjd.between(moment - reach, moment + reach))
    near = near.order_by(of_its_night, func.abs(Master.mean_mjd - moment), Master.id).limit(1)
    found = session.scalar(near)
    return found if found is not None or not far else min(_around(session, able, moment), default=(None,))[-1]


def _around(session: Session, able: Select[Master], moment: float) -> list[tuple[float, int, Master]]:
    """Return the last of some masters before a time and the first one after it, with their distances [day]."""
    before = able.where(Master.mean_mjd <= moment).order_by(Master.mean_mjd.desc(), Master.id).limit(1)
    after = able.where(Master.mean_mjd > moment).order_by(Master.mean_mjd, Master.id).limit(1)
    found = [session.scalar(query) for query in (before, after)]
    return [(abs(one.mean_mjd - moment), one.id, one) for one in found if one is not None and one.mean_mjd is not None]


def _time_of(row: Frame | Master) -> float | None:
    return row.mean_mjd if isinstance(row, Master) else row.start_mjd


def distance_days(master: Master, frame: Frame | Master) -> float:
    """Return the time from a frame to a master.

    Parameters
    ----------
    frame
        The frame, or a master that is made with the other.

    Returns
    -------
    float
        Positive if the master is of a later time [day].

    Raises
    ------
    ValueError
        If the time of one of them is not known.
    """
    time = _time_of(frame)
    if master.mean_mjd is None or time is None:
        raise ValueError(f"the time of a {frame.kind} of {frame.day} or of its master of {master.day} is not known")
    return master.mean_mjd - time


def why_none(session: Session, kind: Kind, frame: Frame | Master, minimum: int) -> str:
    """Return the reason why there is no master for a frame.

    Parameters
    ----------
    frame
        The frame, or the master that would be made with it.
    minimum
        Number of good frames that a master needs.

    Returns
    -------
    str
        One sentence, in plain words.
    """
    reason = f"no master {kind} of {frame.instrument} {frame.camera} within {REACH_DAYS[kind]:g} days of {frame.day}"
    tried = last_master(session, kind, night_of(frame))
    if tried is not None and tried.reason and tried.standing not in USABLE:
        end = "was called bad" if tried.path else "could not be made"
        return f"{reason}: the one of this night {end}: {tried.reason}"
    if session.scalar(_of_other_modes(kind, frame).limit(1)) is not None:
        return f"{reason} was read out in mode {frame.readout_mode}"
    covers = _covers(frame)
    if covers and session.scalar(of_detector(kind, frame).where(not_(and_(*covers))).limit(1)) is not None:
        return f"{reason} covers the lit fibers of {getattr(frame, 'objects', '')}"
    states = _states(session, kind, frame)
    good = states.count(State.DONE)
    if good >= minimum:
        return f"{reason}: none was made yet of the {kind} frames of this night"
    others = f" of {len(states)}" if len(states) > good else ""
    plural = "" if 1 in (good, len(states)) else "s"
    return f"{reason}: this night has {good or 'no'} good {kind} frame{plural}{others}, a master needs {minimum}"


def count_candidates(session: Session, kind: Kind, frame: Frame | Master) -> int:
    """Count the frames of a night that can enter a master, now or once they are reduced.

    Returns
    -------
    int
        Last versions only.
    """
    return sum(state not in (State.BAD, State.SKIPPED) for state in _states(session, kind, frame))


def with_problems(
    session: Session, *, site: str = "", first_day: str = "", last_day: str = "", most: int | None = None
) -> list[Master]:
    """Return the masters that need review, and the last attempts at a master that failed.

    Parameters
    ----------
    site
        Only those of this site.
    first_day, last_day
        Only those of these nights, ``YYYYMMDD``, both included.
    most
        Largest number, of the last nights.

    Returns
    -------
    list of Master
        With their reasons, the oldest first.
    """
    problems = (Standing.REVIEW, Standing.REJECTED, Standing.FAILED, Standing.RETRY)
    later = aliased(Master)
    same = [getattr(later, name) == getattr(Master, name) for name in ("kind", *Night._fields)]
    is_last = ~select(later.id).where(*same, later.id > Master.id).exists()
    within = of_nights(Master, site, first_day, last_day)
    query = select(Master).where(Master.standing.in_(problems), *within, is_last)
    return sorted(
        session.scalars(query.order_by(Master.day.desc(), Master.id.desc()).limit(most)), key=lambda one: one.id
    )


def record(session: Session, master: Master) -> Master | None:
    """Record a master that was made, or why it could not be made.

    Parameters
    ----------
    master
        A new row with everything but its key. If it has a file, the earlier one of its night, whose file it has
        overwritten, is replaced; if it is used, all that waits for a master of this camera is due. An earlier attempt
        that failed for a reason outside the frames is deleted.

    Returns
    -------
    Master or None
        The master that is replaced.
    """
    replaced = None
    for earlier in session.scalars(of_night(master.kind, night_of(master)).order_by(Master.id)):
        if earlier.standing is Standing.RETRY:
            session.delete(earlier)
        elif earlier.standing in USABLE and master.path:
            earlier.standing, replaced = Standing.REPLACED, earlier
    session.add(master)
    session.flush()
    if master.standing in USABLE:
        _make_due(session, master)
    return replaced


def set_standing(session: Session, master: Master, standing: Standing, reason: str) -> None:
    """Record the decision that a master may be used, or may not.

    Parameters
    ----------
    master
        Its row; it has a file.
    standing
        CURRENT: frames that wait for it are due. REJECTED: no frame uses it from now on.
    reason
        Who has decided, and why.
    """
    master.standing, master.reason = standing, reason
    session.flush()
    if standing is Standing.CURRENT:
        _make_due(session, master)


def _make_due(session: Session, master: Master) -> None:
    """Make all rows due that wait for a master of this camera; a row that must wait on is postponed again quickly."""
    frames = update(Frame).where(Frame.is_not_done(), Frame.state == State.WAITING, Frame.owner == "")
    frames = frames.where(*same_detector(Frame, master))
    masters = update(ScheduledMaster).where(ScheduledMaster.next_try.is_not(None), ScheduledMaster.owner == "")
    for waiting in (frames, masters.where(*same_detector(ScheduledMaster, master))):
        due = waiting.values(next_try=clock(session))
        session.execute(due.execution_options(synchronize_session=False))


def _states(session: Session, kind: Kind, frame: Frame | Master) -> list[State]:
    same = (Frame.kind == kind, *_same_night(Frame, night_of(frame)), Frame.is_latest())
    return list(session.scalars(select(Frame.state).where(*same)))


def of_night(kind: Kind, night: Night) -> Select[Master]:
    """Select the masters of a night, and the attempts at one."""
    return select(Master).where(Master.kind == kind, *_same_night(Master, night))


def _same_night(table: type[Frame] | type[Master], night: Night) -> list[ColumnElement[bool]]:
    return [getattr(table, name) == value for name, value in night._asdict().items()]


def of_detector(kind: Kind, frame: Frame | Master | Night, standings: Sequence[Standing] = USABLE) -> Select[Master]:
    """Select the masters of the same spectrograph, camera, binning and read-out mode.

    Parameters
    ----------
    frame
        Frame or night whose detector it is.
    """
    return select(Master).where(
        Master.kind == kind,
        *same_detector(Master, frame),
        Master.standing.in_(standings),
        Master.mean_mjd.is_not(None),
    )


def _of_other_modes(kind: Kind, frame: Frame | Master) -> Select[Master]:
    """Select the masters near a frame that were read out in another mode."""
    same = [getattr(Master, name) == getattr(frame, name) for name in ("instrument", "camera", "binning")]
    good = (Master.standing.in_(USABLE), Master.readout_mode != frame.readout_mode)
    moment, reach = _time_of(frame), REACH_DAYS[kind]
    near = false() if moment is None else Master.mean_mjd.between(moment - reach, moment + reach)
    return select(Master).where(Master.kind == kind, *same, *good, near)


def same_detector(
    table: type[Frame] | type[Master] | type[ScheduledMaster], row: Frame | Master | Night | type[Frame]
) -> list[ColumnElement[bool]]:
    """Return the conditions that a row is of the same detector, read out in the same way.

    Parameters
    ----------
    table
        Table that is selected from: `Frame`, `Master` or `ScheduledMaster`.
    row
        Row whose detector it is; a table in a join.

    Returns
    -------
    list of sqlalchemy.ColumnElement
        Spectrograph, camera and binning are equal; so is the read-out mode, unless one of the two is not known.
    """
    same = [getattr(table, name) == getattr(row, name) for name in ("instrument", "camera", "binning")]
    other = literal(row.readout_mode) if isinstance(row.readout_mode, str) else row.readout_mode
    return [*same, or_(table.readout_mode == other, table.readout_mode == "", other == "")]


def _covers(frame: Frame | Master) -> list[ColumnElement[bool]]:
    """Return the conditions that a master of some fibers covers all lit ones of a frame; a master needs none."""
    if isinstance(frame, Master) or not frame.objects:
        return []
    lit = [str(fiber) for fiber, name in enumerate(frame.objects.split("&")) if name.strip().lower() != "none"]
    return [or_(Master.fibers == "", and_(true(), *(Master.fibers.contains(fiber) for fiber in lit)))]
