"""What the nights around one night have: masters to compare a new one with, frames that may join in."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from nrespipe.database.frames import latest
from nrespipe.database.masters.calibrations import Night, of_detector
from nrespipe.database.states import USABLE, Standing, State
from nrespipe.database.tables import Frame, Master, master_inputs
from nrespipe.frames.judgement import Verdict

if TYPE_CHECKING:
    from nrespipe.frames.raw import Kind

_GOOD = (Standing.CURRENT,)


def reference_master(
    session: Session, kind: "Kind", night: Night, mean_mjd: float, standing: Standing = Standing.CURRENT
) -> Master | None:
    """Return the master of another night that a new one is compared with.

    Parameters
    ----------
    night
        Of the new one.
    mean_mjd
        Of the new one.

    Returns
    -------
    Master or None
        The last one of the same detector, read out in the same way, before the new one, or else the first one after it.
    """
    others = [
        (master.mean_mjd > mean_mjd, abs(master.mean_mjd - mean_mjd), master.id, master)
        for master in session.scalars(of_detector(kind, night, [standing]))
        if master.day != night.day
    ]
    return min(others)[-1] if others else None


def next_master(session: Session, kind: "Kind", night: Night) -> Master | None:
    """Return the first good master after a night.

    Returns
    -------
    Master or None
        Of the same detector, read out in the same way; None where there is none.
    """
    after = [master for master in session.scalars(of_detector(kind, night, _GOOD)) if master.day > night.day]
    return min(after, key=lambda master: (master.mean_mjd, master.id), default=None)


def used_master(session: Session, kind: "Kind", night: Night) -> Master | None:
    """Return the master of a night that is used.

    Returns
    -------
    Master or None
        None where there is none.
    """
    return session.scalar(of_detector(kind, night).where(Master.day == night.day).order_by(Master.id.desc()).limit(1))


def needed_review(master: Master) -> bool:
    """Tell whether a master needed review when it was made.

    Returns
    -------
    bool
        If so and it is current, a person or the master of another night has accepted it.
    """
    return Verdict.REVIEW in _verdicts(master)


def rejected_master(session: Session, kind: "Kind", night: Night) -> Master | None:
    """Return the master of a night that a person has called bad.

    Returns
    -------
    Master or None
        The last one; None where there is none, and where another one of this night is used since.
    """
    place = [getattr(Master, name) == value for name, value in night._asdict().items()]
    # where it is the recipe that refuses its frames there is no file
    said = (Master.kind == kind, *place, Master.path != "", Master.standing.in_((*USABLE, Standing.REJECTED)))
    last = session.scalar(select(Master).where(*said).order_by(Master.id.desc()).limit(1))
    return last if last is not None and last.standing is Standing.REJECTED else None


def earlier_frames(session: Session, kind: "Kind", night: Night, days: int) -> list[Frame]:
    """Return the good frames of the nights before, back to the last change.

    Parameters
    ----------
    days
        How many nights to look back.

    Returns
    -------
    list of Frame
        Those that the good masters of these nights of the same camera were made of, the last ones first; the night
        whose master something was said against is the last.
    """
    first = datetime.strptime(night.day, "%Y%m%d") - timedelta(days=days)
    masters = session.scalars(of_detector(kind, night, _GOOD))
    good = {master.day: master for master in masters if f"{first:%Y%m%d}" <= master.day < night.day}
    found = []
    for day in sorted(good, reverse=True):
        # what was left out of the master of its own night must not come in by the next one
        entered = select(master_inputs.c.frame_id).where(master_inputs.c.master_id == good[day].id)
        query = select(Frame).where(Frame.id.in_(entered), Frame.day == day, Frame.state == State.DONE, latest())
        found += session.scalars(query.order_by(Frame.start_mjd.desc(), Frame.filename.desc()))
        if _has_changed(good[day]):
            break
    return found


def _has_changed(master):
    """Whether something was said against a master itself, not only against frames that it does not contain."""
    if master.findings is None:
        return bool(master.reason)
    return bool(_verdicts(master) - {Verdict.ACCEPTED})


def _verdicts(master):
    return {finding["verdict"] for finding in master.findings or () if not finding.get("known")}
