"""Match an observed star with a catalog, by its name and its position."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from nrespipe.frames.star import Star

#: Catalogs whose stars are numbered, with what observers write for them
_NUMBERED = re.compile(r"(HD|HIP|HR|GJ|GL|GLIESE|SAO|TIC|LHS)-?0*(\d.*)")

#: Letters of Bayer by the three letters that SIMBAD has for them
_GREEK = {
    "ALF": "ALF ALPHA ALP", "BET": "BET BETA", "GAM": "GAM GAMMA", "DEL": "DEL DELTA", "EPS": "EPS EPSILON",
    "ZET": "ZET ZETA", "ETA": "ETA", "TET": "TET THETA THE", "IOT": "IOT IOTA", "KAP": "KAP KAPPA",
    "LAM": "LAM LAMBDA", "MU": "MU", "NU": "NU", "KSI": "KSI XI", "OMI": "OMI OMICRON", "PI": "PI", "RHO": "RHO",
    "SIG": "SIG SIGMA", "TAU": "TAU", "UPS": "UPS UPSILON", "PHI": "PHI", "CHI": "CHI", "PSI": "PSI",
    "OME": "OME OMEGA",
}  # fmt: skip
_LETTERS = {spelling: code for code, spellings in _GREEK.items() for spelling in spellings.split()}
#: Letter, number of the component, constellation
_BAYER = re.compile(rf"({'|'.join(sorted(_LETTERS, key=len, reverse=True))})(\d*)([A-Z]{{3}}[AB]?)")


def key(name: str) -> str:
    """Return the form of a name by which stars are compared.

    Parameters
    ----------
    name
        As in OBJECTS or in a catalog.

    Returns
    -------
    str
        Upper case, without blanks, dots, leading zeros and hyphens of a number, the marks that SIMBAD puts before a
        name (``*``, ``V*``) and what an observer hung on it after an underscore; Greek letters shortened as SIMBAD
        does: ``hd-010700`` is ``HD10700``, ``epsilon Eri`` is ``EPSERI``.
    """
    word = re.sub(r"^(V\*|\*+)\s", "", name.split("_")[0].strip().upper())
    word = re.sub(r"\s+|(?<!\d)\.|\.(?!\d)", "", word)
    if numbered := _NUMBERED.fullmatch(word):
        catalog, number = numbered.groups()
        return ("GJ" if catalog.startswith("GL") else catalog) + number
    if bayer := _BAYER.fullmatch(word):
        letter, number, constellation = bayer.groups()
        return _LETTERS[letter] + number.lstrip("0") + constellation
    return word


def keys(star: "Star") -> set[str]:
    """Return all names of a star in the form of `key`."""
    return {key(star.name), *map(key, star.aliases)}


def near(star: str, names: Mapping[str, str]) -> str:
    """Return the known names that are similar to an unknown one.

    Parameters
    ----------
    star
        Unknown name.
    names
        Known names as people write them, by their `key`.

    Returns
    -------
    str
        Text to add to a message; '' where no name is similar.
    """
    found = difflib.get_close_matches(key(star), names, n=3, cutoff=0.7)
    return f"; near in name: {', '.join(dict.fromkeys(names[one] for one in found))}" if found else ""


def separation_arcsec(star: "Star", ra_deg: float, dec_deg: float, julian_year: float) -> float:
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
    catalog: "Iterable[Star]",
    name: str,
    ra_deg: float | None,
    dec_deg: float | None,
    julian_year: float,
    *,
    radius_arcsec: float = 10.0,
    same_name_arcsec: float = 300.0,
) -> "Star | None":
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
    catalog, wanted = tuple(catalog), key(name)
    named = (star for star in catalog if wanted in keys(star))
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
