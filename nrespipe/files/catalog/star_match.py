"""Which star is meant: by what observers call it, and by where it is."""

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
    """Return all names of a star as they are compared.

    Returns
    -------
    set of str
        From `key`.
    """
    return {key(star.name), *map(key, star.aliases)}


def near(star: str, names: Mapping[str, str]) -> str:
    """Name what a name may be a misspelling of.

    Parameters
    ----------
    star
        Name that is not known.
    names
        Names that are, as people write them, by what `key` gives of them.

    Returns
    -------
    str
        To be put behind a message; '' where nothing is near.
    """
    found = difflib.get_close_matches(key(star), names, n=3, cutoff=0.7)
    return f"; near in name: {', '.join(dict.fromkeys(names[one] for one in found))}" if found else ""


def separation_arcsec(star: "Star", ra_deg: float, dec_deg: float, julian_year: float) -> float:
    """Return the distance between a place and where a star is in a year.

    Parameters
    ----------
    star
        With a position; without a proper motion it stays where it is.
    ra_deg, dec_deg
        The place, ICRS [degree].
    julian_year
        The year.

    Returns
    -------
    float
        [arcsecond].
    """
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
    doubt_arcsec: float = 300.0,
) -> "Star | None":
    """Return the star of a catalog that was observed.

    Parameters
    ----------
    name
        What the observer called it.
    ra_deg, dec_deg
        Where the telescope pointed, ICRS, at the time of the observation [degree].
    julian_year
        Time of the observation.
    radius_arcsec
        A star without the right name must lie this close [arcsecond].
    doubt_arcsec
        A star with the right name that lies farther away is another one [arcsecond].

    Returns
    -------
    Star or None
        By name, else the nearest by position; None where neither knows it.
    """
    catalog, wanted = tuple(catalog), key(name)
    pointed = ra_deg is not None and dec_deg is not None
    distance = lambda star: separation_arcsec(star, ra_deg, dec_deg, julian_year)
    for star in catalog:
        if wanted in keys(star) and (not pointed or distance(star) < doubt_arcsec):
            return star
    if not pointed or not catalog:
        return None
    nearest = min(catalog, key=distance)
    return nearest if distance(nearest) < radius_arcsec else None
