"""Cosmic rays on the traces, and the misfit of the profiles that they must exceed."""

import numpy as np
from numba import njit

from nrespipe.frames.arrays import Floats, Integers
from nrespipe.numerics.column_fit_kernels import OUTLIER, model_column
from nrespipe.numerics.robust_statistics import median


@njit(cache=True)
def misfit(
    data: Floats,
    floor: Floats,
    error: Floats,
    bad: Integers,
    shares: Floats,
    first: Integers,
    extra: Floats,
    flux: Floats,
    stride: int,
) -> Floats:
    """Measure the relative misfit of the profile in the core of each trace, beyond what noise explains.

    Parameters
    ----------
    data, floor, error, bad, shares, first, extra
        As in ``column_fit_kernels.fit``.
    flux : shape (n_traces, n_columns)
        Flux of each trace [electron].
    stride
        Every `stride`-th column is used.

    Returns
    -------
    ndarray of float, shape (n_traces,)
        Error of the model relative to the model, by the median of the squared residuals, so that cosmic rays do not
        count; 0 where noise explains them.
    """
    n_columns, n_rows = data.shape
    n, window = shares.shape[1:]
    size = (n_columns // stride + 1) * window
    square, noise = np.empty((n, size)), np.empty((n, size))
    count = np.zeros(n, np.int64)
    model = np.zeros(n_rows)
    for x in range(stride // 2, n_columns, stride):
        model_column(model, shares[x], first[x], flux[:, x], extra[x], 0.0)
        for k in range(n):
            if first[x, k] < 0:
                continue
            for j in range(min(window, n_rows - first[x, k])):
                y = first[x, k] + j
                light = model[y]
                variance = floor[x, y] + max(light, 0.0) + (error[x, y] * light) ** 2
                if shares[x, k, j] > 0.04 and not bad[x, y] and light > 0 and light**2 > 9 * variance:
                    square[k, count[k]] = (data[x, y] - light) ** 2 / light**2
                    noise[k, count[k]] = variance / light**2
                    count[k] += 1
    result = np.zeros(n)
    for k in range(n):
        if count[k] > 50:
            # the median of the square of a normal deviate is 0.455 of its variance
            excess = median(square[k, : count[k]]) / 0.455 - median(noise[k, : count[k]])
            result[k] = np.sqrt(max(excess, 0.0))
    return result


@njit(cache=True)
def chi_square(
    data: Floats,
    floor: Floats,
    error: Floats,
    bad: Integers,
    shares: Floats,
    first: Integers,
    extra: Floats,
    flux: Floats,
    guard: Floats,
) -> tuple[Floats, Integers]:
    """Return chi-square of each trace in each column.

    Parameters
    ----------
    data, floor, error, bad, shares, first, extra
        As in ``column_fit_kernels.fit``.
    flux : shape (n_traces, n_columns)
        Flux of each trace [electron].
    guard : shape (n_traces,)
        As in ``column_fit_kernels.fit``.

    Returns
    -------
    chi_square : ndarray of float, shape (n_traces, n_columns)
        Sum over the window.
    count : ndarray of int, shape (n_traces, n_columns)
        Number of pixels in it.
    """
    n_columns, n_rows = data.shape
    n, window = shares.shape[1:]
    total, count = np.zeros((n, n_columns)), np.zeros((n, n_columns), np.int64)
    model = np.zeros(n_rows)
    for x in range(n_columns):
        model_column(model, shares[x], first[x], flux[:, x], extra[x], 0.0)
        for k in range(n):
            if first[x, k] < 0 or np.isnan(flux[k, x]):
                continue
            for y in range(first[x, k], min(first[x, k] + window, n_rows)):
                if not bad[x, y]:
                    light = max(model[y], 0.0)
                    variance = floor[x, y] + light + (error[x, y] ** 2 + guard[k] ** 2) * light**2
                    total[k, x] += (data[x, y] - model[y]) ** 2 / variance
                    count[k, x] += 1
    return total, count


@njit(cache=True)
def reveal(
    data: Floats,
    floor: Floats,
    error: Floats,
    bad: Integers,
    shares: Floats,
    first: Integers,
    extra: Floats,
    flux: Floats,
    expected: Floats,
    guard: float,
    threshold: float,
) -> int:
    """Mark the pixels that are too bright for the flux that is expected of their trace.

    Parameters
    ----------
    data, floor, error
        As in ``column_fit_kernels.fit``.
    bad : shape (n_columns, n_rows)
        Not 0 where a pixel is not to be used; `OUTLIER` is written, and taken back where it was written for the wrong
        flux.
    shares, first, extra
        As in ``column_fit_kernels.fit``.
    flux : shape (n_traces, n_columns)
        Flux of each trace [electron].
    expected : shape (n_traces, n_columns)
        Flux that the neighboring columns suggest; NaN where no pixel is to be marked [electron].
    guard
        Error of `expected` relative to itself.
    threshold
        A pixel that is brighter by this many standard deviations is marked.

    Returns
    -------
    int
        Number of pixels that were marked.
    """
    n_columns, n_rows = data.shape
    n, window = shares.shape[1:]
    model, light = np.zeros(n_rows), np.zeros(n)
    total = 0
    for x in range(n_columns):
        # a cosmic ray that draws the fit with it makes its dark neighbors look like outliers
        for k in range(n):
            if first[x, k] >= 0 and not np.isnan(expected[k, x]):
                for y in range(first[x, k], min(first[x, k] + window, n_rows)):
                    if bad[x, y] == OUTLIER:
                        bad[x, y] = 0
        for k in range(n):
            if first[x, k] < 0 or np.isnan(expected[k, x]):
                continue
            light[:] = flux[:, x]
            light[k] = expected[k, x]
            model_column(model, shares[x], first[x], light, extra[x], 0.0)
            for j in range(min(window, n_rows - first[x, k])):
                y = first[x, k] + j
                residual, level = data[x, y] - model[y], max(model[y], 0.0)
                mistaken = (guard * max(expected[k, x], 0.0) * shares[x, k, j]) ** 2
                variance = floor[x, y] + level + (error[x, y] * level) ** 2 + mistaken
                if not bad[x, y] and residual > 0 and residual**2 > threshold**2 * variance:
                    bad[x, y] = OUTLIER
                    total += 1
    return total


@njit(cache=True)
def grow(
    data: Floats,
    floor: Floats,
    error: Floats,
    bad: Integers,
    shares: Floats,
    first: Integers,
    extra: Floats,
    flux: Floats,
    guard: Floats,
    threshold: float,
) -> int:
    """Mark the pixels beside outliers, in all directions, that are too bright as well.

    Parameters
    ----------
    data, floor, error
        As in ``column_fit_kernels.fit``.
    bad : shape (n_columns, n_rows)
        `OUTLIER` where one was found; more are marked.
    shares, first, extra
        As in ``column_fit_kernels.fit``.
    flux : shape (n_traces, n_columns)
        Flux of each trace [electron].
    guard : shape (n_traces,)
        As in ``column_fit_kernels.fit``.
    threshold
        A pixel that is brighter than the fit by this many standard deviations is marked.

    Returns
    -------
    int
        Number of pixels that were marked.
    """
    n_columns, n_rows = data.shape
    n, window = shares.shape[1:]
    model = np.zeros(n_rows)
    near = np.zeros(n_rows, np.bool_)
    marked = np.zeros(data.shape, np.uint8)
    total = 0
    for x in range(n_columns):
        touched = False
        near[:] = False
        for column in range(max(0, x - 1), min(n_columns, x + 2)):
            for y in range(n_rows):
                if bad[column, y] == OUTLIER:
                    touched = True
                    near[max(0, y - 1) : y + 2] = True
        if not touched:
            continue
        model_column(model, shares[x], first[x], flux[:, x], extra[x], 0.0)
        for k in range(n):
            if first[x, k] < 0:
                continue
            for j in range(min(window, n_rows - first[x, k])):
                y = first[x, k] + j
                residual = data[x, y] - model[y]
                if not near[y] or bad[x, y] or marked[x, y] or residual <= 0:
                    continue
                light = max(model[y], 0.0)
                variance = floor[x, y] + light + (error[x, y] ** 2 + guard[k] ** 2) * light**2
                if residual**2 > threshold**2 * variance:
                    marked[x, y] = OUTLIER
                    total += 1
    for x in range(n_columns):
        for y in range(n_rows):
            if marked[x, y] == OUTLIER:
                bad[x, y] = OUTLIER
    return total


@njit(cache=True)
def runs(
    data: Floats,
    floor: Floats,
    error: Floats,
    bad: Integers,
    shares: Floats,
    first: Integers,
    extra: Floats,
    flux: Floats,
    guard: Floats,
    limits: Floats,
    least: float,
) -> int:
    """Mark runs of neighboring pixels of a column that a cosmic ray along the column explains better than the trace.

    Parameters
    ----------
    data, floor, error
        As in ``column_fit_kernels.fit``.
    bad : shape (n_columns, n_rows)
        Not 0 where a pixel is not to be used; `OUTLIER` is written where a run is found.
    shares, first, extra
        As in ``column_fit_kernels.fit``.
    flux : shape (n_traces, n_columns)
        Flux of each trace [electron].
    guard : shape (n_traces,)
        As in ``column_fit_kernels.fit``.
    limits : shape (n_longest,)
        By how much leaving out a run of 1, 2 ... pixels must lower chi-square.
    least
        Share of the trace that must remain.

    Returns
    -------
    int
        Number of pixels that were marked.

    Notes
    -----
    A cosmic ray that covers several pixels of a column draws the fitted flux with it, so no single pixel is an outlier.
    Without the pixels R the flux changes and chi-square falls by

    .. math:: \\sum_R w r^2 + \\frac{(\\sum_R w P r)^2}{\\sum_{\\bar R} w P^2}

    with the residuals r, weights w and shares P.
    """
    n_columns, n_rows = data.shape
    n, window = shares.shape[1:]
    model = np.zeros(n_rows)
    residual, weight = np.zeros(window), np.zeros(window)
    total = 0
    for x in range(n_columns):
        model_column(model, shares[x], first[x], flux[:, x], extra[x], 0.0)
        for k in range(n):
            if first[x, k] < 0 or np.isnan(flux[k, x]):
                continue
            chi_square, squares, whole = 0.0, 0.0, 0.0
            for j in range(window):
                y = first[x, k] + j
                weight[j] = 0.0
                if y < n_rows and not bad[x, y] and shares[x, k, j] > 0:
                    light = max(model[y], 0.0)
                    weight[j] = 1 / (floor[x, y] + light + (error[x, y] ** 2 + guard[k] ** 2) * light**2)
                    residual[j] = data[x, y] - model[y]
                    chi_square += weight[j] * residual[j] ** 2
                    squares += weight[j] * shares[x, k, j] ** 2
                    whole += shares[x, k, j]
            if chi_square < limits[0] or squares == 0.0:
                continue
            begin, length = _best_run(residual, weight, shares[x, k], squares, whole, limits, least)
            for j in range(begin, begin + length):
                if weight[j] > 0:
                    bad[x, first[x, k] + j] = OUTLIER
                    total += 1
    return total


@njit(cache=True)
def _best_run(residual, weight, shares, squares, whole, limits, least):
    """First pixel and length of the run whose removal pays best; length 0 where none does."""
    best, begin, length = 0.0, 0, 0
    for a in range(len(shares)):
        gain, pull, removed, share = 0.0, 0.0, 0.0, 0.0
        for b in range(a, min(a + len(limits), len(shares))):
            gain += weight[b] * residual[b] ** 2
            pull += weight[b] * shares[b] * residual[b]
            removed += weight[b] * shares[b] ** 2
            share += shares[b] if weight[b] > 0 else 0.0
            if share > (1 - least) * whole or squares - removed <= 0:
                break
            # a cosmic ray only adds: without the run the trace must be fainter
            drop = gain + pull * pull / (squares - removed) - limits[b - a]
            if pull > 0 and drop > best:
                best, begin, length = drop, a, b - a + 1
    return begin, length
