"""How well the lines of an arc agree with its wavelength scale, with their own errors, and from order to order."""

from itertools import pairwise

import numpy as np

from nrespipe import doppler
from nrespipe.engine.wavelength import solution
from nrespipe.frames.arrays import Floats
from nrespipe.frames.wavelength import ArcLines, Solution
from nrespipe.numerics.robust_statistics import spread

#: Scatter of lines without noise: shape, blends, laboratory [m / s].
_FLOOR_MS = 20.0


def residuals(scale: Solution, lines: ArcLines) -> tuple[Floats, Floats]:
    """Return how far each line lies from where the laboratory has it.

    Parameters
    ----------
    lines
        Lines of its fibers.

    Returns
    -------
    residual_ms, photon_ms : ndarray of float, shape (n_lines,)
        Wavelength of the solution at the line minus that of the laboratory, NaN where the line is not identified; and
        what the noise of its light makes of it [m / s].
    """
    residual_ms, photon_ms = np.full(len(lines.x), np.nan), np.full(len(lines.x), np.nan)
    for fiber in scale.fibers:
        here = lines.fiber == fiber
        order, x = lines.order[here], lines.x[here]
        found = solution.evaluate(scale, fiber, order, x)
        residual_ms[here] = doppler.velocity_ms(found / lines.vacuum_angstrom[here])
        photon_ms[here] = lines.x_noise[here] * solution.velocity_per_pixel(scale, fiber, order, x)
    return residual_ms, photon_ms


def by_order(scale: Solution, lines: ArcLines) -> dict[str, np.ndarray]:
    """Sum up the lines of each order of each fiber.

    Parameters
    ----------
    lines
        Lines of its fibers.

    Returns
    -------
    dict of str to ndarray, shape (n_fibers * n_orders,)
        Columns ``fiber``, ``order``, ``n_lines`` (measured), ``n_known`` (identified), ``n_used`` (in the solution),
        and of those that were used ``mean_ms`` (weighted by their errors), ``mean_error_ms``, ``rms_ms`` (scatter of
        the bulk) and ``photon_ms`` (median error of their light), NaN where fewer than three were.
    """
    residual_ms, photon_ms = residuals(scale, lines)
    rows = []
    for fiber in scale.fibers:
        for order in scale.orders:
            here = (lines.fiber == fiber) & (lines.order == order)
            known, used = here & np.isfinite(residual_ms), here & lines.used & np.isfinite(residual_ms)
            measured = [np.nan] * 4
            if used.sum() >= 3:
                mean = _mean(residual_ms[used], photon_ms[used])
                measured = [*mean, spread(residual_ms[used]), np.median(photon_ms[used])]
            rows.append((fiber, order, here.sum(), known.sum(), used.sum(), *measured))
    names = ("fiber", "order", "n_lines", "n_known", "n_used", "mean_ms", "mean_error_ms", "rms_ms", "photon_ms")
    return {
        name: np.array(column, float if name.endswith("_ms") else np.int64) for name, column in zip(names, zip(*rows))
    }


def _mean(residual_ms, photon_ms):
    """Weighted mean and its error, by the scatter of the lines where that is larger than their errors say."""
    weight = 1 / (photon_ms**2 + _FLOOR_MS**2)
    mean = np.sum(weight * residual_ms) / np.sum(weight)
    excess = np.sum(weight * (residual_ms - mean) ** 2) / (len(weight) - 1)
    return mean, np.sqrt(max(1.0, excess) / np.sum(weight))


def overlaps(scale: Solution, lines: ArcLines) -> dict[str, np.ndarray]:
    """Compare lines that two neighboring orders show.

    Parameters
    ----------
    lines
        Lines of its fibers.

    Returns
    -------
    dict of str to ndarray, shape (n_pairs,)
        Columns ``fiber``, ``order`` (the lower one), ``vacuum_angstrom``, ``x`` and ``x_next`` (columns in the lower
        order and in the next [pixel]), ``difference_ms`` (wavelength in the lower order minus that in the next) and
        ``error_ms`` (of their light) [m / s].

    Notes
    -----
    The wavelength of the laboratory does not enter: the same light must have the same wavelength in both orders.
    """
    residual_ms, photon_ms = residuals(scale, lines)
    known = np.flatnonzero(np.isfinite(residual_ms) & (lines.x_noise < 0.2))
    known = known[np.lexsort((lines.order[known], lines.vacuum_angstrom[known], lines.fiber[known]))]
    same = [
        (a, b)
        for a, b in pairwise(known)
        if lines.fiber[a] == lines.fiber[b]
        and lines.vacuum_angstrom[a] == lines.vacuum_angstrom[b]
        and lines.order[b] == lines.order[a] + 1
    ]
    low, high = np.array(same, int).reshape(-1, 2).T
    return {
        "fiber": lines.fiber[low],
        "order": lines.order[low],
        "vacuum_angstrom": lines.vacuum_angstrom[low],
        "x": lines.x[low],
        "x_next": lines.x[high],
        "difference_ms": residual_ms[low] - residual_ms[high],
        "error_ms": np.hypot(photon_ms[low], photon_ms[high]),
    }
