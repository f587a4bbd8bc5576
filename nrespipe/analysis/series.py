"""Series of the velocities of one star over all sites and fibers."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from astropy import units as u
from numpy.typing import NDArray

from nrespipe import doppler, settings
from nrespipe.analysis import catalog_deployment
from nrespipe.database import measurements, star_templates
from nrespipe.database.administration import opening
from nrespipe.database.tables import Frame, StarVelocity
from nrespipe.errors import MissingCalibration
from nrespipe.files import plain_table, template_files
from nrespipe.files.catalog import star_match
from nrespipe.frames.quality import UNCERTAIN, Quality
from nrespipe.frames.star import SAME_PLACE_ARCSEC, Star, apart_arcsec, name_key, name_keys

if TYPE_CHECKING:
    from astropy.table import QTable
    from sqlalchemy.orm import Session

    from nrespipe.frames.template import LeftOut

#: Farthest place of a star that no catalog has from that of another one with its name [arcsecond].
_SAME_STAR_ARCSEC = 30.0
#: No flag.
NOTHING = Quality(0)

_PARTS = ("photon_err_ms", "wavelength_err_ms", "drift_err_ms")
#: Columns with a number of the database: name, attribute, unit.
_NUMBERS = (
    ("bjd_tdb", "bjd_tdb", u.day), ("rv", "rv_ms", u.m / u.s), ("photon_err", "photon_err_ms", u.m / u.s),
    ("wavelength_err", "wavelength_err_ms", u.m / u.s), ("drift_err", "drift_err_ms", u.m / u.s),
    ("berv", "berv_ms", u.m / u.s), ("drift", "drift_ms", u.m / u.s), ("snr", "snr", u.one),
    ("perspective", "perspective_ms", u.m / u.s),
    ("fwhm", "fwhm_ms", u.m / u.s), ("fwhm_err", "fwhm_err_ms", u.m / u.s), ("contrast", "contrast", u.one),
    ("contrast_err", "contrast_err", u.one), ("bisector", "bisector_ms", u.m / u.s),
    ("bisector_err", "bisector_err_ms", u.m / u.s), ("rv_mask", "rv_ms", u.m / u.s),
    ("rv_template", "template_rv_ms", u.m / u.s), ("teff", "teff_k", u.K), ("vsini", "vsini_ms", u.m / u.s),
)  # fmt: skip
#: Activity indices that every table has: name, unit.
_INDICES = (
    ("s_index", u.one), ("s_index_r", u.one), ("h_alpha", u.one), ("na_d", u.one), ("chromatic", u.m / u.s),
    ("dlw", u.m**2 / u.s**2),
)  # fmt: skip


def read(output: str | Path, star: str, **choice: Any) -> "QTable":
    """Return the series of a star from an output directory.

    Parameters
    ----------
    output
        Output directory of the reductions.
    star
        Any name of the star.
    **choice
        As `of_star` takes it.

    Returns
    -------
    astropy.table.QTable
        As `of_star` gives it.

    Raises
    ------
    FileNotFoundError
        If there is no database in the output directory.
    LookupError
        If there is no velocity of the star.
    """
    output = Path(output)
    with opening.to_read(output, settings.read()).begin() as session:
        return of_star(session, output, star, **choice)


def of_star(
    session: "Session",
    output: Path,
    star: str,
    *,
    site: str = "",
    first_day: str = "",
    last_day: str = "",
    keep: Quality = NOTHING,
    engine: Literal["mask", "template"] = "mask",
) -> "QTable":
    """Return the velocities of a star over all sites and both fibers.

    Parameters
    ----------
    output
        Output directory, where catalogs of stars may be deployed.
    star
        Any name of the star, by the catalog or as in OBJECTS.
    first_day, last_day
        Only these nights, ``YYYYMMDD``, both included.
    keep
        Flags that are accepted; a velocity with another flag of `UNCERTAIN` is left out.
    engine
        Whether ``rv`` is the velocity by the line mask, or that by a template of the star; exposures without one are
        left out. An exposure that is part of the template has the velocity by a template of all the others.

    Returns
    -------
    astropy.table.QTable
        In order of time, with units. ``rv_err`` includes photons, wavelengths, drift and fiber, and not the error of
        the absolute velocity from the line mask, which is the same in all rows. ``rv`` is at the epoch of the catalog's
        position, as a series needs it; ``rv_observed`` at the time of observation, as published absolute velocities
        are. Activity indices have columns of their
        name and of their error, NaN where there is none. ``tel`` names spectrograph, camera and fiber: each has a zero
        point of its own. ``meta`` has the star, and the number of velocities that were left out for each reason.

    Raises
    ------
    LookupError
        If no velocity of such a star is known at all.
    ValueError
        If a night is no ``YYYYMMDD``, or there is no such engine.
    """
    for day in (first_day, last_day):
        if day and not (isinstance(day, str) and len(day) == 8 and day.isdecimal()):
            raise ValueError(f"{day!r} is no night, expected 'YYYYMMDD'")
    if engine not in ("mask", "template"):
        raise ValueError(f"{engine!r} is no engine: 'mask' or 'template'")
    names = names_of(output, site, star)
    nights = {"site": site, "first_day": first_day, "last_day": last_day}
    found = measurements.velocities(session, names, **nights)
    if not found and len(others := measurements.identified(session, names)) == 1:
        # an observer's own name of a star
        return of_star(session, output, others[0], keep=keep, engine=engine, **nights)
    if not found:
        raise LookupError(f"no velocity of {star} is known: {_unseen(session, output, star, names)}")
    if engine == "template":
        found = _with_left_out(found, _template_velocities(session, output, names, site))
    elsewhere = _elsewhere([velocity for _, velocity in found], _known(output, site, star))
    reasons = [
        "another place" if is_elsewhere else _reason(velocity, keep, engine)
        for (_, velocity), is_elsewhere in zip(found, elsewhere)
    ]
    by = lambda velocity: velocity.mask if engine == "mask" else velocity.template  # noqa: E731
    used = Counter(by(velocity) for (_, velocity), reason in zip(found, reasons) if not reason)
    usual = max(used, key=lambda name: (used[name], name), default="")
    reasons = [
        reason or ("" if by(velocity) == usual else f"{engine} {by(velocity)}")
        for (_, velocity), reason in zip(found, reasons)
    ]
    kept = [row for row, reason in zip(found, reasons) if not reason]
    table = _table(kept, engine)
    left_out = Counter(reason for reason in reasons if reason)
    table.meta = {"star": star, "engine": engine, "by": usual, "left_out": dict(sorted(left_out.items()))}
    return table


def summary(table: "QTable") -> str:
    """Return a summary of a series: its velocities, and those that were left out.

    Parameters
    ----------
    table
        From `of_star`.

    Returns
    -------
    str
        One line.
    """
    telescopes = ", ".join(sorted(set(table["tel"]))) or "nowhere"
    by = f"{table.meta['engine']} {table.meta['by'] or 'none'}"
    told = f"{len(table)} velocities of {table.meta['star']} by {by} from {telescopes}"
    if "zero_points" in table.meta:
        told += f", zero points {table.meta['zero_points']}"
    left_out = ", ".join(f"{count} {reason}" for reason, count in table.meta["left_out"].items())
    return f"{told}; left out: {left_out}" if left_out else told


def for_the_eye(table: "QTable") -> str:
    """Return a series as an aligned table for a person.

    Parameters
    ----------
    table
        From `of_star`.

    Returns
    -------
    str
        A line for each velocity, after one with the names of the columns; velocities in m/s.
    """
    digits = {"bjd_tdb": 6, "rv": 2, "rv_err": 2, "drift": 2, "snr": 1, "fwhm": 1, "bisector": 1}
    if "zero_points" in table.meta:
        digits |= dict.fromkeys(("zero_point", "zero_point_err", "rv_corrected", "rv_corrected_err"), 2)
    numbers = [[f"{value:.{n}f}" for value in table[name].value] for name, n in digits.items()]
    columns = [*numbers, *(list(table[name]) for name in ("tel", "quality", "filename"))]
    return "\n".join(plain_table.aligned([[*digits, "tel", "quality", "filename"], *zip(*columns)]))


def names_of(output: Path, site: str, star: str) -> set[str]:
    """Return all names of a star, as ``name_key`` has them.

    Parameters
    ----------
    output
        Output directory, where catalogs of stars may be deployed.
    site
        Whose catalog; '' for that of all sites.
    star
        Any of its names.

    Returns
    -------
    set of str
        Only the given one where it is in no catalog.
    """
    known = _known(output, site, star)
    return {name_key(star)} if known is None else name_keys(known)


def _known(output: Path, site: str, star: str) -> Star | None:
    """Return the star of the catalog with a name."""
    return star_match.match(catalog_deployment.stars(output, site), star, None, None, 2000.0)


def _elsewhere(velocities: list[StarVelocity], known: Star | None) -> list[bool]:
    """Return which velocities are those of another star with the name: one that no catalog has, at another place.

    Of a name that no catalog has, the star is at the place with most velocities.
    """
    seen = [
        Star(velocity.object, velocity.ra_deg, velocity.dec_deg, source="telescope")
        if Quality.NO_CATALOG_STAR in Quality(velocity.quality) and velocity.ra_deg is not None
        else None
        for velocity in velocities
    ]
    places = Counter((star.ra_deg, star.dec_deg) for star in seen if star is not None)
    if known is None and places:
        stars = {place: Star("", *place) for place in sorted(places)}
        crowd = {
            place: sum(places[other] for other in stars if apart_arcsec(stars[place], stars[other]) < SAME_PLACE_ARCSEC)
            for place in stars
        }
        known = stars[max(crowd, key=lambda place: crowd[place])]
    if known is None:
        return [False] * len(velocities)
    return [star is not None and apart_arcsec(star, known) > _SAME_STAR_ARCSEC for star in seen]


def _unseen(session: "Session", output: Path, star: str, names: set[str]) -> str:
    """Return the reason why there is no velocity of a star."""
    seen = [frame for frame, _ in measurements.velocities(session, names)]
    if seen:
        days = sorted({frame.day for frame in seen})
        sites = ", ".join(sorted({frame.site for frame in seen}))
        return f"it was seen at {sites} from {days[0]} to {days[-1]}, but not in these nights at this site"
    known = {name_key(name): name for name in measurements.observed_names(session)}
    for other in catalog_deployment.stars(output):
        if name_keys(other) & set(known):
            known |= {name_key(name): name for name in (other.name, *other.aliases)}
    return f"no frame that is done shows it{star_match.near(star, known)}"


def _reason(velocity: StarVelocity, keep: Quality, engine: str) -> str:
    """Return the reason why a velocity is left out; '' where it is not."""
    flags = Quality(velocity.quality) & UNCERTAIN & ~keep
    if velocity.rv_ms is None or velocity.bjd_tdb is None:
        return "no_velocity"
    if engine == "template" and velocity.template_rv_ms is None:
        return "no template"
    if not np.isfinite(_error_ms(velocity, engine)):
        return "no error"
    return "|".join(flags.names())


def _template_velocities(
    session: "Session", output: Path, names: set[str], site: str
) -> "dict[tuple[str, int], tuple[str, LeftOut]]":
    """Return, by frame and fiber, the star of the newest template made of it, and its velocity by the others."""
    found: dict[tuple[str, int], tuple[str, LeftOut]] = {}
    for row in star_templates.current(session):
        if name_key(row.star) not in names or site not in ("", row.site):
            continue
        try:
            template = template_files.read(output / row.path)
        except MissingCalibration:
            continue
        for one in template.left_out:
            found.setdefault((one.name, one.fiber), (row.star, one))
    return found


def _with_left_out(
    found: list[tuple[Frame, StarVelocity]], left_out: "dict[tuple[str, int], tuple[str, LeftOut]]"
) -> list[tuple[Frame, StarVelocity]]:
    """Give exposures of a template the velocity by a template of all other exposures, where there is one."""
    rows = []
    for frame, velocity in found:
        star, one = left_out.get((frame.filename, velocity.fiber), ("", None))
        if velocity.template_rv_ms is None and one is not None:
            # a copy outside the session, which would write changes of the row
            values = {column.key: getattr(velocity, column.key) for column in velocity.__table__.columns}
            others = [getattr(velocity, name) or 0.0 for name in (*_PARTS[1:], "transfer_err_ms")]
            error_ms = float(np.linalg.norm([one.error_ms, *others]))
            values |= {"template": star, "template_rv_ms": one.rv_ms, "template_err_ms": error_ms}
            velocity = StarVelocity(**values)
        rows.append((frame, velocity))
    return rows


def _error_ms(velocity: StarVelocity, engine: str) -> float:
    if engine == "template":
        return np.inf if velocity.template_err_ms is None else velocity.template_err_ms
    parts = [getattr(velocity, name) for name in _PARTS]
    return np.inf if None in parts else float(np.linalg.norm([*parts, velocity.transfer_err_ms or 0.0]))


def _table(rows: list[tuple[Frame, StarVelocity]], engine: str) -> "QTable":
    frames, found = zip(*rows) if rows else ((), ())
    number = lambda value: np.nan if value is None else float(value)  # noqa: E731
    columns = {
        name: np.array([number(getattr(velocity, attribute)) for velocity in found], float) * unit
        for name, attribute, unit in _NUMBERS
    }
    columns["rv_err"] = np.array([_error_ms(velocity, engine) for velocity in found], float) * u.m / u.s
    if engine == "template":
        columns["rv"] = columns["rv_template"]
    later = np.nan_to_num(columns["perspective"])
    columns["rv_observed"] = columns["rv"] * (1 + later.value / doppler.C_MS) + later
    for name, unit in _INDICES:
        values = [_index(velocity, name) for velocity in found]
        columns[name], columns[f"{name}_err"] = np.array(values, float).reshape(-1, 2).T * unit
    columns["tel"] = _words(f"{f.instrument}{f.camera}f{v.fiber}" for f, v in zip(frames, found))
    columns["site"] = _words(frame.site for frame in frames)
    columns["fiber"] = np.array([velocity.fiber for velocity in found], int)
    columns["mask"] = _words(velocity.mask for velocity in found)
    columns["object"] = _words(velocity.object for velocity in found)
    columns["quality"] = _words("|".join(Quality(velocity.quality).names()) for velocity in found)
    columns["filename"] = _words(frame.filename for frame in frames)
    order = ("bjd_tdb", "rv", "rv_err", "tel", *(name for name, *_ in _NUMBERS[2:]))
    # here, not above: tables take half a second to load
    from astropy.table import QTable

    return QTable({name: columns[name] for name in (*order, *(name for name in columns if name not in order))})


def _index(velocity: StarVelocity, name: str) -> tuple[float, float]:
    value, error = (velocity.activity or {}).get(name, (None, None))
    return (np.nan, np.nan) if value is None else (value, error)


def _words(words: Iterable[str]) -> NDArray[np.str_]:
    return np.array([*words], dtype=str)
