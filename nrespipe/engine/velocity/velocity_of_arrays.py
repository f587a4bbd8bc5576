"""The radial velocity of a spectrum from arrays alone, for any spectrograph."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from nrespipe import doppler
from nrespipe.engine.spectrum import ccf, continuum, line_selection
from nrespipe.engine.spectrum.order_spectra import OrderSpectra, resembles
from nrespipe.engine.velocity import array_input_checks, mask_fit, template_fit
from nrespipe.frames.arrays import Floats, Integers
from nrespipe.frames.template import Template
from nrespipe.frames.velocity import LineMask, OrderVelocities, Tellurics

#: An order longer than twice this is a merged spectrum and is cut into pieces of about this length [pixel]
_PIECE = 4096
#: Of HARPS: full width of the box of a line [m / s], and the mean of 1 / sqrt(1 - (v / c)**2) and of gravity at the
#: Earth, by which its pipeline multiplies the Doppler factor
_HARPS_BOX_MS, _HARPS_FACTOR = 820.0, 1 + 1.55e-8


@dataclass(frozen=True)
class Measurement:
    """A velocity that was measured from arrays, with its errors.

    Attributes
    ----------
    rv_ms, error_ms
        Radial velocity, barycentric if the barycentric correction was given, and its error: that of the photons and of
        the drift, and with a template their mismatch [m / s].
    photon_error_ms
        Part of the error from the noise of the pixels [m / s].
    mask_error_ms
        Error of the absolute velocity from the list of lines; NaN without a model of the lines [m / s].
    by_order
        The velocity from each order.
    fwhm_ms, contrast, bisector_ms
        Of the CCF; NaN for a template [m / s, 1, m / s].
    order_chi2
        Chi-square of the velocities of the orders over their degrees of freedom.
    """

    rv_ms: float
    error_ms: float
    photon_error_ms: float
    mask_error_ms: float
    by_order: OrderVelocities
    fwhm_ms: float
    contrast: float
    bisector_ms: float
    order_chi2: float


def velocity(
    wavelength: Floats,
    flux: Floats,
    variance: Floats,
    reference: LineMask | Template,
    *,
    velocity_ms: float | None = None,
    berv_ms: float = 0.0,
    blaze: Floats | None = None,
    numbers: Integers | None = None,
    tellurics: Tellurics | None = None,
    motion_ms: float = 31000.0,
    drift_scatter_ms: float = 0.0,
) -> Measurement:
    """Measure the radial velocity of a spectrum.

    Parameters
    ----------
    wavelength : shape (n_orders, n_pixels) or (n_pixels,)
        Wavelength of the middle of each pixel, increasing, in the medium of `reference` (vacuum for the masks of
        ``nrespipe.data``) [angstrom].
    flux, variance : shape of `wavelength`
        Spectrum and its variance, in any unit. A pixel is left out where either is not finite or hidden by the mask of
        an array, or the variance is not positive.
    reference
        What to compare with: ``nrespipe.data.stellar_lines("G2")``, a mask of your own, or ``template.build(...)``.
    velocity_ms
        First guess, to a few km/s. Without one a mask is sought over +-300 km/s, a template at its velocity [m / s].
    berv_ms
        Barycentric correction c z: ``v = c ((1 + v_seen / c) (1 + berv / c) - 1)`` [m / s].
    blaze : shape of `wavelength`
        Blaze to divide the flux by; pixels below 5 percent of its peak are not used.
    numbers : shape (n_orders,)
        Diffraction orders, to find those of a template by; 0, 1, 2 ... without.
    tellurics
        Where the atmosphere absorbs, ``nrespipe.data.tellurics()``.
    motion_ms
        Largest barycentric correction of a series: lines and pixels that meet an end of an order or the atmosphere
        anywhere within it are not used; 0 for a spectrum that is at rest in the barycenter [m / s].
    drift_scatter_ms
        Scatter of the drift of the spectrograph since its wavelengths were measured, where they are not corrected for
        it: the error of their zero point. Without it the error is that of the photons alone [m / s].

    Raises
    ------
    ValueError
        If the arrays do not match or have no usable pixels, nothing of `reference` falls on usable pixels, its lines
        are not those of the spectrum near the velocity, or the weights of a mask are no depths (0 to 1).

    Notes
    -----
    Quantities of astropy count with their units. A merged spectrum (one long order) is cut into pieces of about 4096
    pixels. See ``mask_fit.fit`` and ``template_fit.fit`` for the methods, and `gaussian` for the plain
    CCF of other pipelines.
    """
    spectrum = _spectrum(*_arrays(wavelength, flux, variance, blaze))
    berv_ms = array_input_checks.speed_ms(berv_ms, "berv_ms")
    known_ms = None if velocity_ms is None else array_input_checks.speed_ms(velocity_ms, "velocity_ms")
    options = {"tellurics": tellurics, "motion_ms": motion_ms}
    if isinstance(reference, Template):
        by_template = _by_template(spectrum, numbers, reference, known_ms, berv_ms, options)
        further_ms = np.hypot(drift_scatter_ms, by_template.mismatch_ms)
        return _measurement(by_template.rv_ms, by_template.photon_error_ms, further_ms, by_template.by_order)
    fit = _by_mask(spectrum, reference, known_ms, berv_ms, options)
    shape = {name: getattr(fit, name) for name in ("fwhm_ms", "contrast", "bisector_ms", "mask_error_ms")}
    return _measurement(fit.rv_ms, fit.photon_error_ms, drift_scatter_ms, fit.by_order, **shape)


def gaussian(
    wavelength: Floats,
    flux: Floats,
    variance: Floats,
    mask: LineMask,
    velocity_ms: float,
    *,
    berv_ms: float = 0.0,
    blaze: Floats | None = None,
    convention: Literal["harps"] | None = None,
    box_ms: float = _HARPS_BOX_MS,
    reach_ms: float = 6000.0,
    step_ms: float = 100.0,
    drift_scatter_ms: float = 0.0,
) -> Measurement:
    """Measure a velocity as the pipeline of HARPS does: a Gaussian fitted to the plain CCF of all orders.

    Parameters
    ----------
    wavelength, flux, variance, mask
        As in `velocity`, but any weights do as the depths of the mask, and its medium (HARPS: air) is that of the
        wavelengths. Flux is that of the pixel, as extracted, not per angstrom.
    velocity_ms
        Middle of the range of velocities that is fitted [m / s].
    berv_ms, blaze
        As in `velocity`; a line counts with the blaze at its place.
    convention
        ``"harps"``: velocities are ``(1 + v / c) = (1 + v_seen / c) (1 + berv / c) (1 + 1.55e-8)``, with the header's
        ``ESO DRS BERV`` as `berv_ms`, and the box is that of HARPS. A spectrum that is at rest in the barycenter
        (``S1D``) includes all factors; it has no `berv_ms`.
    box_ms
        Full width of the box around a line, from which the light is summed [m / s].
    reach_ms
        Half width of the range that is fitted; the velocity depends on it by some m/s, because lines blend [m / s].
    step_ms
        Step of it [m / s].
    drift_scatter_ms
        As in `velocity`.

    Returns
    -------
    Measurement
        Its shape is that of the Gaussian, and the bisector span.

    Raises
    ------
    ValueError
        If no line of the mask falls on usable pixels, with all of its range, the CCF has no dip in it, or the
        convention is unknown or has another box.

    Notes
    -----
    It reproduces the velocity of another pipeline where its mask and conventions are known (Pepe et al. 2002, A&A 388,
    632); `velocity` is the better one, as this depends on blends, on the ends of the orders and on the line-spread
    function. The light in a box is the flux of each pixel times the share of *the pixel* that the box covers: the mean
    flux per pixel in the box instead tilts every line where the dispersion changes along the order. Lines that leave
    an order within the range, or meet a pixel that is left out, are not used.
    """
    array_input_checks.check_lines(mask)
    wavelength, flux, variance, blaze = _arrays(wavelength, flux, variance, blaze, cut=False)
    velocity_ms = array_input_checks.speed_ms(velocity_ms, "velocity_ms")
    berv_ms = _motion_ms(array_input_checks.speed_ms(berv_ms, "berv_ms"), convention, box_ms)
    grid_ms = velocity_ms + np.arange(-round(reach_ms / step_ms), round(reach_ms / step_ms) + 1) * step_ms
    seen_ms = doppler.seen_ms(grid_ms, berv_ms)
    good = np.isfinite(flux) & np.isfinite(variance) & (variance > 0) & (blaze > 0)
    lines = _within(mask, wavelength, good, blaze, seen_ms, box_ms)
    if len(lines.order) == 0:
        raise ValueError(f"no line of mask {mask.name} falls on usable pixels")
    edges = ccf.pixel_edges(wavelength)
    per_blaze = np.where(good, 1 / (np.where(good, blaze, 1.0) * np.diff(edges, axis=1)), 0.0)
    light, noise = np.where(good, flux, 0.0) * per_blaze, np.where(good, variance, 0.0) * per_blaze**2
    # the mean per angstrom in the box times the width of the box, which grows with the velocity
    growth = doppler.factor(seen_ms)
    each = growth * ccf.correlate(light[None], edges, lines, seen_ms, box_ms)[0]
    fits = [_shift(grid_ms, function) for function in (each.sum(axis=0), *each)]
    pulls = [growth * pull for _, pull in fits]
    projected = ccf.projection(edges, lines, seen_ms, box_ms, np.tile(pulls[0], (len(each), 1)))
    found, total = fits[0][0], float(np.sqrt(np.sum(projected**2 * noise)))
    if not (found.contrast > 0 and grid_ms[0] < found.center_ms < grid_ms[-1]):
        ends = " to ".join(f"{end / 1e3:.1f}" for end in grid_ms[[0, -1]])
        raise ValueError(f"the lines of mask {mask.name} make no dip within {ends} km/s")
    single = ccf.projection(edges, lines, seen_ms, box_ms, np.array(pulls[1:]))
    by_order = _by_order(fits[1:], np.sqrt(np.sum(single**2 * noise, axis=1)))
    return _measurement(
        found.center_ms, total, drift_scatter_ms, by_order, fwhm_ms=found.fwhm_ms, contrast=found.contrast,
        bisector_ms=ccf.bisector_span(grid_ms, each.sum(axis=0), found),
    )  # fmt: skip


def _motion_ms(berv_ms, convention, box_ms):
    """Return the barycentric correction c z of a convention."""
    if convention is None:
        return berv_ms
    if convention != "harps":
        raise ValueError(f"convention {convention!r} is unknown: give 'harps' or none")
    if box_ms != _HARPS_BOX_MS:
        raise ValueError(f"the box of convention 'harps' is {_HARPS_BOX_MS:.0f} m/s wide, not {box_ms:g} m/s")
    # an S1D is at rest in the barycenter, with the same factor
    return 0.0 if berv_ms == 0 else doppler.C_MS * (doppler.factor(berv_ms) * _HARPS_FACTOR - 1)


def _by_order(fits, error_ms):
    """Return the velocities of the orders from their dips; NaN where an order has none."""
    able = np.isfinite(error_ms) & (error_ms > 0)
    weight = np.where(able, 1 / np.where(able, error_ms, 1.0) ** 2, 0.0)
    return OrderVelocities(
        np.where(able, [dip.center_ms for dip, _ in fits], np.nan),
        np.where(able, error_ms, np.nan),
        weight / max(weight.sum(), 1e-300),
    )


def _shift(grid_ms, function):
    """Return the dip of a CCF, and the weights of its points in the shift of the dip."""
    if not np.ptp(function) > 0:
        return ccf.Dip(np.nan, np.nan, 0.0, 0.0), np.zeros(len(grid_ms))
    found = ccf.measure_dip(grid_ms, function)
    u = (grid_ms - found.center_ms) / (found.fwhm_ms / 2.3548)
    dip = np.exp(-0.5 * u**2)
    # the combination that a shift changes, and no level, depth or width
    columns = np.stack([np.ones(len(u)), dip, u**2 * dip, u * dip], axis=1)
    depth = found.contrast * found.level / (found.fwhm_ms / 2.3548)
    return found, -np.linalg.pinv(columns)[3] / depth if depth != 0 else np.zeros(len(u))


def _by_template(spectrum, numbers, template, known_ms, berv_ms, options):
    rows = np.arange(len(spectrum.flux)) if numbers is None else np.asarray(numbers)
    if rows.shape != (len(spectrum.flux),):
        raise ValueError(f"numbers must name each of the {len(spectrum.flux)} orders, not {rows.size}")
    guess_ms = template.rv_ms if known_ms is None else known_ms
    fit = template_fit.fit(spectrum, rows, template, guess_ms, berv_ms, **options)
    light, _, _ = template_fit.expected(spectrum, rows, template, fit.rv_ms, berv_ms)
    if not resembles(spectrum, light, fit.used):
        raise ValueError(_unlike(f"the template of {template.star.name}", guess_ms))
    return fit


def _by_mask(spectrum, mask, known_ms, berv_ms, options):
    array_input_checks.check_depths(mask)
    guess_ms = known_ms
    if known_ms is None:
        guess_ms, significance, _ = line_selection.search_velocity(mask, spectrum, berv_ms, options["tellurics"])
        if significance < 5:
            raise ValueError(f"mask {mask.name} finds no lines in the spectrum: give a first guess")
    fit = mask_fit.fit(spectrum, mask, guess_ms, berv_ms, **options)
    if not fit.resembles:
        raise ValueError(_unlike(f"mask {mask.name}", guess_ms))
    return fit


def _unlike(reference, guess_ms):
    return (
        f"{reference} does not resemble the spectrum near {guess_ms / 1e3:.1f} km/s: its lines are not there, or much "
        "weaker; another first guess is needed, or other lines"
    )


def _arrays(wavelength, flux, variance, blaze, cut=True):
    """Return the arrays with the axes order and pixel; a merged spectrum is cut into pieces."""
    blaze = np.ones(np.shape(flux)) if blaze is None else blaze
    given = (
        array_input_checks.plain(wavelength, "angstrom"),
        *(array_input_checks.plain(a) for a in (flux, variance, blaze)),
    )
    found = [np.atleast_2d(a) for a in given]
    shape = found[0].shape
    if len(shape) != 2 or any(a.shape != shape for a in found):
        raise ValueError(f"wavelength, flux, variance and blaze must match: {', '.join(str(a.shape) for a in found)}")
    array_input_checks.check_wavelength(found[0])
    if cut and shape[0] == 1 and shape[1] > 2 * _PIECE:
        pieces = shape[1] // _PIECE
        length = shape[1] // pieces
        found = [a[0, : pieces * length].reshape(pieces, length) for a in found]
    return [np.ascontiguousarray(a) for a in found]


def _spectrum(wavelength, flux, variance, blaze):
    peak = np.max(np.where(np.isfinite(blaze), blaze, 0.0), axis=1, keepdims=True)
    flux, variance, good = continuum.above_blaze(
        flux, variance, np.zeros(flux.shape, np.uint8), blaze / np.where(peak > 0, peak, 1.0)
    )
    level = continuum.envelope(flux, variance, good)
    usable = good & np.isfinite(level) & (level > 0)
    if not usable.any():
        raise ValueError(
            "no order has 200 pixels that can be used: with finite flux, a variance that is finite and positive, and a "
            "blaze above 5 percent of its peak"
        )
    return OrderSpectra(flux, variance, usable, wavelength, np.where(np.isfinite(level) & (level > 0), level, 0.0))


def _within(mask, wavelength, good, blaze, seen_ms, box_ms):
    """Return the lines that stay on good pixels over the whole range of velocities; weights include their boxes."""
    ends_ms = seen_ms[[0, -1]] + np.array([-box_ms, box_ms])
    low, high = (mask.vacuum_angstrom * doppler.factor(end) for end in ends_ms)
    center = mask.vacuum_angstrom * doppler.factor(seen_ms[len(seen_ms) // 2])
    parts = []
    for order, (row, edges) in enumerate(zip(wavelength, ccf.pixel_edges(wavelength))):
        here = np.flatnonzero((low > row[0]) & (high < row[-1]))
        bad_before = np.append(0, np.cumsum(~good[order]))
        first, end = np.searchsorted(edges, low[here], "right") - 1, np.searchsorted(edges, high[here])
        here = here[bad_before[end] == bad_before[first]]
        width = mask.vacuum_angstrom[here] * box_ms / doppler.C_MS
        weight = mask.depth[here] * np.interp(center[here], row, blaze[order]) * width
        parts.append((np.full(len(here), order), mask.vacuum_angstrom[here], weight))
    order, angstrom, weight = (np.concatenate(part) for part in zip(*parts))
    return ccf.Lines(order[weight > 0], angstrom[weight > 0], weight[weight > 0])


def _measurement(
    rv_ms, photon_error_ms, further_ms, by_order, *,
    fwhm_ms=np.nan, contrast=np.nan, bisector_ms=np.nan, mask_error_ms=np.nan,
):  # fmt: skip
    able = np.isfinite(by_order.rv_ms) & (by_order.weight > 0)
    pulls = (by_order.rv_ms[able] - rv_ms) / by_order.error_ms[able]
    return Measurement(
        rv_ms=float(rv_ms),
        error_ms=float(np.hypot(photon_error_ms, further_ms)),
        photon_error_ms=float(photon_error_ms),
        mask_error_ms=float(mask_error_ms),
        by_order=by_order,
        fwhm_ms=float(fwhm_ms),
        contrast=float(contrast),
        bisector_ms=float(bisector_ms),
        order_chi2=float(np.sum(pulls**2) / max(able.sum() - 1, 1)),
    )
