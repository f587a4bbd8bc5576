"""What the nights around one night have: masters to hold a new one against, frames that may join in."""

from datetime import datetime, timedelta

from sqlalchemy import select

from nrespipe.database.calibrations import alike
from nrespipe.database.columns import Standing, State
from nrespipe.database.frames import latest
from nrespipe.database.tables import Frame


def peer(session, kind, night, mean_mjd, standing=Standing.CURRENT):
    """Return the master of another night that a new one is held against.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session.
    kind : Kind
        Of the master.
    night : Night
        Of the new one.
    mean_mjd : float
        Of the new one.
    standing : Standing, optional
        Of the peer.

    Returns
    -------
    Master or None
        The last one of the same detector, read out in the same way, before the new one, or else the first one after it.
    """
    others = [
        (master.mean_mjd > mean_mjd, abs(master.mean_mjd - mean_mjd), master.id, master)
        for master in session.scalars(alike(kind, night, standing))
        if master.day != night.day
    ]
    return min(others)[-1] if others else None


def earlier(session, kind, night, days):
    """Return the good frames of the nights before, back to the last change.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session.
    kind : Kind
        Of the frames.
    night : Night
        The night.
    days : int
        How many nights to look back.

    Returns
    -------
    list of Frame
        Of nights of the same camera that have a good master of their own, the last ones first; the night whose master
        something was said against is the last.
    """
    first = datetime.strptime(night.day, "%Y%m%d") - timedelta(days=days)
    doubts = {
        master.day: master.reason
        for master in session.scalars(alike(kind, night))
        if f"{first:%Y%m%d}" <= master.day < night.day
    }
    found = []
    same = {name: value for name, value in night._asdict().items() if name != "day"}
    for day in sorted(doubts, reverse=True):
        query = select(Frame).filter_by(kind=kind, day=day, state=State.DONE, **same).where(latest())
        found += session.scalars(query.order_by(Frame.start_mjd.desc(), Frame.filename.desc()))
        if doubts[day]:
            break
    return found
