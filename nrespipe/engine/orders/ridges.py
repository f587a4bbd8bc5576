"""The ridges of light in a lamp flat, and which of them belong to one order."""

import numpy as np
from scipy.ndimage import gaussian_filter1d, percentile_filter

from nrespipe.frames.arrays import Floats, Integers
from nrespipe.numerics import ridge_kernels

_BIN = 32  # columns a bin
_SUBBINS = 4  # narrower bins inside, shifted along the slope of the order before they are added
_ASIDE = np.array([0, -2, 2, -4, 4])  # bins from the middle where ridges may be looked for


def find(binned: Floats, share: float = 0.1, least_bins: int = 8) -> tuple[Floats, Floats, Floats]:
    """Find the ridges that cross the middle of the detector and follow them to both ends.

    Parameters
    ----------
    binned : shape (n_rows, n_narrow_bins)
        Flat, from `bin_columns` [electron].
    share
        A ridge that is fainter than its brightest neighbors by more than this factor is none.
    least_bins
        A ridge that is seen in fewer bins is none.

    Returns
    -------
    x : ndarray of float, shape (n_bins,)
        Middle columns of the bins [pixel].
    centers : ndarray of float, shape (n_ridges, n_bins)
        Rows of the ridges, upward; NaN where a ridge is lost or off the detector [pixel].
    significance : ndarray of float, shape (n_ridges, n_bins)
        Light over noise in each bin.
    """
    n = binned.shape[1] // _SUBBINS
    # the middle itself may be dead
    starts = [first for first in n // 2 + _ASIDE if 0 < first < n]
    peaks = [_peaks(binned, first, share) for first in starts]
    most = max(len(rows) for rows in peaks)
    first, rows = next(pair for pair in zip(starts, peaks) if len(pair[1]) >= 0.97 * most)
    found = [ridge_kernels.follow(binned, _SUBBINS, float(row), first) for row in rows]
    found = [pair for pair in found if np.isfinite(pair[0]).sum() >= least_bins]
    x = (np.arange(n) + 0.5) * _BIN - 0.5
    centers, significance = (np.array([pair[k] for pair in found]).reshape(-1, n) for k in range(2))
    return x, centers, significance


def measure(binned: Floats, rows: Floats) -> tuple[Floats, Floats]:
    """Measure ridges where they are expected, to one and a half pixels.

    Parameters
    ----------
    binned : shape (n_rows, n_narrow_bins)
        Flat, from `bin_columns` [electron].
    rows : shape (..., n_bins)
        Where the ridges are expected [pixel].

    Returns
    -------
    centers, significance : ndarray of float, shape (..., n_bins)
        As from `find`.
    """
    found = ridge_kernels.measure(binned, _SUBBINS, np.ascontiguousarray(rows.reshape(-1, rows.shape[-1])))
    return found[0].reshape(rows.shape), found[1].reshape(rows.shape)


def bin_columns(electrons: Floats) -> Floats:
    """Average a flat over narrow bins of columns, without the brightest pixel of each, which may be a cosmic ray.

    Parameters
    ----------
    electrons : shape (n_rows, n_columns)
        Flat [electron].

    Returns
    -------
    ndarray of float, shape (n_rows, n_narrow_bins)
        Four bins for each that `find` returns [electron].
    """
    width = _BIN // _SUBBINS
    n = electrons.shape[1] // width
    parts = electrons[:, : n * width].reshape(electrons.shape[0], n, width)
    return ((parts.sum(axis=2) - parts.max(axis=2)) / (width - 1)).astype(float)


def count(electrons: Floats) -> int:
    """Count the ridges of light that cross the middle column of a flat.

    Parameters
    ----------
    electrons : shape (n_rows, n_columns)
        A single flat [electron].

    Returns
    -------
    int
        Ridges well above noise and background.
    """
    middle = electrons.shape[1] // 2
    return len(_peaks(bin_columns(electrons[:, middle - 2 * _BIN : middle + 2 * _BIN]), 2))


def middle_rows(x: Floats, centers: Floats, n_columns: int, reach: float = 300.0) -> Floats:
    """Return the row at the middle column of each ridge, by a parabola through the bins around it.

    Parameters
    ----------
    x : shape (n_bins,)
        Middle columns of the bins [pixel].
    centers : shape (n_ridges, n_bins)
        Rows [pixel].
    n_columns
        Width of the detector [pixel].
    reach
        Bins further from the middle do not count [pixel].

    Returns
    -------
    ndarray of float, shape (n_ridges,)
        NaN where there are too few bins [pixel].
    """
    u = (x - n_columns / 2) / reach
    rows = np.full(len(centers), np.nan)
    for k, row in enumerate(centers):
        near = np.isfinite(row) & (np.abs(u) < 1)
        if near.sum() > 3:
            rows[k] = np.polyfit(u[near], row[near], 2)[-1]
    return rows


def group(rows: Floats, size: int) -> Integers:
    """Join ridges into orders.

    Parameters
    ----------
    rows : shape (n_ridges,)
        Where the ridges cross the middle column [pixel].
    size
        Lit fibers, that is ridges an order.

    Returns
    -------
    ndarray of int, shape (n_orders, size)
        Ridges of each order, both upward; -1 where one is missing.

    Notes
    -----
    The blue (upper) orders are far apart, so there the short distances are those within an order. From the clearest
    such orders the others are predicted one by one, up and down, by the slowly changing spacing. Where that ends with
    less than half of the ridges, it is tried again from the clearest of the rest, and the most orders are kept.
    """
    usable = np.flatnonzero(np.isfinite(rows))
    usable = usable[np.argsort(rows[usable])]
    known = rows[usable]
    found: dict[int, Floats] = {}
    left = np.ones(len(known), bool)
    # the clearest orders may be few, cut off from the others by dark ones
    while 2 * len(found) * size < len(known):
        seeds = _seeds(known[left], size)
        other = {k: known[left][i : i + size] for k, i in enumerate(seeds)}
        if not other:
            break
        for step in (-1, 1):
            _walk(other, known, step, size)
        found = max(found, other, key=len)
        rows_of = np.concatenate(list(other.values()))
        left &= (known < rows_of.min() - 3) | (known > rows_of.max() + 3)
    groups = np.full((len(found), size), -1)
    for k, expected in enumerate(found[order] for order in sorted(found)):
        nearest = np.argmin(np.abs(known[:, np.newaxis] - expected), axis=0)
        hit = (np.abs(known[nearest] - expected) < 3) & ~np.isin(usable[nearest], groups)
        groups[k, hit] = usable[nearest[hit]]
    seen = np.flatnonzero((groups >= 0).any(axis=1))
    return groups[seen[0] : seen[-1] + 1] if len(seen) else groups[:0]


def _peaks(binned, first, share=0.1, threshold=8.0):
    """Rows of the ridges at the left end of a bin, by height above the local background and noise."""
    cut = binned[:, (first - 1) * _SUBBINS : (first + 1) * _SUBBINS].mean(axis=1)
    smooth = gaussian_filter1d(cut, 1.2)
    background = gaussian_filter1d(percentile_filter(smooth, 10, 61), 20)
    noise = 1.4826 * np.median(np.abs(np.diff(cut - smooth))) + 1e-9
    height = smooth - background
    inner = (smooth[1:-1] > smooth[:-2]) & (smooth[1:-1] >= smooth[2:])
    rows = np.flatnonzero(inner) + 1
    local = percentile_filter(np.where(inner, height[1:-1], 0), 95, 301)[rows - 1]
    return rows[(height[rows] > threshold * noise) & (height[rows] > share * local)]


def _seeds(rows, size):
    """Index of the lowest ridge of three consecutive complete orders, where the grouping is clearest."""
    gaps = np.diff(rows)
    best, clearest = [], 1.3
    span = 3 * size
    for i in range(len(rows) - span + 1):
        local = gaps[i : i + span - 1]
        between = local[size - 1 :: size]
        within = np.delete(local, np.arange(size - 1, span - 1, size))
        even = between.max() < 1.25 * between.min() and within.max() < 1.25 * within.min()
        if even and between.min() > clearest * within.max():
            clearest = between.min() / within.max()
            best = [i + size * k for k in range(3)]
    return best


def _walk(found, rows, step, size, tolerance=5.0, give_up=3) -> None:
    """Extend the known orders downward (-1) or upward (+1) until nothing is found any more."""
    missing = 0
    while missing < give_up:
        edge = max(found) if step > 0 else min(found)
        known = [edge - step * j for j in range(min(6, len(found)))]
        places = -np.arange(len(known), dtype=float)
        values = np.array([found[k] for k in known])
        fit = np.polyfit(places, values, 2)
        expected = np.polyval(fit, 1.0) if size == 1 else np.array([np.polyval(fit[:, j], 1.0) for j in range(size)])
        if expected.max() < 0 or expected.min() > rows.max() + 200 or edge + step in found:
            break
        nearest = rows[np.argmin(np.abs(rows[:, None] - expected), axis=0)]
        hit = np.abs(nearest - expected) < tolerance
        offset = np.median(nearest[hit] - expected[hit]) if hit.any() else 0.0
        found[edge + step] = np.where(hit, nearest, expected + offset)
        missing = 0 if hit.any() else missing + 1
    for _ in range(missing):
        found.pop(max(found) if step > 0 else min(found))
