"""How well the profiles of a master flat describe a frame of the lamp: what is left in the pixels."""

import numpy as np

from nrespipe.engine.orders import column_layout
from nrespipe.frames.arrays import Floats
from nrespipe.frames.image import Image
from nrespipe.frames.masters import Flat
from nrespipe.frames.traces import Traces
from nrespipe.numerics import column_model as kernel

#: Half width of what is looked at, the bulk of the light [pixel].
_CORE = 4.5
#: Cosmic rays are further off than so many standard deviations and so large a share of the light.
_COSMIC, _GUARD = 6.0, 0.05


def by_order(image: Image, traces: Traces, flat: Flat, lit: tuple[int, ...], stride: int = 8) -> tuple[Floats, Floats]:
    """Compare a frame with the light that was extracted from it.

    Parameters
    ----------
    traces
        Where the orders lie in it.
    lit
        Fibers that carry light.
    stride
        Every `stride`-th column is used.

    Returns
    -------
    chi2 : ndarray of float, shape (n_lit, n_orders)
        Sum of the squares of what is left in the pixels near the center, in units of its noise, over their number less
        the number of columns; NaN where there is no light. Below 1 where the frame is one of the few that the flat was
        made of.
    share : ndarray of float, shape (n_lit, n_orders)
        Root of the mean square of what noise does not explain of it, as a share of that of the light.
    """
    laid = column_layout.lay_out(image, traces, flat, lit, stride)
    shares, first = kernel.shares_of(laid.response, laid.centers, laid.tables, *laid.grid)
    nothing, n = np.zeros_like(laid.data), len(laid.order)
    flux, _, _ = kernel.fit(
        laid.data, laid.floor, laid.error, laid.bad, shares, first, nothing, np.full(n, _GUARD), _COSMIC,
        np.full((n, len(laid.data)), np.nan), 6,
    )  # fmt: skip
    model = _model(laid.data.shape, shares, first, np.nan_to_num(flux))
    noise = laid.floor + np.maximum(model, 0) + (laid.error * model) ** 2
    left, good = (laid.data - model) ** 2, laid.bad == 0
    found = np.array(
        [_compared(left, noise, model, good, center, light) for center, light in zip(laid.centers.T, flux)]
    )
    return laid.unsort(found[:, 0]), laid.unsort(found[:, 1])


def _model(shape, shares, first, flux):
    model = np.zeros(shape)
    x = np.arange(shape[0])
    for k, light in enumerate(flux):
        for j in range(shares.shape[2]):
            y = first[:, k] + j
            here = (first[:, k] >= 0) & (y < shape[1])
            model[x[here], y[here]] += light[here] * shares[here, k, j]
    return model


def _compared(left, noise, model, good, center, light):
    """Chi square and unexplained share of one trace."""
    seen = np.flatnonzero(np.isfinite(center) & np.isfinite(light) & (light > 0))
    if len(seen) == 0:
        return np.nan, np.nan
    rows = np.floor(center[seen])[:, np.newaxis].astype(int) + np.arange(-int(_CORE), int(_CORE) + 2)
    inside = (rows >= 0) & (rows < left.shape[1]) & (np.abs(rows - center[seen, np.newaxis]) < _CORE)
    x, y = np.broadcast_to(seen[:, np.newaxis], rows.shape)[inside], rows[inside]
    x, y = (each[good[x, y]] for each in (x, y))
    free = len(x) - len(seen)
    if free < 1:
        return np.nan, np.nan
    excess = np.sum(left[x, y]) * len(x) / free - np.sum(noise[x, y])
    return np.sum(left[x, y] / noise[x, y]) / free, np.sqrt(max(excess, 0.0) / np.sum(model[x, y] ** 2))
