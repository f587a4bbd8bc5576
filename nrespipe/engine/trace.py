"""Find the orders of a lamp flat without any earlier knowledge of where they are, and number them."""

import numpy as np
from numpy.polynomial import legendre
from scipy.ndimage import binary_dilation, uniform_filter1d

from nrespipe.engine import ridges
from nrespipe.errors import BadFrame
from nrespipe.frames.traces import Traces
from nrespipe.numerics import leastsquares

_CENTROID, _FLOOR = (
    2.5,
    0.007,
)  # error of a center: the first over its significance, and what light does not mend [pixel]


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
        Degrees in x and m of the surface that smooths the centers.

    Returns
    -------
    Traces
        Of the lit fibers, sorted; centers are NaN where an order is off the detector or shows no light.

    Raises
    ------
    BadFrame
        If fewer than five orders are found, or they do not form the pattern of the spectrograph, or fit two numberings.

    Notes
    -----
    Ridges are found near the middle column and followed to both sides by their Gaussian-weighted centroids in bins of
    columns. Ridges that belong to one order are told by their distances: within an order it is smaller than to the
    next one at the blue end, and from there both change slowly. The centers are then smoothed by one Legendre surface
    in (x, m) for all fibers (the method of Piskunov & Valenti 2002 A&A 385 1095 per order, joined over orders) and one
    of lower degree for the distances between fibers. Every place of the surface is measured again, so that what could
    not be followed is found, and the surface fitted again.
    """
    upward = tuple(fiber for fiber in spectrograph.fibers.upward if fiber in fibers)
    binned = ridges.bin_columns(electrons)
    orders, x, centers, significance = _numbered(binned, electrons.shape[1], upward, spectrograph)
    place = _places(x, orders, electrons.shape[1])
    rows = _smooth(place, centers, significance, degree)[0](*place)
    # a second look, now at every place where a trace must be, finds what could not be followed from the middle
    centers, significance = ridges.measure(binned, rows)
    surface, kept = _smooth(place, centers, significance, degree)
    smooth = surface(*_places(np.arange(electrons.shape[1], dtype=float), orders, electrons.shape[1]))
    smooth[(smooth < 0) | (smooth > electrons.shape[0] - 1) | ~_lit(kept, x, electrons.shape[1])] = np.nan
    lit = np.isfinite(smooth).any(axis=(0, 2)) & (orders >= 1)
    sort = np.argsort(upward)
    return Traces(tuple(sorted(upward)), orders[lit], smooth[sort][:, lit])


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


def _nearest(here, there, stride=32, least=3):
    """For each order of one flat the nearest of another, and the median distance where both are seen."""
    distance = np.sort(np.abs(here[:, np.newaxis, ::stride] - there[:, ::stride]), axis=2)
    common = np.isfinite(distance).sum(axis=2)
    # what is not seen is sorted to the end
    middle = np.take_along_axis(distance, np.maximum(common - 1, 0)[..., np.newaxis] // 2, axis=2)[..., 0]
    middle = np.where(common >= least, middle, np.inf)
    return np.argmin(middle, axis=1), middle.min(axis=1)


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


def _numbered(binned, n_columns, upward, spectrograph):
    """Orders, middles of the bins, and the ridges in them by (fiber, order, bin), NaN where none was found."""
    best = (-1, None)
    # first without the ghosts and bumps that a fiber may be as faint as
    for share in (0.1, 0.02):
        x, centers, significance = ridges.find(binned, share)
        rows = ridges.middle_rows(x, centers, n_columns)
        groups = ridges.group(rows, len(upward))
        complete = int((groups >= 0).all(axis=1).sum())
        best = max(best, (complete, (x, centers, significance, rows, groups)), key=lambda pair: pair[0])
        if complete >= max(0.9 * len(groups), 5):
            break
    x, centers, significance, rows, groups = best[1]
    if len(groups) < 5:
        raise BadFrame(f"only {len(groups)} orders with light in fibers {upward} found in the flat")
    crossing = np.where(groups >= 0, rows[groups], np.nan).T
    first = _first_order(_highest(crossing, upward, spectrograph.fibers.upward), spectrograph)
    seen = (groups.T >= 0)[..., np.newaxis]
    ridge = np.where(seen, centers[groups.T], np.nan), np.where(seen, significance[groups.T], 0.0)
    return first + np.arange(len(groups)), x, *ridge


def _highest(rows, lit, upward):
    """Rows of the highest of all fibers, lit or not, from those of the lit ones (fiber, order), all evenly apart."""
    places = [upward.index(fiber) for fiber in lit]
    apart = (rows[-1] - rows[0]) / (places[-1] - places[0])
    k, seen = np.arange(rows.shape[1]), np.isfinite(apart)
    if places[-1] == len(upward) - 1 or seen.sum() < 4:
        return rows[-1]
    apart = np.polyval(np.polyfit(k[seen], apart[seen], 2), k)
    return rows[-1] + apart * (len(upward) - 1 - places[-1])


def _first_order(rows, spectrograph):
    """Diffraction order of the lowest order, by the pattern in which the highest fiber crosses the middle.

    Shift and scale are free within what spectrographs of one design differ by, and the number whose pattern fits best
    wins. The lamp lines have the last word later.
    """
    k = np.flatnonzero(np.isfinite(rows))
    rows = rows[k]
    costs = []
    n_known = spectrograph.last_order - spectrograph.first_order
    for start in range(-5, n_known):
        pattern = np.polynomial.polynomial.polyval(k + start, spectrograph.order_rows)
        design = np.stack([np.ones(len(k)), (pattern - 2048) / 2048], axis=1)
        fit, *_ = np.linalg.lstsq(design, rows - pattern, rcond=None)
        # A pattern one order off fits almost as well, 60 pixels away; spectrographs of one design differ by some 15
        # pixels in shift and scale and by half a pixel in form, and the form has few degrees of freedom.
        form = np.std(rows - pattern - design @ fit)
        costs.append(
            (3 * (form / 0.7) ** 2 + (fit[0] / 20) ** 2 + (fit[1] / 25) ** 2, spectrograph.first_order + start)
        )
    (cost, first), (runner_up, other) = sorted(costs)[:2]
    if not cost < 50:
        raise BadFrame("the distances between the orders of the flat do not form the pattern of the spectrograph")
    # of 750 random benches within those 15 pixels, some without their first or last orders, none has less than 4.7
    if runner_up - cost < 2:
        raise BadFrame(
            f"the orders of the flat lie between two numberings: the lowest of {len(rows)} may be {first} or {other}"
        )
    return first


def _places(x, orders, n_columns):
    """Columns and orders, both from -1 to 1."""
    return 2 * x / (n_columns - 1) - 1, np.linspace(-1, 1, len(orders))


def _smooth(place, centers, significance, degree, between=(4, 4)):
    """Fit one Legendre surface in (x, m) to all fibers, and one of their distances from the first to each other fiber.

    Returns the function that gives the rows (fiber, order, column) at given places, and which centers belong to it.
    """
    n_fibers, n_orders, _ = centers.shape
    degree, between = ((x, min(m, n_orders - 2)) for x, m in (degree, between))
    base, apart = (
        legendre.legvander2d(*np.meshgrid(*place), d).reshape(-1, (d[0] + 1) * (d[1] + 1)) for d in (degree, between)
    )
    good = np.isfinite(centers).reshape(n_fibers, -1)
    design = np.concatenate(
        [
            np.hstack([base[g], *(apart[g] * (other == fiber) for other in range(1, n_fibers))])
            for fiber, g in enumerate(good)
        ]
    )
    sigma = np.hypot(_CENTROID / significance[np.isfinite(centers)], _FLOOR)
    # orders are smooth: where nothing is seen they must not swing
    expected = np.concatenate([_smoothness(degree, 3000.0, 0.3), *[_smoothness(between, 100.0, 0.05)] * (n_fibers - 1)])
    fit, _, kept = leastsquares.robust(
        design, centers[np.isfinite(centers)], sigma, (np.zeros(len(expected)), expected)
    )
    terms = np.split(fit, np.cumsum([base.shape[1]] + [apart.shape[1]] * (n_fibers - 2)))
    belongs = np.isfinite(centers)
    belongs[belongs] = kept

    def surface(x, m):
        first = legendre.leggrid2d(m, x, terms[0].reshape(degree[0] + 1, -1).T)
        others = [legendre.leggrid2d(m, x, t.reshape(between[0] + 1, -1).T) for t in terms[1:]]
        return np.stack([first, *(first + other for other in others)])

    return surface, belongs


def _smoothness(degree, first, least):
    total = np.add.outer(np.arange(degree[0] + 1), np.arange(degree[1] + 1)).ravel()
    return np.maximum(first / 4.0 ** np.maximum(total - 1, 0), least)


def _lit(kept, x, n_columns, reach=4):
    """Columns between the first and the last bin where any fiber of an order was seen, and a little beyond."""
    # noise may look like a ridge in one bin, hardly in three of five neighbors
    seen = kept & (uniform_filter1d(kept.astype(float), 5, axis=2, mode="constant") > 0.5)
    seen = binary_dilation(seen.any(axis=0), np.ones((1, 2 * reach + 1)))
    between = np.logical_or.accumulate(seen, axis=1) & np.logical_or.accumulate(seen[:, ::-1], axis=1)[:, ::-1]
    nearest = np.clip(np.round((np.arange(n_columns) - x[0]) / (x[1] - x[0])).astype(int), 0, len(x) - 1)
    return between[:, nearest]
