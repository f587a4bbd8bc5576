"""The kernel of the extraction: one detector column, all traces at once."""

import numpy as np
from numba import njit

from nrespipe.numerics import banded
from nrespipe.numerics.lookup import chunk_of, profile_of

_NEIGHBORS = 3  # traces above a trace whose light may overlap with it


@njit(cache=True)
def extract(data, floor, bad, response, centers, tables, columns, low, step, half, guard, threshold, start, passes):
    """Fit the light of all traces to every column.

    Parameters
    ----------
    data, floor : ndarray of float32, shape (n_columns, n_rows)
        Light, and variance without its photon noise [electron, electron2].
    bad : ndarray of uint8, shape (n_columns, n_rows)
        Not 0 where a pixel is not to be used. On return 2 where an outlier was found.
    response : ndarray of float32, shape (n_columns, n_rows)
        Sensitivity of the pixels.
    centers : ndarray of float, shape (n_columns, n_traces)
        Rows of the traces, increasing along the second axis; NaN where there is none.
    tables : ndarray of float32, shape (n_traces, n_chunks, n_offsets)
        Profiles.
    columns : ndarray of float, shape (n_chunks,)
        Middles of the chunks.
    low, step, half : float
        First offset and spacing of the tables; half width of the window [pixel].
    guard : ndarray of float, shape (n_traces,)
        Error of the profile relative to the light in a pixel, which no outlier test may undercut.
    threshold : float
        Outliers are pixels further than this many standard deviations from the fit; infinite to keep all.
    start : ndarray of float, shape (n_traces, n_columns)
        A first guess of the light, for the first weights; NaN makes the kernel sum the window.
    passes : int
        Largest number of fits; at least 2.

    Returns
    -------
    flux, variance : ndarray of float, shape (n_traces, n_columns)
        Light and its variance; NaN where the trace has no center or no usable pixel.
    used : ndarray of float32, shape (n_traces, n_columns)
        Share of the profile that fell on used pixels.
    """
    n_columns, n_rows = data.shape
    n = centers.shape[1]
    window = int(2 * half) + 1
    flux = np.full((n, n_columns), np.nan)
    variance = np.full((n, n_columns), np.nan)
    used = np.zeros((n, n_columns), np.float32)
    shares = np.zeros((n, window))
    first = np.zeros(n, np.int64)
    model = np.zeros(n_rows)
    guards = np.zeros(n_rows)
    bands = np.zeros((n, _NEIGHBORS + 1))
    right = np.zeros(n)
    solution = np.zeros(n)
    inverse = np.zeros(n)
    for x in range(n_columns):
        place, weight = chunk_of(columns, float(x))
        for k in range(n):
            c = centers[x, k]
            first[k] = -1
            solution[k] = 0.0
            if np.isnan(c):
                continue
            first[k] = max(0, int(np.ceil(c - half)))
            total = 0.0
            for j in range(window):
                y = first[k] + j
                shares[k, j] = 0.0
                if y < n_rows and y - c <= half:
                    shares[k, j] = profile_of(tables[k], place, weight, y - c, low, step) * response[x, y]
                    if not bad[x, y]:
                        total += data[x, y]
            solution[k] = start[k, x] if not np.isnan(start[k, x]) else max(total, 0.0)
        for attempt in range(passes):
            _model(model, guards, shares, first, solution, guard)
            if attempt > 0 and np.isfinite(threshold):
                found = _outliers(data[x], floor[x], bad[x], model, guards, first, window, threshold)
                if found == 0 and attempt > 2:
                    break
            elif attempt > 2:
                break
            _normal_equations(bands, right, data[x], floor[x], bad[x], model, shares, first)
            solution, inverse = banded.solve(bands, right)
        for k in range(n):
            if first[k] < 0:
                continue
            share = 0.0
            whole = 0.0
            for j in range(window):
                y = first[k] + j
                if y < n_rows:
                    whole += shares[k, j]
                    if not bad[x, y]:
                        share += shares[k, j]
            used[k, x] = share
            if share > 0.05:
                flux[k, x] = solution[k]
                variance[k, x] = inverse[k]
    return flux, variance, used


@njit(cache=True)
def _model(model, guards, shares, first, solution, guard):
    model[:] = 0.0
    guards[:] = 0.0
    for k in range(len(first)):
        if first[k] < 0:
            continue
        for j in range(shares.shape[1]):
            y = first[k] + j
            if y < len(model):
                light = max(solution[k], 0.0) * shares[k, j]
                model[y] += light
                guards[y] += (guard[k] * light) ** 2


@njit(cache=True)
def _outliers(data, floor, bad, model, guards, first, window, threshold):
    """Mark the worst pixel of each trace that the noise cannot explain; return how many were found."""
    found = 0
    for k in range(len(first)):
        if first[k] < 0:
            continue
        worst, where = threshold**2, -1
        for j in range(window):
            y = first[k] + j
            if y < len(model) and not bad[y]:
                square = (data[y] - model[y]) ** 2 / (floor[y] + model[y] + guards[y])
                if square > worst:
                    worst, where = square, y
        if where >= 0:
            bad[where] = 2
            found += 1
            for y in range(max(0, where - 1), min(len(model), where + 2)):
                residual = data[y] - model[y]
                if not bad[y] and residual > 0 and residual**2 > 6.25 * (floor[y] + model[y] + guards[y]):
                    bad[y] = 2
    return found


@njit(cache=True)
def _normal_equations(bands, right, data, floor, bad, model, shares, first):
    bands[:] = 0.0
    right[:] = 0.0
    window = shares.shape[1]
    n = len(first)
    for k in range(n):
        if first[k] < 0:
            bands[k, 0] = 1.0
            continue
        for j in range(window):
            y = first[k] + j
            if y >= len(data) or bad[y] or shares[k, j] == 0.0:
                continue
            w = shares[k, j] / (floor[y] + model[y])
            right[k] += w * data[y]
            for i in range(min(_NEIGHBORS + 1, n - k)):
                if first[k + i] >= 0:
                    other = y - first[k + i]
                    if 0 <= other < window:
                        bands[k, i] += w * shares[k + i, other]
        bands[k, 0] = bands[k, 0] * (1 + 1e-9) + 1e-12
