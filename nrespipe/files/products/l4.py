"""The velocities of a frame: EPRV level 4."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits

from nrespipe.files import image_compression
from nrespipe.files.products import common_parts, primary_header
from nrespipe.files.products.cards import card
from nrespipe.frames.arrays import Floats

if TYPE_CHECKING:
    from astropy.io.fits import Card, Column, HDUList
    from astropy.io.fits.hdu.base import ExtensionHDU

    from nrespipe.files.products.product_inputs import ProductInputs
    from nrespipe.frames.star import Index
    from nrespipe.frames.velocity import OrderVelocities, TemplateVelocity, Velocity

_METHOD = "CCF"


def build(inputs: "ProductInputs", filename: str) -> "HDUList":
    """Put the level 4 product of a star together.

    Parameters
    ----------
    inputs
        The inputs of the products, with the velocity of the star.

    Returns
    -------
    astropy.io.fits.HDUList
        RV1, CCF1, DIAGNOSTICS1, and CUSTOM_RV1 where there is a template; TRACE in their headers is the trace of the
        star in the level 2 product.

    Raises
    ------
    ValueError
        If the star has no velocity.
    """
    if inputs.velocity is None:
        raise ValueError(f"{inputs.raw.filename}: fiber {inputs.fiber} has no velocity")
    header = primary_header.header(inputs, "L4", filename)
    header.extend(_answer(inputs.velocity))
    parts = common_parts.first(inputs)
    words: dict[str, str] = {}
    for name, hdu, description in _parts(inputs, inputs.velocity):
        parts.append(hdu)
        words[name] = description
    return common_parts.assemble(header, parts, words)


def _answer(velocity: "Velocity") -> "list[Card]":
    return [
        card("BJDTDB", velocity.barycentric.bjd_tdb, "[d] barycentric Julian date, TDB, of midpoint"),
        card("RV", velocity.rv_ms / 1000, "[km/s] barycentric velocity of the star"),
        card("RVERR", velocity.error_ms / 1000, "[km/s] its error within a series of the star"),
        *_error_parts(velocity),
        card("BERV", velocity.barycentric.berv_ms / 1000, "[km/s] barycentric correction, c z"),
        card("RVMETHOD", _METHOD, "method"),
        card("RVOBS", velocity.rv_at_observation_ms / 1000, "[km/s] RV at this time, not at the epoch"),
        card("SYSVEL", 0.0, "[km/s] nothing was subtracted from the velocity"),
    ]


def _error_parts(velocity: "Velocity") -> "list[Card]":
    """Return the parts of the error, and the error of the velocity as an absolute one."""
    return [
        card("RVERRPHO", velocity.photon_error_ms / 1000, "[km/s] part of the photon and read noise"),
        card("RVERRWAV", velocity.wavelength_error_ms / 1000, "[km/s] part of the wavelengths"),
        card("RVERRDRI", velocity.drift_error_ms / 1000, "[km/s] part of the drift"),
        card("RVERRTRA", velocity.transfer_error_ms / 1000, "[km/s] part of star fiber to reference fiber"),
        card("RVERRMSK", velocity.mask_error_ms / 1000, "[km/s] line mask; constant, only in RVERRABS"),
        card("RVERRSCL", velocity.scale_error_ms / 1000, "[km/s] lamp scale; constant, only in RVERRABS"),
        card("RVERRABS", velocity.absolute_error_ms / 1000, "[km/s] error of the absolute velocity"),
    ]


def _parts(inputs: "ProductInputs", velocity: "Velocity") -> Iterator[tuple[str, "ExtensionHDU", str]]:
    whose = [
        card("TRACE", inputs.star_trace, "trace of the star in the level 2 product"),
        card("FIBER", velocity.fiber, "its fiber"),
        card("OBJECT", velocity.star.name, "the star"),
    ]
    yield "RV1", _orders(velocity, whose), f"velocity of {velocity.star.name} from each order [km/s]"
    ccf_cards = [*whose, *_dip(velocity)]
    yield "CCF1", _ccf("CCF1", velocity, velocity.ccf, ccf_cards), "cross-correlation function of each order"
    yield "CCF1_VAR", _ccf("CCF1_VAR", velocity, velocity.ccf_variance, whose), "variance of CCF1"
    if velocity.ccf_model is not None:
        model = _ccf("CUSTOM_CCF1", velocity, velocity.ccf_model[None], whose)
        yield "CUSTOM_CCF1", model, "CCF of the fitted model, sum of all orders"
    yield "DIAGNOSTICS1", _diagnostics(inputs, velocity, whose), "other measurements of the star"
    if velocity.template is not None:
        second = _template(velocity, velocity.template, whose)
        yield "CUSTOM_RV1", second, "velocity of the star by a template, from each order [km/s]"


def _by_order(velocity: "Velocity", by_order: "OrderVelocities") -> "list[Column]":
    """Return the columns of a table of velocities that the standard requires, and further ones that it knows."""
    n = len(velocity.orders)
    return [
        fits.Column("BJD_TDB", "D", "d", array=np.full(n, velocity.barycentric.bjd_tdb)),
        fits.Column("RV", "D", "km/s", array=by_order.rv_ms / 1000),
        fits.Column("RV_ERR", "D", "km/s", array=by_order.error_ms / 1000),
        fits.Column("BERV", "D", "km/s", array=np.full(n, velocity.barycentric.berv_ms / 1000)),
        fits.Column("WAVE_START", "D", "Angstrom", array=velocity.order_start_angstrom),
        fits.Column("WAVE_END", "D", "Angstrom", array=velocity.order_end_angstrom),
        fits.Column("ORDER_INDEX", "J", array=np.arange(n)),
        fits.Column("ECHELLE_ORDER", "J", array=velocity.orders),
        fits.Column("WEIGHT", "D", array=by_order.weight),
    ]


def _orders(velocity: "Velocity", whose: "list[Card]") -> fits.BinTableHDU:
    cards = [
        card("CTYPE1", "Quantity", "name of axis 1"),
        card("CTYPE2", "Order", "name of axis 2"),
        card("RVMETHOD", _METHOD, "method"),
        card("SKYRMVD", False, "no model of the sky was removed"),
        card("TELLRMVD", False, "lines near telluric ones were left out instead"),
        card("RVSUM", velocity.rv_ms / 1000, "[km/s] all orders together"),
        card("RVSUMERR", velocity.error_ms / 1000, "[km/s] its error within a series of the star"),
        card("RVOBS", velocity.rv_at_observation_ms / 1000, "[km/s] at this time; RVSUM: at the epoch"),
        card("RVPERSP", velocity.barycentric.perspective_ms / 1000, "[km/s] change by perspective since the epoch"),
        *_second(velocity),
        *_error_parts(velocity),
        card("MODBROAD", velocity.broadening_ms / 1000, "[km/s] broadening of the fitted model"),
        card("MODTHERM", velocity.thermal_ms / 1000, "[km/s] thermal motion in the fitted model"),
        card("MODSTREN", velocity.line_strength, "strength of lines of the fitted model"),
        card("DQWORDS", " ".join(velocity.quality.names()), "quality flags"),
        *whose,
    ]
    columns = _by_order(velocity, velocity.by_order)
    return fits.BinTableHDU.from_columns(columns, fits.Header(cards), name="RV1")


def _second(velocity: "Velocity") -> "list[Card]":
    """Return the cards of a second star in the fiber, if there is one."""
    dip = velocity.second_dip
    if dip is None:
        return []
    return [
        card("RV2ND", dip.rv_ms / 1000, "[km/s] second dip of the CCF, barycentric"),
        card("RV2NDCON", dip.contrast, "its depth relative to the continuum"),
        card("RV2NDSIG", dip.significance, "its depth over the noise"),
    ]


def _template(velocity: "Velocity", second: "TemplateVelocity", whose: "list[Card]") -> fits.BinTableHDU:
    cards = [
        card("RVMETHOD", "TEMPLATE", "least squares of all orders against a template"),
        card("TEMPLATE", second.name, "star of the template"),
        card("TEMPLHSH", second.fingerprint, "what tells it from other templates of that star"),
        card("TEMPLOWN", second.own, "whether it is of the star itself"),
        card("TEMPLNUM", second.n_spectra, "exposures in it"),
        card("RVSUM", second.rv_ms / 1000, "[km/s] all orders together"),
        card("RVSUMERR", second.error_ms / 1000, "[km/s] its error within a series of the star"),
        card("RVERRPHO", second.photon_error_ms / 1000, "[km/s] noise of spectrum and template"),
        card("RVERRMIS", second.mismatch_error_ms / 1000, "[km/s] part of what the template does not match"),
        card("RVERRWAV", second.wavelength_error_ms / 1000, "[km/s] part of the wavelengths"),
        card("RVERRDRI", second.drift_error_ms / 1000, "[km/s] part of the drift"),
        card("RVERRTRA", second.transfer_error_ms / 1000, "[km/s] part of star fiber to reference fiber"),
        card("RVMTEMP", (velocity.rv_ms - second.rv_ms) / 1000, "[km/s] velocity by the mask less this one"),
        card("ORDCHI2", second.order_chi2, "squared scatter of orders over their errors"),
        card("ODDEVEN", second.odd_even_ms / 1000, "[km/s] odd less even orders"),
        card("ODDEVENE", second.odd_even_error_ms / 1000, "[km/s] its error"),
        *whose,
    ]
    columns = _by_order(velocity, second.by_order)
    return fits.BinTableHDU.from_columns(columns, fits.Header(cards), name="CUSTOM_RV1")


def _dip(velocity: "Velocity") -> "list[Card]":
    """Return how the dip of the CCF of all orders relates to the velocity."""
    # here, not above: the engine brings the compiler of the kernels with it, and most commands write no product
    from nrespipe.engine.spectrum import ccf

    total = velocity.ccf.sum(axis=0)
    # a Gaussian on a level has four numbers
    fittable = np.isfinite(total).all() and len(total) > 4
    center_ms = ccf.measure_dip(velocity.grid_ms, total).center_ms if fittable else np.nan
    return [
        card("CCFRV", center_ms / 1000, "[km/s] Gaussian fit to the sum over orders"),
        card("CCFRVDIF", (center_ms - velocity.rv_ms) / 1000, "[km/s] CCFRV less RV"),
        fits.Card("COMMENT", "RV is not the minimum of this function: blends, ends of orders and the"),
        fits.Card("COMMENT", "line-spread function shift it by CCFRVDIF, which a model takes out of RV."),
    ]


def _ccf(name: str, velocity: "Velocity", array: Floats, whose: "list[Card]") -> "ExtensionHDU":
    grid_kms = velocity.grid_ms / 1000
    cards = [
        card("CTYPE1", "Velocity", "name of axis 1"),
        card("CTYPE2", "Order", "name of axis 2"),
        card("VELSTART", float(grid_kms[0]), "[km/s] first velocity, barycentric"),
        card("VELSTEP", float(grid_kms[-1] - grid_kms[0]) / max(1, len(grid_kms) - 1), "[km/s] step"),
        card("VELNSTEP", len(grid_kms), "number of velocities"),
        card("CCFMASK", f"nrespipe {velocity.mask}", "line mask"),
        *whose,
    ]
    return image_compression.image(np.asarray(array, np.float64), name, cards)


def _diagnostics(inputs: "ProductInputs", velocity: "Velocity", whose: "list[Card]") -> fits.BinTableHDU:
    kind, unknown = velocity.stellar_type, np.nan
    rows = [
        ("SNR", velocity.snr, unknown, "", ""),
        ("FWHM", velocity.fwhm_ms / 1000, velocity.fwhm_error_ms / 1000, "km/s", ""),
        ("CONTRAST", velocity.contrast, velocity.contrast_error, "", ""),
        ("BISECTOR", velocity.bisector_ms / 1000, velocity.bisector_error_ms / 1000, "km/s", ""),
        ("TEFF", kind.teff_k, kind.teff_error_k, "K", kind.reason),
        ("VSINI", kind.vsini_ms / 1000, kind.vsini_error_ms / 1000, "km/s", ""),
        *map(_index_row, velocity.activity),
        *((name.upper(), content, unknown, "", "") for name, content in sorted(inputs.reduction.measurements.items())),
    ]
    names, values, errors, units, reasons = zip(*rows)
    columns = [
        fits.Column("BJD_TDB", "D", "d", array=np.full(len(rows), velocity.barycentric.bjd_tdb)),
        fits.Column("METRIC", f"{max(map(len, names))}A", array=np.array(names)),
        fits.Column("VALUE", "D", array=np.array(values, float)),
        fits.Column("ERROR", "D", array=np.array(errors, float)),
        fits.Column("UNIT", "8A", array=np.array(units)),
        fits.Column("REASON", f"{max(1, *map(len, reasons))}A", array=np.array(reasons)),
    ]
    return fits.BinTableHDU.from_columns(columns, fits.Header(whose), name="DIAGNOSTICS1")


def _index_row(index: "Index") -> tuple[str, float, float, str, str]:
    scale, unit = (1000, "km/s") if index.unit == "m/s" else (1, index.unit)
    return index.name.upper(), index.value / scale, index.error / scale, unit, index.reason
