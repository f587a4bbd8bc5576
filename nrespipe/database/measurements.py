"""Measurements of the reduced frames as time series: velocities of stars and drifts of the spectrographs."""

from collections.abc import Collection
from math import hypot
from statistics import median
from typing import Any

from sqlalchemy import Row, Select, exists, func, select
from sqlalchemy.orm import Session, defer

from nrespipe.database import frames
from nrespipe.database.frames import of_nights
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


def velocity_table(
    session: Session, *, site: str = "", first_day: str = "", last_day: str = ""
) -> list[dict[str, Any]]:
    """Return the velocities of the frames that are done.

    Parameters
    ----------
    site, first_day, last_day
        As for `velocities`.

    Returns
    -------
    list of dict
        `VELOCITY_COLUMNS` of each star of each frame, last versions only, in order of time; `quality` is words.
    """
    query = select(Frame.start_mjd, Frame.filename, StarVelocity).join(StarVelocity.frame)
    rows = _of_nights(session, query.options(defer(StarVelocity.activity)), site, first_day, last_day)
    rows.sort(key=lambda row: (row.start_mjd or 0.0, row.filename, row.StarVelocity.fiber))
    return [_velocity_row(row.filename, row.StarVelocity) for row in rows]


def _velocity_row(filename: str, velocity: StarVelocity) -> dict[str, Any]:
    row = {name: getattr(velocity, name) for name in VELOCITY_COLUMNS[1:-1]}
    return {"filename": filename, **row, "quality": Quality(velocity.quality).names()}


def _of_nights(
    session: Session, query: Select[*tuple[Any, ...]], site: str, first_day: str, last_day: str
) -> list[Row[Any]]:
    """Return the rows of a query about frames that are done, asked for in parts of few nights."""
    done = query.where(Frame.state == State.DONE, Frame.is_latest())
    parts = frames.spans(session, first_day, last_day)
    return [row for first, last in parts for row in session.execute(done.where(*of_nights(Frame, site, first, last)))]


def velocities(
    session: Session,
    keys: Collection[str] | None = None,
    *,
    site: str = "",
    first_day: str = "",
    last_day: str = "",
) -> list[tuple[Frame, StarVelocity]]:
    """Return velocities, of one star or of all.

    Parameters
    ----------
    keys
        Names of the star in the form of ``name_key``; all stars if not given.
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
    query = query.where(*of_nights(Frame, site, first_day, last_day))
    if keys is not None:
        # an earlier program that works on the same tables writes no keys
        query = query.where(StarVelocity.star_key.in_({*keys, ""}))
    rows = session.execute(query.order_by(StarVelocity.bjd_tdb, Frame.filename, StarVelocity.fiber))
    return [(frame, velocity) for frame, velocity in rows if keys is None or key_of(velocity) in keys]


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
    alike = (StarVelocity.object_key.in_({*keys, ""}), StarVelocity.star != "")
    names = session.execute(select(StarVelocity.object, StarVelocity.star).where(*alike).distinct())
    return sorted({star for name, star in names if name_key(name) in keys})


def observed_names(session: Session) -> list[str]:
    """Return the names in OBJECTS of which there are velocities, each once.

    Notes
    -----
    One look into the index for each name: the cost does not grow with the number of velocities.
    """
    first = select(func.min(StarVelocity.object).label("name")).cte("names", recursive=True)
    following = select(func.min(StarVelocity.object)).where(StarVelocity.object > first.c.name).scalar_subquery()
    names = first.union_all(select(following).where(first.c.name.is_not(None)))
    return list(session.scalars(select(names.c.name).where(names.c.name.is_not(None))))


def velocities_before(session: Session, name: str, day: str, *, most: int = 500) -> list[tuple[Frame, StarVelocity]]:
    """Return the velocities of a star in the nights before one.

    Parameters
    ----------
    name
        Name of the star, exactly as in OBJECTS.
    day
        The night, ``YYYYMMDD``.
    most
        Largest number of velocities, the last ones.

    Returns
    -------
    list of (Frame, StarVelocity)
        Of the frames that are done, last versions only, in order of time.
    """
    measured = StarVelocity.rv_ms.is_not(None), StarVelocity.rv_err_ms.is_not(None), StarVelocity.bjd_tdb.is_not(None)
    query = (
        select(Frame, StarVelocity)
        .join(StarVelocity.frame)
        .where(StarVelocity.object == name, Frame.day < day, Frame.state == State.DONE, Frame.is_latest(), *measured)
        .order_by(StarVelocity.bjd_tdb.desc(), Frame.filename.desc(), StarVelocity.fiber.desc())
        .limit(most)
    )
    return [(frame, velocity) for frame, velocity in session.execute(query)][::-1]


_OF_FRAME = ("filename", "instrument", "exposure_s")
#: Columns of the list of drifts, in their order.
DRIFT_COLUMNS = (
    *_OF_FRAME, "mid_mjd", "velocity_ms", "velocity_err_ms", "shift_px", "shift_err_px", "stretch_px", "stretch_err_px",
    "turn_px", "turn_err_px", "bend_ms", "bend_err_ms", "n_lines", "pressure_psi", "temperature_c", "arc",
)  # fmt: skip


def drift_table(session: Session, *, site: str = "", first_day: str = "", last_day: str = "") -> list[dict[str, Any]]:
    """Return the drifts of the frames that are done.

    Parameters
    ----------
    site, first_day, last_day
        As for `velocities`.

    Returns
    -------
    list of dict
        `DRIFT_COLUMNS` of each frame, last versions only, in order of spectrograph and time.
    """
    names = [getattr(Frame if name in _OF_FRAME else FrameDrift, name) for name in DRIFT_COLUMNS]
    rows = _of_nights(session, select(Frame.start_mjd, *names).join(FrameDrift.frame), site, first_day, last_day)
    rows.sort(key=lambda row: (row.instrument, row.start_mjd or 0.0, row.filename))
    return [dict(zip(DRIFT_COLUMNS, row[1:])) for row in rows]


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
