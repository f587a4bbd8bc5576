"""The other extensions of a raw frame: the series of the exposure meter and the headers of the telescopes."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits

from nrespipe.files import fits_io
from nrespipe.files.raw.card_values import Cards, declination_deg, number, right_ascension_deg, text
from nrespipe.frames.arrays import Floats
from nrespipe.frames.raw import ExposureMeter, Telescope

if TYPE_CHECKING:
    from astropy.io.fits import HDUList

#: Names that the start of a meter exposure has had over the years, newest first.
_TIME_COLUMNS = ("JD_START", "JD_UTC", "MJD_START", "UT_START")
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


def telescope_headers(hdus: "HDUList") -> tuple[Cards, ...]:
    """Fetch the headers of the telescopes.

    Parameters
    ----------
    hdus
        An open raw frame.

    Returns
    -------
    tuple
        Of TELESCOPE_1 and TELESCOPE_2; empty for an absent one.
    """
    by_name = {hdu.name: hdu for hdu in hdus}
    names = ("TELESCOPE_1", "TELESCOPE_2")
    return tuple(fits_io.cards(by_name[name].header) if name in by_name else {} for name in names)


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
    longitude_deg = _within(values.get("LONGITUD"), 360)
    if longitude_deg is None:
        return None
    return Telescope(
        longitude_deg=longitude_deg,
        latitude_deg=_within(values.get("LATITUDE"), 90),
        height_m=_within(values.get("HEIGHT"), 9000),
        ra_deg=right_ascension_deg(*cards.get("RA", (None, ""))),
        dec_deg=declination_deg(values.get("DEC")),
        catalog_ra_deg=right_ascension_deg(*cards.get("CAT-RA", (None, ""))),
        catalog_dec_deg=declination_deg(values.get("CAT-DEC")),
        pm_ra_mas_yr=_thousandfold(values.get("PM-RA")),
        pm_dec_mas_yr=_thousandfold(values.get("PM-DEC")),
        parallax_mas=_thousandfold(values.get("PARALLAX")),
        object_name=text(values.get("OBJECT")),
    )


def _within(value: object, limit: float) -> float | None:
    result = number(value)
    return result if result is not None and abs(result) <= limit else None


def _thousandfold(value: object) -> float | None:
    """Convert arcsec to mas."""
    result = number(value)
    return None if result is None else 1000 * result


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
