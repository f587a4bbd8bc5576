"""Measurements of the reduced frames as time series: velocities of stars and drifts of the spectrographs."""

from collections.abc import Callable, Collection
from math import hypot
from statistics import median
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from nrespipe.database.states import State
from nrespipe.database.tables import Frame, FrameDrift, Master, StarVelocity
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind
from nrespipe.frames.star import name_key
from nrespipe.frames.wavelength import DRIFT_SCATTER_MS

#: Columns of the list of velocities, in their order.
VELOCITY_COLUMNS = (
    "filename", "object", "fiber", "bjd_tdb", "rv_ms", "rv_err_ms", "rv_abs_err_ms", "berv_ms", "drift_ms", "snr",
    "quality",
)  # fmt: skip


def velocity_table(session: Session) -> list[dict[str, Any]]:
    """Return the velocities of the frames that are done.

    Returns
    -------
    list of dict
        `VELOCITY_COLUMNS` of each star of each frame, last versions only, in order of time; `quality` is words.
    """
    query = (
        select(Frame.filename, StarVelocity)
        .join(StarVelocity.frame)
        .where(Frame.state == State.DONE, Frame.is_latest())
    )
    rows = session.execute(query.order_by(Frame.start_mjd, Frame.filename, StarVelocity.fiber))
    return [_velocity_row(filename, velocity) for filename, velocity in rows]


def velocities_of_star(
    session: Session, belongs: Callable[[str], bool], *, site: str = "", first_day: str = "", last_day: str = ""
) -> list[tuple[Frame, StarVelocity]]:
    """Return the velocities of a star.

    Parameters
    ----------
    belongs
        Whether a name in the form of ``name_key`` is that of the star.
    site
        Only those of this site.
    first_day, last_day
        Only those of these nights, ``YYYYMMDD``, both included.

    Returns
    -------
    list of (Frame, StarVelocity)
        Of the frames that are done, last versions only, in order of time.
    """
    query = select(Frame, StarVelocity).join(StarVelocity.frame).where(Frame.state == State.DONE, Frame.is_latest())
    if site:
        query = query.where(Frame.site == site)
    if first_day:
        query = query.where(Frame.day >= first_day)
    if last_day:
        query = query.where(Frame.day <= last_day)
    rows = session.execute(query.order_by(StarVelocity.bjd_tdb, Frame.filename, StarVelocity.fiber))
    return [(frame, velocity) for frame, velocity in rows if belongs(key_of(velocity))]


def key_of(velocity: StarVelocity) -> str:
    """Return the name of the star that was identified, in the form of ``name_key``."""
    return name_key(velocity.star or velocity.object)


def identified(session: Session, keys: Collection[str]) -> list[str]:
    """Return the stars that were identified in frames with other names in OBJECTS.

    Parameters
    ----------
    keys
        Names in OBJECTS in the form of ``name_key``.
    """
    names = session.execute(select(StarVelocity.object, StarVelocity.star).where(StarVelocity.star != "").distinct())
    return sorted({star for name, star in names if name_key(name) in keys})


def _velocity_row(filename: str, velocity: StarVelocity) -> dict[str, Any]:
    row = {name: getattr(velocity, name) for name in VELOCITY_COLUMNS[1:-1]}
    return {"filename": filename, **row, "quality": Quality(velocity.quality).names()}


_OF_FRAME = ("filename", "instrument", "exposure_s")
#: Columns of the list of drifts, in their order.
DRIFT_COLUMNS = (
    *_OF_FRAME, "mid_mjd", "velocity_ms", "velocity_err_ms", "shift_px", "shift_err_px", "stretch_px", "stretch_err_px",
    "turn_px", "turn_err_px", "bend_ms", "bend_err_ms", "n_lines", "pressure_psi", "temperature_c", "arc",
)  # fmt: skip


def drift_table(session: Session) -> list[dict[str, Any]]:
    """Return the drifts of the frames that are done.

    Returns
    -------
    list of dict
        `DRIFT_COLUMNS` of each frame, last versions only, in order of spectrograph and time.
    """
    query = select(Frame, FrameDrift).join(FrameDrift.frame).where(Frame.state == State.DONE, Frame.is_latest())
    rows = session.execute(query.order_by(Frame.instrument, Frame.start_mjd, Frame.filename))
    return [
        {name: getattr(frame if name in _OF_FRAME else drift, name) for name in DRIFT_COLUMNS} for frame, drift in rows
    ]


def drift_scatter_ms(session: Session, frame: Frame, *, days: float = 30.0, most: int = 300, fewest: int = 10) -> float:
    """Return the scatter of the drifts of a spectrograph in the nights before that of a frame.

    Parameters
    ----------
    days
        Length of the time before the frame in which drifts count [day].
    most
        Largest number of drifts, the last ones.
    fewest
        Smallest number; with fewer the scatter is ``DRIFT_SCATTER_MS``.

    Returns
    -------
    float
        Of the drifts of frames against the arc of their own night [m / s].

    Notes
    -----
    The median of the drifts, and 1.4826 times the median of their distances from it, added in quadrature: a frame
    without a drift keeps the zero point of the arc and is wrong by all of its drift, not by its distance from the
    usual one. Nights before that of the frame alone, so that it does not matter in which order the frames of a night
    are reduced.
    """
    if frame.start_mjd is None:
        # its header could not be read, and it will not be reduced
        return DRIFT_SCATTER_MS
    of_its_night = exists().where(Master.kind == Kind.ARC, Master.path == FrameDrift.arc, Master.day == Frame.day)
    before = (
        Frame.instrument == frame.instrument,
        Frame.day < frame.day,
        Frame.start_mjd > frame.start_mjd - days,
        Frame.state == State.DONE,
        FrameDrift.velocity_ms.is_not(None),
    )
    query = select(FrameDrift.velocity_ms).join(FrameDrift.frame).where(*before, of_its_night, Frame.is_latest())
    found = session.scalars(query.order_by(Frame.start_mjd.desc(), Frame.filename).limit(most))
    drifts = [drift for drift in found if drift is not None]
    if len(drifts) < fewest:
        return DRIFT_SCATTER_MS
    middle = median(drifts)
    return hypot(middle, 1.4826 * median(abs(drift - middle) for drift in drifts))
