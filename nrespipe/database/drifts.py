"""Drift of the spectrographs, as a time series."""

from math import hypot
from statistics import median
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from nrespipe.database.frames import latest
from nrespipe.database.states import State
from nrespipe.database.tables import Frame, FrameDrift, Master
from nrespipe.frames.raw import Kind
from nrespipe.frames.wavelength import DRIFT_SCATTER_MS

_OF_FRAME = ("filename", "instrument", "exposure_s")
#: Columns of the list of drifts, in their order.
COLUMNS = (
    *_OF_FRAME, "mid_mjd", "velocity_ms", "velocity_err_ms", "shift_px", "shift_err_px", "stretch_px", "stretch_err_px",
    "turn_px", "turn_err_px", "bend_ms", "bend_err_ms", "n_lines", "pressure_psi", "temperature_c", "arc",
)  # fmt: skip


def table(session: Session) -> list[dict[str, Any]]:
    """Return the drifts of the frames that are done.

    Returns
    -------
    list of dict
        `COLUMNS` of each frame, last versions only, in order of spectrograph and time.
    """
    query = select(Frame, FrameDrift).join(FrameDrift.frame).where(Frame.state == State.DONE, latest())
    rows = session.execute(query.order_by(Frame.instrument, Frame.start_mjd, Frame.filename))
    return [{name: getattr(frame if name in _OF_FRAME else drift, name) for name in COLUMNS} for frame, drift in rows]


def scatter_ms(session: Session, frame: Frame, *, days: float = 30.0, most: int = 300, fewest: int = 10) -> float:
    """Return the scatter of the drifts of a spectrograph in the nights before that of a frame.

    Parameters
    ----------
    days
        How far back drifts count [day].
    most
        How many, the last ones.
    fewest
        With fewer the scatter is ``DRIFT_SCATTER_MS``.

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
    query = select(FrameDrift.velocity_ms).join(FrameDrift.frame).where(*before, of_its_night, latest())
    drifts = session.scalars(query.order_by(Frame.start_mjd.desc(), Frame.filename).limit(most)).all()
    if len(drifts) < fewest:
        return DRIFT_SCATTER_MS
    middle = median(drifts)
    return hypot(middle, 1.4826 * median(abs(drift - middle) for drift in drifts))
