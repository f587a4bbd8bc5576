"""The model of a detector column, all traces at once, and its fit: the kernels of the extraction.

Indices within a column are unsigned in the innermost loops: a signed one is checked for negative values at every pixel,
which costs a third of the time of a fit (``benchmarks/toolchains.py``).
"""

import numpy as np
from numba import njit

from nrespipe.frames.arrays import Floats, Integers
from nrespipe.numerics.matrices import solve_banded
from nrespipe.numerics.profile_table import chunk_of, profile_of

OUTLIER = 2  # mark of a pixel that the fit has rejected, in the array of bad pixels
_NEIGHBORS = 3  # traces above a trace whose light may overlap with it
_BLOCK = 64  # rows of an image that are transposed at a time, so that they stay in the fastest cache


def transposed(image: np.ndarray) -> np.ndarray:
    """Return an image with columns and rows exchanged, each column contiguous in memory.

    Parameters
    ----------
    image : shape (n_rows, n_columns)
        Any image.

    Returns
    -------
    ndarray, shape (n_columns, n_rows)
        A copy, four times faster than a plain copy of the transpose; of an image whose columns are contiguous a view.
    """
    if image.flags.f_contiguous:
        return image.T
    out = np.empty(image.shape[::-1], image.dtype)
    for top in range(0, len(image), _BLOCK):
        out[:, top : top + _BLOCK] = image[top : top + _BLOCK].T
    return out


def _read_only(array):
    """Return a read-only view: the kernels are compiled for one, as the arrays of a master are read-only."""
    view = array.view()
    view.flags.writeable = False
    return view


def shares_of(
    response: Floats, centers: Floats, tables: Floats, columns: Floats, low: float, step: float, half: float
) -> tuple[Floats, Integers]:
    """Return the share of the flux of each trace that falls on each pixel of its window.

    Parameters
    ----------
    response : shape (n_columns, n_rows)
        Sensitivity of the pixels.
    centers : shape (n_columns, n_traces)
        Rows of the traces, increasing along the second axis; NaN where there is none.
    tables : shape (n_traces, n_chunks, n_offsets)
        Profiles.
    columns : shape (n_chunks,)
        Middles of the chunks.
    low, step, half
        First offset and spacing of the tables; half width of the window [pixel].

    Returns
    -------
    shares : ndarray of float32, shape (n_columns, n_traces, n_window)
        Profile times response.
    first : ndarray of int32, shape (n_columns, n_traces)
        Row of the first pixel of the window; -1 where there is no trace.
    """
    return _shares_of(_read_only(response), centers, tables, columns, low, step, half)


@njit(cache=True)
def _shares_of(response, centers, tables, columns, low, step, half):
    n_columns, n_rows = response.shape
    n = centers.shape[1]
    window = int(2 * half) + 1
    shares = np.zeros((n_columns, n, window), np.float32)
    first = np.full((n_columns, n), np.int32(-1))
    for x in range(n_columns):
        place, weight = chunk_of(columns, float(x))
        for k in range(n):
            c = centers[x, k]
            if np.isnan(c) or c + half < 0 or c - half > n_rows - 1:
                continue
            start = max(0, int(np.ceil(c - half)))
            first[x, k] = start
            for j in range(window):
                y = start + j
                if y < n_rows and y - c <= half:
                    shares[x, k, j] = profile_of(tables[k], place, weight, y - c, low, step) * response[x, y]
    return shares, first


@njit(cache=True)
def model_column(model: Floats, shares: Floats, first: Integers, flux: Floats, extra: Floats, least: float) -> None:
    """Fill a column with the light that is known, and the flux of its traces spread over their profiles.

    Parameters
    ----------
    model : shape (n_rows,)
        Is overwritten [electron].
    shares : shape (n_traces, n_window)
        Of this column, from `shares_of`.
    first : shape (n_traces,)
        Likewise.
    flux : shape (n_traces,)
        Of the traces; NaN counts as 0 [electron].
    extra : shape (n_rows,)
        Light that is known besides [electron].
    least
        A fainter trace is taken to have this flux: 0, or minus infinity to take each as it is [electron].
    """
    n_rows, window = len(model), shares.shape[1]
    for y in range(n_rows):
        model[y] = extra[y]
    for k in range(len(first)):
        if first[k] >= 0 and not np.isnan(flux[k]):
            light = max(flux[k], least)
            for j in range(min(window, n_rows - first[k])):
                model[np.uint64(first[k] + j)] += light * shares[k, j]


@njit(cache=True)
def add_traces(
    model: Floats,
    flux: Floats,
    centers: Floats,
    tables: Floats,
    columns: Floats,
    x: int,
    grid: tuple[float, float, float],
    response: Floats,
) -> None:
    """Add the flux of the traces to a column, by their tabulated profiles without a loss of digits in shares.

    Parameters
    ----------
    model : shape (n_rows,)
        The flux is added to it [electron].
    flux, centers : shape (n_traces,)
        Flux and row of each trace in this column, NaN for none [electron, pixel].
    tables, columns
        As in `shares_of`.
    x
        The column.
    grid
        First offset and spacing of the tables, half width of the window [pixel].
    response : shape (n_rows,)
        Sensitivity of the pixels.
    """
    low, step, half = grid
    place, weight = chunk_of(columns, float(x))
    for k in range(len(flux)):
        c = centers[k]
        if not (np.isnan(c) or np.isnan(flux[k])):
            for y in range(max(0, int(np.ceil(c - half))), min(len(model), int(c + half) + 1)):
                model[y] += flux[k] * profile_of(tables[k], place, weight, y - c, low, step) * response[y]


def fit(
    data: Floats,
    floor: Floats,
    error: Floats,
    bad: Integers,
    shares: Floats,
    first: Integers,
    extra: Floats,
    guard: Floats,
    threshold: float,
    start: Floats,
    passes: int,
    least: int = 3,
) -> tuple[Floats, Floats, Floats]:
    """Fit the flux of all traces to every column.

    Parameters
    ----------
    data, floor : shape (n_columns, n_rows)
        Light, and variance without its photon noise [electron, electron2].
    error : shape (n_columns, n_rows)
        Error of the response of the pixels, relative to it.
    bad : shape (n_columns, n_rows)
        Not 0 where a pixel is not to be used. On return `OUTLIER` where one was found.
    shares, first
        From `shares_of`.
    extra : shape (n_columns, n_rows)
        Light that is known and must not be fitted [electron].
    guard : shape (n_traces,)
        Error of the profile relative to the flux in a pixel; no pixel within it is an outlier.
    threshold
        Outliers are pixels further than this many standard deviations from the fit; infinite to keep all.
    start : shape (n_traces, n_columns)
        A first guess of the flux, for the first weights; NaN makes the kernel sum the window.
    passes
        Largest number of fits; at least 2.
    least
        Smallest number of fits: each finds better weights, unless they were good from the start.

    Returns
    -------
    flux, variance : ndarray of float, shape (n_traces, n_columns)
        Flux and its variance [electron, electron2]; NaN where the trace has no center or no usable pixel.
    used : ndarray of float32, shape (n_traces, n_columns)
        Share of the profile that fell on used pixels.
    """
    return _fit(data, floor, error, bad, shares, first, extra, guard, float(threshold), start, passes, least)


@njit(cache=True)
def _fit(data, floor, error, bad, shares, first, extra, guard, threshold, start, passes, least):
    n_columns, n_rows = data.shape
    n, window = shares.shape[1:]
    flux = np.full((n, n_columns), np.nan)
    variance = np.full((n, n_columns), np.nan)
    used = np.zeros((n, n_columns), np.float32)
    model = np.zeros(n_rows)
    noise = np.zeros(n_rows)
    weight, weighted = np.zeros(n_rows), np.zeros(n_rows)
    guards = np.zeros(n_rows)
    bands = np.zeros((n, _NEIGHBORS + 1))
    right = np.zeros(n)
    solution = np.zeros(n)
    inverse = np.zeros(n)
    for x in range(n_columns):
        for k in range(n):
            solution[k] = 0.0
            if first[x, k] >= 0:
                solution[k] = start[k, x] if not np.isnan(start[k, x]) else _sum(data[x], bad[x], first[x, k], window)
        for attempt in range(passes):
            model_column(model, shares[x], first[x], solution, extra[x], 0.0)
            _noise(noise, floor[x], error[x], model)
            if attempt > 0 and np.isfinite(threshold):
                _guards(guards, shares[x], first[x], solution, guard)
                found = 0
                if _has_outlier(data[x], bad[x], model, noise, guards, threshold):
                    found = _outliers(data[x], bad[x], model, noise, guards, first[x], window, threshold)
                if found == 0 and attempt >= least:
                    break
            elif attempt >= least:
                break
            _weights(weight, weighted, data[x], extra[x], noise, bad[x])
            _normal_equations(bands, right, weight, weighted, shares[x], first[x])
            solution, inverse = solve_banded(bands, right)
        for k in range(n):
            if first[x, k] >= 0:
                used[k, x] = _share_used(bad[x], shares[x, k], first[x, k])
                if used[k, x] > 0.05:
                    flux[k, x] = solution[k]
                    variance[k, x] = inverse[k]
    return flux, variance, used


def fit_exact_response(
    data: Floats,
    floor: Floats,
    bad: Integers,
    response: Floats,
    centers: Floats,
    tables: Floats,
    columns: Floats,
    low: float,
    step: float,
    half: float,
    guard: Floats,
    threshold: float,
    start: Floats,
    passes: int,
) -> tuple[Floats, Floats, Floats]:
    """Fit the flux of all traces to every column, the response of the pixels being exact.

    Parameters
    ----------
    data, floor, bad
        As in `fit`.
    response, centers, tables, columns, low, step, half
        As in `shares_of`.
    guard, threshold, start, passes
        As in `fit`.

    Returns
    -------
    flux, variance, used : ndarray of float, shape (n_traces, n_columns)
        As from `fit`.
    """
    shares, first = shares_of(response, centers, tables, columns, low, step, half)
    nothing = np.zeros(data.shape, np.float32)
    return fit(data, floor, nothing, bad, shares, first, nothing, guard, threshold, start, passes)


@njit(cache=True)
def _sum(data, bad, first, window):
    total = 0.0
    for y in range(first, min(first + window, len(data))):
        if not bad[y]:
            total += data[y]
    return max(total, 0.0)


@njit(cache=True)
def _share_used(bad, shares, first):
    share = 0.0
    for j in range(len(shares)):
        y = first + j
        if y < len(bad) and not bad[y]:
            share += shares[j]
    return share


@njit(cache=True)
def _noise(noise, floor, error, model):
    """Fill a column with the variance of its pixels."""
    # the whole column, also between the traces: the compiler then does several pixels at a time
    for y in range(len(noise)):
        light = max(model[y], 0.0)
        noise[y] = floor[y] + light + (error[y] * light) ** 2


@njit(cache=True)
def _guards(guards, shares, first, solution, guard):
    """Squares of the errors of the profiles, which no outlier test may undercut."""
    window = shares.shape[1]
    guards[:] = 0.0
    for k in range(len(first)):
        if first[k] < 0:
            continue
        light = guard[k] * max(solution[k], 0.0)
        for j in range(min(window, len(guards) - first[k])):
            guards[np.uint64(first[k] + j)] += (light * shares[k, j]) ** 2


@njit(cache=True)
def _weights(weight, weighted, data, extra, noise, bad):
    """Inverse variances of the pixels, 0 for those that are not used, and the light that is weighted with them."""
    for y in range(len(weight)):
        weight[y] = 0.0 if bad[y] else 1 / noise[y]
        weighted[y] = weight[y] * (data[y] - extra[y])


@njit(cache=True)
def _has_outlier(data, bad, model, noise, guards, threshold):
    found = 0
    for y in range(len(model)):
        found += ((data[y] - model[y]) ** 2 > threshold**2 * (noise[y] + guards[y])) & (bad[y] == 0)
    return found > 0


@njit(cache=True)
def _outliers(data, bad, model, noise, guards, first, window, threshold):
    """Mark the worst pixel of each trace that the noise cannot explain; return how many were found."""
    found = 0
    for k in range(len(first)):
        if first[k] < 0:
            continue
        worst, where = threshold**2, -1
        for at in range(first[k], min(first[k] + window, len(model))):
            y = np.uint64(at)
            square = (data[y] - model[y]) ** 2
            if square > worst * noise[y] and not bad[y] and square > worst * (noise[y] + guards[y]):
                worst, where = square / (noise[y] + guards[y]), at
        if where >= 0:
            bad[where] = OUTLIER
            found += 1
            for y in range(max(first[k], where - 1), min(len(model), first[k] + window, where + 2)):
                residual = data[y] - model[y]
                if not bad[y] and residual > 0 and residual**2 > 6.25 * (noise[y] + guards[y]):
                    bad[y] = OUTLIER
    return found


@njit(cache=True)
def _normal_equations(bands, right, weight, weighted, shares, first):
    bands[:] = 0.0
    window = shares.shape[1]
    n = len(first)
    for k in range(n):
        right[k] = 0.0
        if first[k] < 0:
            bands[k, 0] = 1.0
            continue
        end = min(window, len(weight) - first[k])
        # sums in variables of their own, which stay in registers
        light = square = 0.0
        for j in range(end):
            y = np.uint64(first[k] + j)
            share = shares[k, np.uint64(j)]
            light += share * weighted[y]
            square += share * share * weight[y]
        right[k], bands[k, 0] = light, square * (1 + 1e-9) + 1e-12
        for i in range(1, min(_NEIGHBORS + 1, n - k)):
            apart = first[k + i] - first[k]
            if first[k + i] < 0 or apart >= window:
                continue
            overlap = 0.0
            for j in range(max(apart, 0), min(end, window + apart)):
                both = shares[k, np.uint64(j)] * shares[k + i, np.uint64(j - apart)]
                overlap += both * weight[np.uint64(first[k] + j)]
            bands[k, i] = overlap


def trace_offsets(
    data: Floats,
    floor: Floats,
    bad: Integers,
    response: Floats,
    centers: Floats,
    tables: Floats,
    columns: Floats,
    low: float,
    step: float,
    half: float,
    flux: Floats,
    stride: int,
) -> tuple[Floats, Floats]:
    """Measure the offset of each trace from the row at which the model has it.

    Parameters
    ----------
    data, floor, bad, response, centers, tables, columns, low, step, half
        As in `fit_exact_response`.
    flux : shape (n_traces, n_columns)
        Flux of each trace [electron].
    stride
        Every `stride`-th column is used.

    Returns
    -------
    offset, weight : ndarray of float, shape (n_traces, n_columns)
        Least-squares offset of the light from the trace, upward positive, and its inverse variance
        [pixel, pixel-2]; weight 0 where nothing was measured.
    """
    grid = low, step, half
    return _trace_offsets(data, floor, bad, _read_only(response), centers, tables, columns, grid, flux, stride)


@njit(cache=True)
def _trace_offsets(data, floor, bad, response, centers, tables, columns, grid, flux, stride):
    low, step, half = grid
    n_columns, n_rows = data.shape
    n = centers.shape[1]
    offset = np.zeros((n, n_columns))
    weights = np.zeros((n, n_columns))
    model = np.zeros(n_rows)
    for x in range(stride // 2, n_columns, stride):
        place, weight = chunk_of(columns, float(x))
        model[:] = 0.0
        add_traces(model, flux[:, x], centers[x], tables, columns, x, grid, response[x])
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
