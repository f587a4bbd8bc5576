"""Means of like frames, with outliers rejected against the noise that is expected; a band of rows at a time."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import njit
from scipy.special import bdtrc, chdtri

from nrespipe.frames.arrays import Booleans, Floats, Integers
from nrespipe.numerics.robust_statistics import median

#: Memory for the bands of all frames [byte].
_BAND_BYTES = 192 << 20
#: Share of good pixels that may be called unsteady by chance.
_CHANCE = 1e-7
#: The same for pixels that cosmic rays hit in several frames: their mean is spoiled, and they are few.
_CHANCE_OF_HITS = 1e-4
#: Where a larger share of the pixels is unsteady, the noise that was expected is to blame and not the pixels.
_MOST_UNSTEADY = 0.01


def samples(n_rows: int, height: int = 256, count: int = 4) -> list[slice]:
    """Choose bands of rows that stand for a whole image.

    Parameters
    ----------
    n_rows
        Height of the image.
    height
        Rows of a band.
    count
        Largest number of bands.

    Returns
    -------
    list of slice
        Evenly spread, without overlap; all rows where the image is not much larger than the bands.
    """
    count = min(count, max(n_rows // height, 1))
    height = min(height, n_rows)
    starts = np.linspace(0, n_rows - height, count).astype(int) if count > 1 else [(n_rows - height) // 2]
    return [slice(int(start), int(start) + height) for start in starts]


def mean(
    frames: Sequence[object],
    band_of: Callable[..., Any],
    shape: tuple[int, int],
    noise_variance: float | Floats,
    photon_variance: float = 0.0,
    *,
    scales: Sequence[float] | None = None,
    threshold: float = 5.0,
    mismatch: float = 0.0,
) -> tuple[Floats, Floats, Integers, Booleans]:
    """Average frames pixel by pixel and leave out what the noise cannot explain.

    Parameters
    ----------
    frames
        Frames of like exposures.
    band_of
        Called with a frame and a slice of rows; returns these rows, ndarray of float32, shape (k, n_columns). Every row
        of every frame is asked for once.
    shape
        Rows and columns of the frames.
    noise_variance : shape (n_rows, n_columns)
        Variance of one frame without light [unit of the frames squared].
    photon_variance
        Variance per unit of signal of one frame: 1 / gain for counts, 1 for electrons.
    scales
        Relative exposures of the frames, by which their signal grows; by default all are alike.
    threshold
        A value more than this many standard deviations from the median of the pixel is left out.
    mismatch
        Relative error that the frames may have against each other besides their noise.

    Returns
    -------
    mean, variance : ndarray of float32, shape (n_rows, n_columns)
        Signal at scale 1 from the values kept, and the variance of it by the noise model.
    rejected : ndarray of uint16, shape (n_rows, n_columns)
        Number of values left out.
    unsteady : ndarray of bool, shape (n_rows, n_columns)
        Whether the values vary by more than noise and single cosmic rays do; nowhere if that were the case in more than
        a hundredth of the pixels.

    Notes
    -----
    With the scales :math:`s_i` and the sums over the values kept,

    .. math:: m = \\frac{\\sum a_i}{\\sum s_i}, \\qquad
        \\sigma_m^2 = \\frac{k \\sigma_r^2 + \\max(m, 0) \\sum s_i / g}{(\\sum s_i)^2} .

    The scatter of three to ten values is no basis for a rejection, the noise model is. With two frames the lower
    value stands in for the median, since a cosmic ray only adds: so one low value, or more high ones than cosmic rays
    that fall at random make, mark a pixel as unsteady, and so does a chi-square of the values kept that one good pixel
    in ten million has.
    """
    n = len(frames)
    exposures = np.ones(n) if scales is None else np.asarray(scales, float)
    limits = np.array([np.inf, np.inf, *chdtri(np.arange(1, n), _CHANCE)])
    tunables = np.float32(photon_variance), exposures, float(threshold), float(mismatch), limits
    out = [np.empty(shape, kind) for kind in (np.float32, np.float32, np.uint16, np.uint16, np.bool_)]
    average, variance, rejected, high, unsteady = out
    height = max(_BAND_BYTES // (4 * n * shape[1]), 64)
    for first in range(0, shape[0], height):
        rows = slice(first, min(first + height, shape[0]))
        band = np.empty((n, rows.stop - rows.start, shape[1]), np.float32)
        for i, frame in enumerate(frames):
            band[i] = band_of(frame, rows)
        noise = np.array(np.broadcast_to(noise_variance, shape)[rows], np.float32)
        _mean(band, noise, *tunables, *(array[rows] for array in out))
    unsteady |= high >= _most_hits(n, high.mean() / n)
    if unsteady.mean() > _MOST_UNSTEADY:
        unsteady[:] = False
    return average, variance, rejected, unsteady


def _most_hits(n, share):
    """Fewest values above the rest, of n, that cosmic rays which hit a share of all values do not explain."""
    return 2 + int(np.count_nonzero(bdtrc(np.arange(1, n), n, share) > _CHANCE_OF_HITS))


@njit(cache=True)
def _mean(band, noise, photon, scales, threshold, mismatch, limits, average, variance, rejected, high, unsteady):
    n, rows, columns = band.shape
    # the values of a pixel side by side: a pixel of forty frames would lie in forty places of one cache set
    line = np.empty((columns, n), np.float32)
    values = np.empty(n, np.float32)
    inverse, largest = 1 / scales, scales.max()
    square = threshold * threshold
    for y in range(rows):
        for i in range(n):
            for x in range(columns):
                line[x, i] = band[i, y, x]
        for x in range(columns):
            pixel, floor = line[x], noise[y, x]
            lowest, highest = np.inf, -np.inf
            for i in range(n):
                value = pixel[i] * inverse[i]
                values[i] = value
                lowest, highest = min(lowest, value), max(highest, value)
            least = _expected(floor, photon, mismatch, lowest, largest) * square
            if ((highest - lowest) * largest) ** 2 <= least:
                # none can lie beyond the limit, wherever the median is
                center, limit = lowest, np.inf
            else:
                center, limit = _middle(values), square
            m, exposure, above, low = _kept(pixel, scales, center, limit, floor, photon, mismatch)
            kept = n - above - low
            average[y, x] = m
            variance[y, x] = (max(kept, 1) * floor + photon * max(m, 0.0) * exposure) / (exposure * exposure)
            rejected[y, x] = above + low
            high[y, x] = above
            spoiled = _chi_square(pixel, scales, center, m, limit, floor, photon, mismatch)
            unsteady[y, x] = low > 0 or spoiled > limits[kept]


@njit(cache=True)
def _expected(floor, photon, mismatch, signal, scale):
    """Variance of one value of a pixel."""
    light = max(signal, 0.0)
    return floor + scale * light * (photon + scale * light * mismatch * mismatch)


@njit(cache=True)
def _kept(pixel, scales, center, limit, floor, photon, mismatch):
    """Mean of the values within the limit and their scales, and how many lie above and below it."""
    total, exposure, above, low = 0.0, 0.0, 0, 0
    for i in range(len(pixel)):
        s = scales[i]
        deviation = pixel[i] - center * s
        if deviation * deviation <= limit * _expected(floor, photon, mismatch, center, s):
            total += pixel[i]
            exposure += s
        elif deviation > 0:
            above += 1
        else:
            low += 1
    if exposure == 0:
        return center, scales[0], above, low
    return total / exposure, exposure, above, low


@njit(cache=True)
def _chi_square(pixel, scales, center, m, limit, floor, photon, mismatch):
    """Chi-square of the values that are not left out."""
    total = 0.0
    for i in range(len(pixel)):
        s = scales[i]
        expected = _expected(floor, photon, mismatch, m, s)
        deviation = pixel[i] - center * s
        if deviation * deviation <= limit * expected:
            total += (pixel[i] - m * s) ** 2 / expected
    return total


@njit(cache=True)
def _middle(values):
    """Median, of two values the lower; the values change their places."""
    n = len(values)
    if n == 2:
        return float(min(values[0], values[1]))
    return median(values)
