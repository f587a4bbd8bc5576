"""Levels of the pixels between the traces of a frame, piece by piece."""

import numpy as np
from numba import njit

from nrespipe.frames.arrays import Booleans, Floats, Integers
from nrespipe.numerics.background_surface import wings_at

#: Share of the lowest levels of a block that hold no spilled charge for sure, and the clip above [standard deviation].
_LOWEST, _CLIP = 0.15, 2.0
#: Every so many columns tell the level of a block.
_EVERY = 4


@njit(cache=True)
def levels(
    electrons: Floats, floor: Floats, mask: Integers, allowed: int | np.uint8, low: Integers, high: Integers
) -> tuple[Floats, Floats, Floats, Integers]:
    """Average the usable pixels of every piece of a gap.

    Parameters
    ----------
    electrons, floor : shape (n_rows, n_columns)
        Light, and variance without its photon noise [electron, electron2].
    mask : shape (n_rows, n_columns)
        Flags of the pixels.
    allowed
        Bits of it with which a pixel may be used all the same.
    low, high : shape (n_pieces, n_columns)
        First row of each piece and the row after its last.

    Returns
    -------
    mean, lowest, variance : ndarray of float32, shape (n_pieces, n_columns)
        Of the pixels: mean light, light of the darkest, mean of `floor` [electron, electron, electron2].
    count : ndarray of int32, shape (n_pieces, n_columns)
        Number of pixels; without any the other values are 0.
    """
    shape = low.shape
    mean, lowest = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    variance, count = np.zeros(shape, np.float32), np.zeros(shape, np.int32)
    for p in range(shape[0]):
        for x in range(shape[1]):
            total, noise, least, n = 0.0, 0.0, np.inf, 0
            for y in range(low[p, x], high[p, x]):
                if mask[y, x] & ~allowed == 0:
                    total += electrons[y, x]
                    noise += floor[y, x]
                    least = min(least, electrons[y, x])
                    n += 1
            count[p, x] = n
            if n > 0:
                mean[p, x], lowest[p, x], variance[p, x] = total / n, least, noise / n
    return mean, lowest, variance, count


@njit(cache=True)
def clipped_core_flux(electrons: Floats, centers: Floats, half: int) -> Floats:
    """Sum the pixels around every trace, as far as they are on the detector.

    Parameters
    ----------
    electrons : shape (n_rows, n_columns)
        Light [electron].
    centers : shape (n_traces, n_columns)
        Rows of the traces [pixel].
    half
        Pixels on either side that are summed.

    Returns
    -------
    ndarray of float, shape (n_traces, n_columns)
        Not below 0 [electron].
    """
    light = np.zeros(centers.shape)
    for k in range(centers.shape[0]):
        for x in range(centers.shape[1]):
            middle = int(np.round(centers[k, x]))
            for y in range(max(0, middle - half), min(len(electrons), middle + half + 1)):
                light[k, x] += electrons[y, x]
            light[k, x] = max(light[k, x], 0.0)
    return light


@njit(cache=True)
def wings_in(
    low: Integers,
    high: Integers,
    below: Integers,
    centers: Floats,
    light: Floats,
    brightest: Floats,
    table: Floats,
    step: float,
) -> tuple[Floats, Floats, Floats]:
    """Return the mean light that the two traces beside every piece spill into it.

    Parameters
    ----------
    low, high : shape (n_pieces, n_columns)
        As in `levels`.
    below : shape (n_pieces,)
        Number of the trace below each piece, -1 for none; the one above is the next.
    centers : shape (n_traces, n_columns)
        Rows of the traces, increasing along the first axis [pixel].
    light, brightest : shape (n_traces, n_columns)
        Flux of the traces, and another flux for which the same is asked [electron].
    table, step
        As in ``background_surface.wings_at``.

    Returns
    -------
    of_light, of_brightest : ndarray of float32, shape (n_pieces, n_columns)
        By Simpson's rule; not below 0 [electron].
    faintest : ndarray of float32, shape (n_pieces, n_columns)
        `light` of the fainter of those traces that reach the piece; infinite where none does [electron].
    """
    of_light, of_brightest = np.zeros(low.shape, np.float32), np.zeros(low.shape, np.float32)
    faintest = np.full(low.shape, np.inf, np.float32)
    for p in range(low.shape[0]):
        for x in range(low.shape[1]):
            first, last = float(low[p, x]), float(high[p, x] - 1)
            middle = 0.5 * (first + last)
            for k in range(max(0, below[p]), min(below[p] + 2, len(centers))):
                c = centers[k, x]
                share = wings_at(table, step, first - c) + wings_at(table, step, last - c)
                share = max(0.0, (share + 4 * wings_at(table, step, middle - c)) / 6)
                of_light[p, x] += light[k, x] * share
                of_brightest[p, x] += brightest[k, x] * share
                if share > 0:
                    faintest[p, x] = min(faintest[p, x], light[k, x])
    return of_light, of_brightest, faintest


@njit(cache=True)
def block_levels(level: Floats, variance: Floats, count: Integers, block: int) -> Floats:
    """Return the level of every piece in blocks of columns, without the charge that spills into some of them.

    Parameters
    ----------
    level, variance : shape (n_pieces, n_columns)
        Level, and variance of a pixel without the photon noise of the level [electron, electron2].
    count : shape (n_pieces, n_columns)
        Number of pixels; 0 where a level is not to be used.
    block
        Columns over which a level is the same [pixel].

    Returns
    -------
    ndarray of float, shape (n_pieces, n_blocks)
        NaN where too few columns tell it [electron].

    Notes
    -----
    Charge only adds, and may lie in most columns. So the median begins with the lowest levels and takes in what lies
    less than two errors above it, until it settles.
    """
    n_pieces, n_columns = level.shape
    n_blocks = max(1, n_columns // block)
    result = np.full((n_pieces, n_blocks), np.nan)
    values = np.empty(n_columns)
    for p in range(n_pieces):
        for b in range(n_blocks):
            first, last = b * n_columns // n_blocks, (b + 1) * n_columns // n_blocks
            n, noise, pixels = 0, 0.0, 0
            for x in range(first, last, _EVERY):
                if count[p, x] > 0:
                    values[n] = level[p, x]
                    noise += variance[p, x]
                    pixels += count[p, x]
                    n += 1
            if n < 8:
                continue
            values[:n].sort()
            middle, kept = values[int(_LOWEST * n)], 0
            for _ in range(10):
                error = np.sqrt((noise / n + max(middle, 0.0)) * n / pixels)
                more = np.searchsorted(values[:n], middle + _CLIP * error, side="right")
                if more <= kept:
                    break
                kept = more
                middle = 0.5 * (values[(kept - 1) // 2] + values[kept // 2])
            result[p, b] = middle
    return result


@njit(cache=True)
def pixels_with(mask: Integers, bit: int | np.uint8) -> tuple[Integers, Integers]:
    """Return where a bit is set; a quarter of the time of ``np.nonzero``.

    Parameters
    ----------
    mask : shape (n_rows, n_columns)
        Bits of the pixels.

    Returns
    -------
    row, column : ndarray of int, shape (n_pixels,)
    """
    row, column = [0 for _ in range(0)], [0 for _ in range(0)]
    for y in range(mask.shape[0]):
        if np.any(mask[y] & bit):
            for x in range(mask.shape[1]):
                if mask[y, x] & bit:
                    row.append(y)
                    column.append(x)
    return np.array(row), np.array(column)


@njit(cache=True)
def beside(row: Integers, column: Integers, low: Integers, high: Integers) -> Booleans:
    """Mark the pieces next to given pixels: the one that holds the pixel, or those below and above its trace.

    Parameters
    ----------
    row, column : shape (n_pixels,)
        Where the pixels are.
    low, high : shape (n_pieces, n_columns)
        As in `levels`, upward along the first axis.

    Returns
    -------
    ndarray of bool, shape (n_pieces, n_columns)
    """
    marked = np.zeros(low.shape, np.bool_)
    for y, x in zip(row, column):
        above = np.searchsorted(high[:, x], y, side="right")
        if above < len(low):
            marked[above, x] = True
        if above > 0 and (above == len(low) or low[above, x] > y):
            marked[above - 1, x] = True
    return marked


@njit(cache=True)
def carried(marked: Booleans, blind: Booleans) -> tuple[Booleans, Booleans]:
    """Carry a mark on from piece to piece through those that tell nothing.

    Parameters
    ----------
    marked : shape (n_pieces, n_columns)
        Pieces with the mark.
    blind : shape (n_pieces, n_columns)
        Pieces that tell nothing.

    Returns
    -------
    upward, downward : ndarray of bool, shape (n_pieces, n_columns)
        Pieces that have the mark, or to which nothing but blind pieces lead from one that has it, below or above it.
    """
    upward, downward = marked.copy(), marked.copy()
    for p in range(1, len(marked)):
        for x in range(marked.shape[1]):
            upward[p, x] |= blind[p, x] and upward[p - 1, x]
    for p in range(len(marked) - 2, -1, -1):
        for x in range(marked.shape[1]):
            downward[p, x] |= blind[p, x] and downward[p + 1, x]
    return upward, downward


@njit(cache=True)
def flag_pieces(mask: Integers, bit: int | np.uint8, chosen: Booleans, low: Integers, high: Integers) -> None:
    """Set a bit in the pixels of pieces, of the traces beside them, and of the next pieces, in place.

    Parameters
    ----------
    mask : shape (n_rows, n_columns)
        Bits of the pixels.
    bit
        The bit.
    chosen : shape (n_pieces, n_columns)
        Which pieces.
    low, high : shape (n_pieces, n_columns)
        As in `levels`, upward along the first axis.
    """
    last = len(low) - 1
    for p in range(len(low)):
        for x in range(low.shape[1]):
            if chosen[p, x]:
                for y in range(low[max(p - 1, 0), x], high[min(p + 1, last), x]):
                    mask[y, x] |= bit
