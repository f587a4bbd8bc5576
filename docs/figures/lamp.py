"""Lines of the lamp beside the truth, for several figures; makes none itself."""

from functools import cache

import numpy as np

from nrespipe.simulator import bench as benches
from nrespipe.simulator import lineshape
from nrespipe.simulator.bench import State


@cache
def line_shape(bench, fiber, order, nodes=33):
    """Return what is true of the image of a line along an order, the pixel included.

    Parameters
    ----------
    bench : Bench
        The spectrograph as it really stands.
    fiber, order : int
        Fiber number and diffraction order.
    nodes : int, optional
        Columns.

    Returns
    -------
    columns, offset, fwhm : ndarray of float, shape (nodes,)
        Columns, how far the center of light lies to the right of that of the Gaussian that fits the line, which the
        solution calls its center, and full width at half maximum [pixel].
    """
    columns = np.linspace(0, bench.spectrograph.detector.columns - 1, nodes)
    widths = lineshape.widths(bench, fiber, columns)[order - bench.spectrograph.first_order]
    sharp, flat = lineshape.along()
    grid = (np.arange(len(sharp)) - len(sharp) // 2) * lineshape.STEP
    u, result = np.arange(-30, 30, 0.02), []
    for width, share in zip(widths, lineshape.softness(bench, fiber, columns)):
        below = [np.interp((u + edge) / width, grid, (1 - share) * sharp + share * flat) for edge in (-0.5, 0.5)]
        light = below[1] - below[0]
        center, fwhm = 0.0, _width(u, light)
        for _ in range(50):
            weight = light * np.exp(-4 * np.log(2) * ((u - center) / fwhm) ** 2)
            center += 2 * np.sum(weight * (u - center)) / weight.sum()
        result.append((-center, fwhm))
    return columns, *np.transpose(result)


def _width(u, light):
    half, above = light.max() / 2, np.flatnonzero(light > light.max() / 2)
    first, last = above[0], above[-1]
    left = np.interp(half, light[first - 1 : first + 1], u[first - 1 : first + 1])
    return np.interp(-half, -light[last : last + 2], u[last : last + 2]) - left


def offset_px(bench, fiber, order, x):
    """Return how far the center of light of a line truly lies from what the solution calls its center.

    Parameters
    ----------
    bench : Bench
        The spectrograph as it really stands.
    fiber, order : int
        Fiber number and diffraction order.
    x : ndarray of float
        Columns [pixel].

    Returns
    -------
    ndarray of float
        To the right positive [pixel].
    """
    columns, offset, _ = line_shape(bench, fiber, int(order))
    return np.interp(x, columns, offset)


def true_columns(bench, lines, state=State()):
    """Return where identified lines truly lie, in the sense of the solution.

    Parameters
    ----------
    bench : Bench
        The spectrograph as it really stands.
    lines : ArcLines
        Lines of one fiber with their wavelengths.
    state : State, optional
        Of the bench.

    Returns
    -------
    ndarray of float, shape (n_lines,)
        NaN where a line has no wavelength [pixel].
    """
    true, fiber = np.full(len(lines.x), np.nan), int(lines.fiber[0])
    for order in np.unique(lines.order):
        here = (lines.order == order) & np.isfinite(lines.vacuum_angstrom)
        true[here] = benches.position(bench, fiber, order, lines.vacuum_angstrom[here], state)
        true[here] -= offset_px(bench, fiber, order, lines.x[here])
    return true


def of_fiber(lines, fiber, used=False):
    """Return the lines of one fiber.

    Parameters
    ----------
    lines : ArcLines
        Of several fibers.
    fiber : int
        Fiber number.
    used : bool, optional
        Whether to return only those that took part in the solution.

    Returns
    -------
    ArcLines
    """
    chosen = (lines.fiber == fiber) & (lines.used | (not used))
    return type(lines)(**{name: getattr(lines, name)[chosen] for name in lines.__dataclass_fields__})
