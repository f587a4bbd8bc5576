"""The blaze: what the flat lamp looks like along each order."""

import numpy as np
from scipy.ndimage import median_filter

from nrespipe.frames.arrays import Floats
from nrespipe.numerics import bspline
from nrespipe.numerics.leastsquares import clipped


def smooth(flux: Floats, variance: Floats, knot: float = 100.0, clip: float = 4.0) -> Floats:
    """Return the smooth spectrum of the lamp, without the response of the pixels.

    Parameters
    ----------
    flux, variance : shape (n_fibers, n_orders, n_pixels)
        Extracted lamp and its variance [electron, electron2].
    knot
        Distance of the knots of the spline along an order [pixel].
    clip
        Pixels that deviate by more than this many standard deviations of the order do not count: dust, dead columns.

    Returns
    -------
    ndarray of float, shape (n_fibers, n_orders, n_pixels)
        NaN where the trace was not extracted [electron].
    """
    n_pixels = flux.shape[-1]
    x, n_knots = np.arange(n_pixels, dtype=float), max(round((n_pixels - 1) / knot), 1)
    step = (n_pixels - 1) / n_knots
    result = np.full(flux.shape, np.nan)
    for place in np.ndindex(*flux.shape[:2]):
        known = np.isfinite(flux[place]) & (variance[place] > 0)
        if known.sum() >= 2 * knot:
            result[place] = np.where(
                known, _curve(x, flux[place], variance[place], known, (step, n_knots), clip), np.nan
            )
    return result


def peaks(flux: Floats) -> Floats:
    """Return the light of the lamp at the peak of each order.

    Parameters
    ----------
    flux : shape (n_fibers, n_orders, n_pixels)
        Smooth spectrum of the lamp, NaN where it is not known [electron].

    Returns
    -------
    ndarray of float, shape (n_fibers, n_orders)
        In the unit of `flux`.
    """
    return np.percentile(median_filter(np.nan_to_num(flux), (1, 1, 25)), 99, axis=-1)


def normalise(flux: Floats, variance: Floats, faintest: float = 0.01, least_snr: float = 8.0) -> Floats:
    """Scale the spectrum of the lamp to 1 at the peak of each order.

    Parameters
    ----------
    flux, variance : shape (n_fibers, n_orders, n_pixels)
        Extracted lamp and its variance [electron, electron2].
    faintest
        Below this share of the peak the blaze is set to 0.
    least_snr
        Below this signal-to-noise ratio per pixel it is set to 0.

    Returns
    -------
    ndarray of float, shape (n_fibers, n_orders, n_pixels)
        Blaze; 0 where the lamp is too faint to calibrate with.
    """
    peak = peaks(flux)[..., np.newaxis]
    shape = np.where(peak > 0, np.nan_to_num(flux) / np.where(peak > 0, peak, 1), 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        clear = (flux / np.sqrt(variance) > least_snr) & (shape > faintest)
    return np.where(clear, shape, 0.0)


def _curve(x, flux, variance, known, knots, clip):
    """Spline through the known pixels of an order, without those that deviate from it."""
    flux, variance, (step, n_knots) = np.nan_to_num(flux), np.where(known, variance, 1), knots
    weight = np.where(known, 1 / variance, 0)

    def solve(kept):
        spline = bspline.fit(x, flux, weight * kept, 0.0, step, n_knots, 1e-6)
        curve = bspline.evaluate(spline, x, 0.0, step)
        return curve, (flux - curve) / np.sqrt(variance)

    # the response scatters by a share of the light, more than the photons of a bright lamp
    return clipped(solve, known, (clip, clip), rounds=3, of_kept=False)[0]
