"""Means of like frames, with outliers rejected against the noise that is expected."""

import numpy as np
from numba import njit


def mean(frames, noise_variance, photon_variance=0.0, threshold=5.0):
    """Average frames pixel by pixel and leave out what the noise cannot explain.

    Parameters
    ----------
    frames : sequence of ndarray of float32, shape (n_rows, n_columns)
        Frames of equal level.
    noise_variance : float
        Variance of one frame without light [unit of the frames squared].
    photon_variance : float, optional
        Variance per unit of signal of one frame: 1 / gain for counts, 1 for electrons.
    threshold : float, optional
        A value more than this many standard deviations from the median of the pixel is left out.

    Returns
    -------
    mean, variance : ndarray of float32, shape (n_rows, n_columns)
        Mean of the values kept, and the variance of it by the noise model.
    rejected : ndarray of uint8, shape (n_rows, n_columns)
        Number of values left out.

    Notes
    -----
    The scatter of three to ten values is no basis for a rejection, the noise model is. With two frames the lower
    value stands in for the median, since a cosmic ray only adds.
    """
    stack = np.stack(frames)
    return _mean(stack, np.float32(noise_variance), np.float32(photon_variance), np.float32(threshold))


@njit(cache=True)
def _mean(stack, noise_variance, photon_variance, threshold):
    n, rows, columns = stack.shape
    average = np.empty((rows, columns), np.float32)
    variance = np.empty((rows, columns), np.float32)
    rejected = np.zeros((rows, columns), np.uint8)
    values = np.empty(n, np.float32)
    for y in range(rows):
        for x in range(columns):
            for i in range(n):
                value = stack[i, y, x]
                place = i
                while place > 0 and values[place - 1] > value:
                    values[place] = values[place - 1]
                    place -= 1
                values[place] = value
            center = values[0] if n == 2 else 0.5 * (values[(n - 1) // 2] + values[n // 2])
            expected = noise_variance + photon_variance * max(center, np.float32(0))
            limit = threshold * np.sqrt(expected)
            total, kept = 0.0, 0
            for i in range(n):
                if abs(values[i] - center) <= limit:
                    total += values[i]
                    kept += 1
            if kept == 0:
                total, kept = center, 1
            average[y, x] = total / kept
            variance[y, x] = expected / kept
            rejected[y, x] = n - kept
    return average, variance, rejected
