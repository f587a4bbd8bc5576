"""The radial velocity of a star."""

import re

import numpy as np

from nrespipe.engine import ccf, continuum, linefit, linemodel, masklines
from nrespipe.engine.orders import Orders
from nrespipe.frames.quality import Quality
from nrespipe.frames.velocity import Velocity

_LIGHT_MS = 299792458.0

#: Effective temperature of a dwarf of subtype 0 of each class [kelvin] (Pecaut & Mamajek 2013, ApJS 208, 9)
_SUBTYPE_0_K = {
    "O": 46000.0,
    "B": 31400.0,
    "A": 9700.0,
    "F": 7220.0,
    "G": 5930.0,
    "K": 5280.0,
    "M": 3850.0,
    "L": 2270.0,
}

#: Orders of a spectrograph of the design that carry velocities: below are fringes and water, above too little light
_FIRST_ORDER, _LAST_ORDER = 58, 117


def measure(spectra, wavelengths, fiber, star, masks, tellurics, barycentric, *, no_drift_ms=50.0, list_noise_ms=30.0):
    """Measure the radial velocity of the star in a fiber.

    Parameters
    ----------
    spectra : Spectra
        Extracted light.
    wavelengths : Wavelengths
        Of the same fibers, orders and pixels.
    fiber : int
        Fiber of the star.
    star : Star
        What is known of it.
    masks : mapping of str to LineMask
        To choose from.
    tellurics : Tellurics or None
        Where the atmosphere absorbs.
    barycentric : Barycentric
        Of the exposure.
    no_drift_ms : float, optional
        Error of the zero point where the drift was not measured [m / s].
    list_noise_ms : float, optional
        Disagreement of the orders that a list of lines may cause; more is doubted [m / s].

    Returns
    -------
    Velocity
        With a velocity and a function of NaN, infinite errors and ``NO_VELOCITY`` where no mask finds a star.

    Notes
    -----
    The mask is that of the nearest temperature; without one in the catalog, the mask that resembles the spectrum most.
    Where parts of the spectrum disagree beyond `list_noise_ms` its neighbors are tried too, because a wrong list can
    be hundreds of m/s off. The velocity is first sought over +-300 km/s. For the method see ``linefit.fit``.
    """
    chosen = _usable_orders(spectra, wavelengths, fiber)
    orders = _orders(spectra, wavelengths, fiber, chosen)
    sampling = _sampling(wavelengths.line_shape, fiber, spectra.orders[chosen])
    quality = Quality.LOW_SIGNAL if _snr(spectra, fiber) < 10 else Quality(0)
    common = {"fiber": fiber, "star": star, "barycentric": barycentric, "snr": _snr(spectra, fiber)}
    found, mask, guessed = _fitted(orders, sampling, masks, star, tellurics, barycentric.berv_ms, list_noise_ms)
    quality |= Quality.TYPE_GUESSED if guessed else Quality(0)
    if found is None:
        return _nothing(spectra.orders, quality | Quality.NO_VELOCITY, mask=mask.name, **common)
    if not found.consistent or found.mask_error_ms > max(list_noise_ms, 3 * found.photon_error_ms):
        quality |= Quality.VELOCITY_INCONSISTENT
    errors = _errors(found, wavelengths, fiber, no_drift_ms)
    return Velocity(
        rv_ms=found.rv_ms,
        **errors,
        fwhm_ms=found.fwhm_ms,
        contrast=found.contrast,
        bisector_ms=found.bisector_ms,
        **_function(found, len(spectra.orders), chosen, barycentric.berv_ms),
        orders=spectra.orders,
        **_by_order(found, len(spectra.orders), chosen),
        quality=quality,
        mask=mask.name,
        **common,
    )


def _usable_orders(spectra, wavelengths, fiber):
    """Return the indices of the orders that carry velocities and whose wavelengths are known."""
    wavelength = wavelengths.vacuum_angstrom[wavelengths.fibers.index(fiber)]
    known = np.all(np.diff(wavelength, axis=1) > 0, axis=1)
    return np.flatnonzero((spectra.orders >= _FIRST_ORDER) & (spectra.orders <= _LAST_ORDER) & known)


def _orders(spectra, wavelengths, fiber, chosen):
    flux, variance, good = continuum.above_blaze(*(a[chosen] for a in spectra.of(fiber)))
    level = continuum.envelope(flux, variance, good)
    known = np.isfinite(level) & (level > 0)
    wavelength = wavelengths.vacuum_angstrom[wavelengths.fibers.index(fiber)][chosen]
    return Orders(
        flux=flux,
        variance=variance,
        good=good & known,
        wavelength=np.ascontiguousarray(wavelength),
        continuum=np.where(known, level, 0.0),
    )


def _sampling(line_shape, fiber, orders):
    """Return the line-spread function on a grid no finer than the model needs."""
    i = line_shape.fibers.index(fiber)
    nearest = np.abs(line_shape.orders[:, None] - orders[None, :]).argmin(axis=0)
    fwhm = line_shape.fwhm[i][nearest]
    offsets = np.linspace(-2.5, 2.5, 41)
    kernels = np.stack([np.interp(offsets, line_shape.offsets, row, left=0, right=0) for row in line_shape.values[i]])
    sane = np.isfinite(fwhm) & (fwhm > 0)
    typical = np.median(fwhm[sane]) if sane.any() else 0.0
    return linemodel.Sampling(np.where(sane, fwhm, typical), offsets, kernels, line_shape.columns)


def _temperature_k(star):
    """Return the temperature of a star by the catalog, or by its spectral type, or None."""
    if star.teff_k is not None:
        return star.teff_k
    type_ = re.match(r"[a-z]*([OBAFGKM])\s*(\d(?:\.\d)?)?", star.spectral_type.strip())
    if type_ is None:
        return None
    classes = list(_SUBTYPE_0_K)
    hot = classes.index(type_[1])
    share = float(type_[2] or 5) / 10
    return _SUBTYPE_0_K[type_[1]] * (1 - share) + _SUBTYPE_0_K[classes[hot + 1]] * share


def _fitted(orders, sampling, masks, star, tellurics, berv_ms, list_noise_ms):
    """Return the best fit or None, its mask, and whether that is another one than the catalog asks for."""
    by_temperature = sorted(masks.values(), key=lambda mask: mask.teff_k)
    temperature = _temperature_k(star)
    first, guess_ms, significance = _recognised(orders, by_temperature, temperature, star, tellurics, berv_ms)
    clear = masklines.clear(first, orders, guess_ms, 20e3, tellurics)
    if significance < 5 or len(clear.order) < 20:
        return None, first, temperature is None
    fit = lambda mask: linefit.fit(orders, mask, guess_ms, berv_ms, sampling=sampling, tellurics=tellurics)  # noqa: E731
    place, fits = by_temperature.index(first), {}
    for candidate in (place, place - 1, place + 1):
        if 0 <= candidate < len(by_temperature):
            fits[candidate] = fit(by_temperature[candidate])
            doubted = not fits[place].mask_error_ms < max(list_noise_ms, 2 * fits[place].photon_error_ms)
            if temperature is not None and not doubted:
                break
    best = min(fits, key=lambda i: np.nan_to_num(np.hypot(fits[i].photon_error_ms, fits[i].mask_error_ms), nan=np.inf))
    found = fits[best] if np.isfinite(fits[best].rv_ms) else None
    return found, by_temperature[best], temperature is None or best != place


def _recognised(orders, candidates, temperature, star, tellurics, berv_ms):
    """Return the mask to begin with, where it sees the star, and how clearly."""
    known_ms = None if star.rv_kms is None else star.rv_kms * 1e3
    half_range_ms = max(300e3, abs(known_ms or 0.0) + 50e3)
    if temperature is not None:
        candidates = [min(candidates, key=lambda mask: abs(mask.teff_k - temperature))]
    searches = [masklines.search(mask, orders, berv_ms, tellurics, half_range_ms=half_range_ms) for mask in candidates]
    best = int(np.argmax([match for _, _, match in searches]))
    guess_ms, significance, _ = searches[best]
    # the lines that are used depend on the guess, so every frame of a star should begin with the same one
    if known_ms is not None and abs(known_ms - guess_ms) < 3e3 and significance > 3:
        guess_ms, significance = known_ms, np.inf
    return candidates[best], guess_ms, significance


def _snr(spectra, fiber):
    flux, variance, quality, _ = spectra.of(fiber)
    middle = (spectra.orders >= 85) & (spectra.orders <= 95)
    good = middle[:, None] & (quality == 0) & np.isfinite(flux) & (variance > 0)
    return float(np.median(flux[good] / np.sqrt(variance[good]))) if good.any() else 0.0


def _errors(found, wavelengths, fiber, no_drift_ms):
    drift = wavelengths.drift
    drift_ms = no_drift_ms if drift.n_lines == 0 else drift.velocity_error_ms
    parts = {
        "photon_error_ms": found.photon_error_ms,
        "wavelength_error_ms": float(wavelengths.error_ms[wavelengths.fibers.index(fiber)]),
        "drift_error_ms": float(drift_ms),
        "mask_error_ms": found.mask_error_ms,
    }
    return {"error_ms": float(np.sqrt(sum(part**2 for part in parts.values()))), **parts}


def _function(found, n_orders, chosen, berv_ms, step_ms=500.0):
    """Return the cross-correlation function to be published, on an even grid of barycentric velocities."""
    reach_ms = max(20e3, 2 * found.fwhm_ms)
    center = np.round(found.rv_ms / step_ms)
    steps = int(np.ceil(reach_ms / step_ms))
    grid_ms = (center + np.arange(-steps, steps + 1)) * step_ms
    seen_ms = ((1 + grid_ms / _LIGHT_MS) / (1 + berv_ms / _LIGHT_MS) - 1) * _LIGHT_MS
    orders, lines = found.orders, found.lines
    level = np.where(orders.good, orders.continuum, 1.0)
    flux = np.where(orders.good, orders.flux / level, found.model)
    noise = np.where(orders.good, orders.variance / level**2, 0.0)
    edges, total = ccf.pixel_edges(orders.wavelength), lines.weight.sum()
    function, variance = np.zeros((2, n_orders, len(grid_ms)))
    function[chosen] = ccf.correlate(flux[None], edges, lines, seen_ms, step_ms)[0] / total
    variance[chosen] = ccf.variance(noise, edges, lines, seen_ms, step_ms) / total**2
    return {"grid_ms": grid_ms, "ccf": function, "ccf_variance": variance}


def _by_order(found, n_orders, chosen):
    wavelength = np.where(found.used, found.orders.wavelength, np.nan)
    some = found.used.any(axis=1)
    columns = {
        "order_rv_ms": found.order_rv_ms,
        "order_error_ms": found.order_error_ms,
        "order_start_angstrom": np.nanmin(wavelength, axis=1, where=found.used, initial=np.inf),
        "order_end_angstrom": np.nanmax(wavelength, axis=1, where=found.used, initial=-np.inf),
    }
    result = {}
    for name, values in columns.items():
        result[name] = np.full(n_orders, np.nan)
        result[name][chosen[some]] = values[some]
    result["order_weight"] = np.zeros(n_orders)
    result["order_weight"][chosen] = found.order_weight
    return result


def _nothing(orders, quality, **common):
    # as long as a usual one, so that products of stars with and without a velocity are alike
    grid_ms = np.linspace(-20e3, 20e3, 81)
    none, empty = np.full(len(orders), np.nan), np.full((len(orders), len(grid_ms)), np.nan)
    errors = ("error_ms", "photon_error_ms", "wavelength_error_ms", "drift_error_ms", "mask_error_ms")
    numbers = dict.fromkeys(("rv_ms", "fwhm_ms", "contrast", "bisector_ms"), np.nan) | dict.fromkeys(errors, np.inf)
    per_order = dict.fromkeys(("order_rv_ms", "order_error_ms", "order_start_angstrom", "order_end_angstrom"), none)
    return Velocity(
        **common, **numbers, **per_order, grid_ms=grid_ms, ccf=empty, ccf_variance=empty, orders=orders,
        order_weight=np.zeros(len(orders)), quality=quality,
    )  # fmt: skip
