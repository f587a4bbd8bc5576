"""Flat-relative optimal extraction: all fibers of a column are fitted at once."""

import numpy as np

from nrespipe.engine import columns
from nrespipe.frames.quality import Pixel
from nrespipe.frames.spectra import Spectra
from nrespipe.numerics import columns as kernel
from nrespipe.numerics import residuals

#: Least distance of two lit traces that can be told apart [pixel].
_BLENDED = 3.5
#: Relative error of the profile that an outlier must exceed: lamp lines are sharp, and tilted against the columns.
_GUARD = {"lamp": 0.12, "star": 0.02}
_COSMIC = 2


def optimal(image, traces, flat, lit, lamps=(1,), threshold=5.5):
    """Extract the lit fibers of a frame.

    Parameters
    ----------
    image : Image
        Background-subtracted frame.
    traces : Traces
        Where the orders lie in this frame.
    flat : Flat
        Profile, response, blaze.
    lit : tuple of int
        Fibers that carry light.
    lamps : tuple of int, optional
        Those of `lit` that carry a line lamp.
    threshold : float, optional
        Pixels further than this many standard deviations from the fitted profile are left out as cosmic rays.

    Returns
    -------
    Spectra
        In electrons, with the variance of the least-squares solution.

    Notes
    -----
    With the profile :math:`P_k(y)` of trace k and the response r of the pixels, the light of all traces of a column is
    the solution of

    .. math:: \\sum_l s_l \\sum_y \\frac{P_k P_l r^2}{V} = \\sum_y \\frac{P_k r D}{V},
        \\qquad V = V_0 + \\sum_k s_k P_k r

    (Horne 1986 PASP 98 609; Zechmeister et al. 2014 A&A 561 A59, who divide by the flat itself). The variance V comes
    from the model of the previous pass, never from the noisy pixel. The worst outlier of each trace is left out and
    the fit repeated until none remains. How well the profile fits this very frame is measured first, so that light
    which fills a fiber otherwise than the lamp did is not taken for cosmic rays.
    """
    laid = columns.lay_out(image, traces, flat, lit)
    guard = _guards(image, traces, flat, lit, lamps)
    start = np.full((len(laid.order), image.electrons.shape[1]), np.nan)
    flux, variance, used = kernel.extract(*laid.pieces, guard, threshold, start, 12)
    quality = laid.unsort(_quality(image.mask, laid, used))
    blaze = flat.blaze[[flat.traces.fibers.index(fiber) for fiber in lit]]
    quality[blaze <= 0] |= np.uint8(Pixel.DARK)
    return Spectra(lit, traces.orders, laid.unsort(flux), laid.unsort(variance), quality, blaze)


def _guards(image, traces, flat, lit, lamps):
    """Relative error of the profile that the outlier test must allow in each trace, sorted as the kernel sorts them."""
    laid = columns.lay_out(image, traces, flat, lit, stride=8)
    start = np.full((len(laid.order), len(laid.data)), np.nan)
    flux, _, _ = kernel.extract(*laid.pieces, np.zeros(len(laid.order)), np.inf, start, 3)
    least = [_GUARD["lamp" if lit[i // len(traces.orders)] in lamps else "star"] for i in laid.order]
    return np.hypot(least, 2 * residuals.mismatch(*laid.pieces, flux, 4.0))


def _quality(mask, laid, used, core=3):
    """Collect what is known against the pixels in the core of each trace."""
    n_columns, n_traces = laid.centers.shape
    quality = np.zeros((n_traces, n_columns), np.uint8)
    rows = mask.shape[0]
    column = np.arange(n_columns)
    flipped = mask.T
    for k in range(n_traces):
        center = laid.centers[:, k]
        quality[k, ~np.isfinite(center) | (used[k] < 0.6)] |= np.uint8(Pixel.OUTSIDE)
        place = np.where(np.isfinite(center), np.round(center), 0).astype(int)
        for step in range(-core, core + 1):
            y = np.clip(place + step, 0, rows - 1)
            quality[k] |= flipped[column, y]
            quality[k] |= np.where(laid.bad[column, y] == _COSMIC, np.uint8(Pixel.COSMIC), np.uint8(0))
        for other in range(max(0, k - 2), min(n_traces, k + 3)):
            if other != k:
                near = np.abs(laid.centers[:, other] - center) < _BLENDED
                quality[k, near] |= np.uint8(Pixel.BLENDED)
    return quality
