"""Quality of a wavelength calibration: residuals of the lines, overlaps of the orders, and changes between nights."""

from itertools import pairwise

import numpy as np

from nrespipe import doppler
from nrespipe.engine.wavelength.drift import of_fiber as drift_of_fiber
from nrespipe.engine.wavelength.drift import terms as drift_terms
from nrespipe.engine.wavelength.solution import evaluate, velocity_per_pixel
from nrespipe.frames.arrays import Floats
from nrespipe.frames.masters import Arc
from nrespipe.frames.wavelength import ArcLines, Solution
from nrespipe.numerics.robust_statistics import spread

#: Scatter of lines without noise: shape, blends, laboratory [m / s].
_FLOOR_MS = 20.0


def residuals(solution: Solution, lines: ArcLines) -> tuple[Floats, Floats]:
    """Return the residual of each line from its laboratory wavelength, and its photon error.

    Parameters
    ----------
    lines
        Lines of its fibers.

    Returns
    -------
    residual_ms, photon_ms : ndarray of float, shape (n_lines,)
        Wavelength of the solution at the line minus that of the laboratory, NaN where the line is not identified; and
        its error by photon noise [m / s].
    """
    residual_ms, photon_ms = np.full(len(lines.x), np.nan), np.full(len(lines.x), np.nan)
    for fiber in solution.fibers:
        here = lines.fiber == fiber
        order, x = lines.order[here], lines.x[here]
        found = evaluate(solution, fiber, order, x)
        residual_ms[here] = doppler.velocity_ms(found / lines.vacuum_angstrom[here])
        photon_ms[here] = lines.x_noise[here] * velocity_per_pixel(solution, fiber, order, x)
    return residual_ms, photon_ms


def by_order(solution: Solution, lines: ArcLines) -> dict[str, np.ndarray]:
    """Return statistics of the lines of each order of each fiber.

    Parameters
    ----------
    lines
        Lines of its fibers.

    Returns
    -------
    dict of str to ndarray, shape (n_fibers * n_orders,)
        Columns ``fiber``, ``order``, ``n_lines`` (measured), ``n_known`` (identified), ``n_used`` (in the solution),
        and of those that were used ``mean_ms`` (weighted by their errors), ``mean_error_ms``, ``rms_ms`` (robust
        scatter) and ``photon_ms`` (median photon error), NaN where fewer than three were.
    """
    residual_ms, photon_ms = residuals(solution, lines)
    rows = []
    for fiber in solution.fibers:
        for order in solution.orders:
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
    """Return the weighted mean and its error, by the scatter of the lines where that exceeds their errors."""
    weight = 1 / (photon_ms**2 + _FLOOR_MS**2)
    mean = np.sum(weight * residual_ms) / np.sum(weight)
    excess = np.sum(weight * (residual_ms - mean) ** 2) / (len(weight) - 1)
    return mean, np.sqrt(max(1.0, excess) / np.sum(weight))


def overlaps(solution: Solution, lines: ArcLines) -> dict[str, np.ndarray]:
    """Return the differences of lines that two neighboring orders show.

    Parameters
    ----------
    lines
        Lines of its fibers.

    Returns
    -------
    dict of str to ndarray, shape (n_pairs,)
        Columns ``fiber``, ``order`` (the lower one), ``vacuum_angstrom``, ``x`` and ``x_next`` (columns in the lower
        order and in the next [pixel]), ``difference_ms`` (wavelength in the lower order minus that in the next) and
        ``error_ms`` (photon error) [m / s].

    Notes
    -----
    Laboratory wavelengths cancel: a line must have the same wavelength in both orders.
    """
    residual_ms, photon_ms = residuals(solution, lines)
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


def night_to_night(new: Arc, old: Arc) -> dict[str, float]:
    """Compare a master arc with an earlier one.

    Parameters
    ----------
    new, old
        Master arcs of one spectrograph.

    Returns
    -------
    dict of str to float
        ``zero_ms`` and ``zero_error_ms``: change of the wavelength of a fixed pixel of the reference fiber, mean over
        orders and columns, by the lamp alone, and its error; ``shift_px``, ``stretch_px``, ``turn_px``,
        ``bend_ms``: the terms of that drift, as in ``Drift``; ``lines``: lines compared.
        ``shape_ms``: rms over the detector of the difference of the two solutions of the reference fiber after that
        drift, and ``offset_ms`` its mean; ``fiber{n}_ms`` and ``fiber{n}_error_ms``: change of the offset of fiber n
        from the reference fiber; ``width``: median ratio of the widths of lines, new to old.

    Notes
    -----
    The drift compares line by line without laboratory wavelengths; the solutions are two fits of a polynomial to about
    the same lines. Both measure the same drift, so an ``offset_ms`` of more than some m/s means a wrong zero point of
    one solution, and a ``shape_ms`` of more than some tens a wrong shape.
    """
    fiber = new.reference.fibers[0]
    drift = drift_of_fiber(new.reference, fiber, old.reference, old.lines, old.line_shape, old.solution)
    found = {
        "zero_ms": drift.velocity_ms,
        "zero_error_ms": drift.velocity_error_ms,
        "shift_px": drift.shift_px,
        "stretch_px": drift.stretch_px,
        "turn_px": drift.turn_px,
        "bend_ms": drift.bend_ms,
        "lines": float(drift.n_lines),
    }
    rest = _disagreement_ms(new, old, drift, fiber)
    found |= {"shape_ms": float(np.std(rest)), "offset_ms": float(np.mean(rest))}
    for other in new.solution.fibers:
        if other != fiber and other in old.solution.fibers:
            further = _disagreement_ms(new, old, drift, other)
            errors = [a.transfer_error_ms[a.solution.fibers.index(other)] for a in (new, old)]
            found[f"fiber{other}_ms"] = float(np.mean(further - rest))
            found[f"fiber{other}_error_ms"] = float(np.hypot(*errors))
    found["width"] = _width(new, old, fiber)
    return found


def _disagreement_ms(new, old, drift, fiber):
    """New minus old wavelength, corrected for the drift, over the common orders without their ends."""
    orders = np.intersect1d(new.solution.orders, old.solution.orders)
    nodes = (np.arange(64) + 0.5) / 64 * old.solution.n_pixels - 0.5
    nodes = nodes[3:-3]
    moves = drift_terms(old.solution, fiber, orders[:, None], nodes)
    back = moves @ [drift.shift_px, drift.stretch_px, drift.turn_px, drift.bend_ms]
    then = evaluate(old.solution, fiber, orders[:, None], nodes - back)
    return doppler.velocity_ms(evaluate(new.solution, fiber, orders[:, None], nodes) / then)


def _width(new, old, fiber):
    orders = np.intersect1d(new.line_shape.orders, old.line_shape.orders)
    widths = [
        shape.fwhm[shape.fibers.index(fiber)][np.searchsorted(shape.orders, orders)]
        for shape in (new.line_shape, old.line_shape)
    ]
    return float(np.median(widths[0] / widths[1]))
