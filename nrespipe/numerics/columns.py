"""The kernel of the extraction: one detector column, all traces at once."""

import numpy as np
from numba import njit

_NEIGHBORS = 3  # traces above a trace whose light may overlap with it


@njit(cache=True)
def profile_of(table, place, weight, offset, low, step):
    """Interpolate a tabulated profile linearly in the offset, and between two chunks along the order.

    Parameters
    ----------
    table : ndarray of float32, shape (n_chunks, n_offsets)
        Profile of one trace.
    place : int
        Chunk to the left.
    weight : float
        Weight of the chunk to the right, 0 to 1.
    offset : float
        Distance from the center [pixel].
    low, step : float
        First offset of the table and spacing [pixel].

    Returns
    -------
    float
        Share of the light of the column; 0 outside the table.
    """
    t = (offset - low) / step
    i = int(t)
    if t < 0 or i > table.shape[1] - 2:
        return 0.0
    f = t - i
    left = table[place, i] * (1 - f) + table[place, i + 1] * f
    if weight == 0:
        return left
    right = table[place + 1, i] * (1 - f) + table[place + 1, i + 1] * f
    return left * (1 - weight) + right * weight


@njit(cache=True)
def chunk_of(columns, x):
    """Return the chunk to the left of a column and the weight of the one to its right.

    Parameters
    ----------
    columns : ndarray of float, shape (n_chunks,)
        Middles of the chunks [pixel].
    x : float
        Column [pixel].

    Returns
    -------
    place : int
        Index of the chunk to the left.
    weight : float
        Weight of the next one; beyond the first and last middle the nearest chunk counts alone.
    """
    if len(columns) == 1 or x <= columns[0]:
        return 0, 0.0
    if x >= columns[-1]:
        return len(columns) - 2, 1.0
    place = 0
    while columns[place + 1] < x:
        place += 1
    return place, (x - columns[place]) / (columns[place + 1] - columns[place])


@njit(cache=True)
def solve_banded_with_variances(bands, right):
    """Solve symmetric positive banded equations and return the diagonal of the inverse.

    Parameters
    ----------
    bands : ndarray of float, shape (n, n_bands)
        ``bands[k, j]`` is the element (k, k + j) of the matrix.
    right : ndarray of float, shape (n,)
        Right-hand side.

    Returns
    -------
    solution, variance : ndarray of float, shape (n,)
        Solution, and diagonal of the inverse matrix.

    Notes
    -----
    L D L^T factorisation; the elements of the inverse inside the band follow from the factors alone
    (Takahashi, Fagan & Chin 1973; Erisman & Tinney 1975).
    """
    n, width = bands.shape
    lower = np.zeros((n, width))
    diagonal = np.zeros(n)
    for k in range(n):
        d = bands[k, 0]
        for j in range(1, min(width, k + 1)):
            d -= lower[k - j, j] ** 2 * diagonal[k - j]
        diagonal[k] = d
        for i in range(1, min(width, n - k)):
            v = bands[k, i]
            for j in range(1, min(width - i, k + 1)):
                v -= lower[k - j, j] * lower[k - j, j + i] * diagonal[k - j]
            lower[k, i] = v / d
    solution = right.copy()
    for k in range(n):
        for i in range(1, min(width, n - k)):
            solution[k + i] -= lower[k, i] * solution[k]
    solution /= diagonal
    inverse = np.zeros((n, width))
    for k in range(n - 1, -1, -1):
        for i in range(1, min(width, n - k)):
            solution[k] -= lower[k, i] * solution[k + i]
        for i in range(min(width, n - k) - 1, -1, -1):
            v = 0.0
            for j in range(1, min(width, n - k)):
                low, high = min(i, j), max(i, j)
                v -= lower[k, j] * (inverse[k + low, high - low] if i > 0 else inverse[k, j])
            inverse[k, i] = v + (1 / diagonal[k] if i == 0 else 0.0)
    return solution, inverse[:, 0].copy()


@njit(cache=True)
def extract(data, floor, bad, response, centers, tables, columns, low, step, half, guard, threshold, start, passes):
    """Fit the light of all traces to every column.

    Parameters
    ----------
    data, floor, response : ndarray of float32, shape (n_columns, n_rows)
        Light, variance without its photon noise, and sensitivity of the pixels [electron, electron2, 1].
    bad : ndarray of uint8, shape (n_columns, n_rows)
        Not 0 where a pixel is not to be used. On return 2 where an outlier was found.
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
            solution, inverse = solve_banded_with_variances(bands, right)
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


@njit(cache=True)
def shift_sums(data, floor, bad, response, centers, tables, columns, low, step, half, flux, stride):
    """Sums from which the offset of each trace along the column follows.

    Parameters
    ----------
    data, floor, bad, response, centers, tables, columns, low, step, half
        As in `extract`.
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
    """Relative misfit of the profile in the core of each trace, beyond what noise explains.

    Parameters
    ----------
    data, floor, bad, response, centers, tables, columns, low, step, half
        As in `extract`.
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
