"""The orders of a star joined to one spectrum on a logarithmic grid of the barycenter."""

import numpy as np

from nrespipe import doppler
from nrespipe.engine.spectrum import continuum
from nrespipe.engine.spectrum.ccf import pixel_edges
from nrespipe.frames.arrays import Floats
from nrespipe.frames.spectra import Spectra, Stitched
from nrespipe.frames.wavelength import Wavelengths

#: Beginning of the grid; the same for every frame, so that the bins of all spectra coincide [angstrom].
START_ANGSTROM = 3600.0
#: Step of the grid, about a pixel [m / s].
STEP_MS = 1500.0


def stitch(
    spectra: Spectra, wavelengths: Wavelengths, fiber: int, berv_ms: float, *, fewest: float = 0.5, degree: int = 5
) -> Stitched:
    """Join the orders of a fiber.

    Parameters
    ----------
    wavelengths
        Of the same fibers, orders and pixels.
    fiber
        Fiber of the star.
    berv_ms
        Barycentric correction [m / s].
    fewest
        Part of a bin that good pixels of an order have to cover.
    degree
        Of the polynomial that describes the lamp over all orders.

    Returns
    -------
    Stitched
        On ``START_ANGSTROM * exp(k STEP_MS / c)`` with a whole number k.

    Raises
    ------
    ValueError
        If no order has light.

    Notes
    -----
    A bin is the mean of the pixels that it overlaps, weighted by the overlap and by the inverse of the variance that
    is expected at the continuum: weights from the measured variance would prefer what noise has lowered. Orders join
    because each is divided by the lamp, blaze and level, and then multiplied by the level of the lamp at the peaks of
    all orders, a polynomial in the logarithm of the wavelength. The error of a bin is that of the bin alone; neighbors
    share pixels, so the error of a mean over several is up to a third larger than independent bins would give.
    """
    flux, variance, good = _good(spectra, wavelengths, fiber)
    if not good.any():
        raise ValueError(f"fiber {fiber} has no light in any order")
    level = continuum.envelope(flux, variance, good)
    known = good & np.isfinite(level) & (level > 0)
    expected = continuum.noise(flux, variance, good).at(np.where(known, level, flux))
    lamp = np.ones(len(flux)) if spectra.lamp_e_per_s is None else spectra.lamp_e_per_s[spectra.fibers.index(fiber)]
    places = _places(wavelengths.vacuum_angstrom[wavelengths.fibers.index(fiber)], berv_ms)
    bright = np.where(good.any(axis=1), lamp, 1.0)[:, None]
    parts = flux / bright, variance / bright**2, bright**2 / expected
    first, ratio, ratio_variance = _mean(places, *parts, good, fewest)
    safe = np.where(known, level, 1.0)
    parts = flux / safe, variance / safe**2, safe**2 / expected
    _, normalized, normalized_variance = _mean(places, *parts, known, fewest, len(ratio), first)
    k = first + np.arange(len(ratio)) + 0.5
    scale = _lamp_level(places, spectra.of(fiber).blaze, np.where(good.any(axis=1), lamp, np.nan), k, degree)
    return Stitched(
        fiber,
        START_ANGSTROM * np.exp(k * STEP_MS / doppler.C_MS),
        ratio * scale,
        ratio_variance * scale**2,
        normalized,
        normalized_variance,
    )


def has_light(spectra: Spectra, wavelengths: Wavelengths, fiber: int) -> bool:
    """Return whether an order of a fiber has good pixels and known wavelengths, so that there is something to join."""
    return bool(_good(spectra, wavelengths, fiber)[2].any())


def _good(spectra, wavelengths, fiber):
    """Return flux and variance without the blaze, and the good pixels of orders with known wavelengths."""
    flux, variance, good = continuum.above_blaze(*spectra.of(fiber))
    angstrom = wavelengths.vacuum_angstrom[wavelengths.fibers.index(fiber)]
    good = good & np.all(np.diff(angstrom, axis=1) > 0, axis=1)[:, None]
    if spectra.lamp_e_per_s is not None:
        lamp = spectra.lamp_e_per_s[spectra.fibers.index(fiber)]
        good &= (np.isfinite(lamp) & (lamp > 0))[:, None]
    return flux, variance, good


def _places(angstrom, berv_ms):
    """Return the edges of the pixels in steps of the grid, shape (n_orders, n_pixels + 1); NaN where unknown."""
    with np.errstate(invalid="ignore"):
        edges = pixel_edges(angstrom) * doppler.factor(berv_ms)
        return np.log(edges / START_ANGSTROM) / (STEP_MS / doppler.C_MS)


def _mean(places, values, variance, weight, good, fewest, length=None, first=None):
    """Return the first bin, and the mean and its variance in each bin; NaN where no order covers it."""
    if first is None:
        inside = places[:, :-1][good], places[:, 1:][good]
        first, last = int(np.floor(inside[0].min())), int(np.ceil(inside[1].max()))
        length = last - first
    total, mean, spread = np.zeros((3, length))
    for o in np.flatnonzero(good.any(axis=1)):
        columns = np.flatnonzero(good[o])
        here = slice(columns[0], columns[-1] + 1)
        edges, use = places[o, here.start : here.stop + 1], good[o, here]
        cuts = np.sort(np.concatenate([edges, np.arange(np.ceil(edges[0]), edges[-1])]))
        middle, share = (cuts[1:] + cuts[:-1]) / 2, np.diff(cuts)
        pixel = np.clip(np.searchsorted(edges, middle, "right") - 1, 0, len(use) - 1)
        share = np.where(use[pixel], share, 0.0)
        bins = np.floor(middle).astype(int)
        start = bins[0]
        bins -= start
        covered = np.bincount(bins, share) >= fewest
        share = np.where(covered[bins], share, 0.0)
        weighed = share * np.where(use, weight[o, here], 0.0)[pixel]
        there = slice(start - first, start - first + len(covered))
        total[there] += np.bincount(bins, weighed)
        mean[there] += np.bincount(bins, weighed * np.where(use, values[o, here], 0.0)[pixel])
        spread[there] += np.bincount(bins, weighed**2 * np.where(use, variance[o, here], 0.0)[pixel])
    some = total > 0
    divisor = np.where(some, total, 1.0)
    return first, np.where(some, mean / divisor, np.nan), np.where(some, spread / divisor**2, np.nan)


def _lamp_level(places, blaze, lamp, k, degree) -> Floats:
    """Return the level of the lamp in each bin, a smooth curve through the peaks of the orders [electron / second]."""
    peak = np.argmax(blaze, axis=1)
    rows = np.arange(len(blaze))
    with np.errstate(invalid="ignore"):
        where, wide = places[rows, peak], np.diff(places, axis=1)[rows, peak]
        known = np.isfinite(where) & np.isfinite(lamp) & (lamp > 0) & (wide > 0)
    middle, reach = (k[0] + k[-1]) / 2, max((k[-1] - k[0]) / 2, 1.0)
    n = int(min(degree, known.sum() - 1))
    x = (where[known] - middle) / reach
    curve = np.polynomial.Polynomial.fit(x, np.log(lamp[known] / wide[known]), n, domain=[-1, 1])
    return np.exp(curve((k - middle) / reach))
