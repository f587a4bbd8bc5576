"""Match an observed star with a catalog, by its name and its position."""

import difflib
from collections.abc import Iterable, Mapping

import numpy as np

from nrespipe.frames.star import Star, name_key, name_keys


def near(star: str, names: Mapping[str, str]) -> str:
    """Return the known names that are similar to an unknown one.

    Parameters
    ----------
    star
        Unknown name.
    names
        Known names as people write them, by their `name_key`.

    Returns
    -------
    str
        Text to add to a message; '' where no name is similar.
    """
    found = difflib.get_close_matches(name_key(star), names, n=3, cutoff=0.7)
    return f"; near in name: {', '.join(dict.fromkeys(names[one] for one in found))}" if found else ""


def separation_arcsec(star: Star, ra_deg: float, dec_deg: float, julian_year: float) -> float:
    """Return the angle between a place and the position of a star in a year.

    Parameters
    ----------
    star
        Star; without a proper motion its position does not change.
    ra_deg, dec_deg
        The place, ICRS [degree].
    julian_year
        The year.

    Returns
    -------
    float
        [arcsecond]; infinite for a star without a position.
    """
    if star.ra_deg is None or star.dec_deg is None:
        return float("inf")
    years = julian_year - star.epoch_year
    dec = np.radians(star.dec_deg + (star.pm_dec_mas_yr or 0.0) * years / 3.6e6)
    cosine = max(np.cos(np.radians(star.dec_deg)), 1e-9)
    ra = np.radians(star.ra_deg + (star.pm_ra_mas_yr or 0.0) * years / 3.6e6 / cosine)
    ra_deg, dec_deg = np.radians(ra_deg), np.radians(dec_deg)
    haversine = np.sin((dec - dec_deg) / 2) ** 2 + np.cos(dec) * np.cos(dec_deg) * np.sin((ra - ra_deg) / 2) ** 2
    return float(np.degrees(2 * np.arcsin(np.sqrt(min(haversine, 1.0)))) * 3600)


def match(
    catalog: Iterable[Star],
    name: str,
    ra_deg: float | None,
    dec_deg: float | None,
    julian_year: float,
    *,
    radius_arcsec: float = 10.0,
    same_name_arcsec: float = 300.0,
) -> Star | None:
    """Return the star of a catalog that was observed.

    Parameters
    ----------
    name
        Name in OBJECTS.
    ra_deg, dec_deg
        Pointing of the telescope at the time of the observation, ICRS; None where unknown [degree].
    julian_year
        Time of the observation.
    radius_arcsec
        Largest distance of a star with another name [arcsecond].
    same_name_arcsec
        Largest distance of a star with the right name; one farther away is another star [arcsecond].

    Returns
    -------
    Star or None
        By name, else the nearest by position; None where neither matches.
    """
    catalog, wanted = tuple(catalog), name_key(name)
    named = (star for star in catalog if wanted in name_keys(star))
    if ra_deg is None or dec_deg is None:
        return next(named, None)
    distance = lambda star: separation_arcsec(star, ra_deg, dec_deg, julian_year)  # noqa: E731
    for star in named:
        if distance(star) < same_name_arcsec:
            return star
    if not catalog:
        return None
    nearest = min(catalog, key=distance)
    return nearest if distance(nearest) < radius_arcsec else None
