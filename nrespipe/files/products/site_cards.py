"""Cards of the primary header about the site: place, telescope, Sun, Moon, weather."""

from typing import TYPE_CHECKING

import numpy as np

from nrespipe.files.products.cards import card, sexagesimal
from nrespipe.files.products.product_inputs import ProductInputs
from nrespipe.files.raw.card_values import number, value

if TYPE_CHECKING:
    from astropy.io.fits import Card

    from nrespipe.engine.velocity.sky import Direction

#: Numbers that the standard has a keyword for: keyword, that of the raw header ('' for none), factor, comment.
_WEATHER = (
    ("SEEING", "", 1.0, "[arcsec] seeing at the start"),
    ("AIRMASS", "AIRMASS", 1.0, "airmass by the raw header"),
    ("ROTANG", "", 1.0, "[deg] angle of a rotator; there is none"),
    ("M1TMP", "", 1.0, "[deg C] temperature of the primary mirror"),
    ("M1TMPT", "", 1.0, "UTC of it"),
    ("INHUM", "", 1.0, "[%] relative humidity in the dome"),
    ("INHUMT", "", 1.0, "UTC of it"),
    ("OUTTMP", "WMSTEMP", 1.0, "[deg C] temperature outside"),
    ("OUTTMPT", "", 1.0, "UTC of it"),
    ("OUTHUM", "WMSHUMID", 1.0, "[%] relative humidity outside"),
    ("OUTHUMT", "", 1.0, "UTC of it"),
    ("OUTPRES", "WMSPRES", 0.1, "[kPa] air pressure"),
    ("OUTPREST", "", 1.0, "UTC of it"),
    ("ENVWINDS", "WINDSPEE", 1 / 3.6, "[m/s] speed of the wind"),
    ("ENVWINDD", "WINDDIR", 1.0, "[deg] direction of the wind, east of north"),
)


def cards(inputs: ProductInputs) -> "list[Card]":
    """Return the cards of place, telescope, Sun, Moon and weather.

    Parameters
    ----------
    inputs
        The inputs of the products.

    Returns
    -------
    list of astropy.io.fits.Card
        Angles are computed from the pointing of the telescope, or from the catalog where the header has none, at the
        start of the exposure; no value where neither is known.
    """
    return [*_place(inputs), *_telescope(inputs), *_sky(inputs), *_weather(inputs)]


def _place(inputs: ProductInputs) -> "list[Card]":
    # here, not above: most commands write no product
    from nrespipe.engine.velocity import sky

    longitude, latitude, height = inputs.place
    x, y, z = sky.geocentric_m(inputs.place) if np.all(np.isfinite(inputs.place)) else (np.nan,) * 3
    return [
        card("SITEID", inputs.raw.site, "site"),
        card("OBSERVAT", inputs.raw_text("SITE"), "observatory"),
        card("TELESCOP", f"LCO 1m {inputs.raw.site}", "telescopes that feed the spectrograph"),
        card("NUMTEL", 1, "number of telescopes"),
        card("GEOSYS", "WGS84", "geodetic system"),
        card("OBSLON", float(longitude), "[deg] longitude, east positive"),
        card("OBSLAT", float(latitude), "[deg] latitude"),
        card("OBSALT", float(height), "[m] height"),
        card("OBSGEO-X", float(x), "[m] geocentric, to Greenwich"),
        card("OBSGEO-Y", float(y), "[m] geocentric, to 90 degrees east"),
        card("OBSGEO-Z", float(z), "[m] geocentric, to the north pole"),
    ]


def _telescope(inputs: ProductInputs) -> "list[Card]":
    telescope_number, telescope = inputs.telescope(inputs.fiber)
    start, end = _directions(inputs)
    made = [
        card("TELEID1", f"TELESCOPE_{telescope_number}", "telescope"),
        card("TTIME", inputs.date_obs, "UTC of the angles below"),
        card("TEQNX", "J2000", "equinox of the pointing"),
        card("TEPCH", "J2000", "epoch of the pointing"),
        card("TRA1", sexagesimal(telescope.ra_deg, hours=True), "where it pointed, ICRS"),
        card("TDEC1", sexagesimal(telescope.dec_deg), "where it pointed, ICRS"),
    ]
    if start is None or end is None:
        words = [card(keyword, None, "not known: no pointing") for keyword in ("TLST1", "THA1")]
        return made + words + [card(keyword, None, "not known: no pointing") for keyword in _ANGLES]
    hour_angle = sexagesimal(abs(start.hour_angle_deg), hours=True)
    return [
        *made,
        card("TLST1", sexagesimal(start.sidereal_deg, hours=True), "local apparent sidereal time"),
        card("THA1", ("-" if start.hour_angle_deg < 0 else "+") + hour_angle, "hour angle"),
        card("TEL1", start.elevation_deg, "[deg] elevation, without refraction"),
        card("TZA1", 90 - start.elevation_deg, "[deg] distance from the zenith"),
        card("TAZ1", start.azimuth_deg, "[deg] azimuth, east of north"),
        card("PARST1", start.parallactic_deg, "[deg] parallactic angle at the start"),
        card("PAREND1", end.parallactic_deg, "[deg] parallactic angle at the end"),
    ]


#: Angles of the telescope.
_ANGLES = ("TEL1", "TZA1", "TAZ1", "PARST1", "PAREND1")


def _target(inputs: ProductInputs) -> tuple[float, float]:
    """Return RA and declination of the pointing, or of the catalog; NaN where neither is known [degree]."""
    _, telescope = inputs.telescope(inputs.fiber)
    star = inputs.star(inputs.fiber)
    for ra_deg, dec_deg in ((telescope.ra_deg, telescope.dec_deg), (star.ra_deg, star.dec_deg)):
        if ra_deg is not None and dec_deg is not None:
            return ra_deg, dec_deg
    return np.nan, np.nan


def _directions(inputs: ProductInputs) -> "tuple[Direction | None, Direction | None]":
    """Return where the target stands at the start and at the end of the exposure."""
    from nrespipe.engine.velocity import sky

    ra_deg, dec_deg = _target(inputs)
    if not np.all(np.isfinite([ra_deg, dec_deg, *inputs.place])):
        return None, None
    start_mjd = inputs.raw.start_mjd
    end_mjd = start_mjd + inputs.raw.exposure_s / 86400
    start, end = (sky.direction(ra_deg, dec_deg, mjd, inputs.place) for mjd in (start_mjd, end_mjd))
    return start, end


def _sky(inputs: ProductInputs) -> "list[Card]":
    from nrespipe.engine.velocity import sky

    unknown = sky.MoonAndSun(*[np.nan] * 5)
    known = np.all(np.isfinite(inputs.place))
    seen = sky.moon_and_sun(inputs.raw.start_mjd, inputs.place, *_target(inputs)) if known else unknown
    return [
        card("SUNEL", seen.sun_elevation_deg, "[deg] elevation of the Sun at the start"),
        card("MOONANG", seen.moon_angle_deg, "[deg] distance of the Moon from the target"),
        card("MOONEL", seen.moon_elevation_deg, "[deg] elevation of the Moon at the start"),
        card("MOONILLU", 100 * seen.moon_illuminated, "[%] illuminated part of the Moon"),
        card("MOONRV", seen.moon_velocity_ms / 1e3, "[km/s] velocity of its light, observatory"),
    ]


def _weather(inputs: ProductInputs) -> "list[Card]":
    found = [(ours, number(value(inputs.raw.header, raw)), factor, words) for ours, raw, factor, words in _WEATHER]
    return [card(ours, None if content is None else content * factor, words) for ours, content, factor, words in found]
