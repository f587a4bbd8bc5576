"""Primary headers of the products, as the EPRV data standard defines them."""

from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits

from nrespipe import doppler
from nrespipe.files.products import site_cards
from nrespipe.files.products.cards import card, sexagesimal
from nrespipe.files.products.product_inputs import ProductInputs, public_date
from nrespipe.frames.quality import Quality
from nrespipe.frames.star import name_key

if TYPE_CHECKING:
    from astropy.io.fits import Card, Header

#: Version of the EPRV data standard that the products follow.
STANDARD = "v1.1.0"

#: Flags of frames that are not to be used without inspection.
_GRAVE = (
    Quality.NO_COORDINATES | Quality.POOR_WAVELENGTHS | Quality.ORDERS_RENUMBERED | Quality.STAR_DISAGREES
    | Quality.TIME_UNCERTAIN
)  # fmt: skip

#: Wavelengths near which the signal-to-noise ratio is given, vacuum [angstrom].
_SNR_ANGSTROM = (4300.0, 5180.0, 6000.0, 7000.0)


def header(inputs: ProductInputs, level: str, filename: str) -> "Header":
    """Return the primary header of a product.

    Parameters
    ----------
    inputs
        The inputs of the products.
    level
        ``L2``, ``L3`` or ``L4``.
    filename
        Name of the product.

    Returns
    -------
    astropy.io.fits.Header
        With every keyword of the standard. A value that is not known is 'UNKNOWN', or no value at all where it would be
        a number.
    """
    made = fits.Header()
    made.extend([*_file(inputs, level, filename), *_observation(inputs)])
    for trace, fiber in inputs.traces:
        made.extend(_trace(inputs, trace, fiber))
    made.extend([*site_cards.cards(inputs), *_camera(inputs), *_pipeline(inputs, level), *_snr(inputs)])
    return made


def _file(inputs: ProductInputs, level: str, filename: str) -> "list[Card]":
    raw = inputs.raw
    return [
        card("INSTRUME", raw.instrument, "spectrograph"),
        card("CAMERA", raw.camera, "its camera"),
        card("ORGANIZA", inputs.raw_text("ORIGIN"), "organization that the data belong to"),
        card("ORIGIN", inputs.raw_text("ORIGIN"), "observatory"),
        card("DATALVL", level, "level of this product"),
        card("FILENAME", filename, "name of this file"),
        card("ORIGNAME", raw.filename, "name of the raw frame"),
        card("DATE", inputs.date, "UTC, of the raw file: equal input, equal bytes"),
        card("RLEVEL", 91, "level of reduction"),
        card("L1PUBDAT", public_date(inputs.raw_text("PROPID"), inputs.date_obs), "UTC, when the data are public"),
    ]


def _observation(inputs: ProductInputs) -> "list[Card]":
    raw, star = inputs.raw, inputs.star(inputs.fiber)
    return [
        card("OBSERVER", inputs.raw_text("USERID"), "observer"),
        card("PROGRAM", inputs.raw_text("PROPID"), "proposal"),
        card("PINAME", "UNKNOWN", "principal investigator"),
        card("PROPID", inputs.raw_text("PROPID"), "proposal"),
        card("OBSTYPE", "Sci", "type of observation"),
        card("OBSMODE", None, "observing mode; there is one"),
        card("READMODE", raw.readout_mode, "readout mode"),
        card("BINNING", "x".join(raw.binning.split()), "binning"),
        card("OBJECT", star.name, "the star of this file"),
        card("ALIASES", "; ".join(star.aliases), "its other names"),
        card("OBJECTS", "&".join(raw.objects), "what lit fibers 0, 1, 2"),
        card("DATE-OBS", inputs.date_obs, "UTC, shutter open"),
        card("DAY-OBS", raw.day, "local night"),
        card("MJD-OBS", raw.start_mjd, "[d] UTC, shutter open"),
        card("JD_UTC", raw.start_mjd + 2400000.5, "[d] UTC, shutter open"),
        card("EXPTIME", float(raw.exposure_s), "[s] exposure time"),
        card("NUMTRACE", len(inputs.traces), "number of traces: the star, the lamp"),
        card("SCITRACE", inputs.star_trace, "trace of the star"),
        card("NUMORDER", len(inputs.spectra.orders), "number of orders"),
        card("ISSOLAR", name_key(star.name) == "SUN", "whether the star is the Sun"),
    ]


def _trace(inputs: ProductInputs, trace: int, fiber: int) -> "list[Card]":
    """Describe what lit a trace; a lamp is no object of a catalog, so its catalog cards hold nothing."""
    lamp = {"thar": "ThAr", "tung": "Tungsten"}.get(inputs.raw.objects[fiber])
    star = None if lamp else inputs.star(fiber)
    known = star if star is not None and star.ra_deg is not None else None
    rv_kms = None if star is None else star.rv_kms
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
        ("CRV", rv_kms, "[km/s] systemic velocity"),
        ("CZ", None if rv_kms is None else rv_kms * 1e3 / doppler.C_MS, "the same as a redshift"),
        ("CPLX", star.parallax_mas if star else None, "[mas] parallax"),
        ("CPMR", _thousandth(star.pm_ra_mas_yr if star else None), "[arcsec/yr] proper motion in RA, with cos(dec)"),
        ("CPMD", _thousandth(star.pm_dec_mas_yr if star else None), "[arcsec/yr] proper motion in declination"),
        ("CCLRN", None, "name of a color; the catalog has none"),
        ("CCLR", None, "[mag] color"),
    ]
    return [card(f"{keyword}{trace}", content, comment) for keyword, content, comment in values]


def _thousandth(value: float | None) -> float | None:
    return None if value is None else value / 1000


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


def _pipeline(inputs: ProductInputs, level: str) -> "list[Card]":
    spectra = quality = inputs.reduction.quality
    if level == "L4":
        for velocity in inputs.reduction.velocities:
            quality |= velocity.quality
    grave = bool(quality & _GRAVE)
    return [
        card("DRPTAG", inputs.version, "version of nrespipe"),
        card("DRPHASH", None, "commit; the version names it"),
        card("EPRVTAG", STANDARD, "version of the EPRV standard"),
        card("VOCLASS", f"EPRVSTANDARD{STANDARD}", "version of the EPRV standard"),
        card("INSTERA", f"{inputs.raw.instrument}-{inputs.raw.camera}", "spectrograph and camera"),
        card("EXTRACT", "optimal", "type of extraction"),
        card("FULLCOMP", "Yes", "every required part of the standard is here"),
        card("TELFLAG", "Pass", "telescope"),
        card("INSTFLAG", "Pass", "instrument"),
        card("DRPFLAG", "Fail" if grave else "Warn" if quality else "Pass", "pipeline; reasons in DQWORDS"),
        card("ADDFLAG", None, "no further flag"),
        card("OBSFLAG", None, "judgement of the observer"),
        card("SUMMFLAG", "Fail" if grave else "Pass", "all together"),
        card("DQLVL0", 0, "quality flags of the raw frame, as bits"),
        card("DQLVL1", 0, "quality flags of the image, as bits"),
        card("DQLVL2", int(spectra), "quality flags of the spectra, as bits"),
        *([card("DQLVL4", int(quality), "the same with those of the velocities")] if level == "L4" else []),
        card("DQWORDS", " ".join(quality.names()), "all of them in words"),
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
    """Return the median signal-to-noise per pixel of the star in the orders nearest to some wavelengths."""
    spectra, wavelengths = inputs.spectra, inputs.wavelengths
    cards: list[Card] = []
    flux, variance, _, _ = spectra.of(inputs.fiber)
    centers = wavelengths.vacuum_angstrom[wavelengths.fibers.index(inputs.fiber), :, flux.shape[1] // 2]
    quarter = slice(3 * flux.shape[1] // 8, 5 * flux.shape[1] // 8)
    for i, angstrom in enumerate(_SNR_ANGSTROM, 1):
        distance = np.abs(centers - angstrom)
        order = int(np.argmin(np.where(np.isfinite(distance), distance, np.inf)))
        light, noise2 = flux[order, quarter], variance[order, quarter]
        good = np.isfinite(light) & (noise2 > 0)
        ratio = np.median(light[good] / np.sqrt(noise2[good])) if good.any() else np.nan
        cards.append(card(f"EXSNR{i}", float(ratio), "signal-to-noise ratio per pixel of the star"))
        cards.append(card(f"EXSNRW{i}", float(centers[order]), "[Angstrom] where"))
    return cards
