"""What is left of the columns after the extraction: shifts of the traces, misfit of the profile."""

import numpy as np
from numba import njit

from nrespipe.numerics.lookup import chunk_of, profile_of


@njit(cache=True)
def shift_sums(data, floor, bad, response, centers, tables, columns, low, step, half, flux, stride):
    """Measure how far each trace lies from where it is taken to be.

    Parameters
    ----------
    data, floor, bad, response, centers, tables, columns, low, step, half
        As in ``columns.extract``.
    flux : ndarray of float, shape (n_traces, n_columns)
        Light of each trace.
    stride : int
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


@njit(cache=True)
def mismatch(data, floor, bad, response, centers, tables, columns, low, step, half, flux, core):
    """Measure the relative misfit of the profile in the core of each trace, beyond what noise explains.

    Parameters
    ----------
    data, floor, bad, response, centers, tables, columns, low, step, half
        As in ``columns.extract``.
    flux : ndarray of float, shape (n_traces, n_columns)
        Light of each trace.
    core : float
        Half width of the core [pixel].

    Returns
    -------
    ndarray of float, shape (n_traces,)
        Error of the model relative to the model, by the median of the squared residuals, so that cosmic rays do not
        count; 0 where noise explains them.
    """
    n_columns, n_rows = data.shape
    n = centers.shape[1]
    model = np.zeros((n_columns, n_rows))
    for x in range(n_columns):
        place, weight = chunk_of(columns, float(x))
        for k in range(n):
            c = centers[x, k]
            if not (np.isnan(c) or np.isnan(flux[k, x])):
                for y in range(max(0, int(np.ceil(c - half))), min(n_rows, int(c + half) + 1)):
                    model[x, y] += flux[k, x] * profile_of(tables[k], place, weight, y - c, low, step) * response[x, y]
    result = np.zeros(n)
    square = np.empty(n_columns * (2 * int(core) + 2))
    noise = np.empty(len(square))
    for k in range(n):
        count = 0
        for x in range(n_columns):
            c = centers[x, k]
            if np.isnan(c) or np.isnan(flux[k, x]):
                continue
            for y in range(max(0, int(np.ceil(c - core))), min(n_rows, int(c + core) + 1)):
                variance = floor[x, y] + max(model[x, y], 0.0)
                if not bad[x, y] and model[x, y] > 0 and model[x, y] ** 2 > 9 * variance:
                    square[count] = (data[x, y] - model[x, y]) ** 2 / model[x, y] ** 2
                    noise[count] = variance / model[x, y] ** 2
                    count += 1
        if count > 50:
            # the median of the square of a normal deviate is 0.455 of its variance
            excess = np.median(square[:count]) / 0.455 - np.median(noise[:count])
            result[k] = np.sqrt(max(excess, 0.0))
    return result
