"""Master calibrations: what they can be made of, which one serves a frame, what became of each."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, literal, or_, select, update
from sqlalchemy.orm import Session

from nrespipe.database.dialects import clock
from nrespipe.database.frames import latest
from nrespipe.database.states import USABLE, Standing, State
from nrespipe.database.tables import Frame, Master, Stacking
from nrespipe.frames.raw import Kind

#: How far from a frame a master may lie [day]. Structure of the bias and dark changes with the electronics, traces and
#: blaze whenever somebody opens the spectrograph, wavelengths with its pressure and temperature.
REACH_DAYS = {Kind.BIAS: 30.0, Kind.DARK: 30.0, Kind.FLAT: 15.0, Kind.ARC: 5.0}


class Night(NamedTuple):
    """One night of one detector: what goes into one master.

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


def night_of(row: Frame | Master) -> Night:
    """Return the night that a frame or a master belongs to."""
    return Night(*(getattr(row, name) for name in Night._fields))


def last_attempt(session: Session, kind: Kind, night: Night) -> Master | None:
    """Return what was last made, or tried, for a night.

    Returns
    -------
    Master or None
        None where nothing was tried.
    """
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
    """Return the master that serves a frame best.

    Of the same detector, read out in the same way, with fibers that cover those that are lit; of these that of the same
    night, or else the nearest in time within `REACH_DAYS`.

    Parameters
    ----------
    frame
        What it is for: a frame, or a master with its `mean_mjd`.
    far
        Whether one beyond `REACH_DAYS` is better than none.
    future
        Whether it may be of a later night.
    without
        Rows of masters that do not come into question.

    Returns
    -------
    Master or None
        None where there is none.
    """
    near = [
        (master.day != frame.day, abs(distance_days(master, frame)), master.id, master)
        for master in session.scalars(of_detector(kind, frame))
        if (far or abs(distance_days(master, frame)) <= REACH_DAYS[kind])
        and (future or master.day <= frame.day)
        and _covers(master, frame)
        and master.id not in without
    ]
    return min(near)[-1] if near else None


def distance_days(master: Master, frame: Frame | Master) -> float:
    """Return how far a master is from what it is for.

    Parameters
    ----------
    frame
        What it is for.

    Returns
    -------
    float
        Positive if the master is of a later time [day].
    """
    return master.mean_mjd - (frame.mean_mjd if isinstance(frame, Master) else frame.start_mjd)


def why_none(session: Session, kind: Kind, frame: Frame | Master, minimum: int) -> str:
    """Say why no master serves a frame.

    Parameters
    ----------
    frame
        What it would be for.
    minimum
        How many good frames a master needs.

    Returns
    -------
    str
        One sentence, in plain words.
    """
    reason = f"no master {kind} of {frame.instrument} {frame.camera} within {REACH_DAYS[kind]:g} days of {frame.day}"
    tried = last_attempt(session, kind, night_of(frame))
    if tried is not None and tried.reason and tried.standing not in USABLE:
        end = "was called bad" if tried.path else "could not be made"
        return f"{reason}: the one of this night {end}: {tried.reason}"
    if any(abs(distance_days(master, frame)) <= REACH_DAYS[kind] for master in _of_other_modes(session, kind, frame)):
        return f"{reason} was read out in mode {frame.readout_mode}"
    if any(not _covers(master, frame) for master in session.scalars(of_detector(kind, frame))):
        return f"{reason} covers the lit fibers of {frame.objects}"
    states = _states(session, kind, frame)
    good = states.count(State.DONE)
    if good >= minimum:
        return f"{reason}: none was made yet of the {kind} frames of this night"
    others = f" of {len(states)}" if len(states) > good else ""
    plural = "" if 1 in (good, len(states)) else "s"
    return f"{reason}: this night has {good or 'no'} good {kind} frame{plural}{others}, a master needs {minimum}"


def count_candidates(session: Session, kind: Kind, frame: Frame | Master) -> int:
    """Count the frames of a night that may enter a master, now or when they are reduced.

    Returns
    -------
    int
        Last versions only.
    """
    return sum(state not in (State.BAD, State.SKIPPED) for state in _states(session, kind, frame))


def with_problems(session: Session) -> list[Master]:
    """Return the masters that need review, and those of which the last try did not succeed.

    Returns
    -------
    list of Master
        With their reasons, the oldest first.
    """
    sad = (Standing.REVIEW, Standing.REJECTED, Standing.FAILED, Standing.RETRY)
    tries = session.scalars(select(Master).where(Master.standing.in_(sad)).order_by(Master.id))
    return [master for master in tries if last_attempt(session, master.kind, night_of(master)) is master]


def record(session: Session, master: Master) -> Master | None:
    """Write down a master that was made, or why it could not be made.

    Parameters
    ----------
    master
        A new row with everything but its key. If it has a file, the earlier one of its night, whose file it has
        overwritten, is replaced; if it is used, what waits for a master of this camera is due. An earlier try that
        something outside the frames made fail is forgotten.

    Returns
    -------
    Master or None
        The one that is replaced.
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
        _wake(session, master)
    return replaced


def set_standing(session: Session, master: Master, standing: Standing, reason: str) -> None:
    """Write down that a master may be used after all, or may not.

    Parameters
    ----------
    master
        Its row; it has a file.
    standing
        CURRENT: frames that wait for it are due. REJECTED: no frame uses it from now on.
    reason
        Who says so, and why.
    """
    master.standing, master.reason = standing, reason
    session.flush()
    if standing is Standing.CURRENT:
        _wake(session, master)


def _wake(session, master) -> None:
    """Make due what waits for a master of this camera; what still must wait finds that out quickly."""
    waiting = (Frame.state == State.WAITING, Frame.owner == ""), (Stacking.next_try.is_not(None), Stacking.owner == "")
    for table, conditions in zip((Frame, Stacking), waiting):
        same = same_detector(table, master)
        due = update(table).where(*same, *conditions).values(next_try=clock(session))
        session.execute(due.execution_options(synchronize_session=False))


def _states(session, kind, frame):
    same = (Frame.kind == kind, *_same_night(Frame, night_of(frame)), latest())
    return list(session.scalars(select(Frame.state).where(*same)))


def of_night(kind: Kind, night: Night) -> Select[Any]:
    """Select the masters of a night, and the tries at one."""
    return select(Master).where(Master.kind == kind, *_same_night(Master, night))


def _same_night(table, night):
    return [getattr(table, name) == value for name, value in night._asdict().items()]


def of_detector(kind: Kind, frame: Frame | Master | Night, standings: Sequence[Standing] = USABLE) -> Select[Any]:
    """Select the masters of the same spectrograph, camera, binning and read-out mode.

    Parameters
    ----------
    frame
        What they are for.
    """
    return select(Master).where(
        Master.kind == kind,
        *same_detector(Master, frame),
        Master.standing.in_(standings),
        Master.mean_mjd.is_not(None),
    )


def _of_other_modes(session, kind, frame):
    same = [getattr(Master, name) == getattr(frame, name) for name in ("instrument", "camera", "binning")]
    good = (Master.standing.in_(USABLE), Master.readout_mode != frame.readout_mode)
    return session.scalars(select(Master).where(Master.kind == kind, *same, *good, Master.mean_mjd.is_not(None)))


def same_detector(table: type, row: Frame | Master | Night | type) -> list[ColumnElement[Any]]:
    """Return the conditions that a row is of the same detector, read out in the same way.

    Parameters
    ----------
    table
        What is selected: `Frame`, `Master` or `Stacking`.
    row
        What it is to be like; a table in a join.

    Returns
    -------
    list of sqlalchemy.ColumnElement
        Spectrograph, camera and binning are equal; so is the read-out mode, unless one of the two does not tell it.
    """
    same = [getattr(table, name) == getattr(row, name) for name in ("instrument", "camera", "binning")]
    modes = table.readout_mode, literal(row.readout_mode) if isinstance(row.readout_mode, str) else row.readout_mode
    return [*same, or_(modes[0] == modes[1], *(mode == "" for mode in modes))]


def _covers(master, frame):
    """Whether a master that is bound to fibers serves all the lit ones of a frame; a night's stack asks for none."""
    if not master.fibers or isinstance(frame, Master) or not frame.objects:
        return True
    lit = {str(fiber) for fiber, name in enumerate(frame.objects.split("&")) if name.strip().lower() != "none"}
    return lit <= set(master.fibers)
