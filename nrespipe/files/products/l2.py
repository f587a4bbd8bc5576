"""The spectra of a frame: EPRV level 2."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits

from nrespipe import doppler
from nrespipe.files import image_compression
from nrespipe.files.products import common_parts, primary_header
from nrespipe.files.products.cards import card
from nrespipe.frames.arrays import Floats, Integers
from nrespipe.frames.quality import Pixel

if TYPE_CHECKING:
    from astropy.io.fits import Card, HDUList
    from astropy.io.fits.hdu.base import ExtensionHDU

    from nrespipe.files.products.product_inputs import ProductInputs
    from nrespipe.frames.raw import ExposureMeter
    from nrespipe.frames.wavelength import Wavelengths


#: Columns between which the drift is interpolated.
_NODES = 129

_AXES = (card("CTYPE1", "Pixel", "name of axis 1"), card("CTYPE2", "Order", "name of axis 2"))


def build(inputs: "ProductInputs", filename: str) -> "HDUList":
    """Put the level 2 product of a star together.

    Parameters
    ----------
    inputs
        The inputs of the products.

    Returns
    -------
    astropy.io.fits.HDUList
        A trace is a lit fiber: the star's and the lamp's; TRACE1 is the one with the lower number.

    Notes
    -----
    Wavelengths are those of vacuum in the frame of the observatory, corrected for the drift of the spectrograph and
    not for the motion of the Earth: multiply by 1 + BARYCORR_Z for the frame of the barycenter.
    """
    parts = common_parts.first(inputs)
    words: dict[str, str] = {}
    for name, hdu, description in _parts(inputs):
        parts.append(hdu)
        words[name] = description
    return common_parts.assemble(primary_header.header(inputs, "L2", filename), parts, words)


def _parts(inputs: "ProductInputs") -> Iterator[tuple[str, "ExtensionHDU", str]]:
    yield "ORDER_TABLE", order_table(inputs), "orders of trace 1, the wavelengths they cover, the level of the lamp"
    for trace, fiber in inputs.traces:
        yield from _trace(inputs, trace, fiber)
    yield from _barycentric(inputs)
    for trace, fiber in inputs.traces:
        if inputs.wavelengths.drift.n_lines > 0:
            name = f"TRACE{trace}_DRIFT"
            yield (
                name,
                _drift(inputs, name, fiber),
                "drift in the wavelengths, mean of each order [Angstrom]",
            )
    pixel_error_ms = inputs.wavelengths.pixel_error_ms
    for trace, fiber in inputs.traces:
        if pixel_error_ms is not None:
            name = f"TRACE{trace}_WAVE_ERR"
            yield (
                name,
                _wave_error(inputs.wavelengths, pixel_error_ms, name, fiber),
                "error of the wavelengths as a velocity [m/s]",
            )
    for trace, fiber in inputs.traces:
        name = f"TRACE{trace}_QUALITY"
        yield name, _quality(inputs, name, fiber), "quality flags of each pixel, as bits; 0 is good"
    if inputs.spectra.rejected is not None and len(inputs.spectra.rejected):
        yield (
            "IMAGE_REJECTED",
            _rejected(inputs.spectra.rejected),
            "row and column of each cosmic-ray pixel",
        )
    if inputs.raw.meter is not None:
        yield "EXPMETER", _meter(inputs.raw.meter), "counts of the exposure meter"


def order_table(inputs: "ProductInputs") -> fits.BinTableHDU:
    """Return the table of orders, with the flux of the lamp at the peak of each: blaze times it joins the orders."""
    spectra, wavelengths = inputs.spectra, inputs.wavelengths
    angstrom = wavelengths.vacuum_angstrom[wavelengths.fibers.index(spectra.fibers[0])]
    columns = [
        fits.Column("ECHELLE_ORDER", "J", array=spectra.orders),
        fits.Column("ORDER_INDEX", "J", array=np.arange(len(spectra.orders))),
        fits.Column("WAVE_START", "D", "Angstrom", array=_extreme(angstrom, np.fmin)),
        fits.Column("WAVE_END", "D", "Angstrom", array=_extreme(angstrom, np.fmax)),
    ]
    if spectra.lamp_e_per_s is not None:
        lamps = [(trace, spectra.lamp_e_per_s[spectra.fibers.index(fiber)]) for trace, fiber in inputs.traces]
        columns += [fits.Column(f"TRACE{trace}_LAMP", "D", "electron/s", array=lamp) for trace, lamp in lamps]
    return fits.BinTableHDU.from_columns(columns, name="ORDER_TABLE")


def _extreme(angstrom: Floats, pick: np.ufunc) -> Floats:
    """Return the lowest or highest number of each row; NaN for a row without one."""
    extreme: Floats = pick.reduce(np.asarray(angstrom, float), axis=-1)
    return extreme


def _trace(inputs: "ProductInputs", trace: int, fiber: int) -> Iterator[tuple[str, "ExtensionHDU", str]]:
    spectra, wavelengths = inputs.spectra, inputs.wavelengths
    flux, variance, _, blaze = spectra.of(fiber)
    angstrom = wavelengths.vacuum_angstrom[wavelengths.fibers.index(fiber)]
    what = f"of fiber {fiber} ({inputs.raw.objects[fiber]})"
    cards = [*_AXES, *_time_cards(inputs, fiber)]
    yield _image(f"TRACE{trace}_FLUX", flux, np.float32, "electron", f"flux {what}", cards)
    yield _image(
        f"TRACE{trace}_WAVE",
        angstrom,
        np.float64,
        "Angstrom",
        f"vacuum wavelengths {what}, frame of the observatory, drift corrected",
        _wave_cards(wavelengths.orders, angstrom, fiber),
    )
    yield _image(f"TRACE{trace}_VAR", variance, np.float32, "electron2", f"variance of the flux {what}", cards)
    blaze_cards = [*cards, card("BLZNORM", True, "1 at the peak of each order")]
    yield _image(f"TRACE{trace}_BLAZE", blaze, np.float32, "", f"spectrum of the flat lamp, {what}", blaze_cards)


def _image(
    name: str, array: Floats, dtype: type[np.floating[Any]], unit: str, description: str, cards: "Sequence[Card]"
) -> tuple[str, "ExtensionHDU", str]:
    unit_card = [card("BUNIT", unit, "unit of the pixels")] if unit else []
    hdu = image_compression.image(np.asarray(array, dtype), name, [*cards, *unit_card])
    return name, hdu, description


def _time_cards(inputs: "ProductInputs", fiber: int) -> "list[Card]":
    """Return the cards of the barycentric time and motion of the star in this trace."""
    cards = [card("FIBER", fiber, "fiber"), card("OBJECT", inputs.raw.objects[fiber], "what lit it")]
    seen = inputs.reduction.barycentric.get(fiber)
    if seen is not None:
        cards += [
            card("BJDTDB", seen.bjd_tdb, "[d] barycentric Julian date, TDB, of midpoint"),
            card("BERV", seen.berv_ms / 1000, "[km/s] barycentric correction, c z"),
            card("RVPERSP", seen.perspective_ms / 1000, "[km/s] change by perspective since the epoch"),
            card("MJD-MID", seen.midpoint_mjd, "[d] UTC, photon-weighted midpoint"),
            card("EXPMETER", seen.from_meter, "whether the exposure meter weighted it"),
        ]
    return cards


def _wave_cards(orders: Integers, angstrom: Floats, fiber: int) -> "list[Card]":
    """Return the cards of the standard for every order, an approximation; the array is the solution."""
    n_pixels = angstrom.shape[1]
    middle = n_pixels // 2
    slope = np.gradient(np.asarray(angstrom, float), axis=1)[:, middle]
    cards = [card("WCSAXES", len(orders), "number of orders"), card("FIBER", fiber, "fiber")]
    for i, (order, center, step) in enumerate(zip(orders, angstrom[:, middle], slope), 1):
        cards += [
            card(f"CTYPE{i}", "WAVE"),
            card(f"CPDIS{i}", "Non-Parametric", "the array is the solution"),
            card(f"CUNIT{i}", "Angstrom"),
            card(f"CRPIX{i}", middle + 1),
            card(f"CRVAL{i}", float(center)),
            card(f"CDELT{i}", float(step)),
            card(f"PS{i}_0", "Taylor", "two terms, for orientation"),
            card(f"PS{i}_1", 2),
            card(f"PS{i}_2", f"[1,{n_pixels}]"),
            card(f"PS{i}_3", int(order), "echelle order"),
            card(f"PV{i}_0", float(center)),
            card(f"PV{i}_1", float(step)),
        ]
    return cards


def _barycentric(inputs: "ProductInputs") -> Iterator[tuple[str, "ExtensionHDU", str]]:
    seen = inputs.barycentric
    berv_kms = np.nan if seen is None else seen.berv_ms / 1000
    time = np.nan if seen is None else seen.bjd_tdb
    for name, content, unit, description in (
        (
            "BARYCORR_KMS",
            berv_kms,
            "km s-1",
            "barycentric correction of the star, c z; one value for all",
        ),
        (
            "BARYCORR_Z",
            berv_kms / (doppler.C_MS / 1000),
            "",
            "barycentric correction of the star: wavelengths times 1 + z",
        ),
        ("BJD_TDB", time, "d", "photon-weighted midpoint at the barycenter"),
    ):
        cards = [*_AXES, card("BUNIT", unit, "unit")] if unit else [*_AXES]
        yield name, fits.ImageHDU(np.array([content], float), fits.Header(cards), name=name), description


def _drift(inputs: "ProductInputs", name: str, fiber: int) -> fits.ImageHDU:
    """Change of the wavelength of a fixed pixel since the master arc: lines that move up the columns lower it."""
    wavelengths = inputs.wavelengths
    drift, angstrom = wavelengths.drift, wavelengths.vacuum_angstrom[wavelengths.fibers.index(fiber)]
    change = -np.gradient(np.asarray(angstrom, float), axis=1) * _drift_px(wavelengths, fiber)
    finite = np.isfinite(change)
    mean = np.where(finite, change, 0).sum(axis=1) / np.where(finite.any(axis=1), finite.sum(axis=1), np.nan)
    cards = [
        card("CTYPE1", "Order", "name of axis 1"),
        card("BUNIT", "Angstrom", "unit"),
        card("FIBER", fiber, "fiber"),
        card("DRIFTPX", drift.shift_px, "[pixel] shift at the middle of the detector"),
        card("DRIFTPXE", drift.shift_error_px, "[pixel] its error"),
        card("STRETCH", drift.stretch_px, "[pixel] its change from there to the edge"),
        card("STRETCHE", drift.stretch_error_px, "[pixel] its error"),
        card("TURN", drift.turn_px, "[pixel] change from middle to highest order"),
        card("TURNE", drift.turn_error_px, "[pixel] its error"),
        card("BENDV", drift.bend_ms, "[m/s] bend, as the velocity that causes it"),
        card("BENDVE", drift.bend_error_ms, "[m/s] its error"),
        card("DRIFTV", drift.velocity_ms, "[m/s] the drift as a velocity"),
        card("DRIFTVE", drift.velocity_error_ms, "[m/s] its error"),
        card("NLINES", drift.n_lines, "lamp lines compared"),
    ]
    return fits.ImageHDU(mean, fits.Header(cards), name=name)


def _drift_px(wavelengths: "Wavelengths", fiber: int) -> Floats:
    """Return the drift of the light at every pixel since the master arc [pixel]."""
    drift, solution = wavelengths.drift, wavelengths.solution
    columns = np.arange(wavelengths.vacuum_angstrom.shape[2], dtype=float)
    if solution is None:
        shift_px: Floats = drift.shift_px + drift.stretch_px * (2 * columns / columns[-1] - 1)
        return shift_px
    # here, not above: the engine brings the compiler of the kernels with it, and most commands write no product
    from nrespipe.engine.wavelength.drift import terms

    nodes = np.linspace(0, columns[-1], _NODES)
    moves = terms(solution, fiber, wavelengths.orders[:, None], nodes)
    drift_px = moves @ [drift.shift_px, drift.stretch_px, drift.turn_px, drift.bend_ms]
    return np.array([np.interp(columns, nodes, one) for one in drift_px])


def _wave_error(wavelengths: "Wavelengths", pixel_error_ms: Floats, name: str, fiber: int) -> "ExtensionHDU":
    error = pixel_error_ms[wavelengths.fibers.index(fiber)]
    cards = [*_AXES, card("BUNIT", "m / s", "unit of the pixels"), card("FIBER", fiber, "fiber")]
    return image_compression.image(np.asarray(error, np.float32), name, cards)


def _quality(inputs: "ProductInputs", name: str, fiber: int) -> "ExtensionHDU":
    quality = inputs.spectra.of(fiber).quality
    bits = [card(f"BIT{i}", bit.name, f"meaning of {int(bit)}") for i, bit in enumerate(Pixel)]
    return image_compression.image(np.asarray(quality, np.uint8), name, [*_AXES, card("FIBER", fiber, "fiber"), *bits])


def _rejected(pixels: Integers) -> fits.ImageHDU:
    """Return a list of pixels as an image of two columns: the standard has no table for it."""
    cards = [
        card("CTYPE1", "Place", "1 is the row, 2 the column, from 0"),
        card("CTYPE2", "Pixel", "one rejected pixel each"),
    ]
    return fits.ImageHDU(np.asarray(pixels, np.int16), fits.Header(cards), name="IMAGE_REJECTED")


def _meter(meter: "ExposureMeter") -> fits.BinTableHDU:
    columns = [
        fits.Column("MJD_START", "D", "d", array=meter.start_mjd),
        fits.Column("EXP_TIME", "D", "s", array=meter.exposure_s),
        *(fits.Column(f"FIB{i}COUNTS", "D", "adu", array=meter.counts[:, i]) for i in range(3)),
    ]
    return fits.BinTableHDU.from_columns(columns, name="EXPMETER")
