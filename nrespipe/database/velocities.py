"""Velocities of all reduced frames."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from nrespipe.database.frames import latest
from nrespipe.database.states import State
from nrespipe.database.tables import Frame, StarVelocity
from nrespipe.frames.quality import Quality

#: Columns of the list of velocities, in their order.
COLUMNS = (
    "filename", "object", "fiber", "bjd_tdb", "rv_ms", "rv_err_ms", "berv_ms", "drift_ms", "snr", "quality",
)  # fmt: skip


def table(session: Session) -> list[dict[str, Any]]:
    """Return the velocities of the frames that are done.

    Returns
    -------
    list of dict
        `COLUMNS` of each star of each frame, last versions only, in order of time; `quality` is a list of words.
    """
    query = select(Frame.filename, StarVelocity).join(StarVelocity.frame).where(Frame.state == State.DONE, latest())
    rows = session.execute(query.order_by(Frame.start_mjd, Frame.filename, StarVelocity.fiber))
    return [_row(filename, velocity) for filename, velocity in rows]


def of_star(session: Session, belongs: Callable[..., Any], *, site: str = "", first_day: str = "", last_day: str = ""):
    """Return the velocities of a star.

    Parameters
    ----------
    belongs
        Whether what stands in OBJECTS is the star.
    site
        Only those of this site.
    first_day, last_day
        Only those of these nights, ``YYYYMMDD``, both included.

    Returns
    -------
    list of (Frame, StarVelocity)
        Of the frames that are done, last versions only, in order of time.
    """
    query = select(Frame, StarVelocity).join(StarVelocity.frame).where(Frame.state == State.DONE, latest())
    if site:
        query = query.where(Frame.site == site)
    if first_day:
        query = query.where(Frame.day >= first_day)
    if last_day:
        query = query.where(Frame.day <= last_day)
    rows = session.execute(query.order_by(StarVelocity.bjd_tdb, Frame.filename, StarVelocity.fiber))
    return [(frame, velocity) for frame, velocity in rows if belongs(velocity.object)]


def _row(filename, velocity):
    row = {name: getattr(velocity, name) for name in COLUMNS[1:-1]}
    return {"filename": filename, **row, "quality": Quality(velocity.quality).names()}
