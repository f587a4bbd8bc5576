"""Find the orders of a lamp flat without any earlier knowledge of where they are, and number them."""

import numpy as np
from numpy.polynomial import legendre

from nrespipe.engine import ridges
from nrespipe.errors import BadFrame
from nrespipe.frames.traces import Traces


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
    x, centers, significance = ridges.find(electrons)
    rows = ridges.middle_rows(x, centers, electrons.shape[1])
    groups = ridges.group(rows, len(upward))
    if len(groups) < 5:
        raise BadFrame(f"only {len(groups)} orders with light in fibers {upward} found in the flat")
    top = groups[:, -1]
    first = _first_order(np.where(top >= 0, rows[top], np.nan), spectrograph)
    orders = np.arange(first, first + len(groups))
    smooth = []
    for fiber in sorted(upward):
        members = groups[:, upward.index(fiber)]
        seen = members >= 0
        points = (x, orders[seen], centers[members[seen]], significance[members[seen]])
        smooth.append(_surface(points, orders, electrons.shape, degree))
    smooth = np.stack(smooth)
    lit = np.isfinite(smooth).any(axis=(0, 2)) & (orders >= 1)
    return Traces(tuple(sorted(upward)), orders[lit], smooth[:, lit])


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


def _first_order(rows, spectrograph):
    """Diffraction order of the lowest of the orders that cross the middle at these rows, by the pattern of spacings.

    Shift and scale are free within what spectrographs of one design differ by, and the number whose pattern fits best
    wins. The lamp lines have the last word later.
    """
    k = np.flatnonzero(np.isfinite(rows))
    rows = rows[k]
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


def _surface(points, orders, shape, degree):
    """Smooth the centers of one fiber by a Legendre surface in (x, m); NaN off the detector."""
    rows, columns = shape
    x, m = (grid.ravel() for grid in np.meshgrid(points[0], points[1].astype(float)))
    y, w = points[2].ravel(), points[3].ravel()
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
