"""Scattered light: a smooth surface through the pixels between the orders."""

import numpy as np
from numba import njit
from numpy.polynomial import legendre

from nrespipe.frames.image import Image


def subtract(image, traces, lit, distance=7.0, degree=(7, 7), cell=(32, 64)):
    """Subtract the light that reaches the detector outside the orders.

    Parameters
    ----------
    image : Image
        Corrected frame.
    traces : Traces
        Where the orders lie.
    lit : tuple of int
        Fibers that carry light in this frame.
    distance : float, optional
        Pixels nearer than this to a lit trace are not used [pixel].
    degree : (int, int), optional
        Legendre degrees of the surface along rows and columns.
    cell : (int, int), optional
        Rows and columns of the cells over which pixels are averaged before the fit.

    Returns
    -------
    Image
        The same frame without the background; the photon noise of the background and the error of the surface are
        added to `floor_variance`.

    Notes
    -----
    Each cell contributes the clipped mean of its free pixels. The fit leaves out cells far above the surface sooner
    than cells below it, because whatever a fiber spills only adds light.
    """
    centers = traces.centers[[traces.fibers.index(fiber) for fiber in lit if fiber in traces.fibers]]
    centers = np.ascontiguousarray(centers.reshape(-1, centers.shape[-1]).T)
    level, error, rows, columns = _cells(image.electrons, image.floor_variance, image.mask, centers, distance, *cell)
    surface, variance = _surface(level, error, rows, columns, image.electrons.shape, degree)
    floor = image.floor_variance + np.maximum(surface, 0) + variance
    return Image(image.electrons - surface, floor, image.mask, image.exposure_s)


@njit(cache=True)
def _cells(electrons, floor_variance, mask, centers, distance, cell_rows, cell_columns):
    """Clipped mean, its error, and mean row and column of the free pixels of each cell; NaN where there are few."""
    n_rows, n_columns = electrons.shape
    shape = (n_rows // cell_rows, n_columns // cell_columns)
    free = np.zeros((n_rows, n_columns), np.bool_)
    for x in range(n_columns):
        for y in range(n_rows):
            free[y, x] = mask[y, x] == 0
        for k in range(centers.shape[1]):
            c = centers[x, k]
            if not np.isnan(c):
                for y in range(max(0, int(np.ceil(c - distance))), min(n_rows, int(np.floor(c + distance)) + 1)):
                    free[y, x] = False
    level = np.full(shape, np.nan)
    error = np.full(shape, np.nan)
    rows = np.full(shape, np.nan)
    columns = np.full(shape, np.nan)
    values = np.empty(cell_rows * cell_columns)
    for i in range(shape[0]):
        for j in range(shape[1]):
            n, noise, row, column = 0, 0.0, 0.0, 0.0
            for y in range(i * cell_rows, (i + 1) * cell_rows):
                for x in range(j * cell_columns, (j + 1) * cell_columns):
                    if free[y, x]:
                        values[n] = electrons[y, x]
                        noise += floor_variance[y, x]
                        row += y
                        column += x
                        n += 1
            if n < 30:
                continue
            middle = np.median(values[:n])
            noise = noise / n + max(middle, 0.0)
            limit = 3.5 * np.sqrt(noise)
            total, kept = 0.0, 0
            for k in range(n):
                if abs(values[k] - middle) < limit:
                    total += values[k]
                    kept += 1
            if kept < 15:
                continue
            level[i, j] = total / kept
            error[i, j] = np.sqrt(noise / kept)
            rows[i, j] = row / n
            columns[i, j] = column / n
    return level, error, rows, columns


def _surface(level, error, rows, columns, shape, degree):
    """Weighted Legendre surface through the cells, and the variance of it (a number: the mean over the detector)."""
    good = np.isfinite(level)
    if good.sum() < 2 * (degree[0] + 1) * (degree[1] + 1):
        return np.zeros(shape, np.float32), np.float32(0)
    value, weight = level[good], 1 / error[good]
    y, x = (2 * rows[good] / (shape[0] - 1) - 1, 2 * columns[good] / (shape[1] - 1) - 1)
    design = legendre.legvander2d(y, x, degree)
    keep = np.ones(len(value), bool)
    for _ in range(10):
        fit, *_ = np.linalg.lstsq(design[keep] * weight[keep, None], value[keep] * weight[keep], rcond=None)
        residual = (value - design @ fit) * weight
        scatter = max(1.4826 * np.median(np.abs(residual[keep])), 1.0)
        previous, keep = keep, (residual < 2.5 * scatter) & (residual > -4 * scatter)
        if np.array_equal(keep, previous):
            break
    grid = (np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]))
    coefficients = fit.reshape(degree[0] + 1, degree[1] + 1)
    surface = legendre.legvander(grid[0], degree[0]) @ coefficients @ legendre.legvander(grid[1], degree[1]).T
    variance = np.float32(scatter**2 * design.shape[1] / np.sum(weight[keep] ** 2))
    return surface.astype(np.float32), variance
