"""The catalog of stars, and which of them a frame shows."""

import csv
from functools import cache
from pathlib import Path

import numpy as np

from nrespipe.frames.velocity import Star

#: Columns of the catalog, in order
COLUMNS = (
    "name", "aliases", "ra_deg", "dec_deg", "epoch_year", "pm_ra_mas_yr", "pm_dec_mas_yr", "parallax_mas", "rv_kms",
    "v_mag", "teff_k", "logg", "metallicity", "spectral_type", "source",
)  # fmt: skip

_TEXTS = ("name", "aliases", "spectral_type", "source")
#: What a number may be; beyond lies a slip of the pen (the largest proper motion known is 10.4 arcsec a year)
_RANGES = {
    "ra_deg": (0, 360), "dec_deg": (-90, 90), "epoch_year": (1950, 2050), "pm_ra_mas_yr": (-11e3, 11e3),
    "pm_dec_mas_yr": (-11e3, 11e3), "parallax_mas": (0, 800), "rv_kms": (-600, 600), "v_mag": (-2, 20),
    "teff_k": (2000, 60000), "logg": (-1, 6), "metallicity": (-5, 1.5),
}  # fmt: skip

#: The star fibers in the order of the telescopes that feed them
_FIBERS = (0, 2)


def installed():
    """Return the catalog that came with the program.

    Returns
    -------
    Path
        ``targets.csv`` beside this module in an installed package, at the top of the repository otherwise.
    """
    beside = Path(__file__).with_name("targets.csv")
    return beside if beside.is_file() else Path(__file__).parents[2] / "targets.csv"


@cache
def read(path):
    """Read a catalog of stars.

    Parameters
    ----------
    path : Path or str
        A CSV file with the columns of `COLUMNS`; lines that begin with ``#`` are remarks.

    Returns
    -------
    tuple of Star
        In the order of the file.

    Raises
    ------
    ValueError
        If the file is not a valid catalog; the message names the file and everything that is wrong with it.
    """
    path = Path(path)
    with path.open(encoding="utf-8", newline="") as file:
        table = csv.DictReader(line for line in file if not line.startswith("#"))
        rows = list(table)
    if tuple(table.fieldnames or ()) != COLUMNS:
        raise ValueError(f"{path.name}: columns must be {', '.join(COLUMNS)}")
    problems = [problem for row in rows for problem in _slips(row)]
    if problems:
        raise ValueError(f"{path.name}: {'; '.join(problems)}")
    stars = tuple(_star(row) for row in rows)
    validate(stars, path.name)
    return stars


def validate(stars, filename):
    """Check that the stars of a catalog do not contradict one another.

    Parameters
    ----------
    stars : sequence of Star
        The catalog.
    filename : str
        Its name, for the message.

    Raises
    ------
    ValueError
        If two stars share a name, or a proper motion without being neighbors: a copied field, as in 129 of the 248
        stars of the catalog that came before this one.
    """
    problems, names, motions = [], {}, {}
    for star in stars:
        for name in {key(star.name), *map(key, star.aliases)}:
            if name in names:
                problems.append(f"{star.name}: the name {name} belongs to {names[name]}")
            names[name] = star.name
        motion = (star.pm_ra_mas_yr, star.pm_dec_mas_yr)
        twin = motions.setdefault(motion, star)
        if None not in motion and any(motion) and _separation_arcsec(star, twin.ra_deg, twin.dec_deg, 2000.0) > 3600:
            problems.append(f"{star.name}: has the proper motion of {twin.name}")
    if problems:
        raise ValueError(f"{filename}: {'; '.join(problems)}")


def key(name):
    """Return the form of a name by which stars are compared.

    Parameters
    ----------
    name : str
        As in OBJECTS or in a catalog.

    Returns
    -------
    str
        Upper case, without blanks and without what an observer hung on it after an underscore.
    """
    return "".join(name.split("_")[0].upper().split())


def match(catalog, name, ra_deg, dec_deg, julian_year, *, radius_arcsec=10.0, doubt_arcsec=300.0):
    """Return the star of a catalog that was observed.

    Parameters
    ----------
    catalog : iterable of Star
        Where to look.
    name : str
        What the observer called it.
    ra_deg, dec_deg : float or None
        Where the telescope pointed, ICRS, at the time of the observation [degree].
    julian_year : float
        Time of the observation.
    radius_arcsec : float, optional
        A star without the right name must lie this close [arcsecond].
    doubt_arcsec : float, optional
        A star with the right name that lies farther away is another one [arcsecond].

    Returns
    -------
    Star or None
        By name, else the nearest by position; None where neither knows it.
    """
    catalog = tuple(catalog)
    pointed = ra_deg is not None and dec_deg is not None
    distance = lambda star: _separation_arcsec(star, ra_deg, dec_deg, julian_year)  # noqa: E731
    for star in catalog:
        if key(name) in (key(star.name), *map(key, star.aliases)) and (not pointed or distance(star) < doubt_arcsec):
            return star
    if not pointed or not catalog:
        return None
    nearest = min(catalog, key=distance)
    return nearest if distance(nearest) < radius_arcsec else None


def stars(raw, catalog=None):
    """Return the stars of a frame.

    Parameters
    ----------
    raw : RawFrame
        The frame.
    catalog : iterable of Star, optional
        Where to look; the catalog that came with the program by default.

    Returns
    -------
    dict of int to Star
        By star fiber. A star in no catalog has the coordinates of its telescope's header and the source
        ``telescope``; without those it has none.
    """
    catalog = read(installed()) if catalog is None else catalog
    julian_year = 2000.0 + (raw.start_mjd - 51544.5) / 365.25
    found = {}
    for fiber in raw.star_fibers:
        telescope = _telescope(raw, fiber)
        ra_deg, dec_deg = _pointing(telescope)
        known = match(catalog, raw.objects[fiber], ra_deg, dec_deg, julian_year)
        found[fiber] = known or _from_header(raw.objects[fiber], telescope, julian_year)
    return found


def _slips(row):
    """Name what is wrong with one row."""
    name = row["name"] or "a star without a name"
    if None in row or None in row.values():
        return [f"{name}: {len(COLUMNS)} fields are needed"]
    slips = [
        f"{name}: no {column}" for column in ("name", "ra_deg", "dec_deg", "epoch_year", "source") if not row[column]
    ]
    for column, (low, high) in _RANGES.items():
        try:
            if row[column] and not low <= float(row[column]) <= high:
                slips.append(f"{name}: {column} {row[column]} lies outside {low}..{high}")
        except ValueError:
            slips.append(f"{name}: {column} {row[column]!r} is no number")
    return slips


def _star(row):
    numbers = {column: float(row[column]) if row[column] else None for column in COLUMNS if column not in _TEXTS}
    aliases = tuple(alias.strip() for alias in row["aliases"].split(";") if alias.strip())
    return Star(
        name=row["name"], aliases=aliases, spectral_type=row["spectral_type"], source=row["source"], **numbers
    )  # fmt: skip


def _separation_arcsec(star, ra_deg, dec_deg, julian_year):
    """Return the distance between a place and where a star is in a year."""
    years = julian_year - star.epoch_year
    dec = np.radians(star.dec_deg + (star.pm_dec_mas_yr or 0.0) * years / 3.6e6)
    cosine = max(np.cos(np.radians(star.dec_deg)), 1e-9)
    ra = np.radians(star.ra_deg + (star.pm_ra_mas_yr or 0.0) * years / 3.6e6 / cosine)
    ra_deg, dec_deg = np.radians(ra_deg), np.radians(dec_deg)
    haversine = np.sin((dec - dec_deg) / 2) ** 2 + np.cos(dec) * np.cos(dec_deg) * np.sin((ra - ra_deg) / 2) ** 2
    return np.degrees(2 * np.arcsin(np.sqrt(min(haversine, 1.0)))) * 3600


def _telescope(raw, fiber):
    """Return the telescope that feeds a fiber; of a frame with one star, whichever has coordinates."""
    number = _FIBERS.index(fiber) if fiber in _FIBERS else 0
    own = raw.telescopes[number] if number < len(raw.telescopes) else None
    if _pointing(own)[0] is not None or len(raw.star_fibers) > 1:
        return own
    return next((other for other in raw.telescopes if _pointing(other)[0] is not None), own)


def _pointing(telescope):
    """Return where a telescope pointed, or was asked to point."""
    if telescope is None:
        return None, None
    for ra_deg, dec_deg in (
        (telescope.ra_deg, telescope.dec_deg),
        (telescope.catalog_ra_deg, telescope.catalog_dec_deg),
    ):
        if ra_deg is not None and dec_deg is not None:
            return ra_deg, dec_deg
    return None, None


def _from_header(name, telescope, julian_year):
    """Return a star as the header of the telescope knows it."""
    ra_deg, dec_deg = _pointing(telescope)
    if ra_deg is None:
        return Star(name, source="telescope")
    if telescope.catalog_ra_deg is None or telescope.catalog_dec_deg is None:
        return Star(name, ra_deg, dec_deg, julian_year, source="telescope")
    # the header's proper motion in right ascension lacks the cosine of the declination
    cosine = np.cos(np.radians(telescope.catalog_dec_deg))
    motion = telescope.pm_ra_mas_yr
    return Star(
        name=name,
        ra_deg=telescope.catalog_ra_deg,
        dec_deg=telescope.catalog_dec_deg,
        pm_ra_mas_yr=None if motion is None else float(motion * cosine),
        pm_dec_mas_yr=telescope.pm_dec_mas_yr,
        parallax_mas=telescope.parallax_mas,
        source="telescope",
    )
