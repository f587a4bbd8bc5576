"""Which diffraction order each row of the spectra is, told row by row."""

import numpy as np

from nrespipe.engine import identify
from nrespipe.engine.projection import Projection

#: A row is told where its best vote stands this many standard deviations high, and this many times as high as that of
#: any other order. Of rows of a lamp 9 in 10 have 11.5 or more and 1.5 or more; mirrored ones 8.5 and 1.25 or less.
_LEAST_SIGNIFICANCE = 9.5
_LEAST_LEAD = 1.35


def of_rows(lines, orders, spectrograph, lamp, fiber, brightest=30):
    """Tell the diffraction order of each row by its own lines.

    Parameters
    ----------
    lines : ArcLines
        Lines of one fiber.
    orders : ndarray of int, shape (n_orders,)
        What the rows are called in `lines`, right or wrong.
    spectrograph : Spectrograph
        Whose optical model predicts the lines.
    lamp : LampLines
        Laboratory lines.
    fiber : int
        Which fiber of the model.
    brightest : int, optional
        Lines of a row that vote.

    Returns
    -------
    ndarray of int, shape (n_orders,)
        Diffraction orders; 0 for a row that shows no order of the spectrograph clearly.

    Notes
    -----
    Rows that are missing, foreign, doubled or out of order fool a numbering of all rows at once, and are named by this
    one. It is less sure of a single row, because nothing beside it agrees.
    """
    projection = Projection(spectrograph, lamp, fiber)
    chosen = identify.brightest_of(lines, brightest)
    candidates = np.arange(spectrograph.first_order - 2, spectrograph.last_order + 3)
    found = np.zeros(len(orders), int)
    for i, order in enumerate(orders):
        here = chosen[lines.order[chosen] == order]
        row = np.array([order])
        votes = [identify.vote(m - order, lines, here, row, projection, 16, 0) for m in candidates]
        heights = np.array([height for height, *_ in votes])
        best = np.argmax(heights)
        if heights[best] >= max(_LEAST_SIGNIFICANCE, _LEAST_LEAD * np.max(np.delete(heights, best))):
            found[i] = candidates[best]
    return found


def described(rows, found):
    """Put in words which orders the rows show.

    Parameters
    ----------
    rows : sequence of int
        Numbers of the rows.
    found : ndarray of int, shape (n_rows,)
        As `of_rows` returns it.

    Returns
    -------
    str
        Runs of rows, as ``rows 0-30 show orders 52-82, rows 32-66 show orders 84-118``; '' where none was told.
    """
    runs = []
    for row, order in ((int(row), int(order)) for row, order in zip(rows, found) if order):
        step = order - runs[-1][3] if runs else 0
        if runs and abs(step) == row - runs[-1][1] and runs[-1][4] in (0, np.sign(step)):
            runs[-1][1], runs[-1][3], runs[-1][4] = row, order, np.sign(step)
        else:
            runs.append([row, row, order, order, 0])
    return ", ".join(
        f"row {a} shows order {m}" if a == b else f"rows {a}-{b} show orders {m}-{last}" for a, b, m, last, _ in runs
    )
