"""Match an observed star with a catalog, by its name and its position."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nrespipe.frames.arrays import Floats
from nrespipe.frames.quality import Quality
from nrespipe.frames.star import SAME_PLACE_ARCSEC, Star, name_key, name_keys, primary_key

#: Largest distance of a star from the place of its name, as a header may have it: one farther away is another star
#: [arcsecond].
FARTHEST_ARCSEC = 300.0
#: Largest distances of a place from the star with its name, and of a place from a star with another name that is
#: certainly meant [arcsecond]
NAMED_ARCSEC, _PRECISE_ARCSEC = 30.0, 2.5


class Position(NamedTuple):
    """A position in a header, ICRS, and the year of it [degree, degree, Julian year]."""

    ra_deg: float
    dec_deg: float
    year: float


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


def identify(
    catalog: Iterable[Star], names: Sequence[str], places: Sequence[Position], julian_year: float
) -> tuple[Star | None, Quality]:
    """Identify the star that was observed, by its names and its places.

    Parameters
    ----------
    names
        Names in the header, the first one in OBJECTS.
    places
        Positions in the header, best first: where the telescope pointed, where it was asked to point.
    julian_year
        Time of the observation.

    Returns
    -------
    star : Star or None
        Of the catalog; None where it has none with this name and place.
    quality : Quality
        ``STAR_DISAGREES`` where names and places are those of different stars. The star at the place counts then: its
        light came, whatever its name.

    Notes
    -----
    A star is at a place that lies on its path between 2000 and the observation, since not every header follows proper
    motions; under a name that the catalog does not have, it must be where it is now. A companion of a star of the
    catalog, as ``HD 102365 B``, is not that star, however close it is.
    """
    catalog, fails, none = tuple(catalog), Quality.STAR_DISAGREES, Quality(0)
    primary = _primary(catalog, names[0])
    if primary is not None:
        # at the place of its primary, what was observed is not the companion
        return None, fails if _apart_arcsec(primary, places) < _PRECISE_ARCSEC else none
    told = [star for star in (_named(catalog, name) for name in names) if star is not None]
    named = told[0] if told else None
    disagrees = fails if any(star is not named for star in told) else none
    if not places:
        return named, disagrees
    here = _at(catalog, places, julian_year)
    if named is None:
        return here, fails if here is not None and _apart_arcsec(here, places) > _PRECISE_ARCSEC else none
    offs = [from_path_arcsec(named, place, julian_year) for place in places]
    if max(offs) < NAMED_ARCSEC:
        is_nearer = here is not None and here is not named and 2 * _apart_arcsec(here, places) < min(offs)
        return named, fails if is_nearer else disagrees
    return named if here is None and min(offs) < FARTHEST_ARCSEC else here, fails


def match(
    catalog: Iterable[Star], name: str, ra_deg: float | None, dec_deg: float | None, julian_year: float
) -> Star | None:
    """Return the star of a catalog with a name, at a position where one is known; else that at the position.

    Parameters
    ----------
    name
        Name in OBJECTS.
    ra_deg, dec_deg
        Pointing of the telescope at the time of the observation, ICRS; None where unknown [degree].
    julian_year
        Time of the observation.
    """
    places = [] if ra_deg is None or dec_deg is None else [Position(ra_deg, dec_deg, julian_year)]
    return identify(catalog, [name], places, julian_year)[0]


def from_path_arcsec(star: Star, place: Position, julian_year: float) -> float:
    """Return the smallest angle between a place and the path of a star between 2000, the place's year and another.

    Parameters
    ----------
    star
        Star; without a proper motion its position does not change.
    place
        The place.
    julian_year
        The other year.

    Returns
    -------
    float
        [arcsecond]; infinite for a star without a position.
    """
    years = np.linspace(min(2000.0, place.year, julian_year), max(2000.0, place.year, julian_year), 2)
    if star.ra_deg is None or star.dec_deg is None:
        return float("inf")
    start, end = (_offset_arcsec(star, place, year) for year in years)
    along = end - start
    length2 = float(along @ along)
    share = 0.0 if length2 == 0 else float(np.clip(-(start @ along) / length2, 0, 1))
    nearest = start + share * along
    return float(np.hypot(*nearest))


def _offset_arcsec(star: Star, place: Position, year: float) -> Floats:
    """Return how far a star with a position is east and north of a place in a year."""
    distance = separation_arcsec(star, place.ra_deg, place.dec_deg, year)
    dec, ra = np.radians(star.dec_deg or 0.0), np.radians(star.ra_deg or 0.0)
    dec += np.radians((star.pm_dec_mas_yr or 0.0) * (year - star.epoch_year) / 3.6e6)
    ra += np.radians((star.pm_ra_mas_yr or 0.0) * (year - star.epoch_year) / 3.6e6) / max(np.cos(dec), 1e-9)
    ra0, dec0 = np.radians((place.ra_deg, place.dec_deg))
    east = np.cos(dec) * np.sin(ra - ra0)
    north = np.sin(dec) * np.cos(dec0) - np.cos(dec) * np.sin(dec0) * np.cos(ra - ra0)
    size = np.hypot(east, north)
    return distance * np.array([east, north]) / size if size > 0 else np.array([0.0, distance])


def _named(catalog: Sequence[Star], name: str) -> Star | None:
    """Return the star with a name; the component A of a star is the star."""
    key = name_key(name)
    found = next((star for star in catalog if key in name_keys(star)), None)
    if found is None and key == f"{primary_key(name)}A":
        return next((star for star in catalog if primary_key(name) in name_keys(star)), None)
    return found


def _primary(catalog: Sequence[Star], name: str) -> Star | None:
    """Return the star of which a name that the catalog does not have is a companion."""
    primary = primary_key(name)
    if primary == name_key(name) or _named(catalog, name) is not None:
        return None
    return next((star for star in catalog if {primary, f"{primary}A"} & name_keys(star)), None)


def _at(stars: Sequence[Star], places: Sequence[Position], julian_year: float) -> Star | None:
    """Return the star nearest to the first place that has one."""
    for place in places:
        distance = lambda star: separation_arcsec(star, *place[:2], julian_year)  # noqa: B023, E731
        nearest = min(stars, key=distance, default=None)
        if nearest is not None and distance(nearest) < SAME_PLACE_ARCSEC:
            return nearest
    return None


def _apart_arcsec(star: Star, places: Sequence[Position]) -> float:
    """Return the smallest distance of a star from one of some places, each at its own time; infinite without places."""
    return min((separation_arcsec(star, *place) for place in places), default=float("inf"))
