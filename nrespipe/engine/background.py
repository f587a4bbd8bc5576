"""Scattered light: a smooth surface through the pixels between the orders, apart from the wings of the orders."""

import numpy as np
from numba import njit
from numpy.polynomial import legendre

from nrespipe.frames.image import Image

#: Distances from the nearest trace at which free pixels are averaged apart from each other [pixel].
_CLASSES = np.array([6.5, 7.5, 9.0, 12.0, 17.0, 24.0, 1e9])
#: Scales of the exponentials whose sum stands for the wings of a trace [pixel].
_SCALES = np.array([1.5, 4.0, 10.0])
#: Beyond this distance the wings of a trace are part of the surface [pixel].
_REACH = 40.0
_FINE = 64  # steps a pixel of the table of the exponentials
_CORE = 4  # half width of the window that measures the light of a trace [pixel]


def subtract(image, traces, lit, degree=(7, 7), cell=(32, 64), stride=4):
    """Subtract the light that reaches the detector outside the orders.

    Parameters
    ----------
    image : Image
        Corrected frame.
    traces : Traces
        Where the orders lie.
    lit : tuple of int
        Fibers that carry light in this frame.
    degree : (int, int), optional
        Legendre degrees of the surface along rows and columns.
    cell : (int, int), optional
        Rows and columns of the cells over which pixels are averaged before the fit.
    stride : int, optional
        Every `stride`-th column is used.

    Returns
    -------
    Image
        The same frame without the background; the photon noise of the background and the error of the surface are
        added to `floor_variance`.

    Notes
    -----
    Each cell contributes the clipped mean of its free pixels in several classes of distance from the nearest trace.
    They are fitted at once by a Legendre surface and by the wings of the traces, a sum of exponentials in the distance
    times the light of each trace. Only the surface is subtracted: the wings belong to the profile. Where orders are so
    close that no pixel is free of wings, the fit knows them from the orders that are far apart.
    """
    centers = traces.centers[[traces.fibers.index(fiber) for fiber in lit if fiber in traces.fibers]]
    centers = centers.reshape(-1, centers.shape[-1])[:, stride // 2 :: stride]
    thin = [np.ascontiguousarray(a[:, stride // 2 :: stride].T) for a in (image.electrons, image.floor_variance)]
    mask = np.ascontiguousarray(image.mask[:, stride // 2 :: stride].T)
    near, wings = _wings(thin[0], np.ascontiguousarray(centers.T), _CLASSES[0], _SCALES, _REACH)
    points = _cells(*thin, mask, near, wings, cell[0], cell[1] // stride, _CLASSES)
    points[:, 3] = points[:, 3] * stride + stride // 2
    surface, variance = _surface(points, image.electrons.shape, degree)
    floor = image.floor_variance + np.maximum(surface, 0) + variance
    return Image(image.electrons - surface, floor, image.mask, image.exposure_s)


@njit(cache=True)
def _wings(data, centers, nearest, scales, reach):
    """Distance of each pixel from the nearest trace, and the exponentials of all traces there; axes (column, row)."""
    n_columns, n_rows = data.shape
    table = np.empty((int(reach * _FINE) + 2, len(scales)))
    for place in range(len(table)):
        for j in range(len(scales)):
            table[place, j] = np.exp(-((place + 0.5) / _FINE - nearest) / scales[j])
    near = np.full((n_columns, n_rows), np.float32(1e9))
    wings = np.zeros((n_columns, n_rows, len(scales)), np.float32)
    for x in range(n_columns):
        for k in range(centers.shape[1]):
            c = centers[x, k]
            if np.isnan(c):
                continue
            light = 0.0
            for y in range(max(0, int(c) - _CORE), min(n_rows, int(c) + _CORE + 2)):
                light += data[x, y]
            for y in range(max(0, int(np.ceil(c - reach))), min(n_rows, int(c + reach) + 1)):
                d = abs(y - c)
                near[x, y] = min(near[x, y], d)
                if d >= nearest and light > 0:
                    for j in range(len(scales)):
                        wings[x, y, j] += light * table[int(d * _FINE), j]
    return near, wings


@njit(cache=True)
def _cells(data, floor, mask, near, wings, cell_rows, cell_columns, classes):
    """Clipped mean, its error, mean place and mean wings of the free pixels of each cell and class of distance.

    A class with fewer than twelve pixels in a cell is left out.
    """
    n_columns, n_rows = data.shape
    shape = (n_rows // cell_rows, n_columns // cell_columns, len(classes) - 1)
    result = np.empty((shape[0] * shape[1] * shape[2], 4 + wings.shape[2]))
    values = np.empty(cell_rows * cell_columns)
    found = 0
    for i in range(shape[0]):
        for j in range(shape[1]):
            for c in range(shape[2]):
                n = 0
                sums = np.zeros(result.shape[1])
                for x in range(j * cell_columns, (j + 1) * cell_columns):
                    for y in range(i * cell_rows, (i + 1) * cell_rows):
                        if mask[x, y] == 0 and classes[c] <= near[x, y] < classes[c + 1]:
                            values[n] = data[x, y]
                            sums[1] += floor[x, y]
                            sums[2] += y
                            sums[3] += x
                            sums[4:] += wings[x, y]
                            n += 1
                if n >= 12:
                    sums /= n
                    result[found] = sums
                    result[found, 0], result[found, 1] = _clipped_mean(values[:n], sums[1])
                    found += 1
    return result[:found]


@njit(cache=True)
def _clipped_mean(values, floor):
    """Mean of the values within 3.5 standard deviations, by the noise model, of the median; and its error."""
    middle = np.median(values)
    noise = floor + max(middle, 0.0)
    limit = 3.5 * np.sqrt(noise)
    total, kept = 0.0, 0
    for value in values:
        if abs(value - middle) < limit:
            total += value
            kept += 1
    return (total / kept, np.sqrt(noise / kept)) if kept > 0 else (middle, np.sqrt(noise))


def _surface(points, shape, degree):
    """Weighted Legendre surface through the cells beside the wings, and its mean variance over the detector."""
    (level, error, rows, columns), wings = points[:, :4].T, points[:, 4:]
    n_surface = (degree[0] + 1) * (degree[1] + 1)
    if len(level) < 3 * n_surface:
        return np.zeros(shape, np.float32), np.float32(0)
    y, x = 2 * rows / (shape[0] - 1) - 1, 2 * columns / (shape[1] - 1) - 1
    brightest = np.maximum(wings.max(axis=0), 1e-9)
    design = np.concatenate([legendre.legvander2d(y, x, degree), wings / brightest], axis=1)
    # a share of the wings is not as modelled, which counts where the light is strong
    weight = 1 / np.hypot(error, 0.002 * wings[:, 0])
    keep = np.ones(len(level), bool)
    for _ in range(10):
        fit = _solve(design[keep] * weight[keep, None], level[keep] * weight[keep])
        residual = (level - design @ fit) * weight
        scatter = max(1.4826 * np.median(np.abs(residual[keep])), 1.0)
        previous, keep = keep, (residual < 3 * scatter) & (residual > -4 * scatter)
        if np.array_equal(keep, previous):
            break
    grid = (np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]))
    coefficients = fit[:n_surface].reshape(degree[0] + 1, degree[1] + 1)
    surface = legendre.legvander(grid[0], degree[0]) @ coefficients @ legendre.legvander(grid[1], degree[1]).T
    variance = np.float32(scatter**2 * n_surface / np.sum(weight[keep] ** 2))
    return surface.astype(np.float32), variance


def _solve(design, values):
    normal = design.T @ design
    normal[np.diag_indices_from(normal)] *= 1 + 1e-9
    return np.linalg.solve(normal, design.T @ values)
