"""The continuum of a star, and the noise that belongs to an expected flux."""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import legendre
from scipy.special import ndtr

from nrespipe.frames.arrays import Booleans, Floats


def above_blaze(
    flux: np.ndarray, variance: np.ndarray, quality: np.ndarray, blaze: np.ndarray, *, faintest: float = 0.05
) -> tuple[Floats, Floats, Booleans]:
    """Return a spectrum divided by the blaze, and its good pixels.

    Parameters
    ----------
    flux, variance, quality, blaze : shape (n_orders, n_pixels)
        As in ``Spectra``.
    faintest
        Where the blaze is below this share of its peak a pixel is not used.

    Returns
    -------
    flux, variance : ndarray of float, shape (n_orders, n_pixels)
        Divided by the blaze and its square; 0 and 1 where not to be used.
    good : ndarray of bool, shape (n_orders, n_pixels)
        Pixels without a flag, with light of the lamp.
    """
    good = (quality == 0) & (blaze > faintest) & np.isfinite(flux) & np.isfinite(variance) & (variance > 0)
    blaze = np.where(good, blaze, 1.0)
    return np.where(good, flux / blaze, 0.0), np.where(good, variance / blaze**2, 1.0), good


def envelope(
    flux: Floats, variance: Floats, good: Booleans, *, degree: int = 5, fewest: int = 200, rounds: int = 16
) -> Floats:
    """Return the continuum of each order: a smooth upper envelope of the flux.

    Parameters
    ----------
    flux : shape (n_orders, n_pixels)
        Spectrum without its blaze.
    variance : shape (n_orders, n_pixels)
        Variance of it.
    good : shape (n_orders, n_pixels)
        Pixels to use.
    degree
        Degree of the polynomial.
    fewest
        An order with fewer good pixels has no envelope.
    rounds
        How often the pixels below the envelope are left out.

    Returns
    -------
    ndarray of float, shape (n_orders, n_pixels)
        NaN in an order without one.

    Notes
    -----
    The lamp takes out blaze and response; what remains is smooth. Where lines leave no gap between them (the blue of
    cool stars) the envelope is a pseudo-continuum.
    """
    kept, depends = good, noise(flux, variance, good)
    count = np.maximum(good.sum(axis=1, keepdims=True), 1)
    level = np.broadcast_to(np.where(good, flux, 0.0).sum(axis=1, keepdims=True) / count, flux.shape)
    sigma, lift = np.zeros(1), _lift(np.ones(1))
    for number in range(rounds):
        # the flux lies below the level, which is fitted only to what lies above
        variance = depends.at(level - lift * sigma)
        sigma = np.sqrt(variance)
        level = _smooth(flux, np.where(kept, 1 / variance, 0.0), degree)
        above = flux - level
        # at first the continuum itself lies far above the level, so only later does a cosmic ray stand out
        ceiling = 4 * sigma + (0.02 if number > rounds / 2 else 3.0) * np.abs(level)
        near = good & (above > -sigma - 0.005 * np.abs(level)) & (above < ceiling)
        kept = np.where(near.sum(axis=1, keepdims=True) < fewest / 4, kept, near)
    level = level - _smooth(_lift(1 + 0.005 * np.abs(level) / sigma) * sigma, good / variance, degree)
    return np.where(good.sum(axis=1, keepdims=True) >= fewest, level, np.nan)


def _lift(cut):
    """Return the bias of a level that is fitted only to values above ``level - cut``, in units of the noise.

    It is the solution of ``lift = h(lift - cut)`` with the hazard function of the normal distribution.
    """
    lift = np.zeros(cut.shape)
    for _ in range(15):
        lift = np.exp(-0.5 * (lift - cut) ** 2) / np.sqrt(2 * np.pi) / ndtr(cut - lift)
    return lift


@dataclass(frozen=True)
class Noise:
    """The variance of each pixel as a function of its expected flux.

    Attributes
    ----------
    variance, light : shape (n_orders, n_pixels)
        Variance of each pixel, and the measured flux that this variance belongs to.
    slope : shape (n_orders, n_pixels)
        Derivative of the variance with respect to the flux.
    least : shape (n_orders, n_pixels)
        Smallest variance that was found nearby: no expectation lies below it.
    """

    variance: np.ndarray
    light: np.ndarray
    slope: np.ndarray
    least: np.ndarray

    def at(self, light: Floats) -> Floats:
        """Return the variance of pixels at an expected flux.

        Parameters
        ----------
        light : shape (n_orders, n_pixels)
            Expected flux; negative counts as 0.

        Returns
        -------
        ndarray of float, shape (n_orders, n_pixels)
        """
        return np.maximum(self.variance + self.slope * (np.maximum(light, 0) - self.light), self.least)


def noise(flux: Floats, variance: Floats, good: Booleans, *, bin_pixels: int = 128, fewest: int = 16) -> Noise:
    """Return the variance of the pixels as a function of their flux.

    Parameters
    ----------
    flux, variance : shape (n_orders, n_pixels)
        Spectrum and its variance.
    good : shape (n_orders, n_pixels)
        Pixels to use; the result for the others is finite and without meaning.
    bin_pixels
        Length of the pieces of an order in each of which the variance grows with the flux at one rate.
    fewest
        A piece with fewer good pixels takes after its neighbors; in an order without any other piece, the variance is
        taken as it is.

    Notes
    -----
    The variance of an extracted pixel is that of its measured flux, noise included: pixels that came out
    low have a low variance. A mean with the inverse of such a variance as weight is too low: the continuum of a star at
    a signal-to-noise ratio of 3 by 10 percent. Weights are therefore made from the variance at the light that is
    expected: each pixel keeps its own, moved by the rate at which variance grows with light around it. The noise of the
    pixel then cancels, and what is particular to it, as a row that is left out, remains.
    """
    n_orders, n_pixels = flux.shape
    good = good & np.isfinite(flux) & np.isfinite(variance) & (variance > 0)
    # where the background is larger than the flux, the variance is that of no flux
    light, variance = np.where(good, np.maximum(flux, 0), 0.0), np.where(good, variance, 1.0)
    edges = np.linspace(0, n_pixels, max(n_pixels // bin_pixels, 1) + 1).round().astype(int)
    slope, level, count = _growth(light, variance, good, edges)
    # a pixel that is known much less well than its neighbors has another relation
    usual = good & (variance < 2 * np.repeat(level, np.diff(edges), axis=1))
    slope, _, count = _growth(light, variance, usual, edges)
    middles, x = (edges[1:] + edges[:-1] - 1) / 2, np.arange(n_pixels)
    everywhere = np.zeros((n_orders, n_pixels))
    for o in np.flatnonzero((count >= fewest).any(axis=1)):
        known = count[o] >= fewest
        everywhere[o] = np.interp(x, middles[known], slope[o, known])
    least = np.minimum.reduceat(np.where(good, variance, np.inf), edges[:-1], axis=1)
    least = np.where(np.isfinite(least), least, 1.0)
    return Noise(variance, light, everywhere, np.repeat(least, np.diff(edges), axis=1))


def _growth(light, variance, usual, edges):
    """Return the slope of variance with flux, the variance at the largest flux, and the count of pixels, by piece."""
    pieces = lambda values: np.add.reduceat(usual * values, edges[:-1], axis=1)  # noqa: E731
    count = pieces(np.ones(light.shape))
    sums = [pieces(values) for values in (light, variance, light**2, light * variance)]
    mean, level, square, product = (total / np.maximum(count, 1) for total in sums)
    scatter = square - mean**2
    slope = np.where(scatter > 1e-12 * square, (product - mean * level) / np.maximum(scatter, 1e-300), 0.0)
    # the slope is not negative, and the flux adds no more than the whole variance
    slope = np.clip(slope, 0.0, np.where(mean > 0, level / np.where(mean > 0, mean, 1.0), 0.0))
    brightest = np.maximum.reduceat(np.where(usual, light, 0.0), edges[:-1], axis=1)
    return slope, level + slope * (brightest - mean), count


def against_model(
    flux: Floats,
    variance: Floats,
    good: Booleans,
    model: Floats,
    *,
    degree: int = 5,
    fewest: int = 200,
    mismatch: float = 0.03,
) -> Floats:
    """Return the smooth factor by which each order exceeds a model of its lines.

    Parameters
    ----------
    flux : shape (n_orders, n_pixels)
        Spectrum without its blaze.
    variance : shape (n_orders, n_pixels)
        Variance of it.
    good : shape (n_orders, n_pixels)
        Pixels to use.
    model : shape (n_orders, n_pixels)
        Spectrum relative to a continuum of 1.
    degree
        Degree of the polynomial.
    fewest
        An order with fewer good pixels has none.
    mismatch
        Error of the model relative to the continuum.

    Returns
    -------
    ndarray of float, shape (n_orders, n_pixels)
        NaN in an order with too few pixels. Unlike an envelope it does not care how many lines there are.
    """
    usable = good & (model > 0.3)
    ratio = np.where(usable, flux / np.maximum(model, 0.3), 0.0)
    level = np.sum(ratio, axis=1, keepdims=True) / np.maximum(usable.sum(axis=1, keepdims=True), 1)
    kept, depends = usable, noise(flux, variance, good)
    for _ in range(3):
        weight = model**2 / (depends.at(level * model) + (mismatch * level) ** 2)
        level = _smooth(ratio, np.where(kept, weight, 0.0), degree)
        kept = usable & ((ratio - level) ** 2 * weight < 16)
    return np.where(usable.sum(axis=1, keepdims=True) >= fewest, level, np.nan)


def _smooth(values, weights, degree):
    """Return the weighted least-squares polynomial of each row."""
    n_rows, n_pixels = values.shape
    basis = legendre.legvander(np.linspace(-1, 1, n_pixels), degree)
    products = (basis[:, :, None] * basis[:, None, :]).reshape(n_pixels, -1)
    normal = (weights @ products).reshape(n_rows, degree + 1, degree + 1)
    # a ridge far below what matters keeps a row with holes, or without any weight, solvable
    trace = np.trace(normal, axis1=1, axis2=2)
    normal = normal + (1e-10 * trace + (trace == 0))[:, None, None] * np.eye(degree + 1)
    coefficients = np.linalg.solve(normal, ((weights * values) @ basis)[:, :, None])[:, :, 0]
    return coefficients @ basis.T
