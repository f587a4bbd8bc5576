"""The radial velocity of a star in a fiber: by a line mask and by a template, with errors and quality flags."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np

from nrespipe import doppler
from nrespipe.engine.spectrum import ccf, continuum, line_selection, synthetic
from nrespipe.engine.spectrum.order_spectra import OrderSpectra
from nrespipe.engine.star import stellar_type
from nrespipe.engine.velocity import mask_fit, second_star, template_fit
from nrespipe.engine.wavelength import wavelength_errors
from nrespipe.frames.arrays import Floats, Integers
from nrespipe.frames.quality import Quality
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.star import Star, is_same_star
from nrespipe.frames.template import Template
from nrespipe.frames.velocity import (
    Barycentric,
    LineMask,
    OrderVelocities,
    Tellurics,
    TemplateVelocity,
    Velocity,
)
from nrespipe.frames.wavelength import DRIFT_SCATTER_MS, LineShape, Wavelengths

#: Noise of the detector in the weights, as a share of the typical flux of the star: that at a ratio of
#: signal to noise of 40. With the true noise the velocity of a K5 dwarf moved by 1.5 m/s between ratios of 20 and 150,
#: with none the error at 20 was 44 percent larger; so it is 0.1 m/s and 4 percent
_FLOOR = 0.3

#: Orders of a spectrograph of the design that carry velocities: below are fringes and water, above too little light
_FIRST_ORDER, _LAST_ORDER = 58, 117


#: Width of the CCF up to which velocities are within their errors, that of a star that rotates with 150 km/s: the
#: continuum of an order follows wider lines, and at 200 km/s the velocity was off by three of its errors [m / s]
_WIDEST_MS = 270e3
#: Significance of the first velocity from which on a star is there; the fit tells whether it has the lines of the mask
_FOUND = 5.0
#: Range of velocities and half width of the lines that are searched, in this sequence [m / s]
_SEARCHES = ((300e3, 0.0), (600e3, 0.0), (600e3, 60e3), (600e3, 150e3))


class Errors(TypedDict):
    """Total error of a velocity and its parts, as the attributes of a ``Velocity`` [m / s]."""

    error_ms: float
    photon_error_ms: float
    wavelength_error_ms: float
    drift_error_ms: float
    transfer_error_ms: float
    scale_error_ms: float


def measure(
    spectra: Spectra,
    wavelengths: Wavelengths,
    fiber: int,
    star: Star,
    masks: Mapping[str, LineMask],
    tellurics: Tellurics | None,
    barycentric: Barycentric,
    *,
    spare_masks: Sequence[LineMask] = (),
    template: Template | None = None,
    transfer_noise_ms: float = 0.0,
    drift_scatter_ms: float = DRIFT_SCATTER_MS,
    list_noise_ms: float = 30.0,
) -> Velocity:
    """Measure the radial velocity of the star in a fiber.

    Parameters
    ----------
    wavelengths
        Of the same fibers, orders and pixels.
    fiber
        Fiber of the star.
    star
        Its catalog entry.
    masks
        Line masks by spectral type, which measure the velocity and the type.
    tellurics
        Where the atmosphere absorbs.
    spare_masks
        Further masks for the velocity of a star that none of `masks` fits.
    template
        Of the star, or of one like it: the velocity is then measured with it as well.
    transfer_noise_ms
        Part of the error of the zero point of the fiber relative to the reference fiber by the photon noise of the
        arcs of this night; part of that of the wavelengths [m / s].
    drift_scatter_ms
        Scatter of the drifts of the spectrograph, which is the error where that of the frame was not measured [m / s].
    list_noise_ms
        Disagreement of the orders that a list of lines may cause; more is flagged [m / s].

    Returns
    -------
    Velocity
        With a velocity and a CCF of NaN, infinite errors and ``NO_VELOCITY`` where no mask finds a star, or the
        lines of none are those of the spectrum.

    Notes
    -----
    The mask is that of the nearest temperature; without one in the catalog, the mask that resembles the spectrum most.
    Where parts of the spectrum disagree beyond `list_noise_ms` its neighbors are tried too, because a wrong list can
    be hundreds of m/s off. The velocity is first sought over +-300 km/s, then over +-600 km/s, then with broad lines.
    For the methods see ``mask_fit.fit`` and ``template_fit.fit``.
    """
    chosen = _usable_orders(spectra, wavelengths, fiber)
    spectrum = _spectrum(spectra, wavelengths, fiber, chosen)
    sampling = line_sampling(wavelengths.line_shape, fiber, spectra.orders[chosen])
    berv_ms, snr, n_orders = barycentric.berv_ms, _snr(spectra, fiber), len(spectra.orders)
    by_temperature = sorted((*masks.values(), *spare_masks), key=lambda mask: mask.teff_k)
    found, mask, guessed = _fitted(spectrum, sampling, by_temperature, star, tellurics, berv_ms, list_noise_ms)
    if found is None:
        quality = _signal_flags(snr, guessed) | Quality.NO_VELOCITY
        return _unmeasured(fiber, star, mask.name, barycentric, snr, spectra.orders, quality)

    def errors(photon_ms: float, leverage: Floats, mismatch_ms: float | None = None) -> Errors:
        weight = np.zeros(spectra.of(fiber).flux.shape)
        weight[chosen] = leverage
        return error_parts(
            photon_ms, wavelengths, fiber, weight, mismatch_ms=mismatch_ms, transfer_noise_ms=transfer_noise_ms,
            drift_scatter_ms=drift_scatter_ms,
        )  # fmt: skip

    by_template = _by_template(found, template, star, spectra.orders, chosen, tellurics, berv_ms, errors)
    second_dip = second_star.search(found, berv_ms, tellurics)
    grid_ms, function, function_variance, ccf_model = _published_ccf(found, n_orders, chosen, berv_ms)
    start_angstrom, end_angstrom = _wavelength_ranges(found, n_orders, chosen)
    return Velocity(
        fiber=fiber,
        star=star,
        mask=mask.name,
        barycentric=barycentric,
        snr=snr,
        rv_ms=found.rv_ms,
        **errors(found.photon_error_ms, found.leverage),
        mask_error_ms=found.mask_error_ms,
        **_ccf_shape(found, berv_ms),
        stellar_type=stellar_type.estimate(found, masks, berv_ms, sampling, tellurics),
        grid_ms=grid_ms,
        ccf=function,
        ccf_variance=function_variance,
        orders=spectra.orders,
        by_order=found.by_order.among(n_orders, chosen),
        order_start_angstrom=start_angstrom,
        order_end_angstrom=end_angstrom,
        quality=_signal_flags(snr, guessed)
        | _velocity_flags(found, by_template, template, list_noise_ms)
        | (Quality(0) if second_dip is None else Quality.SECOND_STAR),
        template=by_template,
        second_dip=second_dip,
        **_of_model(found),
        ccf_model=ccf_model,
    )


def prepared(spectra: Spectra, wavelengths: Wavelengths, fiber: int) -> tuple[OrderSpectra, Integers]:
    """Return the orders of a fiber that carry velocities, without blaze and with their continuum.

    Parameters
    ----------
    wavelengths
        Of the same fibers, orders and pixels.
    fiber
        Fiber of the star.

    Returns
    -------
    spectrum : OrderSpectra
        As ``mask_fit.fit``, ``template_fit.fit`` and ``template.build`` take them.
    orders : ndarray of int, shape (n_orders,)
        Their diffraction orders.
    """
    chosen = _usable_orders(spectra, wavelengths, fiber)
    return _spectrum(spectra, wavelengths, fiber, chosen), spectra.orders[chosen]


def error_parts(
    photon_ms: float,
    wavelengths: Wavelengths,
    fiber: int,
    weight: Floats,
    *,
    mismatch_ms: float | None = None,
    transfer_noise_ms: float = 0.0,
    drift_scatter_ms: float = DRIFT_SCATTER_MS,
) -> Errors:
    """Return the total error of a velocity and the parts whose squares add up to it.

    Parameters
    ----------
    photon_ms
        Error by the noise of the pixels [m / s].
    fiber
        Fiber of the star.
    weight : shape (n_orders, n_pixels)
        Share of each pixel of the frame in the velocity.
    mismatch_ms
        Error by the differences between spectrum and template beyond noise; None where there is no template [m / s].
    transfer_noise_ms
        Part of the error of the zero point of the fiber relative to the reference fiber by the photon noise of the
        arcs of this night [m / s].
    drift_scatter_ms
        Scatter of the drifts of the spectrograph, which is the error where that of the frame was not measured [m / s].

    Notes
    -----
    The covariances of the wavelength solution and of the drift are carried through the weights where the wavelengths
    know them; else the errors of their zero points count, and are taken to differ from night to night. The error of the
    wavelengths contains that of the fiber, which is reported by itself here.
    """
    if wavelengths.solution is not None:
        night_ms, common_ms, drift_ms = wavelength_errors.of_mean(wavelengths, fiber, weight)
    else:
        night_ms, common_ms = float(wavelengths.error_ms[wavelengths.fibers.index(fiber)]), 0.0
        drift_ms = wavelengths.drift.velocity_error_ms
    transfer_ms = min(float(transfer_noise_ms), night_ms)
    wavelength_ms = float(np.sqrt(night_ms**2 - transfer_ms**2)) if np.isfinite(night_ms) else night_ms
    drift_ms = float(drift_scatter_ms if wavelengths.drift.n_lines == 0 else drift_ms)
    parts_ms = [float(photon_ms), wavelength_ms, drift_ms, transfer_ms]
    if mismatch_ms is not None:
        parts_ms.append(float(mismatch_ms))
    return {
        "error_ms": float(np.sqrt(sum(part**2 for part in parts_ms))),
        "photon_error_ms": float(photon_ms),
        "wavelength_error_ms": wavelength_ms,
        "drift_error_ms": drift_ms,
        "transfer_error_ms": transfer_ms,
        "scale_error_ms": common_ms,
    }


def _by_template(found, template, star, orders, chosen, tellurics, berv_ms, errors):
    """Return the velocity by the template; None without a template, or where it does not cover the spectrum."""
    if template is None:
        return None
    try:
        fit = template_fit.fit(found.spectrum, orders[chosen], template, found.rv_ms, berv_ms, tellurics=tellurics)
    except ValueError:
        return None
    wider, wider_error = template_fit.width_change(found.spectrum, orders[chosen], template, fit, berv_ms)
    return TemplateVelocity(
        name=template.star.name,
        fingerprint=template.fingerprint,
        own=is_same_star(template.star, star),
        n_spectra=len(template.inputs),
        rv_ms=fit.rv_ms,
        **errors(fit.photon_error_ms, fit.leverage, fit.mismatch_ms),
        mismatch_error_ms=float(fit.mismatch_ms),
        order_chi2=fit.order_chi2,
        consistent=fit.consistent,
        odd_even_ms=fit.odd_even_ms,
        odd_even_error_ms=fit.odd_even_error_ms,
        width_change_m2_s2=wider,
        width_change_error_m2_s2=wider_error,
        by_order=fit.by_order.among(len(orders), chosen),
    )


def _signal_flags(snr, guessed):
    """Return the flags that a star can have without a velocity: faint, and of a type that the catalog does not know."""
    quality = Quality.LOW_SIGNAL if snr < 10 else Quality(0)
    return quality | (Quality.TYPE_GUESSED if guessed else Quality(0))


def _velocity_flags(found, by_template, template, list_noise_ms, *, alarm=2.0, farthest=4.0):
    """Return the flags of the velocity by the mask, of that by the template, and of their difference."""
    quality = Quality(0)
    if not found.consistent or found.mask_error_ms > max(list_noise_ms, 3 * found.photon_error_ms):
        quality |= Quality.VELOCITY_INCONSISTENT
    if found.fwhm_ms > _WIDEST_MS:
        quality |= Quality.VELOCITY_INCONSISTENT
    if template is not None and not template.trusted:
        quality |= Quality.YOUNG_TEMPLATE
    if by_template is None:
        return quality
    # the lines of another star always disagree by more than noise, and the mismatch error contains it
    odd_even = abs(by_template.odd_even_ms) > farthest * by_template.odd_even_error_ms
    if not by_template.consistent or (by_template.own and (by_template.order_chi2 > alarm or odd_even)):
        quality |= Quality.VELOCITY_INCONSISTENT
    # a template of the star itself has the zero point of its mask; that of another one has that of another star
    list_ms = 0.0 if by_template.own else np.sqrt(2) * found.mask_error_ms
    # a template of the star that does not fit has a larger error, which must not hide the disagreement
    other_ms = 0.0 if by_template.own else by_template.mismatch_error_ms
    expected_ms = np.sqrt(found.photon_error_ms**2 + by_template.photon_error_ms**2 + list_ms**2 + other_ms**2 + 1.0)
    if abs(by_template.rv_ms - found.rv_ms) > farthest * expected_ms:
        quality |= Quality.ENGINES_DISAGREE
    return quality


def _usable_orders(spectra, wavelengths, fiber):
    """Return the indices of the orders that carry velocities and whose wavelengths are known."""
    wavelength = wavelengths.vacuum_angstrom[wavelengths.fibers.index(fiber)]
    known = np.all(np.diff(wavelength, axis=1) > 0, axis=1)
    return np.flatnonzero((spectra.orders >= _FIRST_ORDER) & (spectra.orders <= _LAST_ORDER) & known)


def _spectrum(spectra, wavelengths, fiber, chosen):
    flux, variance, quality, blaze = (a[chosen] for a in spectra.of(fiber))
    flux, variance, good = continuum.above_blaze(flux, variance, quality, blaze)
    level = continuum.envelope(flux, variance, good)
    known = np.isfinite(level) & (level > 0)
    lit = good & known
    electrons, blaze = np.where(lit, level * blaze, 0.0), np.where(good, blaze, 1.0)
    floor = _FLOOR * np.median(electrons[lit]) if lit.any() else 1.0
    wavelength = wavelengths.vacuum_angstrom[wavelengths.fibers.index(fiber)][chosen]
    return OrderSpectra(
        flux=flux,
        variance=variance,
        good=good & known,
        wavelength=np.ascontiguousarray(wavelength),
        continuum=np.where(known, level, 0.0),
        usual_variance=(electrons + floor) / blaze**2,
    )


def line_sampling(line_shape: LineShape, fiber: int, orders: Integers) -> synthetic.Sampling:
    """Return the line-spread function on a grid no finer than a model of a star needs.

    Parameters
    ----------
    orders : shape (n_orders,)
        Diffraction orders; one that `line_shape` lacks has the function of the nearest one.
    """
    i = line_shape.fibers.index(fiber)
    nearest = np.abs(line_shape.orders[:, None] - orders[None, :]).argmin(axis=0)
    fwhm = line_shape.fwhm[i][nearest]
    offsets = np.linspace(-2.5, 2.5, 41)
    kernels = np.stack([np.interp(offsets, line_shape.offsets, row, left=0, right=0) for row in line_shape.values[i]])
    sane = np.isfinite(fwhm) & (fwhm > 0)
    typical = np.median(fwhm[sane]) if sane.any() else 0.0
    return synthetic.Sampling(np.where(sane, fwhm, typical), offsets, kernels, line_shape.columns)


def _fitted(spectrum, sampling, by_temperature, star, tellurics, berv_ms, list_noise_ms):
    """Return the best fit or None, its mask, and whether the mask is another one than that of the catalog."""
    teff_k = stellar_type.catalog_temperature(star)
    first, guess_ms, significance = _recognised(spectrum, by_temperature, teff_k, star, tellurics, berv_ms)
    clear = line_selection.clear_lines(first, spectrum, guess_ms, 20e3, tellurics)
    if significance < _FOUND or len(clear.order) < 20:
        return None, first, teff_k is None
    fit = lambda mask: mask_fit.fit(spectrum, mask, guess_ms, berv_ms, sampling=sampling, tellurics=tellurics)  # noqa: E731
    place, fits = by_temperature.index(first), {}
    for candidate in (place, place - 1, place + 1):
        if 0 <= candidate < len(by_temperature):
            fits[candidate] = fit(by_temperature[candidate])
            poor = not fits[place].resembles
            poor |= not fits[place].mask_error_ms < max(list_noise_ms, 2 * fits[place].photon_error_ms)
            if teff_k is not None and not poor:
                break
    error_ms = lambda fit: np.nan_to_num(np.hypot(fit.photon_error_ms, fit.mask_error_ms), nan=np.inf)  # noqa: E731
    best = min(fits, key=lambda i: (not fits[i].resembles, error_ms(fits[i])))
    found = fits[best] if fits[best].resembles and np.isfinite(fits[best].rv_ms) else None
    return found, by_temperature[best], teff_k is None or best != place


def _recognised(spectrum, candidates, teff_k, star, tellurics, berv_ms):
    """Return the first mask, the velocity at which it matches best, and the significance of the match."""
    known_ms = None if star.rv_kms is None else star.rv_kms * 1e3
    nearest_ms = abs(known_ms or 0.0) + 50e3
    if teff_k is not None:
        candidates = [min(candidates, key=lambda mask: abs(mask.teff_k - teff_k))]
    best, guess_ms, significance = 0, 0.0, 0.0
    # a fast star, and then one that rotates fast, where the usual range of velocities has no narrow lines
    for half_range_ms, width_ms in _SEARCHES:
        searches = [
            line_selection.search_velocity(
                mask, spectrum, berv_ms, tellurics, half_range_ms=max(half_range_ms, nearest_ms), width_ms=width_ms
            )
            for mask in candidates
        ]
        likest = int(np.argmax([match for _, _, match in searches]))
        if searches[likest][1] > significance:
            best, (guess_ms, significance, _) = likest, searches[likest]
        if significance >= _FOUND:
            break
    # the lines that are used depend on the guess, so every frame of a star should begin with the same one
    if known_ms is not None and abs(known_ms - guess_ms) < 3e3 and significance > 3:
        guess_ms, significance = known_ms, np.inf
    return candidates[best], guess_ms, significance


def _ccf_shape(found, berv_ms):
    """Return width, depth and bisector of the CCF with their errors, as the attributes of a ``Velocity``."""
    errors = ccf.shape_errors(found.spectrum, found.lines, found.model, found.rv_ms, found.fwhm_ms, berv_ms)
    names = ("fwhm_error_ms", "contrast_error", "bisector_error_ms")
    shape = {name: getattr(found, name) for name in ("fwhm_ms", "contrast", "bisector_ms")}
    return {**shape, **dict(zip(names, errors))}


def _of_model(found):
    """Return the numbers of the model whose lines were fitted, as the attributes of a ``Velocity``."""
    return {
        "broadening_ms": found.broadening_ms, "thermal_ms": found.thermal_ms, "line_strength": found.strength,
    }  # fmt: skip


def _published_ccf(found, n_orders, chosen, berv_ms, step_ms=500.0):
    """Return an even grid of velocities, the CCF of each order of the frame and its variance, and that of the model."""
    reach_ms = max(20e3, 2 * found.fwhm_ms)
    center = np.round(found.rv_ms / step_ms)
    steps = int(np.ceil(reach_ms / step_ms))
    grid_ms = (center + np.arange(-steps, steps + 1)) * step_ms
    seen_ms = doppler.seen_ms(grid_ms, berv_ms)
    flux, noise = found.spectrum.relative(found.model)
    edges, total = ccf.pixel_edges(found.spectrum.wavelength), found.lines.weight.sum()
    function, variance = np.zeros((2, n_orders, len(grid_ms)))
    both = ccf.correlate(np.stack([flux, found.model]), edges, found.lines, seen_ms, step_ms) / total
    function[chosen] = both[0]
    variance[chosen] = ccf.variance(noise, edges, found.lines, seen_ms, step_ms) / total**2
    return grid_ms, function, variance, both[1].sum(axis=0)


def _wavelength_ranges(found, n_orders, chosen):
    """Return the first and the last wavelength used in each order of the frame; NaN where none is [angstrom]."""
    wavelength = np.where(found.used, found.spectrum.wavelength, np.nan)
    some = found.used.any(axis=1)
    start, end = np.full((2, n_orders), np.nan)
    start[chosen[some]] = np.nanmin(wavelength, axis=1, where=found.used, initial=np.inf)[some]
    end[chosen[some]] = np.nanmax(wavelength, axis=1, where=found.used, initial=-np.inf)[some]
    return start, end


def _unmeasured(fiber, star, mask, barycentric, snr, orders, quality):
    """Return the result for a star whose velocity could not be measured: NaN with infinite errors."""
    # as long as a usual one, so that products of stars with and without a velocity are alike
    grid_ms = np.linspace(-20e3, 20e3, 81)
    none, empty = np.full(len(orders), np.nan), np.full((len(orders), len(grid_ms)), np.nan)
    return Velocity(
        fiber=fiber,
        star=star,
        mask=mask,
        barycentric=barycentric,
        snr=snr,
        rv_ms=np.nan,
        error_ms=np.inf,
        photon_error_ms=np.inf,
        wavelength_error_ms=np.inf,
        drift_error_ms=np.inf,
        transfer_error_ms=np.inf,
        mask_error_ms=np.inf,
        fwhm_ms=np.nan,
        contrast=np.nan,
        bisector_ms=np.nan,
        grid_ms=grid_ms,
        ccf=empty,
        ccf_variance=empty,
        orders=orders,
        by_order=OrderVelocities(none, none, np.zeros(len(orders))),
        order_start_angstrom=none,
        order_end_angstrom=none,
        quality=quality,
    )


def _snr(spectra, fiber):
    flux, variance, quality, _ = spectra.of(fiber)
    middle = (spectra.orders >= 85) & (spectra.orders <= 95)
    good = middle[:, None] & (quality == 0) & np.isfinite(flux) & (variance > 0)
    return float(np.median(flux[good] / np.sqrt(variance[good]))) if good.any() else 0.0
