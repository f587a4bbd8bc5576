"""What is left of the columns after the extraction: shifts of the traces."""

import numpy as np
from numba import njit

from nrespipe.frames.arrays import Floats
from nrespipe.numerics.lookup import chunk_of, profile_of


@njit(cache=True)
def shift_sums(
    data, floor, bad, response, centers, tables, columns, low, step, half, flux: Floats, stride: int
) -> tuple[Floats, Floats]:
    """Measure how far each trace lies from where it is taken to be.

    Parameters
    ----------
    data, floor, bad, response, centers, tables, columns, low, step, half
        As in ``columns.extract``.
    flux : shape (n_traces, n_columns)
        Light of each trace.
    stride
        Every `stride`-th column is used.

    Returns
    -------
    offset, weight : ndarray of float, shape (n_traces, n_columns)
        Least-squares offset of the light from the trace, upward positive, and its inverse variance
        [pixel, pixel-2]; weight 0 where nothing was measured.
    """
    n_columns, n_rows = data.shape
    n = centers.shape[1]
    offset = np.zeros((n, n_columns))
    weights = np.zeros((n, n_columns))
    model = np.zeros(n_rows)
    for x in range(stride // 2, n_columns, stride):
        place, weight = chunk_of(columns, float(x))
        model[:] = 0.0
        for k in range(n):
            c = centers[x, k]
            if not (np.isnan(c) or np.isnan(flux[k, x])):
                for y in range(max(0, int(np.ceil(c - half))), min(n_rows, int(c + half) + 1)):
                    model[y] += flux[k, x] * profile_of(tables[k], place, weight, y - c, low, step) * response[x, y]
        for k in range(n):
            c = centers[x, k]
            if np.isnan(c) or np.isnan(flux[k, x]):
                continue
            top, bottom = 0.0, 0.0
            for y in range(max(0, int(np.ceil(c - half))), min(n_rows, int(c + half) + 1)):
                if bad[x, y]:
                    continue
                upper = profile_of(tables[k], place, weight, y - c + 0.1, low, step)
                lower = profile_of(tables[k], place, weight, y - c - 0.1, low, step)
                slope = -flux[k, x] * (upper - lower) / 0.2 * response[x, y]
                w = 1 / (floor[x, y] + max(model[y], 0.0))
                top += w * slope * (data[x, y] - model[y])
                bottom += w * slope * slope
            if bottom > 0:
                offset[k, x] = top / bottom
                weights[k, x] = bottom
    return offset, weights
