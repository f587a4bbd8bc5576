"""Diffraction orders of the rows of spectra: of an arc, of a frame against its arc, and of each row by its lines."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nrespipe.engine.wavelength import arc_lines, identify
from nrespipe.engine.wavelength.identify import Identification, Projection
from nrespipe.errors import BadFrame
from nrespipe.frames.arrays import Floats, Integers
from nrespipe.frames.masters import Arc
from nrespipe.frames.quality import Quality
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.frames.wavelength import ArcLines, LampLines

#: A row is identified where its best vote has at least this significance [standard deviations], and is this many times
#: as high as that of any other order. Of lamp rows 9 in 10 have 11.5 or more and 1.5 or more; mirrored ones at most 8.5
#: and 1.25.
_LEAST_SIGNIFICANCE = 9.5
_LEAST_LEAD = 1.35
#: Least number of common orders of a frame and its arc.
_FEWEST = 3
#: Largest shift that is searched [pixel].
_FARTHEST = 12
#: Least number of common rows for a comparison of the numbers.
_FEWEST_ROWS = 3
#: Least correlation of all rows, in units of the scatter by noise, that a lamp has; noise alone has 6 at most.
_SEEN = 10.0
#: Right numbers have a correlation that is larger than that of any others by this factor or more. Simulated arcs have a
#: factor of 14 to 35 with 47 to 67 rows, and 3 with three rows and three thousandths of the light. Spectra without a
#: row in common have 1.3 at most.
_CONTRAST = 2.0


def of_arc(
    stack: Spectra, spectrograph: Spectrograph, lamp: LampLines
) -> tuple[Spectra, dict[int, Identification], int]:
    """Decide the diffraction orders of the arcs of a night, by the lamp lines in all fibers.

    Parameters
    ----------
    stack
        Sum of the arcs, with the order numbers of the flat.
    spectrograph
        Optical model that predicts the lines.

    Returns
    -------
    stack : Spectra
        With true orders.
    starts : dict of int to identify.Identification
        Blind identification of each fiber.
    added : int
        Number that was added to the order numbers.

    Raises
    ------
    BadFrame
        If the fibers disagree about the numbers.
    """
    starts = {}
    for fiber in stack.fibers:
        starts[fiber] = identify.blindly(arc_lines.find(stack, fiber), stack.orders, spectrograph, lamp, fiber)
    numbers = {fiber: start.renumber for fiber, start in starts.items()}
    if len(set(numbers.values())) > 1:
        raise BadFrame(f"the fibers disagree about the numbers of the orders: add {numbers} by fiber")
    (added,) = set(numbers.values())
    return replace(stack, orders=stack.orders + added), starts, added


def of_frame(spectra: Spectra, arc: Arc) -> tuple[Spectra, int, int | None]:
    """Decide the diffraction orders of a frame, by the lamp in its reference fiber against that of the master arc.

    Parameters
    ----------
    spectra
        The frame, with the order numbers of the flat.
    arc
        Master arc, whose order numbers the lamp has confirmed. Its flat may have more orders or fewer.

    Returns
    -------
    spectra : Spectra
        With true orders.
    added : int
        Number that was added to the order numbers.
    shift_px : int or None
        Whole pixels by which the lamp lies to the right of that of the arc; None where the lamp did not decide.

    Raises
    ------
    BadFrame
        If the lamp does not decide, and the numbers of flat and arc contradict each other; or if frame and arc have
        hardly any order in common.

    Notes
    -----
    Where the frame shows no lamp, or one that fits two numberings, the numbers of the flat are kept, unless the lamp
    contradicted them in the arc, or the arc has as many orders with other numbers. If the lamp contradicted them, a
    flat with as many orders as the arc is assumed to be the flat of the arc.
    """
    true, fiber = arc.solution.orders, arc.reference.fibers[0]
    match = compare(spectra, arc.reference, fiber) if fiber in spectra.fibers else None
    added, shift_px = match or (_without_lamp(spectra.orders, true, arc.origin.quality, fiber), None)
    orders = spectra.orders + added
    shared = np.isin(orders, true).sum()
    if shared < min(_FEWEST, len(true)):
        raise BadFrame(
            f"the frame has {_range(orders)} and the master arc {_range(true)}: {shared} in common, expected {_FEWEST} "
            "or more; check the flat and the arc of the night"
        )
    return replace(spectra, orders=orders), added, shift_px


def _without_lamp(orders, true, quality, fiber):
    """Return the number to add to the order numbers of a flat where the lamp of the frame does not decide."""
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
    """Identify the diffraction order of each row by its own lines.

    Parameters
    ----------
    lines
        Lines of one fiber.
    orders : shape (n_orders,)
        Numbers of the rows in `lines`, right or wrong.
    spectrograph
        Optical model that predicts the lines.
    fiber
        Fiber of the model.
    brightest
        Lines of a row that vote.

    Returns
    -------
    ndarray of int, shape (n_orders,)
        Diffraction orders; 0 for a row that shows no order of the spectrograph clearly.

    Notes
    -----
    Missing, foreign, doubled or misplaced rows spoil a numbering of all rows at once; this function finds them. It is
    less certain, because it identifies each row alone.
    """
    projection = Projection(spectrograph, lamp, fiber)
    chosen = identify.brightest_lines(lines, brightest)
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


def describe(rows: Sequence[int], found: Integers) -> str:
    """Describe the orders of the rows in words.

    Parameters
    ----------
    rows
        Numbers of the rows.
    found : shape (n_rows,)
        As `of_rows` returns it.

    Returns
    -------
    str
        Runs of rows, as ``rows 0-30 show orders 52-82, rows 32-66 show orders 84-118``; '' where no row was identified.
    """
    runs: list[list[int]] = []
    for row, order in ((int(row), int(order)) for row, order in zip(rows, found) if order):
        step = order - runs[-1][3] if runs else 0
        if runs and abs(step) == row - runs[-1][1] and runs[-1][4] in (0, np.sign(step)):
            runs[-1][1], runs[-1][3], runs[-1][4] = row, order, np.sign(step)
        else:
            runs.append([row, row, order, order, 0])
    return ", ".join(
        f"row {a} shows order {m}" if a == b else f"rows {a}-{b} show orders {m}-{last}" for a, b, m, last, _ in runs
    )


def compare(spectra: Spectra, reference: Spectra, fiber: int) -> tuple[int, int] | None:
    """Compare the order numbers and the pixels of two spectra by the lamp that both show.

    Parameters
    ----------
    spectra, reference
        Both with the fiber. Their numbers may be off by a constant and have gaps.
    fiber
        A fiber that shows the lamp in the reference.

    Returns
    -------
    added, shift_px : int
        Number to add to the orders of `spectra`, and whole pixels by which their lamp lies to the right of that of
        the reference; None where the spectra show no lamp, or where two numberings fit about as well.

    Notes
    -----
    Every row of one is correlated with every row of the other, at shifts of up to 13 pixels. A numbering is a set of
    pairs; its score is the correlation of all its pairs together, times the root of their number.
    """
    ours, theirs = (_outline(lamp.of(fiber).flux) for lamp in (spectra, reference))
    fewest = min(_FEWEST_ROWS, len(ours), len(theirs))
    norms = _square(ours)[:, None] * _square(theirs)
    alike = np.array([_inner(ours, shift) @ _inner(theirs).T for shift in _shifts()])
    added = np.asarray(reference.orders) - np.asarray(spectra.orders)[:, None]
    scores, shifts_px = {}, {}
    for number in range(added.min(), added.max() + 1):
        pairs = added == number
        if pairs.sum() >= fewest:
            by_shift = _score(alike[:, pairs].sum(axis=1), norms[pairs], ours.shape[1])
            scores[number], shifts_px[number] = float(by_shift.max()), int(_shifts()[np.argmax(by_shift)])
    ranked = sorted(scores, key=scores.__getitem__, reverse=True)
    if not ranked or scores[ranked[0]] < _SEEN:
        return None
    if len(ranked) > 1 and scores[ranked[0]] < _CONTRAST * scores[ranked[1]]:
        return None
    return ranked[0], shifts_px[ranked[0]]


def lamp_shift_px(ours: Floats, theirs: Floats) -> int | None:
    """Return how far the lamp in one spectrum lies to the right of that in another with the same orders.

    Parameters
    ----------
    ours, theirs : shape (n_rows, n_pixels)
        Flux of the lamp [electron].

    Returns
    -------
    int or None
        Whole pixels; None where one of them shows no lamp.
    """
    ours, theirs = _outline(ours), _outline(theirs)
    products = np.array([np.sum(_inner(ours, shift) * _inner(theirs)) for shift in _shifts()])
    scores = _score(products, _square(ours) * _square(theirs), ours.shape[1])
    return int(_shifts()[np.argmax(scores)]) if len(ours) and scores.max() >= _SEEN else None


def _score(products, norms, n_pixels):
    """Return the correlation of pairs of rows at each shift, in units of its scatter by noise."""
    return products / max(np.sqrt(norms).sum(), 1e-30) * np.sqrt(max(len(norms), 1) * n_pixels)


def _shifts():
    return np.arange(-_FARTHEST - 1, _FARTHEST + 2)


def _inner(outline, shift=0, margin=20):
    return outline[:, margin + shift : outline.shape[1] - margin + shift]


def _square(outline):
    return (_inner(outline) ** 2).sum(axis=1)


def _outline(flux):
    light = np.nan_to_num(flux).astype(np.float32)
    level = np.maximum(light - np.median(light, axis=1)[:, None], 0)
    root = np.sqrt(level)
    smooth = root + np.roll(root, 1, axis=1) + np.roll(root, -1, axis=1)
    return smooth - smooth.mean(axis=1)[:, None]
