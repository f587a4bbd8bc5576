"""Where the orders of a frame lie, by the light of the frame itself."""

import numpy as np

from nrespipe.engine import columns
from nrespipe.frames.traces import Traces
from nrespipe.numerics import columns as kernel
from nrespipe.numerics import residuals


def orders(image, traces, flat, lit, rounds=3, stride=8):
    """Find how far the orders of a frame lie from where the flat saw them.

    Parameters
    ----------
    image : Image
        Background-subtracted frame.
    traces : Traces
        Where the flat saw the orders.
    flat : Flat
        Its profile.
    lit : tuple of int
        Fibers that carry light.
    rounds : int, optional
        Largest number of iterations.
    stride : int, optional
        Every `stride`-th column is used.

    Returns
    -------
    moved : Traces
        The lit fibers at their place in this frame.
    shift : float
        The distance, upward positive [pixel].

    Notes
    -----
    Each column of each trace gives a least-squares offset, the residual of the fit projected on the derivative of the
    profile; their weighted median is taken and the fit repeated. A clipped mean would stop at half the shift.
    """
    chosen = [traces.fibers.index(fiber) for fiber in lit]
    base, shift = traces.centers[chosen], 0.0
    moved = Traces(lit, traces.orders, base)
    for _ in range(rounds):
        laid = columns.lay_out(image, moved, flat, lit, stride)
        start = np.full((len(laid.order), len(laid.data)), np.nan)
        flux, _, _ = kernel.extract(*laid.pieces, np.zeros(len(laid.order)), np.inf, start, 2)
        offset, weight = residuals.shift_sums(*laid.pieces, flux, 1)
        step = _weighted_median(offset[weight > 0], weight[weight > 0])
        shift += step
        moved = Traces(lit, traces.orders, base + shift)
        if abs(step) < 0.002:
            break
    return moved, float(shift)


def _weighted_median(values, weights):
    if len(values) == 0:
        return 0.0
    order = np.argsort(values)
    # a few saturated lines must not decide alone
    weights = np.minimum(weights, np.percentile(weights, 90))[order]
    sums = np.cumsum(weights)
    return float(values[order][np.searchsorted(sums, 0.5 * sums[-1])])
