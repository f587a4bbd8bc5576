"""The other extensions of a raw frame: the series of the exposure meter and the headers of the telescopes."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits

from nrespipe.files import fits_io
from nrespipe.files.raw.card_values import Cards, declination_deg, longitude_east_deg, number, right_ascension_deg, text
from nrespipe.frames.arrays import Floats
from nrespipe.frames.raw import ExposureMeter, Telescope

if TYPE_CHECKING:
    from astropy.io.fits import HDUList

#: Names that the start of a meter exposure has had over the years, newest first.
_TIME_COLUMNS = ("JD_START", "JD_UTC", "MJD_START", "UT_START")
_NO_CARD = (None, "")
_COUNTS_COLUMNS = ("FIB0COUNTS", "FIB1COUNTS", "FIB2COUNTS")


def meter_columns(hdus: "HDUList") -> dict[str, list[Any]]:
    """Fetch the columns of the exposure meter.

    Parameters
    ----------
    hdus
        An open raw frame.

    Returns
    -------
    dict of str to list
        Values by upper-case column name; empty where there is no such table.
    """
    for hdu in hdus:
        if hdu.name == "EXPOSURE_METER" and isinstance(hdu, fits.BinTableHDU) and hdu.data is not None:
            return {name.upper(): hdu.data[name].tolist() for name in hdu.columns.names}
    return {}


def meter(columns: Mapping[str, list[Any]]) -> ExposureMeter | None:
    """Return the exposure meter's series.

    Parameters
    ----------
    columns
        As from `meter_columns`.

    Returns
    -------
    ExposureMeter or None
        In the order of time, without rows that have no time or length; None where no row remains.
    """
    start = next((columns[name] for name in _TIME_COLUMNS if name in columns), None)
    if start is None or not {"EXP_TIME", *_COUNTS_COLUMNS} <= set(columns):
        return None
    start_mjd = np.array([_mjd(value) for value in start], float)
    exposure_s = _numbers(columns["EXP_TIME"])
    counts = np.stack([_numbers(columns[name]) for name in _COUNTS_COLUMNS], axis=-1)
    keep = np.flatnonzero(np.isfinite(start_mjd) & (exposure_s > 0))
    if not len(keep):
        return None
    keep = keep[np.argsort(start_mjd[keep], kind="stable")]
    return ExposureMeter(start_mjd[keep], exposure_s[keep], counts[keep])


def telescope_headers(hdus: "HDUList", path: str | Path) -> tuple[Cards, ...]:
    """Fetch the headers of the telescopes.

    Parameters
    ----------
    hdus
        An open raw frame.
    path
        Its file.

    Returns
    -------
    tuple
        Of TELESCOPE_1 and TELESCOPE_2; empty for an absent one.
    """
    by_name = {hdu.name: number for number, hdu in enumerate(hdus)}
    names = ("TELESCOPE_1", "TELESCOPE_2")
    return tuple(fits_io.cards_of_part(hdus, by_name[name], path) if name in by_name else {} for name in names)


def telescope(cards: Cards) -> Telescope | None:
    """Return a telescope by its header.

    Parameters
    ----------
    cards
        The header.

    Returns
    -------
    Telescope or None
        None for a telescope that is not there: a header without a longitude.
    """
    values = {keyword: value for keyword, (value, _) in cards.items()}
    if not text(values.get("LONGITUD")):
        return None
    to_icrs = partial(_icrs, frame=text(values.get("RADESYS")).upper(), equinox=_year(values.get("EQUINOX")))
    ra_deg, dec_deg = to_icrs(right_ascension_deg(*cards.get("RA", _NO_CARD)), declination_deg(values.get("DEC")))
    catalog_ra_deg, catalog_dec_deg = to_icrs(
        right_ascension_deg(*cards.get("CAT-RA", _NO_CARD)), declination_deg(values.get("CAT-DEC"))
    )
    return Telescope(
        longitude_deg=longitude_east_deg(values.get("LONGITUD")),
        latitude_deg=declination_deg(values.get("LATITUDE")),
        height_m=_within(values.get("HEIGHT"), 9000),
        ra_deg=ra_deg,
        dec_deg=dec_deg,
        catalog_ra_deg=catalog_ra_deg,
        catalog_dec_deg=catalog_dec_deg,
        catalog_epoch_year=_year(values.get("CAT-EPOC")),
        pm_ra_mas_yr=_milliarcseconds(*cards.get("PM-RA", _NO_CARD)),
        pm_dec_mas_yr=_milliarcseconds(*cards.get("PM-DEC", _NO_CARD)),
        parallax_mas=_milliarcseconds(*cards.get("PARALLAX", _NO_CARD)),
        object_name=text(values.get("OBJECT")),
    )


def _icrs(
    ra_deg: float | None, dec_deg: float | None, frame: str, equinox: float | None
) -> tuple[float, float] | tuple[None, None]:
    """Return a position in ICRS; one of an older system, or of another equinox than 2000, is turned."""
    if ra_deg is None or dec_deg is None:
        return None, None
    is_old = frame.startswith("FK4") or (frame != "ICRS" and equinox is not None and equinox < 1980)
    if not is_old and (equinox is None or equinox == 2000 or frame == "ICRS"):
        return ra_deg, dec_deg
    # here, not above: most frames need none of it
    from astropy.coordinates import FK4, FK5, SkyCoord
    from astropy.time import Time

    system = (
        FK4(equinox=Time(equinox or 1950, format="byear")) if is_old else FK5(equinox=Time(equinox, format="jyear"))
    )
    turned = SkyCoord(ra_deg, dec_deg, unit="deg", frame=system).icrs
    return float(turned.ra.deg), float(turned.dec.deg)


def _year(value: object) -> float | None:
    """Return a year like ``2015.5`` or ``J2015.5``."""
    return number(text(value).upper().lstrip("JB ")) if isinstance(value, str) else number(value)


def _within(value: object, limit: float) -> float | None:
    result = number(value)
    return result if result is not None and abs(result) <= limit else None


def _milliarcseconds(value: object, comment: str = "") -> float | None:
    """Return an angle in mas; a header has it in arcsec, unless its comment says otherwise."""
    angle = number(value)
    if angle is None or re.search(r"\bmas\b|milli-?arcsec", comment, re.IGNORECASE):
        return angle
    return 1000 * angle


def _numbers(values: Iterable[object]) -> Floats:
    found = (number(value) for value in values)
    return np.array([np.nan if value is None else value for value in found], float)


def _mjd(value: object) -> float:
    """Return a time as MJD; it may be a Julian date, an MJD, which its size shows, or a date as text."""
    days = number(value)
    if days is None and re.match(r"\d{4}-\d{2}-\d{2}T", text(value)):
        try:
            return (datetime.fromisoformat(text(value)[:26]) - datetime(1858, 11, 17)).total_seconds() / 86400
        except ValueError:
            return np.nan
    if days is not None and days > 2400000.5:
        days -= 2400000.5
    return days if days is not None and 40000 < days < 100000 else np.nan
