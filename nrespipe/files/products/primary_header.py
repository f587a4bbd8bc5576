"""Primary headers of the products, as the EPRV data standard defines them."""

import math
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits

from nrespipe.files.products.product_inputs import ProductInputs, public_date
from nrespipe.files.raw.card_values import number, text, value
from nrespipe.frames.quality import Quality
from nrespipe.frames.star import name_key

if TYPE_CHECKING:
    from astropy.io.fits import Card, Header

#: Version of the EPRV data standard that the products follow.
STANDARD = "v1.1.0"

#: Flags of frames that are not to be used without inspection.
_GRAVE = Quality.NO_COORDINATES | Quality.POOR_WAVELENGTHS | Quality.ORDERS_RENUMBERED

#: Wavelengths near which the signal-to-noise ratio is given, vacuum [angstrom].
_SNR_ANGSTROM = (4300.0, 5180.0, 6000.0, 7000.0)

#: Longest comment that fits next to any number.
_COMMENT_FITS = 47

#: Cards of the raw header that the standard has a keyword and a unit for: keyword, ours, factor, comment.
_TELEMETRY = (
    ("AIRMASS", "AIRMASS", 1.0, "airmass at the start"),
    ("SUNALT", "SUNEL", 1.0, "[deg] elevation of the Sun"),
    ("MOONALT", "MOONEL", 1.0, "[deg] elevation of the Moon"),
    ("MOONFRAC", "MOONILLU", 100.0, "[%] illuminated part of the Moon"),
    ("WMSTEMP", "OUTTMP", 1.0, "[deg C] temperature outside"),
    ("WMSHUMID", "OUTHUM", 1.0, "[%] relative humidity outside"),
    ("WMSPRES", "OUTPRES", 0.1, "[kPa] air pressure"),
    ("WINDSPEE", "ENVWINDS", 1 / 3.6, "[m/s] speed of the wind"),
    ("WINDDIR", "ENVWINDD", 1.0, "[deg] direction of the wind, east of north"),
)


def header(inputs: ProductInputs, level: str, filename: str) -> "Header":
    """Return the primary header of a product.

    Parameters
    ----------
    inputs
        The inputs of the products.
    level
        ``L2`` or ``L4``.
    filename
        Name of the product.

    Returns
    -------
    astropy.io.fits.Header
        A value that is not known is 'UNKNOWN', or no value at all where it would be a number.
    """
    made = fits.Header()
    made.extend([*_file(inputs, level, filename), *_observation(inputs)])
    for trace, fiber in inputs.traces:
        made.extend(_trace(inputs, trace, fiber))
    made.extend([*_site(inputs), *_telemetry(inputs), *_camera(inputs), *_pipeline(inputs), *_snr(inputs)])
    return made


def card(keyword: str, content: str | bool | int | float | None, comment: str = "") -> "Card":
    """Return a card; a number that is not one becomes a card without a value.

    Parameters
    ----------
    content
        Value.
    """
    if isinstance(content, float | np.floating):
        content = float(content) if math.isfinite(content) else None
    if isinstance(content, str):
        content = content.encode("ascii", "replace").decode()
    # one that certainly fits is made only once: making a card takes as long as all else about it
    text_length = max(20, len(content) + 2 + content.count("'")) if isinstance(content, str) else 20
    if len(comment) <= min(_COMMENT_FITS, 67 - text_length):
        return fits.Card(keyword, content, comment)
    made = fits.Card(keyword, content, comment)
    bare = len(str(fits.Card(keyword, content)).rstrip())
    # astropy cuts a long comment too, with a warning; a long value goes on in further cards and takes any comment
    return made if bare > 80 else fits.Card(keyword, content, _shortened(comment, max(77 - max(30, bare), 0)))


def _shortened(comment: str, length: int) -> str:
    """Cut a comment; a test checks that no comment of ours is."""
    return comment[:length]


def sexagesimal(value_deg: float | None, hours: bool = False) -> str:
    """Return an angle as text.

    Parameters
    ----------
    value_deg
        Angle [degree].
    hours
        Whether to write it in hours.

    Returns
    -------
    str
        ``HH:MM:SS.ssss``, or ``+DD:MM:SS.sss``; 'UNKNOWN' for None.
    """
    if value_deg is None:
        return "UNKNOWN"
    unit = 10000 if hours else 1000
    parts = round(abs(value_deg) / (15 if hours else 1) * 3600 * unit)
    seconds, fraction = divmod(parts, unit)
    digits = f"{fraction:0{4 if hours else 3}d}"
    sign = "" if hours else ("-" if value_deg < 0 else "+")
    whole = seconds // 3600 % 24 if hours else seconds // 3600
    return f"{sign}{whole:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{digits}"


def _raw(inputs: ProductInputs, keyword: str) -> str:
    return text(value(inputs.raw.header, keyword)) or "UNKNOWN"


def _file(inputs: ProductInputs, level: str, filename: str) -> "list[Card]":
    raw = inputs.raw
    return [
        card("INSTRUME", raw.instrument, "spectrograph"),
        card("CAMERA", raw.camera, "its camera"),
        card("ORIGIN", _raw(inputs, "ORIGIN"), "observatory"),
        card("DATALVL", level, "level of this product"),
        card("FILENAME", filename, "name of this file"),
        card("ORIGNAME", raw.filename, "name of the raw frame"),
        card("DATE", inputs.date, "UTC, of the raw file: equal input, equal bytes"),
        card("RLEVEL", 91, "level of reduction"),
        card("L1PUBDAT", public_date(_raw(inputs, "PROPID"), inputs.date_obs), "UTC, when the data are public"),
    ]


def _observation(inputs: ProductInputs) -> "list[Card]":
    raw, first = inputs.raw, inputs.star_fiber
    name = inputs.star(first).name if first is not None else "UNKNOWN"
    aliases = "; ".join(inputs.star(first).aliases) if first is not None else ""
    return [
        card("OBSERVER", _raw(inputs, "USERID"), "observer"),
        card("PROGRAM", _raw(inputs, "PROPID"), "proposal"),
        card("PROPID", _raw(inputs, "PROPID"), "proposal"),
        card("OBSTYPE", "Sci", "type of observation"),
        card("READMODE", raw.readout_mode, "readout mode"),
        card("BINNING", "x".join(raw.binning.split()), "binning"),
        card("OBJECT", name, "first star"),
        card("ALIASES", aliases, "its other names"),
        card("OBJECTS", "&".join(raw.objects), "what lit fibers 0, 1, 2"),
        card("DATE-OBS", inputs.date_obs, "UTC, shutter open"),
        card("DAY-OBS", raw.day, "local night"),
        card("MJD-OBS", raw.start_mjd, "[d] UTC, shutter open"),
        card("JD_UTC", raw.start_mjd + 2400000.5, "[d] UTC, shutter open"),
        card("EXPTIME", float(raw.exposure_s), "[s] exposure time"),
        card("NUMTRACE", len(inputs.traces), "number of traces: lit fibers"),
        card("NUMORDER", len(inputs.spectra.orders), "number of orders"),
        card("ISSOLAR", name_key(name) == "SUN", "whether the star is the Sun"),
    ]


def _trace(inputs: ProductInputs, trace: int, fiber: int) -> "list[Card]":
    """Describe what lit a trace; a lamp is no object of a catalog, so its catalog cards hold nothing."""
    lamp = {"thar": "ThAr", "tung": "Tungsten"}.get(inputs.raw.objects[fiber])
    star = None if lamp else inputs.star(fiber)
    known = star if star is not None and star.ra_deg is not None else None
    values: list[tuple[str, str | float | None, str]] = [
        ("TRACE", "CAL" if lamp else "SCI", "what lit the trace"),
        ("FIBER", fiber, "fiber of the trace"),
        ("CLSRC", lamp or "NONE", "lamp"),
        ("CSRC", (star.source if star else "") or "UNKNOWN", "catalog"),
        ("CID", star.name if star else "UNKNOWN", "name in the catalog"),
        ("CRA", sexagesimal(known.ra_deg, hours=True) if known else "UNKNOWN", "right ascension, ICRS"),
        ("CDEC", sexagesimal(known.dec_deg) if known else "UNKNOWN", "declination, ICRS"),
        ("CEQNX", 2000.0 if known else None, "[yr] equinox"),
        ("CEPCH", float(known.epoch_year) if known else None, "[yr] epoch"),
        ("CRV", star.rv_kms if star else None, "[km/s] systemic velocity"),
        ("CPLX", star.parallax_mas if star else None, "[mas] parallax"),
        ("CPMR", _thousandth(star.pm_ra_mas_yr if star else None), "[arcsec/yr] proper motion in RA, with cos(dec)"),
        ("CPMD", _thousandth(star.pm_dec_mas_yr if star else None), "[arcsec/yr] proper motion in declination"),
    ]
    return [card(f"{keyword}{trace}", content, comment) for keyword, content, comment in values]


def _thousandth(value: float | None) -> float | None:
    return None if value is None else value / 1000


def _site(inputs: ProductInputs) -> "list[Card]":
    fibers = [fiber for _, fiber in inputs.star_traces]
    first = inputs.star_fiber
    longitude, latitude, height = inputs.place(first)
    cards = [
        card("SITEID", inputs.raw.site, "site"),
        card("OBSERVAT", _raw(inputs, "SITE"), "observatory"),
        card("TELESCOP", f"LCO 1m {inputs.raw.site}", "telescopes that feed the spectrograph"),
        card("NUMTEL", len(fibers), "number of telescopes"),
        card("GEOSYS", "WGS84", "geodetic system"),
        card("OBSLON", float(longitude), "[deg] longitude, east positive"),
        card("OBSLAT", float(latitude), "[deg] latitude"),
        card("OBSALT", float(height), "[m] height"),
    ]
    for i, fiber in enumerate(fibers, 1):
        telescope_number, telescope = inputs.telescope(fiber)
        cards += [
            card(f"TELEID{i}", f"TELESCOPE_{telescope_number}", "telescope"),
            card(f"TRA{i}", sexagesimal(telescope.ra_deg, hours=True), "where it pointed, ICRS"),
            card(f"TDEC{i}", sexagesimal(telescope.dec_deg), "where it pointed, ICRS"),
        ]
    return cards


def _telemetry(inputs: ProductInputs) -> "list[Card]":
    found = [(ours, number(value(inputs.raw.header, theirs)), k, words) for theirs, ours, k, words in _TELEMETRY]
    return [card(ours, content * factor, words) for ours, content, factor, words in found if content is not None]


def _camera(inputs: ProductInputs) -> "list[Card]":
    """Gain and read noise that were measured, and what header and table have instead."""
    measured, raw, table = inputs.reduction.measurements, inputs.raw, inputs.spectrograph.detector
    gain, noise = (measured.get(name, np.nan) for name in ("gain_e_per_adu", "read_noise_adu"))
    return [
        card("GAINUSED", gain, "[electron/ADU] gain, from the flats"),
        card("GAINERR", measured.get("gain_error", np.nan), "[electron/ADU] its error"),
        card("GAINHD", raw.header_gain_e_per_adu, "[electron/ADU] gain by the raw header"),
        card("GAINTAB", table.gain_e_per_adu, "[electron/ADU] gain by the table"),
        card("RDNADU", noise, "[ADU] read noise, from the biases"),
        card("RDNUSED", noise * gain, "[electron] the same"),
        card("RDNHD", raw.header_read_noise_e, "[electron] read noise by the raw header"),
        card("RDNTAB", table.read_noise_e, "[electron] read noise by the table"),
    ]


def _pipeline(inputs: ProductInputs) -> "list[Card]":
    quality = inputs.reduction.quality
    grave = bool(quality & _GRAVE)
    return [
        card("DRPTAG", inputs.version, "version of nrespipe"),
        card("EPRVTAG", STANDARD, "version of the EPRV standard"),
        card("VOCLASS", f"EPRVSTANDARD{STANDARD}", "version of the EPRV standard"),
        card("INSTERA", f"{inputs.raw.instrument}-{inputs.raw.camera}", "spectrograph and camera"),
        card("EXTRACT", "optimal", "type of extraction"),
        card("FULLCOMP", "Yes", "every required part of the standard is here"),
        card("TELFLAG", "Pass", "telescope"),
        card("INSTFLAG", "Pass", "instrument"),
        card("DRPFLAG", "Fail" if grave else "Warn" if quality else "Pass", "pipeline; reasons in DQLVL2"),
        card("SUMMFLAG", "Fail" if grave else "Pass", "all together"),
        card("DQLVL0", 0, "quality flags of the raw frame, as bits"),
        card("DQLVL1", 0, "quality flags of the image, as bits"),
        card("DQLVL2", int(quality), "quality flags of the spectra, as bits"),
        card("DQWORDS", " ".join(quality.names()), "the same in words"),
        *(card(f"L1ID{kind.upper()}"[:8], name, "master") for kind, name in inputs.masters.items()),
        *_drift_scatter(inputs),
    ]


def _drift_scatter(inputs: ProductInputs) -> "list[Card]":
    """Return the scatter of earlier drifts of the spectrograph where the frame has no drift of its own."""
    scatter_ms = inputs.reduction.measurements.get("drift_scatter_ms")
    if scatter_ms is None:
        return []
    return [card("DRIFTSCT", scatter_ms, "[m/s] scatter of earlier drifts; this has none")]


def _snr(inputs: ProductInputs) -> "list[Card]":
    """Return the median signal-to-noise per pixel of the first star in the orders nearest to some wavelengths."""
    spectra, wavelengths = inputs.spectra, inputs.wavelengths
    cards: list[Card] = []
    if inputs.star_fiber is None:
        return cards
    flux, variance, _, _ = spectra.of(inputs.star_fiber)
    centers = wavelengths.vacuum_angstrom[wavelengths.fibers.index(inputs.star_fiber), :, flux.shape[1] // 2]
    quarter = slice(3 * flux.shape[1] // 8, 5 * flux.shape[1] // 8)
    for i, angstrom in enumerate(_SNR_ANGSTROM, 1):
        distance = np.abs(centers - angstrom)
        order = int(np.argmin(np.where(np.isfinite(distance), distance, np.inf)))
        light, noise2 = flux[order, quarter], variance[order, quarter]
        good = np.isfinite(light) & (noise2 > 0)
        ratio = np.median(light[good] / np.sqrt(noise2[good])) if good.any() else np.nan
        cards.append(card(f"EXSNR{i}", float(ratio), "signal-to-noise per pixel of the first star"))
        cards.append(card(f"EXSNRW{i}", float(centers[order]), "[Angstrom] where"))
    return cards
