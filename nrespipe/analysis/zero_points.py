"""Zero points of nights: measure them from standard stars in the database, and apply them to a series."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u
from sqlalchemy import select
from sqlalchemy.orm import Session

from nrespipe import __version__
from nrespipe.analysis import catalog_deployment, series
from nrespipe.database import measurements, zero_point_versions
from nrespipe.database.tables import Frame, StarVelocity, ZeroPoint, ZeroPointVersion
from nrespipe.engine.velocity import night_zero_points
from nrespipe.files.catalog import star_match
from nrespipe.frames.quality import UNCERTAIN, Quality
from nrespipe.frames.star import name_key, name_keys

if TYPE_CHECKING:
    from astropy.table import QTable

#: Smallest number of constant stars in a night, of nights of a star, and days around a night without such stars from
#: which its zero point is taken.
LIMITS = {"fewest_stars": 2, "fewest_nights": 3, "window_days": 10}

_UNIT = u.m / u.s
#: Frame, velocity, and name of the star in the catalog
_Row = tuple[Frame, StarVelocity, str]


def measure(
    session: Session,
    output: Path,
    *,
    site: str = "",
    first_day: str = "",
    last_day: str = "",
    stars: Sequence[str] = (),
    **limits: int,
) -> ZeroPointVersion:
    """Measure the zero points of all nights.

    Parameters
    ----------
    output
        Output directory, where catalogs of stars may be deployed.
    first_day, last_day
        Only these nights, ``YYYYMMDD``, both included.
    stars
        The constant stars, by any of their names; all stars of the catalog if empty.
    **limits
        Instead of `LIMITS`.

    Returns
    -------
    ZeroPointVersion
        A new row, with its zero points, for the caller to keep.

    Raises
    ------
    LookupError
        If no velocity of such a star is known, or a star is none of the catalog.
    """
    limits = LIMITS | limits
    found = _constant(session, output, site, first_day, last_day, stars)
    if not found:
        raise LookupError("no velocity of a constant star is known in these nights")
    asked = {"site": site, "first_day": first_day, "last_day": last_day, "stars": sorted(stars), **limits}
    made = ZeroPointVersion(code_version=__version__, parameters=asked, n_velocities=len(found))
    for place in sorted({_place(*row[:2]) for row in found}):
        made.zeros += [*_of_fiber(place, [row for row in found if _place(*row[:2]) == place], limits)]
    return made


#: Columns of the lists of versions and of zero points, as `plain_table.listed` takes them.
VERSION_COLUMNS = dict.fromkeys(("version", "made_utc", "by", "velocities", "nights", "of"))
COLUMNS = {"tel": None, "night": None, "value_ms": 2, "error_ms": 2, "stars": None, "method": None}


def versions(session: Session) -> list[dict[str, object]]:
    """List the versions; values by column."""
    return [
        {
            "version": one.id,
            "made_utc": one.created,
            "by": one.code_version,
            "velocities": one.n_velocities,
            "nights": len(one.zeros),
            "of": _asked(one),
        }
        for one in zero_point_versions.listed(session)
    ]


def listing(session: Session, number: int | None = None) -> list[dict[str, object]]:
    """List the zero points of a version.

    Parameters
    ----------
    number
        Of the version; the last one if not given.

    Returns
    -------
    list of dict
        Values by column.

    Raises
    ------
    LookupError
        If there is no such version.
    """
    return [
        {
            "tel": f"{zero.instrument}{zero.camera}f{zero.fiber}",
            "night": zero.day,
            "value_ms": zero.value_ms,
            "error_ms": zero.error_ms,
            "stars": zero.n_stars,
            "method": zero.method,
        }
        for zero in zero_point_versions.find(session, number).zeros
    ]


def apply(session: Session, output: Path, table: "QTable", number: int | None = None) -> "QTable":
    """Add the velocities that are free of the zero points of their nights to a series.

    Parameters
    ----------
    output
        Output directory, where catalogs of stars may be deployed.
    table
        From `series.of_star`; its columns stay as they are.
    number
        Which version; the last one if not given.

    Returns
    -------
    astropy.table.QTable
        With ``zero_point``, ``zero_point_err``, ``rv_corrected`` and ``rv_corrected_err`` behind its own columns, NaN
        where a night has none, and the number and time of the version in ``meta``. Where the star is itself one of
        the constant stars of a night, its zero point is that of the others.

    Raises
    ------
    LookupError
        If there is no such version.
    """
    version = zero_point_versions.find(session, number)
    names = series.names_of(output, version.parameters["site"], table.meta["star"])
    zeros = {(f"{z.instrument}{z.camera}f{z.fiber}", z.day): z for z in version.zeros}
    query = select(Frame.filename, Frame.day).where(Frame.filename.in_([*map(str, table["filename"])]))
    days = dict(session.execute(query).all())
    fewest = version.parameters["fewest_stars"]
    pairs = [_for(zeros.get((str(tel), days[str(name)])), names, fewest) for tel, name in table["tel", "filename"]]
    value, error = np.array(pairs, float).reshape(-1, 2).T * _UNIT
    table = table.copy()
    table["zero_point"], table["zero_point_err"] = value, error
    table["rv_corrected"] = table["rv"] - value
    table["rv_corrected_err"] = np.hypot(table["rv_err"], error)
    table.meta["zero_points"] = f"version {version.id} of {version.created:%Y-%m-%d}"
    return table


def _constant(
    session: Session, output: Path, site: str, first_day: str, last_day: str, stars: Sequence[str]
) -> list[_Row]:
    """Return the velocities without flags of the constant stars, each by the most frequent line mask of the star."""
    stars_known = catalog_deployment.stars(output, site)
    known = {key: star.name for star in stars_known for key in name_keys(star)}
    for star in stars:
        if name_key(star) not in known:
            names = {name_key(name): name for one in stars_known for name in (one.name, *one.aliases)}
            raise LookupError(f"{star} is no star of the catalog{star_match.near(star, names)}")
    wanted = set().union(*(series.names_of(output, site, star) for star in stars))
    rows = measurements.velocities(session, site=site, first_day=first_day, last_day=last_day)
    good = [
        (frame, velocity, known.get(name_key(velocity.star), velocity.star))
        for frame, velocity in rows
        if velocity.star
        and (not wanted or name_key(velocity.star) in wanted)
        and velocity.rv_ms is not None
        and velocity.rv_err_ms
        and not Quality(velocity.quality) & (UNCERTAIN | Quality.NO_CATALOG_STAR)
    ]
    counts = Counter((star, velocity.mask) for _, velocity, star in good)
    usual = {star: mask for (star, mask), _ in sorted(counts.items(), key=lambda item: (item[1], item[0]))}
    return [row for row in good if usual[row[2]] == row[1].mask]


def _place(frame: Frame, velocity: StarVelocity) -> tuple[str, str, int]:
    return frame.instrument, frame.camera, velocity.fiber


def _of_fiber(place: tuple[str, str, int], rows: list[_Row], limits: Mapping[str, int]) -> Iterator[ZeroPoint]:
    """Yield the rows of the zero points of one fiber."""
    nights = [datetime.strptime(frame.day, "%Y%m%d").toordinal() for frame, _, _ in rows]
    rv_ms, error_ms = ([getattr(velocity, name) for _, velocity, _ in rows] for name in ("rv_ms", "rv_err_ms"))
    found = night_zero_points.measure([star for _, _, star in rows], nights, rv_ms, error_ms, **limits)
    for i, night in enumerate(found.nights):
        known = np.flatnonzero(np.isfinite(found.deviation_ms[:, i]))
        pairs = np.stack([found.deviation_ms[known, i], found.deviation_error_ms[known, i]], axis=-1)
        method = "stars" if found.is_own[i] else "around" if np.isfinite(found.value_ms[i]) else "none"
        yield ZeroPoint(
            instrument=place[0],
            camera=place[1],
            fiber=place[2],
            day=f"{date.fromordinal(int(night)):%Y%m%d}",
            value_ms=found.value_ms[i],
            error_ms=found.error_ms[i],
            n_stars=int(found.n_stars[i]),
            method=method,
            stars=dict(zip(map(str, found.stars[known]), pairs.tolist())),
        )


def _for(zero: ZeroPoint | None, names: set[str], fewest: int) -> tuple[float, float]:
    """Return zero point and error for a star; NaN where there is none."""
    if zero is None or zero.value_ms is None or zero.error_ms is None:
        return np.nan, np.nan
    others = [pair for star, pair in zero.stars.items() if name_key(star) not in names]
    if zero.method == "stars" and len(others) < len(zero.stars):
        return night_zero_points.combine(*zip(*others), fewest_stars=fewest) if others else (np.nan, np.nan)
    return zero.value_ms, zero.error_ms


def _asked(version: ZeroPointVersion) -> str:
    asked = version.parameters
    nights = " to ".join(filter(None, (asked["first_day"], asked["last_day"])))
    return ", ".join(filter(None, (asked["site"] or "all sites", nights, *asked["stars"])))
