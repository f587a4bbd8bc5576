"""Means of like frames, with outliers rejected against the noise that is expected; a band of rows at a time."""

import numpy as np
from numba import njit
from scipy.stats import binom, chi2

#: Memory for the bands of all frames [byte].
_BAND_BYTES = 192 << 20
#: Share of good pixels that may be called unsteady by chance.
_CHANCE = 1e-7
#: The same for pixels that cosmic rays hit in several frames: their mean is spoiled, and they are few.
_CHANCE_OF_HITS = 1e-4
#: Where a larger share of the pixels is unsteady, the noise that was expected is to blame and not the pixels.
_MOST_UNSTEADY = 0.01


def samples(n_rows, height=256, count=4):
    """Choose bands of rows that stand for a whole image.

    Parameters
    ----------
    n_rows : int
        Height of the image.
    height : int, optional
        Rows of a band.
    count : int, optional
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


def mean(frames, band_of, shape, noise_variance, photon_variance=0.0, *, scales=None, threshold=5.0, mismatch=0.0):
    """Average frames pixel by pixel and leave out what the noise cannot explain.

    Parameters
    ----------
    frames : sequence of object
        Frames of like exposures.
    band_of : callable
        Called with a frame and a slice of rows; returns these rows, ndarray of float32, shape (k, n_columns). Every row
        of every frame is asked for once.
    shape : (int, int)
        Rows and columns of the frames.
    noise_variance : float or ndarray of float32, shape (n_rows, n_columns)
        Variance of one frame without light [unit of the frames squared].
    photon_variance : float, optional
        Variance per unit of signal of one frame: 1 / gain for counts, 1 for electrons.
    scales : sequence of float, optional
        Relative exposures of the frames, by which their signal grows; by default all are alike.
    threshold : float, optional
        A value more than this many standard deviations from the median of the pixel is left out.
    mismatch : float, optional
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
    scales = np.ones(n) if scales is None else np.asarray(scales, float)
    limits = np.array([np.inf, np.inf, *chi2.isf(_CHANCE, np.arange(1, n))])
    tunables = np.float32(photon_variance), scales, float(threshold), float(mismatch), limits
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
    return 2 + int(np.count_nonzero(binom.sf(np.arange(1, n), n, share) > _CHANCE_OF_HITS))


@njit(cache=True)
def _mean(band, noise, photon, scales, threshold, mismatch, limits, average, variance, rejected, high, unsteady):
    n, rows, columns = band.shape
    values = np.empty(n, np.float32)
    inverse = 1 / scales
    square = threshold * threshold
    for y in range(rows):
        for x in range(columns):
            floor = noise[y, x]
            center = _middle(band, inverse, y, x, values)
            light = photon * max(center, 0.0)
            extra = (mismatch * center) ** 2
            total, exposure, kept, low, above = 0.0, 0.0, 0, 0, 0
            for i in range(n):
                s = scales[i]
                deviation = band[i, y, x] - center * s
                if deviation * deviation <= square * (floor + s * (light + s * extra)):
                    total += band[i, y, x]
                    exposure += s
                    kept += 1
                elif deviation > 0:
                    above += 1
                else:
                    low += 1
            if kept == 0:
                total, exposure, kept = center * scales[0], scales[0], 1
            m = total / exposure
            light = photon * max(m, 0.0)
            extra = (mismatch * m) ** 2
            spoiled = 0.0
            for i in range(n):
                s = scales[i]
                expected = floor + s * (light + s * extra)
                deviation = band[i, y, x] - center * s
                if deviation * deviation <= square * expected:
                    spoiled += (band[i, y, x] - m * s) ** 2 / expected
            average[y, x] = m
            variance[y, x] = (kept * floor + light * exposure) / (exposure * exposure)
            rejected[y, x] = n - kept
            high[y, x] = above
            unsteady[y, x] = low > 0 or spoiled > limits[kept]


@njit(cache=True)
def _middle(band, inverse, y, x, values):
    """Median of a pixel; of two values the lower."""
    n = len(values)
    for i in range(n):
        value = np.float32(band[i, y, x] * inverse[i])
        place = i
        while place > 0 and values[place - 1] > value:
            values[place] = values[place - 1]
            place -= 1
        values[place] = value
    return float(values[0]) if n == 2 else 0.5 * (values[(n - 1) // 2] + values[n // 2])
