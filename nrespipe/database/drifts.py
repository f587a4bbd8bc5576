"""Drift of the spectrographs, as a time series."""

from sqlalchemy import select

from nrespipe.database.columns import State
from nrespipe.database.frames import latest
from nrespipe.database.tables import Frame, FrameDrift

_OF_FRAME = ("filename", "instrument", "exposure_s")
#: Columns of the list of drifts, in their order.
COLUMNS = (
    *_OF_FRAME, "mid_mjd", "velocity_ms", "velocity_err_ms", "shift_px", "shift_err_px", "stretch_px", "stretch_err_px",
    "turn_px", "turn_err_px", "bend_ms", "bend_err_ms", "n_lines", "pressure_psi", "temperature_c", "arc",
)  # fmt: skip


def table(session):
    """Return the drifts of the frames that are done.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session.

    Returns
    -------
    list of dict
        `COLUMNS` of each frame, last versions only, in order of spectrograph and time.
    """
    query = select(Frame, FrameDrift).join(FrameDrift.frame).where(Frame.state == State.DONE, latest())
    rows = session.execute(query.order_by(Frame.instrument, Frame.start_mjd, Frame.filename))
    return [{name: getattr(frame if name in _OF_FRAME else drift, name) for name in COLUMNS} for frame, drift in rows]
