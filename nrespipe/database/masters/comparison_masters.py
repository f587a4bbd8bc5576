"""Neighbors of a night: masters that a new one is compared with, and frames of earlier nights that may join it."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from nrespipe.database.masters.calibrations import Night, of_detector
from nrespipe.database.states import USABLE, Standing, State
from nrespipe.database.tables import Frame, Master, master_inputs
from nrespipe.frames.judgement import Verdict

if TYPE_CHECKING:
    from nrespipe.frames.raw import Kind

_GOOD = (Standing.CURRENT,)
#: Number of the day MJD 0 in the calendar of Python.
_MJD_EPOCH = 678576


def reference_master(
    session: Session, kind: "Kind", night: Night, mean_mjd: float, standing: Standing = Standing.CURRENT
) -> Master | None:
    """Return the master of another night with which a new master is compared.

    Parameters
    ----------
    night, mean_mjd
        Of the new master.
    standing
        Standing that the other master has.

    Returns
    -------
    Master or None
        The last one of the same detector, read out in the same way, before the new one, or else the first one after it.
    """
    others = of_detector(kind, night, [standing]).where(Master.day != night.day)
    before = others.where(Master.mean_mjd <= mean_mjd).order_by(Master.mean_mjd.desc(), Master.id)
    after = others.where(Master.mean_mjd > mean_mjd).order_by(Master.mean_mjd, Master.id)
    last = session.scalar(before.limit(1))
    return last if last is not None else session.scalar(after.limit(1))


def next_master(session: Session, kind: "Kind", night: Night) -> Master | None:
    """Return the first good master after a night.

    Returns
    -------
    Master or None
        Of the same detector, read out in the same way; None where there is none.
    """
    # a night is named after the day on which it begins: its index is that of the time
    begins_mjd = datetime.strptime(night.day, "%Y%m%d").toordinal() - _MJD_EPOCH - 1.0
    after = of_detector(kind, night, _GOOD).where(Master.day > night.day, Master.mean_mjd > begins_mjd)
    return session.scalar(after.order_by(Master.mean_mjd, Master.id).limit(1))


def used_master(session: Session, kind: "Kind", night: Night) -> Master | None:
    """Return the master of a night that frames use; None where there is none."""
    return session.scalar(of_detector(kind, night).where(Master.day == night.day).order_by(Master.id.desc()).limit(1))


def needed_review(master: Master) -> bool:
    """Return whether a master needed review when it was made, even if it was accepted since."""
    return Verdict.REVIEW in _verdicts(master)


def rejected_master(session: Session, kind: "Kind", night: Night) -> Master | None:
    """Return the master of a night that a person has rejected.

    Returns
    -------
    Master or None
        The last one; None where there is none, and where another one of this night is used since.
    """
    place = [getattr(Master, name) == value for name, value in night._asdict().items()]
    # where the recipe has rejected the frames there is no file
    decided = (Master.kind == kind, *place, Master.path != "", Master.standing.in_((*USABLE, Standing.REJECTED)))
    last = session.scalar(select(Master).where(*decided).order_by(Master.id.desc()).limit(1))
    return last if last is not None and last.standing is Standing.REJECTED else None


def earlier_frames(session: Session, kind: "Kind", night: Night, days: int) -> list[Frame]:
    """Return the good frames of earlier nights, back to the last change of the instrument.

    Parameters
    ----------
    days
        Number of nights to look back.

    Returns
    -------
    list of Frame
        Inputs of the good masters of these nights of the same camera, the last ones first. The night whose master was
        flagged is the last one.
    """
    first = datetime.strptime(night.day, "%Y%m%d") - timedelta(days=days)
    within = (Master.day >= f"{first:%Y%m%d}", Master.day < night.day)
    good = {master.day: master for master in session.scalars(of_detector(kind, night, _GOOD).where(*within))}
    found: list[Frame] = []
    for day in sorted(good, reverse=True):
        # a frame that was left out of the master of its own night must not enter the next one
        entered = select(master_inputs.c.frame_id).where(master_inputs.c.master_id == good[day].id)
        query = select(Frame).where(
            Frame.id.in_(entered), Frame.day == day, Frame.state == State.DONE, Frame.is_latest()
        )
        found += session.scalars(query.order_by(Frame.start_mjd.desc(), Frame.filename.desc()))
        if _has_changed(good[day]):
            break
    return found


def _has_changed(master: Master) -> bool:
    """Return whether a master itself was flagged, not only frames that were left out of it."""
    if master.findings is None:
        return bool(master.reason)
    return bool(_verdicts(master) - {Verdict.ACCEPTED})


def _verdicts(master: Master) -> set[str]:
    return {finding["verdict"] for finding in master.findings or () if not finding.get("known")}
