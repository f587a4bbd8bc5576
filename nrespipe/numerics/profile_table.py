"""Look up a profile that is tabulated in pieces along an order."""

from numba import njit

from nrespipe.frames.arrays import Floats


@njit(cache=True)
def profile_of(table: Floats, place: int, weight: float, offset: float, low: float, step: float) -> float:
    """Interpolate a tabulated profile linearly in the offset, and between two chunks along the order.

    Parameters
    ----------
    table : shape (n_chunks, n_offsets)
        Profile of one trace.
    place
        Chunk to the left.
    weight
        Weight of the chunk to the right, 0 to 1.
    offset
        Distance from the center [pixel].
    low, step
        First offset of the table and spacing [pixel].

    Returns
    -------
    float
        Share of the light of the column; 0 outside the table.
    """
    t = (offset - low) / step
    i = int(t)
    if t < 0 or i > table.shape[1] - 2:
        return 0.0
    f = t - i
    left = table[place, i] * (1 - f) + table[place, i + 1] * f
    if weight == 0:
        return left
    right = table[place + 1, i] * (1 - f) + table[place + 1, i + 1] * f
    return left * (1 - weight) + right * weight


@njit(cache=True)
def chunk_of(columns: Floats, x: float) -> tuple[int, float]:
    """Return the chunk to the left of a column and the weight of the one to its right.

    Parameters
    ----------
    columns : shape (n_chunks,)
        Middles of the chunks [pixel].
    x
        Column [pixel].

    Returns
    -------
    place : int
        Index of the chunk to the left.
    weight : float
        Weight of the next one; beyond the first and last middle the nearest chunk counts alone.
    """
    if len(columns) == 1 or x <= columns[0]:
        return 0, 0.0
    if x >= columns[-1]:
        return len(columns) - 2, 1.0
    place = 0
    while columns[place + 1] < x:
        place += 1
    return place, (x - columns[place]) / (columns[place + 1] - columns[place])
