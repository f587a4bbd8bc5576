"""Blind identification of arc lines, which starts from the optical model alone."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from nrespipe.engine.wavelength import arc_lines
from nrespipe.errors import BadFrame
from nrespipe.frames.arrays import Floats, Integers
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.frames.wavelength import ArcLines, LampLines
from nrespipe.instruments import optics
from nrespipe.numerics import leastsquares, legendre2d

#: Half width of the histograms of position minus prediction, and the largest shift that is searched [pixel].
_REACH = 200
_LARGEST = 110
_SEGMENTS = 8
#: Windows [pixel], total degree of the shift, and brightest laboratory lines of an order that take part.
_ROUNDS = (
    (5.0, 1, 60), (4.0, 1, 60), (3.0, 2, 60), (2.5, 2, 80), (2.0, 3, 80),
    (1.5, 4, 100), (1.5, 5, 120), (1.0, 5, 120), (0.7, 6, 200), (0.5, 6, 200),
)  # fmt: skip
#: Lines are predicted this far beyond either end of an order [pixel].
_MARGIN = 200
#: Significance of the vote below which an identification is uncertain [standard deviations].
_LEAST_SIGNIFICANCE = 12.0


class Projection:
    """Positions of the lamp lines by the optical model.

    Parameters
    ----------
    spectrograph
        Spectrograph with the model.
    lamp
        Laboratory lines.
    """

    def __init__(self, spectrograph: Spectrograph, lamp: LampLines, fiber: int) -> None:
        self.n_pixels = spectrograph.detector.columns
        self.first, self.last = spectrograph.first_order, spectrograph.last_order
        self._x = np.arange(-_MARGIN, self.n_pixels + _MARGIN, 4.0)
        self.lamp = lamp
        self._known: dict[int, tuple[Integers, Floats]] = {}
        self._spectrograph, self._fiber = spectrograph, fiber

    def lines(self, order: int) -> tuple[Integers, Floats]:
        """Return the lines of an order.

        Returns
        -------
        index : ndarray of int
            Into the table of the lamp.
        x : ndarray of float
            Predicted columns, up to 200 px beyond either end [pixel].
        """
        if order not in self._known:
            wavelength = optics.wavelength(self._spectrograph, self._fiber, order, self._x)
            table = self.lamp.vacuum_angstrom
            index = np.arange(np.searchsorted(table, wavelength[0]), np.searchsorted(table, wavelength[-1]))
            self._known[order] = index, np.interp(table[index], wavelength, self._x)
        return self._known[order]

    def scaled(self, order: ArrayLike, x: ArrayLike) -> tuple[Floats, Floats]:
        """Return x and m mapped to -1..1 over the whole spectrograph.

        Parameters
        ----------
        order, x
            Diffraction order and column [pixel].

        Returns
        -------
        x, m : ndarray of float
        """
        scaled_x = legendre2d.scaled(np.asarray(x, float), 0, self.n_pixels - 1)
        return scaled_x, legendre2d.scaled(np.asarray(order, float), self.first, self.last)


@dataclass(frozen=True)
class Identification:
    """A blind identification.

    Attributes
    ----------
    renumber
        Number to add to the given order numbers.
    terms : shape (n_terms, 2)
        Legendre degrees in x and m of the shift.
    shift : shape (n_terms,)
        Legendre coefficients of the position minus the prediction of the optical model [pixel].
    significance
        Height of the best vote above the mean vote, in standard deviations of the votes.
    at_border
        Whether the best vote lies at the border of the search.
    """

    renumber: int
    terms: np.ndarray
    shift: np.ndarray
    significance: float
    at_border: bool


def blindly(
    lines: ArcLines,
    orders: Integers,
    spectrograph: Spectrograph,
    lamp: LampLines,
    fiber: int,
    brightest: int = 30,
    trusted: bool = True,
) -> Identification:
    """Identify the lines of the lamp without an earlier wavelength solution.

    Parameters
    ----------
    lines
        Lines of one fiber, with the order numbers as given.
    orders : shape (n_orders,)
        Order numbers as given; they may all be wrong by the same number.
    spectrograph
        Optical model to start from.
    fiber
        Fiber of the model.
    brightest
        Lines per order that vote.
    trusted
        Whether the numbers are right to within three; if not, or if none of those fits, all are tried.

    Raises
    ------
    BadFrame
        If the spectrograph has fewer orders than were given.

    Notes
    -----
    Every pair of a peak and a predicted line votes for the difference of their columns. The votes are counted in
    segments of the orders, and a plane (shift, slope with order, slope with x) is searched on which they pile up, for
    each numbering of the orders. Then the nearest lines are taken in ever smaller windows while a polynomial of the
    shift gains terms.
    """
    projection = Projection(spectrograph, lamp, fiber)
    chosen = brightest_lines(lines, brightest)
    near = [k for k in range(-3, 4) if trusted and _within(orders + k, spectrograph)]
    far = [k for k in range(-80, 81) if k not in near and _within(orders + k, spectrograph)]
    if not near and not far:
        raise BadFrame(
            f"{len(orders)} orders numbered {orders[0]} to {orders[-1]} do not fit into the "
            f"{len(spectrograph.orders)} that one fiber of {spectrograph.name} has"
        )
    for candidates, slopes in ((near, 16), (near, 60), (far, 16), (far, 60)):
        votes = [vote(k, lines, chosen, orders, projection, slopes) for k in candidates]
        if not votes:
            continue
        best = max(votes, key=lambda vote: vote[0])
        rest = sorted((vote[0] for vote in votes), reverse=True)[1:2] or [0.0]
        if best[0] > 12 and best[0] > 1.5 * rest[0] and not best[3]:
            break
    significance, renumber, plane, at_border = best
    terms, shift = _refine(renumber, plane, lines, orders, projection)
    return Identification(renumber, terms, shift, significance, at_border)


def _within(orders, spectrograph):
    """Whether at most two orders lie beyond the spectrograph's."""
    outside = (orders < spectrograph.first_order) | (orders > spectrograph.last_order)
    return outside.sum() <= min(2, len(orders) // 4) and np.all(orders > 40)


def shift_from_model(spectra: Spectra, fiber: int, spectrograph: Spectrograph, lamp: LampLines) -> float:
    """Measure the mean shift of the lines of the lamp from the optical model.

    Parameters
    ----------
    fiber
        A fiber that shows the lamp.

    Returns
    -------
    float
        Mean over the orders, towards larger x positive, to some hundredths of a pixel; NaN where too few lines are
        identified [pixel].

    Notes
    -----
    The model is wrong by some ten pixels, but the same in every arc: the difference of two arcs is a drift.
    """
    found = blindly(arc_lines.find(spectra, fiber), spectra.orders, spectrograph, lamp, fiber)
    if found.significance < _LEAST_SIGNIFICANCE:
        return np.nan
    # the mean over the lit pixels: beyond them the polynomial is meaningless
    orders, x = np.meshgrid(spectra.orders + found.renumber, np.linspace(0, spectra.flux.shape[2] - 1, 33))
    place = Projection(spectrograph, lamp, fiber).scaled(orders.ravel(), x.ravel())
    return float(np.mean(legendre2d.design(found.terms, *place) @ found.shift))


def brightest_lines(lines: ArcLines, n: int) -> Integers:
    """Choose the brightest lines of each order.

    Parameters
    ----------
    lines
        Lines of one fiber.
    n
        Number of lines of each order.

    Returns
    -------
    ndarray of int
        Their indices in the list.
    """
    chosen = []
    for order in np.unique(lines.order):
        here = np.flatnonzero(lines.order == order)
        chosen.append(here[np.argsort(-lines.flux[here], kind="stable")[:n]])
    return np.concatenate(chosen) if chosen else np.zeros(0, int)


def vote(
    renumber: int,
    lines: ArcLines,
    chosen: Integers,
    orders: Integers,
    projection: Projection,
    slopes: int,
    turn: int = 20,
) -> tuple[float, int, tuple[float, float, float], bool]:
    """Count the votes of pairs of peaks and predicted lines for shift and slopes, for one order numbering.

    Parameters
    ----------
    renumber
        Number to add to the order numbers.
    lines
        Lines of one fiber.
    chosen
        Indices of the lines that vote.
    orders : shape (n_orders,)
        Order numbers as given.
    projection
        Expected positions of the lines.
    slopes, turn
        Largest slope with x and with order from the middle of the detector to its edge [pixel].

    Returns
    -------
    significance : float
        Height of the best vote above the mean vote, in standard deviations of the votes.
    renumber : int
    plane : tuple of (float, float, float)
        Shift, slope with order, slope with x [pixel].
    at_border : bool
        Whether the best lies at the border of the search.
    """
    votes = np.zeros((len(orders), _SEGMENTS, 2 * _REACH + 1))
    brightness = np.log10(1 + projection.lamp.intensity)
    for i, order in enumerate(orders):
        here = chosen[lines.order[chosen] == order]
        if len(here) == 0:
            continue
        index, x = projection.lines(order + renumber)
        height = np.log10(lines.flux[here])
        height = 0.3 + height - height.min()
        _count(lines.x[here], height, x, brightness[index], projection.n_pixels, votes[i])
    votes = (
        votes + np.pad(votes, ((0, 0), (0, 0), (1, 1)))[:, :, :-2] + np.pad(votes, ((0, 0), (0, 0), (1, 1)))[:, :, 2:]
    )
    votes -= votes.mean(axis=2, keepdims=True)
    middles = (np.arange(_SEGMENTS) + 0.5) * 2 / _SEGMENTS - 1
    scaled = projection.scaled(orders + renumber, 0.0)[1]
    # a few rows cannot separate a slope with order from a shift
    step = max(2.0, 4.0 / max(float(np.ptp(scaled)), 0.01))
    by_order = step * np.arange(-int(turn / step), int(turn / step) + 1)
    by_x = np.arange(-slopes, slopes + 1, 2.0)
    score = _search(votes, np.broadcast_to(scaled, len(orders)).copy(), middles, by_order, by_x, _LARGEST)
    place = np.unravel_index(np.argmax(score), score.shape)
    significance = (score[place] - score.mean()) / max(score.std(), 1e-9)
    border = place[2] in (0, score.shape[2] - 1) or place[1] in (0, len(by_x) - 1)
    plane = float(place[2] - _LARGEST), float(by_order[place[0]]), float(by_x[place[1]])
    return float(significance), renumber, plane, bool(border)


@njit(cache=True)
def _count(x, height, predicted, brightness, n_pixels, votes):
    segments, n_bins = votes.shape
    middle = n_bins // 2
    for i in range(len(x)):
        segment = min(segments - 1, max(0, int(x[i] * segments / n_pixels)))
        for j in range(len(predicted)):
            bin_ = int(np.rint(x[i] - predicted[j])) + middle
            if 0 <= bin_ < n_bins:
                votes[segment, bin_] += height[i] * brightness[j]


@njit(cache=True)
def _search(votes, order_places, x_places, by_order, by_x, largest):
    n_bins = votes.shape[2]
    middle = n_bins // 2
    score = np.zeros((len(by_order), len(by_x), 2 * largest + 1))
    for a in range(len(by_order)):
        for b in range(len(by_x)):
            for i in range(votes.shape[0]):
                for s in range(votes.shape[1]):
                    offset = middle + int(np.rint(by_order[a] * order_places[i] + by_x[b] * x_places[s]))
                    for c in range(2 * largest + 1):
                        k = offset + c - largest
                        if 0 <= k < n_bins:
                            score[a, b, c] += votes[i, s, k]
    return score


def _refine(renumber, plane, lines, orders, projection):
    """Fit the shift by polynomials of rising degree, to the nearest lines in ever smaller windows."""
    terms, shift = np.array([(0, 0), (0, 1), (1, 0)]), np.array(plane)
    most_m = len(orders) - 1
    bright = brightest_lines(lines, 40)
    for window, total, n_lamp in _ROUNDS:
        at, predicted = _nearest((renumber, terms, shift), lines, bright, orders, projection, window, n_lamp)
        terms_now = legendre2d.degrees(total, total, min(total, most_m))
        if len(at) < 2 * len(terms_now):
            break
        terms = terms_now
        design = legendre2d.design(terms, *projection.scaled(lines.order[at] + renumber, lines.x[at]))
        sigma = np.full(len(at), 0.1 * window)
        prior = np.zeros(len(terms)), np.where(terms.sum(axis=1) < 2, 1e3, 20.0)
        shift, _, _ = leastsquares.robust(design, lines.x[at] - predicted, sigma, prior, clip=2.5)
    return terms, shift


def _nearest(guess, lines, bright, orders, projection, window, n_lamp):
    (renumber, terms, shift), intensity = guess, projection.lamp.intensity
    at, predicted = [], []
    for order in orders:
        here = bright[lines.order[bright] == order]
        index, x = projection.lines(order + renumber)
        if len(here) == 0 or len(index) == 0:
            continue
        best = np.sort(np.argsort(-intensity[index], kind="stable")[:n_lamp])
        expected = (
            lines.x[here]
            - legendre2d.design(terms, *np.broadcast_arrays(*projection.scaled(order + renumber, lines.x[here])))
            @ shift
        )
        distance = np.abs(expected[:, None] - x[best])
        nearest = np.argmin(distance, axis=1)
        close = distance[np.arange(len(here)), nearest] < window
        at.append(here[close])
        predicted.append(x[best][nearest[close]])
    if not at:
        return np.zeros(0, int), np.zeros(0)
    return np.concatenate(at), np.concatenate(predicted)
