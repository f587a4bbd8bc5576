"""Identification of each measured line with a laboratory line, and its checks."""

from dataclasses import replace

import numpy as np

from nrespipe.engine.wavelength import solution_fit
from nrespipe.engine.wavelength.identify import Identification
from nrespipe.engine.wavelength.solution import evaluate
from nrespipe.errors import BadFrame
from nrespipe.frames.arrays import Floats, Integers
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.frames.wavelength import ArcLines, LampLines, Solution
from nrespipe.instruments import optics
from nrespipe.numerics import legendre2d

#: In a right solution 0.65 or more of the brightest peaks of an order match a line, in a wrong one 0.15 or less.
_LEAST_SHARE = 0.4
_LEAST_SHARE_OF_ORDER = 0.3
#: Least significance of the vote [standard deviations]; half of it is enough where many lines match.
_LEAST_SIGNIFICANCE = 9.0
_ENOUGH_SHARE = 0.65
#: Least number of peaks for which an order is checked.
_FEWEST = 10


def solve(
    lines: ArcLines, orders: Integers, spectrograph: Spectrograph, lamp: LampLines, start: Identification, fiber: int
) -> tuple[Solution, ArcLines]:
    """Identify the lines of a fiber and fit its solution, from a blind identification.

    Parameters
    ----------
    lines
        Lines of the fiber, in the true orders.
    orders : shape (n_orders,)
        True diffraction orders.
    spectrograph
        Optical model that the start corrects.

    Returns
    -------
    solution : Solution
        Of this fiber.
    lines : ArcLines
        With the wavelengths of the identified lines; `used` marks the lines of the fit.

    Raises
    ------
    BadFrame
        If there are too few lines, or if too few of the brightest match lines of the lamp.
    """

    place = _placed(spectrograph, start, fiber)
    predicted = place(lines.order, lines.x)
    per_pixel = place(lines.order, lines.x + 1) - predicted
    for window in (0.7, 0.5, 0.35, 0.3, 0.3):
        index = _nearest(lines, predicted, per_pixel, lamp, window)
        index = np.where(_bright_as_others(lines, lamp, index), index, -1)
        solution, used, x_error = _fit(lines, orders, spectrograph.detector.columns, lamp, index, per_pixel, fiber)
        predicted = evaluate(solution, fiber, lines.order, lines.x)
    _check(lines, orders, predicted, per_pixel, place, lamp, start)
    wavelength = np.where(index >= 0, lamp.vacuum_angstrom[index], np.nan)
    return solution, replace(lines, vacuum_angstrom=wavelength, used=used, x_error=x_error)


def plausible(
    lines: ArcLines, orders: Integers, spectrograph: Spectrograph, lamp: LampLines, start: Identification, fiber: int
) -> bool:
    """Return whether a blind identification is plausible enough to fit a solution.

    Parameters
    ----------
    lines
        Lines of the fiber, in the orders as the identification numbers them.
    orders : shape (n_orders,)
        The same orders.
    spectrograph
        Optical model that the start corrects.

    Returns
    -------
    bool
        Whether a fifth of the brightest peaks lie within half a pixel of a line: an accepted solution has twice that
        within a quarter.
    """
    place = _placed(spectrograph, start, fiber)
    predicted = place(lines.order, lines.x)
    matched = _distance(lamp, predicted) < 0.5 * (place(lines.order, lines.x + 1) - predicted)
    bright = np.concatenate(list(_brightest(lines, orders).values()))
    return bool(len(bright) and np.mean(matched[bright]) >= 0.5 * _LEAST_SHARE)


def _placed(spectrograph, start, fiber):
    """Return the function of order and column that gives the wavelength by a blind identification."""

    def place(order, x):
        scaled_m = legendre2d.scaled(order, spectrograph.first_order, spectrograph.last_order)
        scaled_x, scaled_m = np.broadcast_arrays(legendre2d.scaled(x, 0, spectrograph.detector.columns - 1), scaled_m)
        shift = legendre2d.design(start.terms, scaled_x, scaled_m) @ start.shift
        return optics.wavelength(spectrograph, fiber, order, x - shift)

    return place


def _fit(lines, orders, *given):
    """Fit the solution; raise BadFrame if the lines do not determine it, for instance in one order only."""
    try:
        return solution_fit.fit(lines, orders, *given)
    except np.linalg.LinAlgError:
        raise BadFrame(
            f"no wavelength solution to trust, orders numbered {orders[0]} to {orders[-1]}: the lines that could be "
            "identified do not determine it"
        ) from None


def _nearest(lines, predicted, per_pixel, lamp, window):
    """Return the index of the brightest and nearest laboratory line in the window of each line; -1 for none."""
    table = lamp.vacuum_angstrom
    first = np.searchsorted(table, predicted - window * per_pixel)
    index, score = np.full(len(predicted), -1), np.full(len(predicted), -np.inf)
    for step in range(4):
        candidate = np.minimum(first + step, len(table) - 1)
        distance = np.abs(table[candidate] - predicted) / per_pixel
        worth = np.log10(lamp.intensity[candidate]) - (distance / window) ** 2
        better = (distance < window) & (worth > score)
        index, score = np.where(better, candidate, index), np.where(better, worth, score)
    distance = np.abs(table[index] - predicted) / per_pixel
    order = np.lexsort((distance, index, lines.order))
    again = (np.diff(index[order]) == 0) & (np.diff(lines.order[order]) == 0)
    index[order[1:][again]] = -1
    return index


def identified_fractions(lines: ArcLines, orders: Integers, lamp: LampLines, one: Solution) -> Floats:
    """Return the fraction of the brightest peaks of each order that match lines of the lamp.

    Parameters
    ----------
    lines
        Lines of one fiber.
    orders : shape (n_orders,)
        Diffraction orders, in any sequence.

    Returns
    -------
    ndarray of float, shape (n_orders,)
        Fraction of the 25 brightest within a quarter of a pixel of a line; NaN for an order with fewer than ten.
    """
    predicted = evaluate(one, one.fibers[0], lines.order, lines.x)
    per_pixel = evaluate(one, one.fibers[0], lines.order, lines.x + 1) - predicted
    matched = _distance(lamp, predicted) < 0.25 * per_pixel
    chosen = _brightest(lines, orders)
    return np.array([np.mean(matched[here]) if len(here) >= _FEWEST else np.nan for here in chosen.values()])


def _bright_as_others(lines, lamp, index):
    """Whether a line is about as bright as others of its species suggest; blaze and lamp are unknown."""
    plausible = index >= 0
    brightness = np.log10(lines.flux) - np.log10(lamp.intensity[index])
    for species in ("Th", "Ar"):
        members = np.flatnonzero(plausible & (lamp.species[index] == species))
        if len(members) < 50:
            continue
        typical = np.median(brightness[members])
        scatter = max(0.25, 1.4826 * np.median(np.abs(brightness[members] - typical)))
        plausible[members] = np.abs(brightness[members] - typical) < 4 * scatter
    return plausible


def _check(lines, orders, predicted, per_pixel, place, lamp, start) -> None:
    """Raise BadFrame unless the brightest peaks of nearly all orders are lines of the lamp, and no order of another."""
    matched = _distance(lamp, predicted) < 0.25 * per_pixel
    chosen = {order: here for order, here in _brightest(lines, orders).items() if len(here) >= _FEWEST}
    shares = {order: np.mean(matched[here]) for order, here in chosen.items()}
    total = np.mean(matched[np.concatenate(list(chosen.values()))]) if chosen else 0.0
    good = np.mean(np.array(list(shares.values())) >= _LEAST_SHARE_OF_ORDER) if shares else 0.0
    needed = _LEAST_SIGNIFICANCE if total < _ENOUGH_SHARE else 0.5 * _LEAST_SIGNIFICANCE
    trusted = total >= _LEAST_SHARE and good >= 0.95 and start.significance >= needed
    if not trusted or start.at_border:
        border = ", at the border of what was searched" if start.at_border else ""
        raise BadFrame(
            f"no wavelength solution to trust, orders numbered {orders[0]} to {orders[-1]}: "
            f"{100 * total:.0f} % of the brightest peaks are lines of the lamp (40 % needed), in {100 * good:.0f} % of "
            f"the orders enough of them (95 % needed); the vote stands {start.significance:.0f} standard deviations "
            f"high ({needed:.1f} needed){border}"
        )
    for order, share in shares.items():
        if share < _LEAST_SHARE_OF_ORDER:
            _raise_if_another(order, lines.x[chosen[order]], place, lamp)


def _raise_if_another(order, x, place, lamp) -> None:
    """Raise BadFrame if the peaks of an order are the lines of another: an order is missing or invented before it."""
    for other in range(order - 70, order + 71):
        if other < 40 or other == order:
            continue
        predicted = place(other, x)
        per_pixel = place(other, x + 1) - predicted
        if np.mean(_distance(lamp, predicted) < 1.5 * per_pixel) >= 2 * _LEAST_SHARE_OF_ORDER:
            raise BadFrame(
                f"the spectra have an order too many or too few: order {order} shows the lamp lines of order {other}"
            )


def _distance(lamp, wavelength):
    table = lamp.vacuum_angstrom
    place = np.clip(np.searchsorted(table, wavelength), 1, len(table) - 1)
    return np.minimum(np.abs(table[place] - wavelength), np.abs(table[place - 1] - wavelength))


def _brightest(lines, orders, n=25):
    chosen = {}
    for order in orders:
        here = np.flatnonzero(lines.order == order)
        chosen[int(order)] = here[np.argsort(-lines.flux[here], kind="stable")[:n]]
    return chosen
