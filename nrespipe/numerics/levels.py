"""The level between the lines of an emission spectrum."""

import numpy as np
from numba import njit

from nrespipe.frames.arrays import Booleans, Floats, Integers
from nrespipe.numerics.selection import median


@njit(cache=True)
def between_lines(flux: Floats, good: Booleans, edges: Integers, clip: float = 2.5, rounds: int = 4) -> Floats:
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
