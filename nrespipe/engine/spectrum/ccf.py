"""Cross-correlation function (CCF) of a spectrum with a line mask, and the shape of its dip."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from scipy.optimize import least_squares

from nrespipe import doppler
from nrespipe.frames.arrays import Floats
from nrespipe.numerics.robust_statistics import interval_of

if TYPE_CHECKING:
    from nrespipe.engine.spectrum.order_spectra import OrderSpectra

#: Full width at half maximum of a Gaussian in units of its standard deviation
_FWHM = 2.3548200450309493


@dataclass(frozen=True)
class Lines:
    """The lines of a mask as they fall on the orders of a spectrum; a line on two orders counts twice.

    Attributes
    ----------
    order : shape (n_lines,)
        Index of the order, increasing.
    angstrom : shape (n_lines,)
        Wavelength at velocity 0, increasing within an order [angstrom].
    weight : shape (n_lines,)
        Weight in the sum.
    """

    order: np.ndarray
    angstrom: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True)
class Dip:
    """A Gaussian fitted to the dip of a CCF.

    Attributes
    ----------
    center_ms, fwhm_ms
        [m / s].
    contrast
        Depth relative to `level`.
    level
        Value far from the dip.
    """

    center_ms: float
    fwhm_ms: float
    contrast: float
    level: float

    @property
    def sigma_ms(self) -> float:
        """Standard deviation of the Gaussian [m / s]."""
        return self.fwhm_ms / _FWHM

    @property
    def area_ms(self) -> float:
        """Contrast times width, and no less than 1 mm/s, so that it has a logarithm [m / s]."""
        return max(self.contrast * self.fwhm_ms, 1e-3)


def pixel_edges(wavelength: Floats) -> Floats:
    """Return the wavelengths of the edges of pixels.

    Parameters
    ----------
    wavelength : shape (n_orders, n_pixels)
        Wavelength of the middle of each pixel, increasing [angstrom].

    Returns
    -------
    ndarray of float, shape (n_orders, n_pixels + 1)
        [angstrom].
    """
    middle = (wavelength[:, 1:] + wavelength[:, :-1]) / 2
    first = 2 * wavelength[:, :1] - middle[:, :1]
    last = 2 * wavelength[:, -1:] - middle[:, -1:]
    return np.concatenate([first, middle, last], axis=1)


def correlate(spectra: Floats, edges: Floats, lines: Lines, grid_ms: Floats, box_ms: float) -> Floats:
    """Return the CCF of each order: the weighted sum of a spectrum under the lines of a mask, at each velocity.

    Parameters
    ----------
    spectra : shape (n_spectra, n_orders, n_pixels)
        Spectra on the same pixels, relative to the continuum.
    edges : shape (n_orders, n_pixels + 1)
        From `pixel_edges` [angstrom].
    grid_ms : shape (n_velocities,)
        Velocities, increasing [m / s].
    box_ms
        Full width of the box around a line in which the spectrum is averaged [m / s].

    Returns
    -------
    ndarray of float, shape (n_spectra, n_orders, n_velocities)
        Sum over the lines of weight times the mean in the box.
    """
    factors = doppler.factor(np.asarray(grid_ms))
    half = box_ms / 2 / doppler.C_MS
    return _correlate(spectra, edges, lines.order, lines.angstrom, lines.weight, factors, half)


def variance(pixel_variance: Floats, edges: Floats, lines: Lines, grid_ms: Floats, box_ms: float) -> Floats:
    """Return the variance of the CCF of each order.

    Parameters
    ----------
    pixel_variance : shape (n_orders, n_pixels)
        Variance of a spectrum.
    edges : shape (n_orders, n_pixels + 1)
        From `pixel_edges` [angstrom].
    grid_ms : shape (n_velocities,)
        Velocities, increasing [m / s].
    box_ms
        Full width of the box [m / s].

    Returns
    -------
    ndarray of float, shape (n_orders, n_velocities)
        It includes the correlation of lines that share a pixel.
    """
    factors = doppler.factor(np.asarray(grid_ms))
    half = box_ms / 2 / doppler.C_MS
    return _variance(pixel_variance, edges, lines.order, lines.angstrom, lines.weight, factors, half)


def projection(edges: Floats, lines: Lines, grid_ms: Floats, box_ms: float, coefficients: Floats) -> Floats:
    """Return the weights of pixels that give a linear function of the CCF of their spectrum.

    Parameters
    ----------
    edges : shape (n_orders, n_pixels + 1)
        From `pixel_edges` [angstrom].
    grid_ms : shape (n_velocities,)
        Velocities, increasing [m / s].
    box_ms
        Full width of the box [m / s].
    coefficients : shape (n_orders, n_velocities)
        The linear function: sum of coefficient times CCF.

    Returns
    -------
    ndarray of float, shape (n_orders, n_pixels)
        The transpose of `correlate` applied to the coefficients.
    """
    factors = doppler.factor(np.asarray(grid_ms))
    half = box_ms / 2 / doppler.C_MS
    return _projection(edges, lines.order, lines.angstrom, lines.weight, factors, half, coefficients)


def measure_dip(grid_ms: Floats, function: Floats) -> Dip:
    """Fit a Gaussian and a constant to the dip of a CCF.

    Parameters
    ----------
    grid_ms, function : shape (n_velocities,)
        Velocities [m / s] and the CCF, with one dip in its range.
    """
    scale = (grid_ms[-1] - grid_ms[0]) / 2
    place = (grid_ms - grid_ms.mean()) / scale
    level, lowest = function.max(), int(np.argmin(function))
    start = np.array([level, level - function[lowest], place[lowest], 0.4])
    shape = lambda p: p[0] - p[1] * np.exp(-0.5 * ((place - p[2]) / p[3]) ** 2)  # noqa: E731
    p = least_squares(lambda p: shape(p) - function, start, method="lm", max_nfev=400).x
    return Dip(
        center_ms=float(p[2] * scale + grid_ms.mean()),
        fwhm_ms=float(2 * np.sqrt(2 * np.log(2)) * abs(p[3]) * scale),
        contrast=float(p[1] / p[0]) if p[0] != 0 else 0.0,
        level=float(p[0]),
    )


def bisector_span(
    grid_ms: Floats,
    function: Floats,
    fitted: Dip,
    *,
    top: tuple[float, float] = (0.1, 0.4),
    bottom: tuple[float, float] = (0.55, 0.9),
) -> float:
    """Return the bisector span of the dip of a CCF.

    Parameters
    ----------
    grid_ms, function : shape (n_velocities,)
        Velocities [m / s] and the CCF.
    fitted
        From `measure_dip`.
    top, bottom
        Ranges of depth whose mean bisectors are compared, 0 at the level and 1 at the deepest point.

    Returns
    -------
    float
        Top minus bottom, NaN where a flank does not reach the depths [m / s].

    Notes
    -----
    Queloz et al. 2001, A&A 379, 279.
    """
    lowest = int(np.argmin(function))
    reached = (fitted.level - function) / max(fitted.level - function[lowest], 1e-30)
    means = []
    for low, high in (top, bottom):
        depth = np.linspace(low, high, 20)
        left = np.interp(depth, np.maximum.accumulate(reached[: lowest + 1]), grid_ms[: lowest + 1], left=np.nan)
        right = np.interp(depth, np.maximum.accumulate(reached[lowest:][::-1]), grid_ms[lowest:][::-1], left=np.nan)
        means.append(np.mean(left + right) / 2)
    return float(means[0] - means[1])


def shape_errors(
    spectrum: "OrderSpectra",
    lines: Lines,
    model: Floats,
    rv_ms: float,
    fwhm_ms: float,
    berv_ms: float = 0.0,
    *,
    window: float = 1.25,
) -> tuple[float, float, float]:
    """Return the photon errors of width, contrast and bisector span of a CCF.

    Parameters
    ----------
    spectrum
        The spectrum.
    model : shape (n_orders, n_pixels)
        Its model relative to the continuum, in the place of pixels that are not used.
    rv_ms, berv_ms
        Barycentric velocity of the star and barycentric correction [m / s].
    fwhm_ms
        Width of the CCF [m / s].
    window
        Half width of the fitted range of the CCF, in units of `fwhm_ms`.

    Returns
    -------
    fwhm_ms, contrast, bisector_ms : float
        Their errors; infinite where the CCF has no dip [m / s, 1, m / s].

    Notes
    -----
    The points of the CCF are correlated, because a pixel lies under many lines and a line on many points. So the
    derivative of each number with respect to the points is carried back to the pixels, whose noise is independent:
    ``error**2 = sum over pixels of (sum over points of dX/df df/dpixel)**2 variance``.
    """
    reach_ms = window * fwhm_ms
    grid_ms = np.linspace(-reach_ms, reach_ms, 81)
    box_ms = grid_ms[1] - grid_ms[0]
    seen_ms = doppler.seen_ms(rv_ms + grid_ms, berv_ms)
    flux, noise = spectrum.relative(model)
    edges, total = pixel_edges(spectrum.wavelength), lines.weight.sum()
    function = correlate(flux[None], edges, lines, seen_ms, box_ms)[0].sum(axis=0) / total
    fitted = measure_dip(grid_ms, function)
    if not (fitted.sigma_ms > 0 and fitted.contrast * fitted.level > 0 and fitted.level > 0):
        return np.inf, np.inf, np.inf

    def error(derivative: Floats) -> float:
        coefficients = np.broadcast_to(derivative / total, (len(spectrum.flux), len(grid_ms)))
        pixels = projection(edges, lines, seen_ms, box_ms, np.ascontiguousarray(coefficients))
        found = float(np.sqrt(np.sum(pixels**2 * noise)))
        return found if found > 0 else np.inf

    width, contrast = _gaussian_derivatives(grid_ms, fitted)
    return error(width), error(contrast), error(_bisector_derivative(grid_ms, function, fitted))


def _gaussian_derivatives(grid_ms, fitted):
    """Return the derivatives of width and contrast of a fitted Gaussian with respect to each point of the CCF."""
    sigma_ms, depth = fitted.sigma_ms, fitted.contrast * fitted.level
    u = (grid_ms - fitted.center_ms) / sigma_ms
    bell = np.exp(-0.5 * u**2)
    # level, depth, center, width
    slopes = np.stack([np.ones(len(u)), -bell, -depth * bell * u / sigma_ms, -depth * bell * u**2 / sigma_ms], axis=1)
    level, deep, _, width = np.linalg.pinv(slopes)
    return _FWHM * width, deep / fitted.level - depth / fitted.level**2 * level


def _bisector_derivative(grid_ms, function, fitted, step=1e-4):
    """Return the derivative of the bisector span with respect to each point of the CCF; NaN where it has none."""
    steps = step * np.ptp(function) * np.eye(len(function))
    span = lambda moved: bisector_span(grid_ms, moved, fitted)  # noqa: E731
    return np.array([span(function + move) - span(function - move) for move in steps]) / (2 * step * np.ptp(function))


@njit(cache=True)
def _correlate(spectra, edges, order, angstrom, weight, factors, half):
    n_spectra, n_orders, n_pixels = spectra.shape
    total = np.zeros((n_spectra, n_orders, len(factors)))
    for line in range(len(order)):
        o = order[line]
        first = interval_of(edges[o], angstrom[line] * factors[0] * (1 - half))
        for k in range(len(factors)):
            low, high = angstrom[line] * factors[k] * (1 - half), angstrom[line] * factors[k] * (1 + half)
            while first < n_pixels - 1 and edges[o, first + 1] < low:
                first += 1
            scale = weight[line] / (high - low)
            for i in range(first, n_pixels):
                if edges[o, i] >= high:
                    break
                # a line that has left the order overlaps its last pixel by less than nothing
                share = scale * max(min(high, edges[o, i + 1]) - max(low, edges[o, i]), 0.0)
                for s in range(n_spectra):
                    total[s, o, k] += share * spectra[s, o, i]
    return total


@njit(cache=True)
def _variance(pixel_variance, edges, order, angstrom, weight, factors, half):
    n_orders, n_pixels = pixel_variance.shape
    total = np.zeros((n_orders, len(factors)))
    shares, place = np.zeros(n_pixels), np.zeros(len(order), np.int64)
    for line in range(len(order)):
        place[line] = interval_of(edges[order[line]], angstrom[line] * factors[0] * (1 - half))
    start = 0
    while start < len(order):
        o, end = order[start], start
        while end < len(order) and order[end] == o:
            end += 1
        for k in range(len(factors)):
            shares[:] = 0.0
            for line in range(start, end):
                low, high = angstrom[line] * factors[k] * (1 - half), angstrom[line] * factors[k] * (1 + half)
                while place[line] < n_pixels - 1 and edges[o, place[line] + 1] < low:
                    place[line] += 1
                for i in range(place[line], n_pixels):
                    if edges[o, i] >= high:
                        break
                    overlap = max(min(high, edges[o, i + 1]) - max(low, edges[o, i]), 0.0)
                    shares[i] += weight[line] * overlap / (high - low)
            for i in range(n_pixels):
                total[o, k] += shares[i] ** 2 * pixel_variance[o, i]
        start = end
    return total


@njit(cache=True)
def _projection(edges, order, angstrom, weight, factors, half, coefficients):
    n_orders, n_pixels = len(edges), edges.shape[1] - 1
    total = np.zeros((n_orders, n_pixels))
    for line in range(len(order)):
        o = order[line]
        first = interval_of(edges[o], angstrom[line] * factors[0] * (1 - half))
        for k in range(len(factors)):
            low, high = angstrom[line] * factors[k] * (1 - half), angstrom[line] * factors[k] * (1 + half)
            while first < n_pixels - 1 and edges[o, first + 1] < low:
                first += 1
            scale = coefficients[o, k] * weight[line] / (high - low)
            for i in range(first, n_pixels):
                if edges[o, i] >= high:
                    break
                total[o, i] += scale * max(min(high, edges[o, i + 1]) - max(low, edges[o, i]), 0.0)
    return total
