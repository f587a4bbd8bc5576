"""Flat-relative optimal extraction: all fibers of a column are fitted at once."""

from dataclasses import dataclass

import numpy as np

from nrespipe.frames.quality import Pixel
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.traces import Traces
from nrespipe.numerics import columns as kernel
from nrespipe.numerics import residuals

#: Half width of the window across an order [pixel].
HALF_WINDOW = 8.5
#: Least distance of two lit traces that can be told apart [pixel].
_BLENDED = 3.5
#: Relative error of the profile that an outlier must exceed: lamp lines are sharp, and tilted against the columns.
_GUARD = {"lamp": 0.12, "star": 0.02}
_COSMIC = 2


@dataclass(frozen=True)
class _Stack:
    """The arrays of a frame as the kernel wants them, traces sorted by row."""

    data: np.ndarray
    floor: np.ndarray
    bad: np.ndarray
    response: np.ndarray
    centers: np.ndarray
    tables: np.ndarray
    order: np.ndarray
    shape: tuple


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
    stack = _arrange(image, traces, flat, lit)
    profile = flat.profile
    guard = _guards(image, traces, flat, lit, lamps)
    start = np.full((len(stack.order), image.electrons.shape[1]), np.nan)
    table = (profile.columns, profile.offsets[0], profile.offsets[1] - profile.offsets[0], HALF_WINDOW)
    flux, variance, used = kernel.extract(
        stack.data, stack.floor, stack.bad, stack.response, stack.centers, stack.tables, *table,
        guard, threshold, start, 12,
    )  # fmt: skip
    quality = _quality(image.mask, stack, used)
    places = [flat.traces.fibers.index(fiber) for fiber in lit]
    blaze = flat.blaze[places]
    quality = _unsort(quality, stack)
    quality[blaze <= 0] |= np.uint8(Pixel.DARK)
    return Spectra(lit, traces.orders, _unsort(flux, stack), _unsort(variance, stack), quality, blaze)


def follow(image, traces, flat, lit, rounds=3, stride=8):
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
    profile = flat.profile
    table = (profile.columns, profile.offsets[0], profile.offsets[1] - profile.offsets[0], HALF_WINDOW)
    moved = Traces(lit, traces.orders, base)
    thin = slice(stride // 2, None, stride)
    for _ in range(rounds):
        stack = _arrange(image, moved, flat, lit, thin)
        pieces = (stack.data, stack.floor, stack.bad, stack.response, stack.centers, stack.tables)
        columns = ((profile.columns - stride // 2) / stride, *table[1:])
        start = np.full((len(stack.order), len(stack.data)), np.nan)
        flux, _, _ = kernel.extract(*pieces, *columns, np.zeros(len(stack.order)), np.inf, start, 2)
        offset, weight = residuals.shift_sums(*pieces, *columns, flux, 1)
        step = _weighted_median(offset[weight > 0], weight[weight > 0])
        shift += step
        moved = Traces(lit, traces.orders, base + shift)
        if abs(step) < 0.002:
            break
    return moved, float(shift)


def _guards(image, traces, flat, lit, lamps, stride=8):
    """Relative error of the profile that the outlier test must allow in each trace, sorted as the kernel sorts them."""
    profile = flat.profile
    stack = _arrange(image, traces, flat, lit, slice(stride // 2, None, stride))
    pieces = (stack.data, stack.floor, stack.bad, stack.response, stack.centers, stack.tables)
    places = (profile.columns - stride // 2) / stride
    table = (places, profile.offsets[0], profile.offsets[1] - profile.offsets[0], HALF_WINDOW)
    start = np.full((len(stack.order), len(stack.data)), np.nan)
    flux, _, _ = kernel.extract(*pieces, *table, np.zeros(len(stack.order)), np.inf, start, 3)
    least = [_GUARD["lamp" if lit[i // len(traces.orders)] in lamps else "star"] for i in stack.order]
    return np.hypot(least, 2 * residuals.mismatch(*pieces, *table, flux, 4.0))


def _weighted_median(values, weights):
    if len(values) == 0:
        return 0.0
    order = np.argsort(values)
    # a few saturated lines must not decide alone
    weights = np.minimum(weights, np.percentile(weights, 90))[order]
    sums = np.cumsum(weights)
    return float(values[order][np.searchsorted(sums, 0.5 * sums[-1])])


def _arrange(image, traces, flat, lit, thin=slice(None)):
    """Sort the traces of the lit fibers by row and lay (some of) the columns of the image out in memory."""
    n_orders = len(traces.orders)
    chosen = [traces.fibers.index(fiber) for fiber in lit]
    centers = traces.centers[chosen].reshape(len(lit) * n_orders, -1)
    typical = np.array([np.nanmedian(c) if np.isfinite(c).any() else np.inf for c in centers])
    order = np.argsort(typical, kind="stable")
    profile = flat.profile
    tables = profile.values[[flat.traces.fibers.index(fiber) for fiber in lit]]
    tables = tables.reshape(len(lit) * n_orders, *tables.shape[2:])
    unusable = np.uint8(Pixel.BAD | Pixel.SATURATED)
    return _Stack(
        data=np.ascontiguousarray(image.electrons[:, thin].T),
        floor=np.ascontiguousarray(image.floor_variance[:, thin].T),
        bad=np.ascontiguousarray((image.mask[:, thin] & unusable > 0).T.astype(np.uint8)),
        response=np.ascontiguousarray(profile.response[:, thin].T),
        centers=np.ascontiguousarray(centers[order][:, thin].T),
        tables=np.ascontiguousarray(tables[order]),
        order=order,
        shape=(len(lit), n_orders, centers.shape[-1]),
    )


def _unsort(values, stack):
    result = np.empty_like(values)
    result[stack.order] = values
    return result.reshape(stack.shape)


def _quality(mask, stack, used, core=3):
    """Collect what is known against the pixels in the core of each trace."""
    n_columns, n_traces = stack.centers.shape
    quality = np.zeros((n_traces, n_columns), np.uint8)
    rows = mask.shape[0]
    column = np.arange(n_columns)
    flipped = mask.T
    for k in range(n_traces):
        center = stack.centers[:, k]
        quality[k, ~np.isfinite(center) | (used[k] < 0.6)] |= np.uint8(Pixel.OUTSIDE)
        place = np.where(np.isfinite(center), np.round(center), 0).astype(int)
        for step in range(-core, core + 1):
            y = np.clip(place + step, 0, rows - 1)
            quality[k] |= flipped[column, y]
            quality[k] |= np.where(stack.bad[column, y] == _COSMIC, np.uint8(Pixel.COSMIC), np.uint8(0))
        for other in range(max(0, k - 2), min(n_traces, k + 3)):
            if other != k:
                near = np.abs(stack.centers[:, other] - center) < _BLENDED
                quality[k, near] |= np.uint8(Pixel.BLENDED)
    return quality
