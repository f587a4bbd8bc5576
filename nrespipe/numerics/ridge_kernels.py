"""Follow a ridge of light across the columns of a detector."""

import numpy as np
from numba import njit

from nrespipe.frames.arrays import Floats
from nrespipe.numerics.matrices import invert
from nrespipe.numerics.robust_statistics import select

_RECENT = 5  # centers from which the next is predicted
_HALF = 5  # half width of the window of a centroid [pixel]
_WEIGHT = 2.0  # standard deviation of the weight of a centroid [pixel]


@njit(cache=True)
def follow(
    binned: Floats, sub: int, row: float, first: int, reach: float = 3.0, least: float = 5.0, give_up: int = 4
) -> tuple[Floats, Floats]:
    """Follow one ridge from where it is known to both ends.

    Parameters
    ----------
    binned : shape (n_rows, n_bins * sub)
        Light, averaged over narrow bins of columns.
    sub
        Narrow bins in a bin; they are shifted along the slope of the ridge before they are added.
    row
        Where the ridge begins [pixel].
    first
        Bin whose left end it is known at.
    reach
        Largest distance from the prediction [pixel].
    least
        Least significance of a center.
    give_up
        Bins without a center in succession after which the ridge is lost.

    Returns
    -------
    centers : ndarray of float, shape (n_bins,)
        Gaussian-weighted centroid in each bin, NaN where there is none [pixel].
    significance : ndarray of float, shape (n_bins,)
        Light under the weight over its noise.
    """
    n = binned.shape[1] // sub
    centers = np.full(n, np.nan)
    significance = np.zeros(n)
    for step in (1, -1):
        places = np.zeros(_RECENT)
        values = np.zeros(_RECENT)
        known = 0
        i = first
        if step == -1:
            i = first - 1
            for k in range(min(first + 2, n - 1), first - 1, -1):
                if not np.isnan(centers[k]):
                    places[known], values[known] = k, centers[k]
                    known += 1
        lost = 0
        while 0 <= i < n and lost < give_up:
            guess, slope = _predict(places[:known], values[:known], float(i), row)
            center, weight = _centroid(binned, sub, i, guess, slope, reach)
            if weight > least:
                centers[i], significance[i] = center, weight
                if known == _RECENT:
                    known -= 1
                    for k in range(known):
                        places[k], values[k] = places[k + 1], values[k + 1]
                places[known], values[known] = i, center
                known += 1
                lost = 0
            else:
                lost += 1
            i += step
    return centers, significance


@njit(cache=True)
def measure(binned: Floats, sub: int, rows: Floats, reach: float = 1.5, least: float = 9.0) -> tuple[Floats, Floats]:
    """Measure ridges where they are expected.

    Parameters
    ----------
    binned : shape (n_rows, n_bins * sub)
        Light, averaged over narrow bins of columns.
    sub
        Narrow bins in a bin.
    rows : shape (n_ridges, n_bins)
        Where the ridges are expected [pixel].
    reach
        Largest distance from there [pixel].
    least
        Least significance of a center. Noise alone has 3, because its floor is the mean of the lowest three pixels.

    Returns
    -------
    centers, significance : ndarray of float, shape (n_ridges, n_bins)
        As from `follow`.
    """
    centers = np.full(rows.shape, np.nan)
    significance = np.zeros(rows.shape)
    n = rows.shape[1]
    for k in range(rows.shape[0]):
        for i in range(n):
            left, right = max(i - 1, 0), min(i + 1, n - 1)
            slope = (rows[k, right] - rows[k, left]) / (right - left)
            center, weight = _centroid(binned, sub, i, rows[k, i], slope, reach)
            if weight > least:
                centers[k, i], significance[k, i] = center, weight
    return centers, significance


@njit(cache=True)
def _predict(places, values, place, row):
    """Return the row expected at a place and the slope there, by a polynomial through the last few centers."""
    known = len(places)
    if known == 0:
        return row, 0.0
    if known == 1:
        return values[0], 0.0
    degree = 2 if known == _RECENT else 1
    normal, inverse = np.zeros((degree + 1, degree + 1)), np.zeros((degree + 1, degree + 1))
    right = np.zeros(degree + 1)
    for k in range(known):
        u = places[k] - place
        for a in range(degree + 1):
            right[a] += u**a * values[k]
            for b in range(degree + 1):
                normal[a, b] += u ** (a + b)
    if not invert(normal, inverse):
        return values[known - 1], 0.0
    guess = slope = 0.0
    for a in range(degree + 1):
        guess += inverse[0, a] * right[a]
        slope += inverse[1, a] * right[a]
    return guess, slope


@njit(cache=True)
def _centroid(binned, sub, i, guess, slope, reach):
    """Return the fixed point of a centroid whose Gaussian weight moves with it, and its significance (0: none)."""
    rows = binned.shape[0]
    low = int(np.round(guess)) - _HALF - 2
    high = low + 2 * _HALF + 5
    if guess < _HALF + 2 or guess > rows - _HALF - 3 or low < 0 or high > rows:
        return np.nan, 0.0
    cut = np.zeros(high - low)
    steps = np.empty((high - low) * (sub - 1))
    for j in range(sub):
        shift = slope * ((j + 0.5) / sub - 0.5)
        for k in range(high - low):
            place = min(max(k + shift, 0.0), high - low - 1.000001)
            left = int(place)
            column = i * sub + j
            below, above = binned[low + left, column], binned[low + left + 1, column]
            cut[k] += (below + (above - below) * (place - left)) / sub
            if j > 0:
                steps[k * (sub - 1) + j - 1] = abs(binned[low + k, column] - binned[low + k, column - 1])
    lowest = cut.copy()
    select(lowest, 2)
    base = (lowest[0] + lowest[1] + lowest[2]) / 3
    for k in range(high - low):
        cut[k] -= base
    center = guess
    total, squares = 0.0, 0.0
    for _ in range(12):
        total, moment, squares = 0.0, 0.0, 0.0
        for k in range(high - low):
            u = low + k - center
            w = np.exp(-0.5 * (u / _WEIGHT) ** 2)
            total += w * cut[k]
            moment += w * cut[k] * u
            squares += w * w
        if total <= 0:
            return np.nan, 0.0
        # a Gaussian ridge as wide as the weight moves its centroid by half the distance
        step = 2 * moment / total
        center += min(max(step, -1.0), 1.0)
        if abs(center - guess) > reach:
            return np.nan, 0.0
        if abs(step) < 1e-4:
            break
    # on the flanks of a steep ridge bins differ by its slope, beside it only by noise; a quarter is below 0.3186 sigma
    noise = select(steps, len(steps) // 4) / (0.3186 * np.sqrt(2)) + 1e-9
    return center, total / (noise * np.sqrt(squares / sub))
