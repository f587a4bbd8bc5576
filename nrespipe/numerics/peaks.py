"""Peaks of a spectrum, and fits of a tabulated profile to them."""

import numpy as np
from numba import njit

from nrespipe.frames.arrays import Floats, Integers
from nrespipe.numerics.matrices import invert

#: How the columns of the result of ``fit`` are ordered.
COLUMNS = ("flux", "center", "fwhm", "background", "center_error", "flux_error", "chi2", "n_pixels")


@njit(cache=True)
def find(signal: Floats, noise: Floats, threshold: float, separation: int) -> Integers:
    """Find local maxima.

    Parameters
    ----------
    signal, noise : shape (n_pixels,)
        Spectrum and its standard deviation; a pixel without a positive noise is no peak.
    threshold
        Least signal-to-noise ratio.
    separation
        A peak is the largest value within this many pixels on either side [pixel].

    Returns
    -------
    ndarray of int
        Pixels of the peaks, increasing.
    """
    n = len(signal)
    found, count = np.empty(n, np.int64), 0
    for i in range(1, n - 1):
        if not (noise[i] > 0 and signal[i] > threshold * noise[i]):
            continue
        largest = True
        for j in range(max(0, i - separation), min(n, i + separation + 1)):
            if signal[j] > signal[i] or (signal[j] == signal[i] and j < i):
                largest = False
                break
        if largest:
            found[count] = i
            count += 1
    return found[:count].copy()


@njit(cache=True)
def profile(table: Floats, u: float) -> tuple[float, float]:
    """Interpolate a profile and its slope.

    Parameters
    ----------
    table : shape (3 + n_offsets,)
        First offset, step, unused, then the values.
    u
        Where.

    Returns
    -------
    value, slope : float
        Cubic convolution (Keys 1981), 0 outside of the table.
    """
    step = table[1]
    t = (u - table[0]) / step
    i = int(np.floor(t))
    n = len(table) - 3
    if i < 1 or i > n - 3:
        return 0.0, 0.0
    f = t - i
    a, b, c, d = table[2 + i], table[3 + i], table[4 + i], table[5 + i]
    k1 = 0.5 * (c - a)
    k2 = a - 2.5 * b + 2 * c - 0.5 * d
    k3 = 1.5 * (b - c) + 0.5 * (d - a)
    return b + f * (k1 + f * (k2 + f * k3)), (k1 + f * (2 * k2 + 3 * f * k3)) / step


@njit(cache=True)
def render(
    n_rows: int, n_pixels: int, row: Integers, flux: Floats, center: Floats, fwhm: Floats, tables: Floats, reach: float
) -> Floats:
    """Add up the profiles of lines.

    Parameters
    ----------
    n_rows, n_pixels
        Shape of the result.
    row : shape (n_lines,)
        Row of each line.
    flux, center, fwhm : shape (n_lines,)
        Light, center and width [electron, pixel, pixel].
    tables : shape (n_lines, 3 + n_offsets)
        Profile of each line as a function of distance / fwhm.
    reach
        How far the profile reaches [fwhm].

    Returns
    -------
    ndarray of float, shape (n_rows, n_pixels)
    """
    out = np.zeros((n_rows, n_pixels))
    for k in range(len(row)):
        if not flux[k] > 0:
            continue
        first = max(0, int(np.ceil(center[k] - reach * fwhm[k])))
        last = min(n_pixels - 1, int(np.floor(center[k] + reach * fwhm[k])))
        for i in range(first, last + 1):
            out[row[k], i] += flux[k] / fwhm[k] * profile(tables[k], (i - center[k]) / fwhm[k])[0]
    return out


@njit(cache=True)
def _own(start, table, i):
    if not start[0] > 0:
        return 0.0
    return start[0] / start[2] * profile(table, (i - start[1]) / start[2])[0]


@njit(cache=True)
def _step(line, first, last, start, p, free_width, normal, right):
    """Fill the normal equations of one line at the parameters p; return chi2 and the number of pixels."""
    residual, weight, table = line
    normal[:] = 0.0
    right[:] = 0.0
    chi2, n = 0.0, 0
    gradient = np.zeros(4)
    for i in range(first, last + 1):
        if not weight[i] > 0:
            continue
        u = (i - p[1]) / p[2]
        value, slope = profile(table, u)
        gradient[0] = value / p[2]
        gradient[1] = -p[0] * slope / p[2] ** 2
        gradient[2] = 1.0
        gradient[3] = -p[0] * (value + u * slope) / p[2] ** 2 if free_width else 0.0
        r = residual[i] + _own(start, table, i) - p[0] * gradient[0] - p[3]
        chi2 += weight[i] * r * r
        n += 1
        for a in range(4):
            right[a] += weight[i] * gradient[a] * r
            for b in range(4):
                normal[a, b] += weight[i] * gradient[a] * gradient[b]
    if not free_width:
        normal[3, 3] = 1.0
    for a in range(4):
        normal[a, a] *= 1 + 1e-12
    return chi2, n


@njit(cache=True)
def _error(line, variance, first, last, p, inverse, free_width):
    """Errors of flux and center under the true variance, which need not be the inverse of the weight."""
    _, weight, table = line
    covariance = np.zeros(2)
    gradient = np.zeros(4)
    for i in range(first, last + 1):
        if not weight[i] > 0:
            continue
        u = (i - p[1]) / p[2]
        value, slope = profile(table, u)
        gradient[0] = value / p[2]
        gradient[1] = -p[0] * slope / p[2] ** 2
        gradient[2] = 1.0
        gradient[3] = -p[0] * (value + u * slope) / p[2] ** 2 if free_width else 0.0
        for a in range(2):
            response = 0.0
            for b in range(4):
                response += inverse[a, b] * gradient[b]
            covariance[a] += (response * weight[i]) ** 2 * variance[i]
    return np.sqrt(covariance[0]), np.sqrt(covariance[1])


@njit(cache=True)
def fit(
    residual: Floats,
    weight: Floats,
    variance: Floats,
    row: Integers,
    start: Floats,
    tables: Floats,
    window: float,
    free_width: bool,
) -> Floats:
    """Fit flux, center and background of lines, each by itself.

    Parameters
    ----------
    residual : shape (n_rows, n_pixels)
        Spectrum minus the lines of `start`; each line is put back while it is fitted, so neighbors do not disturb it.
    weight, variance : shape (n_rows, n_pixels)
        Weight of each pixel, 0 for a bad one, and its variance, which sets the errors.
    row : shape (n_lines,)
        Row of each line.
    start : shape (n_lines, 3)
        Flux, center and full width at half maximum; a flux of 0 for a line that has not been subtracted.
    tables : shape (n_lines, 3 + n_offsets)
        Profile of each line.
    window
        Pixels up to this far from the starting center take part [fwhm].
    free_width
        Whether the width is fitted, too.

    Returns
    -------
    ndarray of float, shape (n_lines, 8)
        Columns as in ``COLUMNS``; the center is NaN where the fit failed.
    """
    out = np.full((len(row), 8), np.nan)
    normal, right, inverse, p = np.zeros((4, 4)), np.zeros(4), np.zeros((4, 4)), np.zeros(4)
    for k in range(len(row)):
        line = residual[row[k]], weight[row[k]], tables[k]
        reach = max(3.0, window * start[k, 2])
        first = max(0, int(np.ceil(start[k, 1] - reach)))
        last = min(residual.shape[1] - 1, int(np.floor(start[k, 1] + reach)))
        p[0], p[1], p[2], p[3] = start[k, 0], start[k, 1], start[k, 2], 0.0
        if not _settle(line, first, last, start[k], p, free_width, normal, right, inverse):
            continue
        chi2, n = _step(line, first, last, start[k], p, free_width, normal, right)
        if not invert(normal, inverse):
            continue
        errors = _error(line, variance[row[k]], first, last, p, inverse, free_width)
        out[k, 0], out[k, 1], out[k, 2], out[k, 3] = p[0], p[1], p[2], p[3]
        out[k, 4], out[k, 5], out[k, 6], out[k, 7] = errors[1], errors[0], chi2, n
    return out


@njit(cache=True)
def _settle(line, first, last, start, p, free_width, normal, right, inverse):
    """Iterate the parameters p (flux, center, width, background) to rest; tell whether they stayed near the start."""
    if not p[0] > 0:
        p[0] = _sum(line[0], line[1], first, last)
    for iteration in range(25):
        _, n = _step(line, first, last, start, p, free_width, normal, right)
        if n < 6 or not p[0] > 0 or not invert(normal, inverse):
            return False
        more = _dot(inverse[0], right)
        p[0] = max(p[0] + more, 0.2 * p[0])
        p[3] += _dot(inverse[2], right)
        move = min(max(_dot(inverse[1], right), -0.15 * p[2]), 0.15 * p[2])
        p[1] += move
        if free_width:
            p[2] = min(max(p[2] + _dot(inverse[3], right), 0.8 * p[2]), 1.25 * p[2])
        if abs(p[1] - start[1]) > 0.6 * start[2] or not (0.4 * start[2] < p[2] < 2.5 * start[2]):
            return False
        if abs(move) < 1e-6 and abs(more) < 1e-6 * p[0] and iteration > 1:
            break
    return True


@njit(cache=True)
def _dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3]


@njit(cache=True)
def _sum(spectrum, weight, first, last):
    total = 0.0
    for i in range(first, last + 1):
        if weight[i] > 0:
            total += spectrum[i]
    return total
