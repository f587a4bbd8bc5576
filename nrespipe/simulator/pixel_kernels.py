"""Kernels that turn spectra into pixels: blur along the order, spread across it."""

import numpy as np
from numba import njit

from nrespipe.frames.arrays import Floats
from nrespipe.simulator import lineshape

#: Samples a pixel on which spectra are blurred.
OVERSAMPLING = 4

#: Pixels beyond either end of an order from which light is followed.
PADDING = 26

# The line-spread function is tabulated at this many places along an order, linear in between.
_PLACES = 129


def grid(columns: int) -> Floats:
    """Return the columns of the samples of a spectrum.

    Parameters
    ----------
    columns
        Length of an order [pixel].

    Returns
    -------
    ndarray of float
        From -`PADDING` to ``columns - 1 + PADDING``, `OVERSAMPLING` to the pixel [pixel].
    """
    return np.arange(-PADDING * OVERSAMPLING, (columns - 1 + PADDING) * OVERSAMPLING + 1) / OVERSAMPLING


def blur(samples: Floats, width: Floats, softness: Floats) -> Floats:
    """Blur a continuous spectrum along its order and collect it in pixels.

    Parameters
    ----------
    samples : shape (n_samples,)
        Light of each sample of `grid` [electron].
    width, softness : shape (n_samples,)
        Of the line-spread function at the samples [pixel, 1].

    Returns
    -------
    ndarray of float, shape (n_samples,)
        Light that a whole pixel centered on each sample collects [electron].
    """
    n = len(samples)
    nodes = np.linspace(0, n - 1, _PLACES)
    half = int(np.ceil((lineshape.REACH * width.max() + 1) * OVERSAMPLING))
    offsets = np.arange(-half, half + 1) / OVERSAMPLING
    index = np.arange(n)
    kernels = pixel_shape(offsets, np.interp(nodes, index, width)[:, None], np.interp(nodes, index, softness)[:, None])
    return _blur(np.ascontiguousarray(samples, float), kernels, (n - 1) / (_PLACES - 1), half)


@njit(cache=True)
def _blur(samples, kernels, spacing, half):
    n = samples.size
    out = np.zeros(n + 2 * half)
    for j in range(n):
        if samples[j] == 0.0:
            continue
        place = j / spacing
        k = min(int(place), kernels.shape[0] - 2)
        right = samples[j] * (place - k)
        left = samples[j] - right
        for i in range(2 * half + 1):
            out[j + i] += left * kernels[k, i] + right * kernels[k + 1, i]
    return out[half : half + n]


def pixel_shape(offset: Floats, width: Floats, softness: Floats) -> Floats:
    """Return the share of a line's light that a pixel collects.

    Parameters
    ----------
    offset
        Middle of the pixel minus center of the line [pixel].
    width, softness
        Of the line-spread function [pixel, 1]; broadcast against `offset`.

    Returns
    -------
    ndarray of float
        Sums to 1 over any comb of pixels.
    """
    sharp, soft = lineshape.along()
    places = np.arange(len(sharp)) * lineshape.STEP - (len(sharp) - 1) / 2 * lineshape.STEP
    low, high = (offset - 0.5) / width, (offset + 0.5) / width
    a = np.interp(high, places, sharp) - np.interp(low, places, sharp)
    b = np.interp(high, places, soft) - np.interp(low, places, soft)
    return (1 - softness) * a + softness * b


def lines(x: Floats, flux: Floats, width: Floats, softness: Floats, columns: int) -> Floats:
    """Return the light of isolated lines in pixels.

    Parameters
    ----------
    x, flux, width, softness : shape (n_lines,)
        Position, light, and line-spread function of each line [pixel, electron, pixel, 1].
    columns
        Length of an order [pixel].

    Returns
    -------
    ndarray of float, shape (n_samples,)
        As from `blur`.
    """
    sharp, soft = lineshape.along()
    out = np.zeros(len(grid(columns)))
    _lines(out, x, flux, width, softness, sharp, soft, (len(sharp) - 1) / 2, lineshape.STEP, lineshape.REACH)
    return out


@njit(cache=True)
def _cumulative(table, place):
    if place <= 0.0:
        return 0.0
    if place >= table.size - 1:
        return 1.0
    k = int(place)
    return table[k] + (place - k) * (table[k + 1] - table[k])


@njit(cache=True)
def _lines(out, x, flux, width, softness, sharp, soft, middle, step, reach):
    for k in range(x.size):
        half = reach * width[k] + 0.5
        first = max(0, int(np.ceil((x[k] - half + PADDING) * OVERSAMPLING)))
        last = min(out.size - 1, int((x[k] + half + PADDING) * OVERSAMPLING))
        for i in range(first, last + 1):
            offset = i / OVERSAMPLING - PADDING - x[k]
            low = (offset - 0.5) / width[k] / step + middle
            high = (offset + 0.5) / width[k] / step + middle
            a = _cumulative(sharp, high) - _cumulative(sharp, low)
            b = _cumulative(soft, high) - _cumulative(soft, low)
            out[i] += flux[k] * ((1 - softness[k]) * a + softness[k] * b)


@njit(cache=True)
def paint(
    image: Floats,
    spectrum: Floats,
    rows: Floats,
    line_tilt: Floats,
    scale: float,
    skew: float,
    symmetric: Floats,
    odd: Floats,
    step: float,
) -> None:
    """Spread the light of one order across the rows of an image, in place.

    Parameters
    ----------
    image : shape (n_rows, n_columns)
        Light is added to it [electron].
    spectrum : shape (n_samples,)
        Blurred light, as from `blur` or `lines` [electron].
    rows : shape (n_columns,)
        Row of the trace [pixel].
    line_tilt : shape (2, n_columns)
        Tilt of the image of a line (columns per row) and its curvature (columns per square of the row); the curvature
        leaves the center of light on its column.
    scale, skew
        Width of the profile relative to the nominal one, and its skew.
    symmetric, odd
        Tables of ``lineshape.across``.
    step
        Their spacing [pixel].
    """
    n_rows, n_columns = image.shape
    middle = (symmetric.size - 1) / 2
    reach = middle * step * scale
    shares = np.zeros(int(2 * reach) + 4)
    for x in range(n_columns):
        first = max(0, int(np.ceil(rows[x] - reach - 0.5)))
        last = min(n_rows - 1, int(np.floor(rows[x] + reach + 0.5)))
        square = 0.0
        for y in range(first, last + 1):
            dy = y - rows[x]
            low = (dy - 0.5) / scale / step + middle
            high = (dy + 0.5) / scale / step + middle
            shares[y - first] = _cumulative(symmetric, high) - _cumulative(symmetric, low)
            shares[y - first] += skew * (_odd(odd, high) - _odd(odd, low))
            square += shares[y - first] * dy * dy
        for y in range(first, last + 1):
            dy = y - rows[x]
            place = x - line_tilt[0, x] * dy - line_tilt[1, x] * (dy * dy - square)
            image[y, x] += shares[y - first] * _cubic(spectrum, (place + PADDING) * OVERSAMPLING)


@njit(cache=True)
def _odd(table, place):
    if place <= 0.0 or place >= table.size - 1:
        return 0.0
    k = int(place)
    return table[k] + (place - k) * (table[k + 1] - table[k])


@njit(cache=True)
def _cubic(values, place):
    """Lagrange's cubic through the four nearest samples; 0 outside."""
    k = int(place)
    if k < 1 or k > values.size - 3:
        return 0.0
    t = place - k
    a, b, c, d = values[k - 1], values[k], values[k + 1], values[k + 2]
    linear, square, cube = c - a / 3 - b / 2 - d / 6, (a + c) / 2 - b, (d - a) / 6 + (b - c) / 2
    return b + t * (linear + t * (square + t * cube))


@njit(cache=True)
def sampled(values: Floats, start: float, step: float, places: Floats) -> Floats:
    """Interpolate evenly spaced values with a cubic through four points.

    Parameters
    ----------
    values : shape (n,)
        Values at ``start + step * k``.
    start, step
        Of the grid.
    places : shape (m,)
        Where to interpolate.

    Returns
    -------
    ndarray of float, shape (m,)
        0 outside the grid.
    """
    out = np.empty(places.size)
    for i in range(places.size):
        out[i] = _cubic(values, (places[i] - start) / step)
    return out


@njit(cache=True)
def add_gaussians(values: Floats, center: Floats, height: Floats, sigma: float) -> None:
    """Add Gaussians to evenly spaced values, in place.

    Parameters
    ----------
    values : shape (n,)
        Values they are added to.
    center, height : shape (n_lines,)
        Place, in samples, and height of each.
    sigma
        Their common width [sample].
    """
    for k in range(center.size):
        first = max(0, int(np.ceil(center[k] - 6.5 * sigma)))
        last = min(values.size - 1, int(center[k] + 6.5 * sigma))
        for i in range(first, last + 1):
            values[i] += height[k] * np.exp(-0.5 * ((i - center[k]) / sigma) ** 2)
