"""Find the orders of a lamp flat without any earlier knowledge of where they are, and number them."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import binary_dilation, uniform_filter1d

from nrespipe.engine.orders import center_surface, ridges
from nrespipe.errors import BadFrame
from nrespipe.frames.arrays import Floats
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.frames.traces import Traces


def find(
    electrons: Floats, fibers: tuple[int, ...], spectrograph: Spectrograph, degree: tuple[int, int] = (6, 6)
) -> Traces:
    """Find the orders of a flat whose light comes through two (or more) fibers.

    Parameters
    ----------
    electrons : shape (n_rows, n_columns)
        Stacked flat [electron].
    fibers
        The lit fibers, two or three.
    spectrograph
        Order in which the fibers cross the detector, and the pattern by which the orders are numbered.
    degree
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
    n_rows, n_columns = electrons.shape
    rows = center_surface.fit(x, centers, significance, n_columns, degree)[0].rows(x)
    # a second look, now at every place where a trace must be, finds what could not be followed from the middle
    centers, significance = ridges.measure(binned, rows)
    fitted, kept = center_surface.fit(x, centers, significance, n_columns, degree)
    columns = np.arange(n_columns, dtype=float)
    smooth = fitted.rows(columns)
    smooth[(smooth < 0) | (smooth > n_rows - 1) | ~_lit(kept, x, n_columns)] = np.nan
    errors = np.where(np.isfinite(smooth), _between(columns, x, fitted.errors(x)), np.nan)
    lit = np.isfinite(smooth).any(axis=(0, 2)) & (orders >= 1)
    sort = np.argsort(upward)
    return Traces(tuple(sorted(upward)), orders[lit], smooth[sort][:, lit], errors[sort][:, lit].astype(np.float32))


def fibers_agree(pairs: Sequence[Traces], spectrograph: Spectrograph, tolerance: float = 4.0) -> bool:
    """Tell whether flats that lit different fibers agree on where the reference fiber lies.

    Parameters
    ----------
    pairs
        Each with the reference fiber among its fibers.
    spectrograph
        Names the reference fiber.
    tolerance
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


def reversed_fibers(traces: Traces) -> Traces:
    """Return traces with their fibers in the opposite order across the detector.

    Parameters
    ----------
    traces
        As `find` named them.

    Returns
    -------
    Traces
        The same centers, the names of the fibers exchanged.
    """
    errors = None if traces.errors is None else traces.errors[::-1]
    return Traces(traces.fibers, traces.orders, traces.centers[::-1], errors)


def _nearest(here, there, stride=32, least=3):
    """For each order of one flat the nearest of another, and the median distance where both are seen."""
    distance = np.sort(np.abs(here[:, np.newaxis, ::stride] - there[:, ::stride]), axis=2)
    common = np.isfinite(distance).sum(axis=2)
    # what is not seen is sorted to the end
    middle = np.take_along_axis(distance, np.maximum(common - 1, 0)[..., np.newaxis] // 2, axis=2)[..., 0]
    middle = np.where(common >= least, middle, np.inf)
    return np.argmin(middle, axis=1), middle.min(axis=1)


def merge(pairs: Sequence[Traces], spectrograph: Spectrograph, tolerance: float = 4.0) -> tuple[Traces, list[float]]:
    """Join the traces of flats that lit different fibers.

    Parameters
    ----------
    pairs
        Each with the reference fiber among its fibers.
    spectrograph
        Names the reference fiber.
    tolerance
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
    errors = dict(zip(base.fibers, _errors(base)))
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
        centers, errors = ({fiber: rows[here] for fiber, rows in each.items()} for each in (centers, errors))
        shifts.append(float(np.nanmedian(theirs[there] - centers[reference])))
        for fiber, rows, error in zip(other.fibers, other.centers, _errors(other)):
            centers.setdefault(fiber, rows[there] - shifts[-1])
            errors.setdefault(fiber, error[there])
    fibers = tuple(sorted(centers))
    joined = (np.stack([each[fiber] for fiber in fibers]) for each in (centers, errors))
    return Traces(fibers, orders, *joined), shifts


def highest_fiber(rows: Floats, lit: tuple[int, ...], upward: tuple[int, ...]) -> Floats:
    """Return the rows of the highest fiber of each order, lit or not, from those of the lit ones.

    Parameters
    ----------
    rows : shape (n_lit, n_orders)
        Where the lit fibers cross the middle of the detector, the lowest first, NaN where one was not seen [pixel].
    lit
        The lit fibers, the lowest first.
    upward
        All fibers, the lowest first; they lie evenly apart.

    Returns
    -------
    ndarray of float, shape (n_orders,)
        Rows [pixel].
    """
    places = [upward.index(fiber) for fiber in lit]
    apart = (rows[-1] - rows[0]) / (places[-1] - places[0])
    k, seen = np.arange(rows.shape[1]), np.isfinite(apart)
    if places[-1] == len(upward) - 1 or seen.sum() < 4:
        return rows[-1]
    apart = np.polyval(np.polyfit(k[seen], apart[seen], 2), k)
    return rows[-1] + apart * (len(upward) - 1 - places[-1])


def numbering_costs(rows: Floats, spectrograph: Spectrograph) -> dict[int, float]:
    """Tell how badly each numbering of the orders fits the pattern of the spectrograph.

    Parameters
    ----------
    rows : shape (n_orders,)
        Where the highest fiber of each order crosses the middle of the detector, NaN where it was not seen [pixel].

    Returns
    -------
    dict of int to float
        For each diffraction order that the lowest of the rows may be, the square of the deviation from the pattern in
        units of what spectrographs of one design differ by.

    Notes
    -----
    Shift and scale are free within what spectrographs of one design differ by.
    """
    k, half = np.flatnonzero(np.isfinite(rows)), spectrograph.detector.rows / 2
    rows, found = rows[k], {}
    for start in range(-5, spectrograph.last_order - spectrograph.first_order):
        expected = np.polynomial.polynomial.polyval(k + start, spectrograph.order_rows)
        design = np.stack([np.ones(len(k)), (expected - half) / half], axis=1)
        fit, *_ = np.linalg.lstsq(design, rows - expected, rcond=None)
        # A pattern one order off fits almost as well, 60 pixels away; spectrographs of one design differ by some 15
        # pixels in shift and scale and by half a pixel in form, and the form has few degrees of freedom.
        form = np.std(rows - expected - design @ fit)
        cost = 3 * (form / 0.7) ** 2 + (fit[0] / 20) ** 2 + (fit[1] / 25) ** 2
        found[spectrograph.first_order + start] = float(cost)
    return found


def first_order(rows: Floats, spectrograph: Spectrograph) -> int:
    """Return the diffraction order of the lowest order.

    Parameters
    ----------
    rows : shape (n_orders,)
        As in `numbering_costs`.

    Returns
    -------
    int
        The number whose pattern fits best. The lamp lines have the last word later.

    Raises
    ------
    BadFrame
        If the rows do not form the pattern, or fit two numberings.
    """
    (cost, first), (runner_up, other) = sorted(
        (cost, first) for first, cost in numbering_costs(rows, spectrograph).items()
    )[:2]
    if not cost < 50:
        raise BadFrame("the distances between the orders of the flat do not form the pattern of the spectrograph")
    # of 750 random benches within those 15 pixels, some without their first or last orders, none has less than 4.7
    if runner_up - cost < 2:
        raise BadFrame(
            f"the orders of the flat lie between two numberings: the lowest of {len(rows)} may be {first} or {other}"
        )
    return first


def _errors(traces):
    return np.full(traces.centers.shape, np.nan, np.float32) if traces.errors is None else traces.errors


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
    first = first_order(_highest(groups, rows, upward, spectrograph), spectrograph)
    groups = _beyond_gaps(groups, rows, first, spectrograph)
    first = first_order(_highest(groups, rows, upward, spectrograph), spectrograph)
    seen = (groups.T >= 0)[..., np.newaxis]
    ridge = np.where(seen, centers[groups.T], np.nan), np.where(seen, significance[groups.T], 0.0)
    return first + np.arange(len(groups)), x, *ridge


def _highest(groups, rows, upward, spectrograph):
    """Row of the highest fiber of each order at the middle column [pixel]."""
    return highest_fiber(_crossing(groups, rows), upward, spectrograph.fibers.upward)


def _crossing(groups, rows):
    return np.where(groups >= 0, rows[groups], np.nan).T


def _beyond_gaps(groups, rows, first, spectrograph, tolerance=5.0):
    """Add the orders on the far side of a gap, of dark or hidden orders, that is too wide to be walked over.

    They are looked for where the pattern of the spectrograph has them, moved as the known ones are.
    """
    orders = spectrograph.orders
    at = np.polynomial.polynomial.polyval(orders - spectrograph.first_order, spectrograph.order_rows)
    found = np.full((len(orders), groups.shape[1]), -1)
    known = np.arange(first, first + len(groups))
    inside = np.isin(known, orders)
    found[known[inside] - orders[0]] = groups[inside]
    seen = np.flatnonzero((found >= 0).any(axis=1))
    if not inside.all() or len(seen) < 5:
        return groups
    free = np.setdiff1d(np.flatnonzero(np.isfinite(rows)), groups)
    for k in [*range(seen[0] - 1, -1, -1), *range(seen[-1] + 1, len(orders))]:
        for fiber, ridges_of in enumerate(found.T):
            there = np.flatnonzero(ridges_of >= 0)
            if len(there) < 5 or len(free) == 0:
                continue
            moved = np.polyfit(at[there], rows[ridges_of[there]] - at[there], 2)
            distance = np.abs(rows[free] - at[k] - np.polyval(moved, at[k]))
            if distance.min() < tolerance:
                found[k, fiber] = free[np.argmin(distance)]
                free = np.delete(free, np.argmin(distance))
    seen = np.flatnonzero((found >= 0).any(axis=1))
    return found[seen[0] : seen[-1] + 1]


def _lit(kept, x, n_columns, reach=4):
    """Columns between the first and the last bin where any fiber of an order was seen, and a little beyond."""
    # noise may look like a ridge in one bin, hardly in three of five neighbors
    seen = kept & (uniform_filter1d(kept.astype(float), 5, axis=2, mode="constant") > 0.5)
    seen = binary_dilation(seen.any(axis=0), np.ones((1, 2 * reach + 1)))
    between = np.logical_or.accumulate(seen, axis=1) & np.logical_or.accumulate(seen[:, ::-1], axis=1)[:, ::-1]
    nearest = np.clip(np.round((np.arange(n_columns) - x[0]) / (x[1] - x[0])).astype(int), 0, len(x) - 1)
    return between[:, nearest]


def _between(columns, x, values):
    """Values at the columns, linear between those at the bins."""
    return np.apply_along_axis(lambda at_bins: np.interp(columns, x, at_bins), -1, values)
