"""Averages of the pixels between the orders, and a smooth surface through them."""

import numpy as np
from numba import njit
from scipy.interpolate import BSpline

from nrespipe.frames.arrays import Floats, Integers
from nrespipe.numerics.robust_statistics import median

#: Clip of the pixels of a cell, in standard deviations of the noise model.
_CLIP = 3.5


@njit(cache=True)
def wings_at(table: Floats, step: float, distance: float) -> float:
    """Look up the wings of a trace.

    Parameters
    ----------
    table : shape (2, n_distances)
        Share of the light of a column per pixel, below and above the trace, from distance 0 in equal steps.
    step
        Of the table [pixel].
    distance
        From the trace, upward positive [pixel].

    Returns
    -------
    float
        Share; 0 beyond the table.
    """
    side = 1 if distance > 0 else 0
    place = abs(distance) / step
    i = int(place)
    if i >= table.shape[1] - 1:
        return 0.0
    return table[side, i] + (place - i) * (table[side, i + 1] - table[side, i])


@njit(cache=True)
def nearest_trace(n_rows: int, centers: Floats) -> Floats:
    """Return the distance of every pixel of a column from the nearest trace.

    Parameters
    ----------
    n_rows
        Height of the column.
    centers : shape (n_traces,)
        Rows of the traces, increasing; NaN where there is none [pixel].

    Returns
    -------
    ndarray of float, shape (n_rows,)
        1e9 without any trace [pixel].
    """
    near = np.full(n_rows, 1e9)
    for c in centers:
        if not np.isnan(c):
            for y in range(max(0, int(c) - 80), min(n_rows, int(c) + 82)):
                near[y] = min(near[y], abs(y - c))
    return near


@njit(cache=True)
def cells(
    data: Floats,
    floor: Floats,
    mask: Integers,
    centers: Floats,
    light: Floats,
    table: Floats,
    step: float,
    classes: Floats,
    knots: Floats,
    rows: int,
    columns: int,
) -> Floats:
    """Average the free pixels of cells, apart for several distances from the nearest trace.

    Parameters
    ----------
    data, floor : shape (n_columns, n_rows)
        Light, and variance without its photon noise [electron, electron2].
    mask : shape (n_columns, n_rows)
        0 where a pixel may be used.
    centers, light : shape (n_columns, n_traces)
        Rows of the traces, increasing, and their light; NaN where there is none [pixel, electron].
    table, step
        Wings that are known and subtracted first, as in `wings_at`.
    classes : shape (n_classes + 1,)
        Limits of the distance of each class [pixel].
    knots : shape (n_knots,)
        Distances at which further wings are to be fitted; they are the knots of hat functions [pixel].
    rows, columns
        Size of the cells.

    Returns
    -------
    ndarray of float, shape (n_found, 5 + 2 * n_knots)
        Clipped mean and its error, mean row and column, mean of the known wings, and mean of the light times each hat
        function, those below the traces first. A class with fewer than twelve pixels in a cell is left out.
    """
    n_columns, n_rows = data.shape
    n_knots, n_classes = len(knots), len(classes) - 1
    reach = step * (table.shape[1] - 1)
    shape = (n_rows // rows, n_columns // columns)
    result = np.empty((shape[0] * shape[1] * n_classes, 5 + 2 * n_knots))
    found = 0
    values = np.empty((shape[0], n_classes, rows * columns), np.float32)
    count = np.zeros((shape[0], n_classes), np.int64)
    sums = np.zeros((shape[0], n_classes, 5 + 2 * n_knots))
    for j in range(shape[1]):
        count[:] = 0
        sums[:] = 0.0
        for x in range(j * columns, (j + 1) * columns):
            near = nearest_trace(n_rows, centers[x])
            low = 0
            for y in range(shape[0] * rows):
                if mask[x, y] != 0 or near[y] < classes[0] or near[y] >= classes[n_classes]:
                    continue
                c = 0
                while near[y] >= classes[c + 1]:
                    c += 1
                i = y // rows
                known = 0.0
                while low < centers.shape[1] and not (y - centers[x, low] < reach):
                    low += 1
                for k in range(low, centers.shape[1]):
                    d = y - centers[x, k]
                    if d <= -reach:
                        break
                    if np.isnan(d) or not light[x, k] > 0:
                        continue
                    known += light[x, k] * wings_at(table, step, d)
                    if n_knots > 0:
                        _add_hats(sums[i, c], knots, d, light[x, k])
                values[i, c, count[i, c]] = data[x, y] - known
                count[i, c] += 1
                sums[i, c, 1] += floor[x, y] + max(known, 0.0)
                sums[i, c, 2] += y
                sums[i, c, 3] += x
                sums[i, c, 4] += known
        for i in range(shape[0]):
            for c in range(n_classes):
                n = count[i, c]
                if n >= 12:
                    for k in range(result.shape[1]):
                        result[found, k] = sums[i, c, k] / n
                    result[found, 0], result[found, 1] = _clipped_mean(values[i, c, :n], sums[i, c, 1] / n)
                    found += 1
    return result[:found]


@njit(cache=True)
def _add_hats(sums, knots, distance, light):
    away = abs(distance)
    if away < knots[0] or away >= knots[-1]:
        return
    k = 0
    while away >= knots[k + 1]:
        k += 1
    share = (away - knots[k]) / (knots[k + 1] - knots[k])
    first = 5 + (len(knots) if distance > 0 else 0)
    sums[first + k] += light * (1 - share)
    sums[first + k + 1] += light * share


@njit(cache=True)
def _clipped_mean(values, floor):
    """Mean of the values within the clip, by the noise model, of the median; and its error. They change places."""
    middle = median(values)
    noise = floor + max(middle, 0.0)
    limit = _CLIP * np.sqrt(noise)
    total, kept = 0.0, 0
    for value in values:
        if abs(value - middle) < limit:
            total += value
            kept += 1
    return (total / kept, np.sqrt(noise / kept)) if kept > 0 else (middle, np.sqrt(noise))


@njit(cache=True)
def add_wings(extra: Floats, centers: Floats, light: Floats, table: Floats, step: float, half: float) -> None:
    """Add the light that traces spill beyond their windows to a frame, in place.

    Parameters
    ----------
    extra : shape (n_columns, n_rows)
        Light is added to it [electron].
    centers, light : shape (n_columns, n_traces)
        As in `cells`.
    table, step
        As in `wings_at`.
    half
        Half width of the windows [pixel].
    """
    n_columns, n_rows = extra.shape
    reach = step * (table.shape[1] - 1)
    for x in range(n_columns):
        for k in range(centers.shape[1]):
            c = centers[x, k]
            if np.isnan(c) or not light[x, k] > 0:
                continue
            for y in range(max(0, int(np.ceil(c - reach))), min(n_rows, int(c + reach) + 1)):
                if abs(y - c) > half:
                    extra[x, y] += light[x, k] * wings_at(table, step, y - c)


def surface(
    row: Floats,
    column: Floats,
    level: Floats,
    weight: Floats,
    extra: Floats,
    prior: float,
    shape: tuple[int, int],
    intervals: tuple[int, int],
    stiffness: float,
) -> tuple[Floats, Floats, Floats]:
    """Fit a smooth surface, and further terms beside it, to scattered values.

    Parameters
    ----------
    row, column : shape (n_points,)
        Places [pixel].
    level, weight : shape (n_points,)
        Values and inverse errors.
    extra : shape (n_points, n_extra)
        Further terms.
    prior
        Standard deviation of their factors about 0, infinite if they are free.
    shape
        Rows and columns of the image.
    intervals
        Intervals between the knots of the cubic splines along rows and columns.
    stiffness
        Weight of the squared second differences of neighboring coefficients, relative to that of the points.

    Returns
    -------
    coefficients : ndarray of float, shape (n_y, n_x)
        Of the products of splines.
    factors : ndarray of float, shape (n_extra,)
        Of the further terms.
    covariance : ndarray of float, shape (n_y * n_x, n_y * n_x)
        Of `coefficients`.
    """
    (first_y, in_y), (first_x, in_x) = (
        _basis(place, size, n) for place, size, n in zip((row, column), shape, intervals)
    )
    n_y, n_x = intervals[0] + 3, intervals[1] + 3
    points = (np.ascontiguousarray(array) for array in (extra, level, weight))
    normal, right = _normal_equations(first_y, in_y, first_x, in_x, n_y, n_x, *points)
    n_surface = n_y * n_x
    # relative to the median: a few cells with many pixels must not stiffen the rest
    diagonal = normal.diagonal()[:n_surface]
    normal[:n_surface, :n_surface] += stiffness * np.median(diagonal[diagonal > 0]) * _roughness(n_y, n_x)
    normal[n_surface:, n_surface:] += np.eye(extra.shape[1]) / prior**2
    normal[np.diag_indices_from(normal)] *= 1 + 1e-9
    inverse = np.linalg.inv(normal)
    solution = inverse @ right
    return solution[:n_surface].reshape(n_y, n_x), solution[n_surface:], inverse[:n_surface, :n_surface]


def on_image(coefficients: Floats, shape: tuple[int, int]) -> Floats:
    """Return a surface on all pixels.

    Parameters
    ----------
    coefficients : shape (n_y, n_x)
        From `surface`.
    shape
        Rows and columns of the image.

    Returns
    -------
    ndarray of float32, shape (n_rows, n_columns)
    """
    along = [_matrix(np.arange(size), size, n - 3) for size, n in zip(shape, coefficients.shape)]
    rows, columns = (along[0] @ coefficients).astype(np.float32), along[1].astype(np.float32)
    return rows @ columns.T


def at_points(coefficients: Floats, row: Floats, column: Floats, shape: tuple[int, int]) -> Floats:
    """Return a surface at scattered places.

    Parameters
    ----------
    coefficients : shape (n_y, n_x)
        From `surface`.
    row, column : shape (n_points,)
        Places [pixel].
    shape
        Rows and columns of the image.

    Returns
    -------
    ndarray of float, shape (n_points,)
    """
    (first_y, in_y), (first_x, in_x) = (
        _basis(place, size, n - 3) for place, size, n in zip((row, column), shape, coefficients.shape)
    )
    near = coefficients[(first_y[:, None] + np.arange(4))[:, :, None], (first_x[:, None] + np.arange(4))[:, None, :]]
    return np.einsum("ki,kj,kij->k", in_y, in_x, near)


def variance_on_image(covariance: Floats, shape: tuple[int, ...], intervals: tuple[int, ...], cell: int = 64) -> Floats:
    """Return the variance of a surface on all pixels.

    Parameters
    ----------
    covariance : shape (n_y * n_x, n_y * n_x)
        From `surface`.
    shape, intervals
        As in `surface`.
    cell
        Side of the squares within which it is taken as constant [pixel].

    Returns
    -------
    ndarray of float32, shape (n_rows, n_columns)
    """
    middles = [np.minimum(np.arange(0, size, cell) + cell / 2, size - 1) for size in shape]
    in_y, in_x = (_matrix(place, size, n) for place, size, n in zip(middles, shape, intervals))
    n_y, n_x = in_y.shape[1], in_x.shape[1]
    blocks = covariance.reshape(n_y, n_x, n_y, n_x)
    half = np.einsum("ya,yc,abcd->ybd", in_y, in_y, blocks, optimize=True)
    coarse = np.einsum("xb,xd,ybd->yx", in_x, in_x, half, optimize=True).astype(np.float32)
    return np.repeat(np.repeat(coarse, cell, 0), cell, 1)[: shape[0], : shape[1]]


def _knots(size, n):
    # evenly spaced beyond the ends too: of a plane the coefficients then have no second differences
    return -0.5 + size / n * np.arange(-3, n + 4)


def _matrix(place, size, n):
    return BSpline.design_matrix(np.asarray(place, float), _knots(size, n), 3).toarray()


def _basis(place, size, n):
    matrix = BSpline.design_matrix(np.ascontiguousarray(place), _knots(size, n), 3)
    return matrix.indices[::4].astype(np.int64), matrix.data.reshape(-1, 4)


def _roughness(n_y, n_x):
    """Sum of the squared second differences along both axes, as a matrix."""
    squares = []
    for n in (n_y, n_x):
        difference = np.diff(np.eye(n), 2, axis=0)
        squares.append(difference.T @ difference)
    return np.kron(squares[0], np.eye(n_x)) + np.kron(np.eye(n_y), squares[1])


@njit(cache=True)
def _normal_equations(first_y, in_y, first_x, in_x, n_y, n_x, extra, level, weight):
    n = n_y * n_x + extra.shape[1]
    terms = 16 + extra.shape[1]
    normal, right = np.zeros((n, n)), np.zeros(n)
    row, at = np.empty(terms), np.empty(terms, np.int64)
    for k in range(len(level)):
        if weight[k] == 0:
            continue
        for i in range(4):
            for j in range(4):
                row[4 * i + j] = in_y[k, i] * in_x[k, j] * weight[k]
                at[4 * i + j] = (first_y[k] + i) * n_x + first_x[k] + j
        for e in range(extra.shape[1]):
            row[16 + e] = extra[k, e] * weight[k]
            at[16 + e] = n_y * n_x + e
        for i in range(terms):
            right[at[i]] += row[i] * level[k] * weight[k]
            for j in range(terms):
                normal[at[i], at[j]] += row[i] * row[j]
    return normal, right
