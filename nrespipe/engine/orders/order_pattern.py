"""Number the orders of a flat by the pattern of their distances."""

import numpy as np

from nrespipe.errors import BadFrame
from nrespipe.frames.arrays import Floats
from nrespipe.frames.spectrograph import Spectrograph


def highest(rows: Floats, lit: tuple[int, ...], upward: tuple[int, ...]) -> Floats:
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


def costs(rows: Floats, spectrograph: Spectrograph) -> dict[int, float]:
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
        As in `costs`.

    Returns
    -------
    int
        The number whose pattern fits best. The lamp lines have the last word later.

    Raises
    ------
    BadFrame
        If the rows do not form the pattern, or fit two numberings.
    """
    (cost, first), (runner_up, other) = sorted((cost, first) for first, cost in costs(rows, spectrograph).items())[:2]
    if not cost < 50:
        raise BadFrame("the distances between the orders of the flat do not form the pattern of the spectrograph")
    # of 750 random benches within those 15 pixels, some without their first or last orders, none has less than 4.7
    if runner_up - cost < 2:
        raise BadFrame(
            f"the orders of the flat lie between two numberings: the lowest of {len(rows)} may be {first} or {other}"
        )
    return first
