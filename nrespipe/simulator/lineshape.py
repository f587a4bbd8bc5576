"""Line-spread function along the order and profile across it."""

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import polynomial
from scipy.special import ndtr

from nrespipe.frames.arrays import Floats

if TYPE_CHECKING:
    from nrespipe.simulator.bench import Bench

#: Spacing of the tables of cumulative shapes, in units of the width.
STEP = 0.004

#: Reach of the line-spread function either way, in units of its full width at half maximum.
REACH = 3.2

#: Reach of the profile across the order either way [pixel].
REACH_ACROSS = 16

# Along: (share, center, sigma) in units of the width, before centering and scaling. The left end of an order is
# compact with a weak tail; the right end, out of focus, is nearly flat-topped and skewed.
_SHARP = ((0.78, -0.03, 0.40), (0.18, 0.22, 0.50), (0.04, 0.10, 1.00))
_SOFT = ((0.44, -0.27, 0.30), (0.40, 0.20, 0.33), (0.12, 0.48, 0.38), (0.04, 0.20, 1.00))

# Across: the image of a round fiber, blurred, with wings of 2 percent [pixel]; and the same with coma.
_ACROSS = ((0.34, -1.35, 1.20), (0.30, 0.0, 1.25), (0.34, 1.35, 1.20), (0.02, 0.0, 5.0))
_ACROSS_SKEWED = ((0.40, -1.35, 1.10), (0.32, 0.25, 1.25), (0.26, 1.9, 1.35), (0.02, 0.5, 5.0))

# Width at five places along an order, chosen so that a fit of pixel-integrated Gaussians gives what it gives on a real
# arc: 2.85, 3.2, 3.6, 4.4, 5.8 pixels.
_PLACES = (0.1, 0.3, 0.5, 0.7, 0.9)
_WIDTHS = (2.81, 3.18, 3.62, 4.49, 6.00)


def _cumulative(components, grid):
    return sum(share * ndtr((grid - center) / sigma) for share, center, sigma in components)


def _half_maximum_width(grid, density):
    above = np.flatnonzero(density >= density.max() / 2)
    first, last = above[0], above[-1]
    edge = lambda i, j: np.interp(density.max() / 2, (density[i], density[j]), (grid[i], grid[j]))  # noqa: E731
    return edge(last + 1, last) - edge(first - 1, first)


@cache
def along() -> Floats:
    """Return the cumulative line-spread functions of the two ends of an order.

    Returns
    -------
    ndarray of float, shape (2, n)
        From -`REACH` to `REACH` in steps of `STEP`, in units of the full width at half maximum: 0 to 1, first moment
        at 0. The shape in between is a mixture of the two.
    """
    grid = np.arange(-round(REACH / STEP), round(REACH / STEP) + 1) * STEP
    tables = []
    for components in (_SHARP, _SOFT):
        mean = sum(share * center for share, center, _ in components)
        fine = np.arange(-3, 3, 1e-3)
        width = _half_maximum_width(fine, np.gradient(_cumulative(components, fine)))
        scaled = [(s, (c - mean) / width, sigma / width) for s, c, sigma in components]
        table = _cumulative(scaled, grid)
        tables.append(_centered(grid, (table - table[0]) / (table[-1] - table[0])))
    return np.array(tables)


def _centered(grid, table):
    """Shift a cumulative table until its first moment is exactly 0."""
    for _ in range(3):
        mean = np.sum(1 - table[grid >= 0]) * STEP - np.sum(table[grid < 0]) * STEP - STEP / 2
        table = np.interp(grid + mean, grid, table, left=0.0, right=1.0)
        table[0], table[-1] = 0.0, 1.0
    return table


@cache
def across() -> Floats:
    """Return the cumulative profile across the order and its skew part.

    Returns
    -------
    ndarray of float, shape (2, n)
        From -`REACH_ACROSS` to `REACH_ACROSS` pixels in steps of `STEP` pixels: the symmetric profile, and what full
        skew adds to it, which moves neither the sum nor the first moment.
    """
    grid = np.arange(-round(REACH_ACROSS / STEP), round(REACH_ACROSS / STEP) + 1) * STEP
    tables = []
    for components in (_ACROSS, _ACROSS_SKEWED):
        table = _cumulative(components, grid)
        tables.append(_centered(grid, (table - table[0]) / (table[-1] - table[0])))
    return np.array([tables[0], tables[1] - tables[0]])


@cache
def _width_terms():
    return polynomial.polyfit(_PLACES, _WIDTHS, 4)


def widths(bench: "Bench", fiber: int, x: Floats) -> Floats:
    """Return the full width at half maximum of the line-spread function, pixel not included.

    Parameters
    ----------
    x : shape (n_columns,)
        Columns [pixel].

    Returns
    -------
    ndarray of float, shape (n_orders, n_columns)
        Doubles along every order; orders differ by a few percent and fibers by half a percent [pixel].
    """
    columns, n_orders = bench.spectrograph.detector.columns, len(bench.spectrograph.orders)
    rng = np.random.default_rng([bench.seed, 2])
    orders = 1 + polynomial.polyval(np.linspace(-1, 1, n_orders), rng.uniform(-0.012, 0.012, 3))
    fibers = 1 + 0.005 * rng.standard_normal(3)
    place = np.clip(np.asarray(x, float) / columns, -0.01, 1.01)
    return fibers[fiber] * orders[:, None] * polynomial.polyval(place, _width_terms())


def softness(bench: "Bench", fiber: int, x: Floats) -> Floats:
    """Return how much of the soft shape is mixed into the line-spread function.

    Parameters
    ----------
    x : shape (n_columns,)
        Columns [pixel].

    Returns
    -------
    ndarray of float, shape (n_columns,)
        0 for the sharp shape, 1 for the soft one.
    """
    place = np.clip(np.asarray(x, float) / bench.spectrograph.detector.columns, 0, 1)
    return np.clip(0.1 + 0.85 * place**1.5 + 0.01 * (fiber - 1), 0, 1)
