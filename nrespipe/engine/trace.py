"""Find the orders of a lamp flat without any earlier knowledge of where they are, and number them."""

import numpy as np
from numpy.polynomial import legendre
from scipy.ndimage import gaussian_filter1d, percentile_filter

from nrespipe.errors import BadFrame
from nrespipe.frames.traces import Traces

_BIN = 32  # columns a bin
_SUBBINS = 4  # narrower bins inside, shifted along the slope of the order before they are added


def find(electrons, fibers, spectrograph, degree=(6, 6)):
    """Find the orders of a flat whose light comes through two (or more) fibers.

    Parameters
    ----------
    electrons : ndarray of float, shape (n_rows, n_columns)
        Stacked flat [electron].
    fibers : tuple of int
        The lit fibers, two or three.
    spectrograph : Spectrograph
        Order in which the fibers cross the detector, and the pattern by which the orders are numbered.
    degree : (int, int), optional
        Degrees in x and m of the surface that smooths the centers of a fiber.

    Returns
    -------
    Traces
        Of the lit fibers, sorted; centers are NaN where an order is off the detector.

    Raises
    ------
    BadFrame
        If fewer than five orders are found, or they do not form the pattern of the spectrograph.

    Notes
    -----
    Ridges are found at the middle column and followed to both sides by their Gaussian-weighted centroids in bins of
    columns. Ridges that belong to one order are told by their distances: within an order it is smaller than to the
    next one at the blue end, and from there both change slowly. The centers of a fiber are then smoothed by one
    Legendre surface in (x, m) (the method of Piskunov & Valenti 2002 A&A 385 1095 per order, joined over orders).
    """
    upward = tuple(fiber for fiber in spectrograph.fibers.upward if fiber in fibers)
    binned = _bin_columns(electrons)
    columns = (np.arange(binned.shape[1]) + 0.5) * (_BIN // _SUBBINS) - 0.5
    ridges = [_follow(binned, columns, row, len(electrons[0])) for row in _peaks(binned)]
    ridges = [ridge for ridge in ridges if np.isfinite(ridge[1]).sum() >= 8]
    groups = _group(ridges, len(upward), electrons.shape[1])
    if len(groups) < 5:
        raise BadFrame(f"only {len(groups)} orders with light in fibers {upward} found in the flat")
    first = _first_order(groups, upward, spectrograph, electrons.shape[1])
    orders = np.arange(first, first + len(groups))
    centers = np.stack(
        [
            _surface([group[upward.index(fiber)] for group in groups], orders, electrons.shape, degree)
            for fiber in sorted(upward)
        ]
    )
    lit = np.isfinite(centers).any(axis=(0, 2)) & (orders >= 1)
    return Traces(tuple(sorted(upward)), orders[lit], centers[:, lit])


def count(electrons):
    """Count the ridges of light that cross the middle column of a flat.

    Parameters
    ----------
    electrons : ndarray of float, shape (n_rows, n_columns)
        A single flat [electron].

    Returns
    -------
    int
        Ridges well above noise and background.
    """
    middle = electrons.shape[1] // 2
    return len(_peaks(_bin_columns(electrons[:, middle - 2 * _BIN : middle + 2 * _BIN])))


def upright(pairs, spectrograph, tolerance=4.0):
    """Tell whether flats that lit different fibers agree on where the reference fiber lies.

    Parameters
    ----------
    pairs : sequence of Traces
        Each with the reference fiber among its fibers.
    spectrograph : Spectrograph
        Names the reference fiber.
    tolerance : float, optional
        Largest distance between the traces of the reference fiber in two flats [pixel].

    Returns
    -------
    bool
        False where the fibers cross the detector in the opposite order; True also for a single flat, which cannot tell.
    """
    if len(pairs) < 2:
        return True
    here, there = (pair.centers[pair.fibers.index(spectrograph.fibers.reference)] for pair in pairs[:2])
    return np.median(_nearest(here, there)[1]) < tolerance


def turned(traces):
    """Return traces with their fibers in the opposite order across the detector.

    Parameters
    ----------
    traces : Traces
        As `find` named them.

    Returns
    -------
    Traces
        The same centers, the names of the fibers exchanged.
    """
    return Traces(traces.fibers, traces.orders, traces.centers[::-1])


def _nearest(here, there):
    """For each order of one flat the nearest of another, and the median distance along it."""
    distance = np.abs(here[:, np.newaxis, ::64] - there[:, ::64])
    distance = np.median(np.where(np.isfinite(distance), distance, 1e9), axis=2)
    return np.argmin(distance, axis=1), distance.min(axis=1)


def merge(pairs, spectrograph, tolerance=4.0):
    """Join the traces of flats that lit different fibers.

    Parameters
    ----------
    pairs : sequence of Traces
        Each with the reference fiber among its fibers.
    spectrograph : Spectrograph
        Names the reference fiber.
    tolerance : float, optional
        Largest distance between the traces of the reference fiber in two flats [pixel].

    Returns
    -------
    traces : Traces
        All fibers, at the position of the first of `pairs`.
    shifts : list of float
        How far each of `pairs` lies above the first [pixel].

    Raises
    ------
    BadFrame
        If the flats do not agree on where the reference fiber lies: the fibers are not lit as their header says.
    """
    reference = spectrograph.fibers.reference
    base = pairs[0]
    centers = dict(zip(base.fibers, base.centers))
    orders, shifts = base.orders, [0.0]
    for other in pairs[1:]:
        theirs = other.centers[other.fibers.index(reference)]
        there, distance = _nearest(centers[reference], theirs)
        here = np.flatnonzero(distance < tolerance)
        if len(here) < 0.8 * min(len(distance), len(theirs)):
            raise BadFrame(
                f"the flats of fibers {base.fibers} and {other.fibers} do not agree on where fiber {reference} lies"
            )
        orders, there = orders[here], there[here]
        centers = {fiber: rows[here] for fiber, rows in centers.items()}
        shifts.append(float(np.nanmedian(theirs[there] - centers[reference])))
        for fiber, rows in zip(other.fibers, other.centers):
            centers.setdefault(fiber, rows[there] - shifts[-1])
    fibers = tuple(sorted(centers))
    return Traces(fibers, orders, np.stack([centers[fiber] for fiber in fibers])), shifts


def _bin_columns(electrons):
    width = _BIN // _SUBBINS
    n = electrons.shape[1] // width
    parts = electrons[:, : n * width].reshape(electrons.shape[0], n, width)
    # the brightest pixel of each bin may be a cosmic ray
    return ((parts.sum(axis=2) - parts.max(axis=2)) / (width - 1)).astype(float)


def _peaks(binned, threshold=8.0):
    """Rows of the ridges at the middle column, by height above the local background and noise."""
    middle = binned.shape[1] // 2
    cut = binned[:, middle - _SUBBINS : middle + _SUBBINS].mean(axis=1)
    smooth = gaussian_filter1d(cut, 1.2)
    background = gaussian_filter1d(percentile_filter(smooth, 10, 61), 20)
    noise = 1.4826 * np.median(np.abs(np.diff(cut - smooth))) + 1e-9
    height = smooth - background
    inner = (smooth[1:-1] > smooth[:-2]) & (smooth[1:-1] >= smooth[2:])
    rows = np.flatnonzero(inner) + 1
    local = percentile_filter(np.where(inner, height[1:-1], 0), 95, 301)[rows - 1]
    return rows[(height[rows] > threshold * noise) & (height[rows] > 0.1 * local)]


def _follow(binned, columns, row, n_columns):
    """Follow one ridge from the middle column to both ends; NaN where it is lost or off the detector."""
    centers = np.full(len(columns) // _SUBBINS, np.nan)
    weights = np.zeros(len(centers))
    middle = len(centers) // 2
    for step in (1, -1):
        recent = [] if step == 1 else [(i, centers[i]) for i in (middle + 2, middle + 1, middle) if i < len(centers)]
        recent = [(i, c) for i, c in recent if np.isfinite(c)]
        lost = 0
        i = middle if step == 1 else middle - 1
        while 0 <= i < len(centers) and lost < 4:
            guess, slope = _predict(recent, i, row)
            center, weight = _centroid(binned, i, guess, slope)
            if np.isfinite(center):
                centers[i], weights[i] = center, weight
                recent = [*recent[-4:], (i, center)]
                lost = 0
            else:
                lost += 1
            i += step
    x = (np.arange(len(centers)) + 0.5) * _BIN - 0.5
    return x, centers, weights


def _predict(recent, i, row):
    """Extrapolate the last few centers; return the row expected and the slope per bin."""
    if len(recent) < 2:
        return (recent[-1][1] if recent else float(row)), 0.0
    places, values = np.array(recent, float).T
    fit = np.polyfit(places - i, values, 2 if len(recent) >= 5 else 1)
    return float(fit[-1]), float(fit[-2])


def _centroid(binned, i, guess, slope, half=5, sigma=2.0):
    """Gaussian-weighted centroid of a ridge in one bin, its sub-bins shifted along the slope.

    The fixed point of a centroid under a Gaussian weight that moves with it; converges by a factor of two each time.
    """
    rows = len(binned)
    if not half + 2 < guess < rows - half - 3:
        return np.nan, 0.0
    low = round(guess) - half - 2
    offsets = np.arange(low, low + 2 * half + 5)
    offsets = offsets[(offsets >= 0) & (offsets < rows)]
    cuts = binned[offsets[0] : offsets[-1] + 1, i * _SUBBINS : (i + 1) * _SUBBINS]
    shifts = slope * ((np.arange(_SUBBINS) + 0.5) / _SUBBINS - 0.5)
    cut = np.mean([np.interp(offsets + s, offsets, c) for s, c in zip(shifts, cuts.T)], axis=0)
    cut = cut - np.sort(cut)[:3].mean()
    center = guess
    for _ in range(12):
        weight = np.exp(-0.5 * ((offsets - center) / sigma) ** 2)
        total = np.sum(weight * cut)
        if total <= 0:
            return np.nan, 0.0
        step = 2 * np.sum(weight * cut * (offsets - center)) / total
        center += np.clip(step, -1, 1)
        if abs(center - guess) > 3:
            return np.nan, 0.0
        if abs(step) < 1e-4:
            break
    noise = 1.4826 * np.median(np.abs(np.diff(cuts, axis=1))) + 1e-9
    significance = total / (noise * np.sqrt(np.sum(weight**2) / _SUBBINS))
    return (center, significance) if significance > 5 else (np.nan, 0.0)


def _middle_rows(ridges, n_columns):
    """Row at the middle column, by a parabola through the bins around it."""
    rows = []
    for x, centers, _ in ridges:
        near = np.isfinite(centers) & (np.abs(x - n_columns / 2) < 300)
        rows.append(
            np.polyval(np.polyfit((x[near] - n_columns / 2) / 300, centers[near], 2), 0) if near.sum() > 3 else np.nan
        )
    return np.array(rows)


def _group(ridges, size, n_columns):
    """Join ridges into orders of `size` fibers; a list, upward, of tuples of ridges (None where one is missing).

    The blue (upper) orders are far apart, so there the short distances are those within an order. From the best such
    order the others are predicted one by one, up and down, by the slowly changing spacing.
    """
    rows = _middle_rows(ridges, n_columns)
    keep = np.isfinite(rows)
    ridges = [ridge for ridge, k in zip(ridges, keep) if k]
    rows = rows[keep]
    order = np.argsort(rows)
    ridges, rows = [ridges[i] for i in order], rows[order]
    if len(rows) < 3 * size:
        return []
    seeds = _seeds(rows, size)
    if len(seeds) < 3:
        return []
    found = {k: rows[i : i + size] for k, i in enumerate(seeds)}
    used = set()
    for step in (-1, 1):
        _walk(found, rows, step, size)
    groups = []
    for k in sorted(found):
        members = []
        for row in found[k]:
            i = int(np.argmin(np.abs(rows - row)))
            taken = abs(rows[i] - row) < 3 and i not in used
            used.add(i) if taken else None
            members.append(ridges[i] if taken else None)
        groups.append(tuple(members))
    while groups and all(member is None for member in groups[0]):
        groups.pop(0)
    while groups and all(member is None for member in groups[-1]):
        groups.pop()
    return groups


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


def _walk(found, rows, step, size, tolerance=5.0, give_up=3):
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


def _first_order(groups, upward, spectrograph, n_columns):
    """Diffraction order of the lowest group, by the pattern of the spacings.

    Shift and scale are free within what spectrographs of one design differ by, and the number whose pattern fits best
    wins. The lamp lines have the last word later.
    """
    index = len(upward) - 1
    members = [(k, group[index]) for k, group in enumerate(groups) if group[index] is not None]
    k = np.array([pair[0] for pair in members])
    rows = _middle_rows([pair[1] for pair in members], n_columns)
    good = np.isfinite(rows)
    k, rows = k[good], rows[good]
    best = (np.inf, None)
    n_known = spectrograph.last_order - spectrograph.first_order
    for start in range(-5, n_known):
        pattern = np.polynomial.polynomial.polyval(k + start, spectrograph.order_rows)
        design = np.stack([np.ones(len(k)), (pattern - 2048) / 2048], axis=1)
        fit, *_ = np.linalg.lstsq(design, rows - pattern, rcond=None)
        # A pattern one order off fits almost as well, 60 pixels away; spectrographs of one design differ by some 15
        # pixels in shift and scale and by half a pixel in form, and the form has few degrees of freedom.
        form = np.std(rows - pattern - design @ fit)
        best = min(best, (3 * (form / 0.7) ** 2 + (fit[0] / 20) ** 2 + (fit[1] / 25) ** 2, start))
    cost, start = best
    if start is None or cost > 50:
        raise BadFrame("the distances between the orders of the flat do not form the pattern of the spectrograph")
    return spectrograph.first_order + start


def _surface(ridges, orders, shape, degree):
    """Smooth the centers of one fiber by a Legendre surface in (x, m); NaN off the detector."""
    rows, columns = shape
    x = np.concatenate([r[0] for r in ridges if r is not None])
    y = np.concatenate([r[1] for r in ridges if r is not None])
    w = np.concatenate([r[2] for r in ridges if r is not None])
    m = np.concatenate([np.full(len(r[0]), k) for k, r in zip(orders, ridges) if r is not None])
    good = np.isfinite(y)
    x, y, m = x[good], y[good], m[good]
    w = np.minimum(w[good], 300.0) / 300.0
    span = max(orders[-1] - orders[0], 1)
    degree = (degree[0], min(degree[1], len(orders) - 2))

    def design(x, m):
        return legendre.legvander2d(2 * x / (columns - 1) - 1, 2 * (m - orders[0]) / span - 1, degree)

    a = design(x, m)
    keep = np.ones(len(x), bool)
    for _ in range(8):
        fit, *_ = np.linalg.lstsq(a[keep] * w[keep, None], y[keep] * w[keep], rcond=None)
        residual = (y - a @ fit) * w
        limit = 4 * 1.4826 * np.median(np.abs(residual[keep])) + 1e-3
        previous, keep = keep, np.abs(residual) < limit
        if np.array_equal(previous, keep):
            break
    pixels = np.arange(columns, dtype=float)
    centers = np.stack([design(pixels, np.full(columns, float(k))) @ fit for k in orders])
    centers[(centers < 0) | (centers > rows - 1)] = np.nan
    return centers
