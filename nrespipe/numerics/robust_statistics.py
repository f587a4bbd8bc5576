"""Medians, spreads and levels that a few wild values cannot spoil, and the ranks and intervals that they need.

The kernels are scalar loops, which compile in a tenth of the time of NumPy's functions.
"""

import numpy as np
from numba import njit

from nrespipe.frames.arrays import Booleans, Floats, Integers


@njit(cache=True)
def select(values: Floats, k: int) -> float:
    """Return the value of a rank; all before it are not larger (Hoare 1961, Communications of the ACM 4, 321).

    Parameters
    ----------
    values : shape (n,)
        Without NaN; they change their places.
    k
        Rank, 0 for the smallest.
    """
    first, last = 0, len(values) - 1
    while first < last:
        pivot, i, j = values[k], first, last
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if j < k:
            first = i
        if k < i:
            last = j
    return values[k]


@njit(cache=True)
def median(values: Floats) -> float:
    """Return the median.

    Parameters
    ----------
    values : shape (n,)
        At least one, without NaN; they change their places.

    Returns
    -------
    float
        Mean of the two in the middle where `n` is even.
    """
    n = len(values)
    upper = select(values, n // 2)
    if n % 2:
        return float(upper)
    lower = values[0]
    for i in range(1, n // 2):
        lower = max(lower, values[i])
    return 0.5 * (lower + upper)


@njit(cache=True)
def interval_of(edges: Floats, value: float) -> int:
    """Return the interval that a value lies in.

    Parameters
    ----------
    edges : shape (n + 1,)
        Increasing; ``edges[i] < value <= edges[i + 1]`` in interval i.
    value
        Without a NaN.

    Returns
    -------
    int
        The first or the last interval where the value lies beyond all; 0 where there is none.
    """
    low, high = 0, len(edges)
    while low < high:
        middle = (low + high) // 2
        if edges[middle] < value:
            low = middle + 1
        else:
            high = middle
    return max(min(low - 1, len(edges) - 2), 0)


@njit(cache=True)
def line_free_level(flux: Floats, good: Booleans, edges: Integers, clip: float = 2.5, rounds: int = 4) -> Floats:
    """Return the level of each block of pixels, without what stands out of it.

    Parameters
    ----------
    flux : shape (n_rows, n_pixels)
        Spectra.
    good : shape (n_rows, n_pixels)
        Pixels that count.
    edges : shape (n_blocks + 1,)
        Where the blocks begin, and where the last ends.
    clip
        Pixels this many scatters (1.4826 times the median deviation) above the median are left out.

    Returns
    -------
    ndarray of float, shape (n_rows, n_blocks)
        Median of what is left; 0 for a block without a good pixel.
    """
    levels = np.zeros((flux.shape[0], len(edges) - 1))
    values, work = np.empty(flux.shape[1]), np.empty(flux.shape[1])
    for row in range(flux.shape[0]):
        for block in range(len(edges) - 1):
            n = 0
            for x in range(edges[block], edges[block + 1]):
                if good[row, x]:
                    values[n] = flux[row, x]
                    n += 1
            if n == 0:
                continue
            for _ in range(rounds):
                middle = median(values[:n])
                for i in range(n):
                    work[i] = abs(values[i] - middle)
                limit, kept = middle + clip * (1.4826 * median(work[:n])), 0
                for i in range(n):
                    if values[i] <= limit:
                        values[kept] = values[i]
                        kept += 1
                n = kept
            levels[row, block] = median(values[:n])
    return levels


def spread(values: Floats, clip: float = 4.0, rounds: int = 6) -> float:
    """Standard deviation of the bulk of a sample.

    Parameters
    ----------
    values
        Sample; values that are not finite are ignored.
    clip
        Values further than this many standard deviations from the mean are left out.
    rounds
        Largest number of rounds of clipping.

    Returns
    -------
    float
        Standard deviation about the mean of what is kept; nan for an empty sample.

    Notes
    -----
    The first bounds come from quartiles. Unlike the median absolute deviation the result is not stepped by the whole
    counts of a digital detector.
    """
    values = np.asarray(values, float).ravel()
    values = values[np.isfinite(values)]
    if values.size == 0:
        return float("nan")
    lowest, low, center, high, highest = np.percentile(values, (2, 25, 50, 75, 98))
    # the quartiles of whole counts may coincide
    deviation = (high - low) / 1.349 or (highest - lowest) / 4.11
    for _ in range(rounds):
        kept = values[np.abs(values - center) <= clip * deviation]
        if kept.size == 0:
            break
        center, previous, deviation = kept.mean(), deviation, kept.std()
        if abs(deviation - previous) < 1e-4 * previous:
            break
    return float(deviation)
