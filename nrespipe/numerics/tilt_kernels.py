"""Light beside the column of its wavelength, because the images of lines are tilted and curved."""

import numpy as np
from numba import njit

from nrespipe.frames.arrays import Floats, Integers
from nrespipe.numerics.column_fit_kernels import model_column

# Derivatives of a sequence by its six nearest neighbors (central differences of the sixth order, fourth for the third)
_FIRST = (3 / 4, -3 / 20, 1 / 60)
_SECOND = (3 / 2, -3 / 20, 1 / 90)
_SECOND_MIDDLE = -49 / 18
_THIRD = (-13 / 8, 1.0, -1 / 8)

#: Half width within which light is displaced: further out there is too little for the tilt to matter [pixel].
_CORE = 6.5


@njit(cache=True)
def derivatives(flux: Floats, x: int) -> tuple[float, float, float]:
    """Return the first three derivatives of a spectrum at a pixel.

    Parameters
    ----------
    flux : shape (n_pixels,)
        Spectrum; NaN where it is unknown.

    Returns
    -------
    first, second, third : float
        Per pixel, pixel2 and pixel3; 0 where one of the seven pixels is unknown or beyond the ends.
    """
    if x < 3 or x > len(flux) - 4:
        return 0.0, 0.0, 0.0
    first, second, third = 0.0, _SECOND_MIDDLE * flux[x], 0.0
    for i in range(3):
        right, left = flux[x + i + 1], flux[x - i - 1]
        first += _FIRST[i] * (right - left)
        second += _SECOND[i] * (right + left)
        third += _THIRD[i] * (right - left)
    if np.isnan(first) or np.isnan(second):
        return 0.0, 0.0, 0.0
    return first, second, third


@njit(cache=True)
def moment(shares: Floats, first: int, center: float) -> float:
    """Return the second moment of a profile about the center of its trace.

    Parameters
    ----------
    shares : shape (n_window,)
        Share of the light in each pixel.
    first
        Row of the first of them.
    center
        Row of the trace [pixel].

    Returns
    -------
    float
        Mean square distance [pixel2].
    """
    total, square = 0.0, 0.0
    for j in range(len(shares)):
        total += shares[j]
        square += shares[j] * (first + j - center) ** 2
    return square / total if total > 0 else 0.0


@njit(cache=True)
def displaced(
    n_rows: int, shares: Floats, first: Integers, centers: Floats, flux: Floats, tilt: Floats, curvature: Floats
) -> Floats:
    """Return the light that the tilt and curvature of the lines add to an image of upright lines.

    Parameters
    ----------
    n_rows
        Height of the image.
    shares, first
        From ``column_fit_kernels.shares_of``.
    centers : shape (n_columns, n_traces)
        Rows of the traces [pixel].
    flux : shape (n_traces, n_columns)
        Flux of the traces [electron].
    tilt, curvature : shape (n_traces, n_columns)
        Light at the distance u above its trace lies ``tilt * u + curvature * (u**2 - q)`` columns to the right, q being
        the second moment of the profile [pixel / pixel, pixel / pixel2].

    Returns
    -------
    ndarray of float32, shape (n_columns, n_rows)
        ``(s(x - d) - s(x))`` times the shares, by the Taylor series of the light s to the third order [electron].
    """
    n_columns, n, window = shares.shape
    extra = np.zeros((n_columns, n_rows), np.float32)
    for x in range(n_columns):
        for k in range(n):
            if first[x, k] < 0 or np.isnan(flux[k, x]):
                continue
            slope, second, third = derivatives(flux[k], x)
            if slope == 0.0 and second == 0.0:
                continue
            square = moment(shares[x, k], first[x, k], centers[x, k])
            for j in range(min(window, n_rows - first[x, k])):
                u = first[x, k] + j - centers[x, k]
                if abs(u) > _CORE:
                    continue
                d = tilt[k, x] * u + curvature[k, x] * (u * u - square)
                extra[x, first[x, k] + j] += shares[x, k, j] * d * (-slope + d * (0.5 * second - d * third / 6))
    return extra


@njit(cache=True)
def sums(
    data: Floats,
    floor: Floats,
    bad: Integers,
    shares: Floats,
    first: Integers,
    centers: Floats,
    flux: Floats,
    extra: Floats,
    guard: float,
    least_snr: float,
    core: float,
    edges: Integers,
) -> tuple[Floats, Floats]:
    """Sum the normal equations for corrections to tilt and curvature, in pieces along each trace.

    Parameters
    ----------
    data, floor : shape (n_columns, n_rows)
        Light, and variance without its photon noise [electron, electron2].
    bad : shape (n_columns, n_rows)
        Not 0 where a pixel is not to be used.
    shares, first, centers, flux
        As in `displaced`.
    extra : shape (n_columns, n_rows)
        From `displaced` with the tilt and curvature known so far [electron].
    guard
        Error of the profile relative to the light in a pixel.
    least_snr
        Columns whose flux is less significant are left out.
    core
        Pixels further from the center of their trace do not count [pixel].
    edges : shape (n_pieces + 1,)
        First column of each piece, and the end of the last.

    Returns
    -------
    matrix : ndarray of float, shape (n_traces, n_pieces, 2, 2)
        Normal equations.
    right : ndarray of float, shape (n_traces, n_pieces, 2)
        Right-hand sides.
    """
    n, window = shares.shape[1:]
    n_rows = data.shape[1]
    n_pieces = len(edges) - 1
    matrix, right = np.zeros((n, n_pieces, 2, 2)), np.zeros((n, n_pieces, 2))
    model = np.zeros(n_rows)
    terms = np.zeros((2, window))
    weights = np.zeros(window)
    for piece in range(n_pieces):
        for x in range(edges[piece], edges[piece + 1]):
            model_column(model, shares[x], first[x], flux[:, x], extra[x], -np.inf)
            for k in range(n):
                slope = 0.0
                if first[x, k] >= 0 and flux[k, x] > least_snr**2:
                    slope = derivatives(flux[k], x)[0]
                if abs(slope) < 0.02 * max(flux[k, x], 1.0):
                    continue
                square = moment(shares[x, k], first[x, k], centers[x, k])
                total, first_overlap, second_overlap = 0.0, 0.0, 0.0
                for j in range(window):
                    y = first[x, k] + j
                    weights[j] = 0.0
                    if y < n_rows and not bad[x, y] and abs(y - centers[x, k]) < core:
                        u = y - centers[x, k]
                        share = shares[x, k, j]
                        variance = floor[x, y] + max(model[y], 0.0) + (guard * model[y]) ** 2
                        weights[j] = 1 / variance
                        terms[0, j] = -slope * share * u
                        terms[1, j] = -slope * share * (u * u - square)
                        total += weights[j] * share * share
                        first_overlap += weights[j] * share * terms[0, j]
                        second_overlap += weights[j] * share * terms[1, j]
                if total == 0.0:
                    continue
                for j in range(window):
                    if weights[j] > 0:
                        y = first[x, k] + j
                        # the light of the column was fitted, so only the part that its profile cannot mimic counts
                        a = terms[0, j] - first_overlap / total * shares[x, k, j]
                        b = terms[1, j] - second_overlap / total * shares[x, k, j]
                        residual = data[x, y] - model[y]
                        matrix[k, piece, 0, 0] += weights[j] * a * a
                        matrix[k, piece, 0, 1] += weights[j] * a * b
                        matrix[k, piece, 1, 0] += weights[j] * a * b
                        matrix[k, piece, 1, 1] += weights[j] * b * b
                        right[k, piece, 0] += weights[j] * a * residual
                        right[k, piece, 1] += weights[j] * b * residual
    return matrix, right
