"""Which diffraction order each row of the spectra is: of an arc, of a frame against its arc, and row by row."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from nrespipe.engine.wavelength import arc_lines, identify, match_orders
from nrespipe.engine.wavelength.projection import Projection
from nrespipe.errors import BadFrame
from nrespipe.frames.arrays import Integers
from nrespipe.frames.masters import Arc
from nrespipe.frames.quality import Quality
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.frames.wavelength import ArcLines, LampLines

if TYPE_CHECKING:
    from nrespipe.engine.wavelength.identify import Start

#: A row is told where its best vote stands this many standard deviations high, and this many times as high as that of
#: any other order. Of rows of a lamp 9 in 10 have 11.5 or more and 1.5 or more; mirrored ones 8.5 and 1.25 or less.
_LEAST_SIGNIFICANCE = 9.5
_LEAST_LEAD = 1.35
#: Orders that a frame must share with its arc to have wavelengths.
_FEWEST = 3


def of_arc(stack: Spectra, spectrograph: Spectrograph, lamp: LampLines) -> "tuple[Spectra, dict[int, Start], int]":
    """Decide the diffraction orders of the arcs of a night, by the lines of the lamp in all fibers.

    Parameters
    ----------
    stack
        Sum of the arcs, its orders as the flat numbered them.
    spectrograph
        Whose optical model predicts the lines.

    Returns
    -------
    stack : Spectra
        With true orders.
    starts : dict of int to identify.Start
        Blind identification of each fiber.
    added : int
        What was added to the numbers.

    Raises
    ------
    BadFrame
        If the fibers do not agree on the numbers.
    """
    starts = {}
    for fiber in stack.fibers:
        starts[fiber] = identify.start(arc_lines.find(stack, fiber), stack.orders, spectrograph, lamp, fiber)
    numbers = {fiber: start.renumber for fiber, start in starts.items()}
    if len(set(numbers.values())) > 1:
        raise BadFrame(f"the fibers disagree about the numbers of the orders: add {numbers} by fiber")
    (added,) = set(numbers.values())
    return replace(stack, orders=stack.orders + added), starts, added


def of_frame(spectra: Spectra, arc: Arc) -> tuple[Spectra, int]:
    """Decide the diffraction orders of a frame, by the lamp in its reference fiber against that of the master arc.

    Parameters
    ----------
    spectra
        The frame, its orders as the flat numbered them.
    arc
        Master arc, whose numbers the lamp has proven. It may be of another flat, with more orders or fewer.

    Returns
    -------
    spectra : Spectra
        With true orders.
    added : int
        What was added to the numbers.

    Raises
    ------
    BadFrame
        If the lamp does not tell, and the numbers of flat and arc contradict each other; or if frame and arc share
        hardly any order.

    Notes
    -----
    Where the frame shows no lamp, or one that fits two numberings, the numbers of the flat stand if the lamp did not
    contradict them in the arc, and the arc has not as many orders with other numbers. If the lamp did, a flat with as
    many orders as the arc is taken for the one that the arc was made with.
    """
    true, fiber = arc.solution.orders, arc.reference.fibers[0]
    added = match_orders.renumbering(spectra, arc.reference, fiber) if fiber in spectra.fibers else None
    if added is None:
        added = _without_lamp(spectra.orders, true, arc.origin.quality, fiber)
    orders = spectra.orders + added
    shared = np.isin(orders, true).sum()
    if shared < min(_FEWEST, len(true)):
        raise BadFrame(
            f"the frame has {_range(orders)} and the master arc {_range(true)}: {shared} in common, expected {_FEWEST} "
            "or more; check the flat and the arc of the night"
        )
    return replace(spectra, orders=orders), added


def _without_lamp(orders, true, quality, fiber):
    """Return what to add to the numbers of a flat where the lamp of the frame does not tell."""
    distances = np.unique(true - orders) if len(true) == len(orders) else ()
    contradicted = Quality.ORDERS_RENUMBERED in quality
    if len(distances) == 1 and (contradicted or distances[0] == 0):
        return int(distances[0])
    # as many orders with other numbers are more likely the same than orders lost at opposite ends
    if contradicted or len(distances) == 1:
        after = " after its lamp contradicted the numbers of its flat" if contradicted else ""
        raise BadFrame(
            f"the numbers of the orders cannot be told: the flat has {_range(orders)}, the master arc {_range(true)}"
            f"{after}, and fiber {fiber} shows too little of the lamp to compare them; reduce the frame with an arc of "
            "the same flat"
        )
    return 0


def _range(orders):
    return f"{len(orders)} orders from {orders[0]} to {orders[-1]}"


def of_rows(
    lines: ArcLines, orders: Integers, spectrograph: Spectrograph, lamp: LampLines, fiber: int, brightest: int = 30
) -> Integers:
    """Tell the diffraction order of each row by its own lines.

    Parameters
    ----------
    lines
        Lines of one fiber.
    orders : shape (n_orders,)
        What the rows are called in `lines`, right or wrong.
    spectrograph
        Whose optical model predicts the lines.
    fiber
        Which fiber of the model.
    brightest
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


def described(rows: Sequence[int], found: Integers) -> str:
    """Put in words which orders the rows show.

    Parameters
    ----------
    rows
        Numbers of the rows.
    found : shape (n_rows,)
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
