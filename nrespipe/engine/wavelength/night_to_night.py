"""How the wavelength scale of a night differs from that of another night."""

import numpy as np

from nrespipe import doppler
from nrespipe.engine.wavelength import drift, solution
from nrespipe.frames.masters import Arc


def compare(new: Arc, old: Arc) -> dict[str, float]:
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
        ``pressure_ms``: the terms of that drift, as in ``Drift``; ``lines``: lines compared.
        ``shape_ms``: rms over the detector of what the two solutions of the reference fiber disagree in beside that
        drift, and ``offset_ms`` the mean of it; ``fiber{n}_ms`` and ``fiber{n}_error_ms``: change of the place of fiber
        n relative to the reference fiber; ``width``: median ratio of the widths of lines, new to old.

    Notes
    -----
    The drift compares line by line without a laboratory wavelength; the solutions are two fits of a polynomial to about
    the same lines. Both see the same move, so ``offset_ms`` beyond some m/s tells that one of them has lost its
    zero point, and ``shape_ms`` beyond some tens that it has lost its shape.
    """
    fiber = new.reference.fibers[0]
    moved = drift.of_fiber(new.reference, fiber, old.reference, old.lines, old.line_shape, old.solution)
    found = {
        "zero_ms": moved.velocity_ms,
        "zero_error_ms": moved.velocity_error_ms,
        "shift_px": moved.shift,
        "stretch_px": moved.stretch,
        "turn_px": moved.turn,
        "pressure_ms": moved.pressure_ms,
        "lines": float(moved.n_lines),
    }
    rest = _disagreement_ms(new, old, moved, fiber)
    found |= {"shape_ms": float(np.std(rest)), "offset_ms": float(np.mean(rest))}
    for other in new.solution.fibers:
        if other != fiber and other in old.solution.fibers:
            further = _disagreement_ms(new, old, moved, other)
            errors = [a.transfer_error_ms[a.solution.fibers.index(other)] for a in (new, old)]
            found[f"fiber{other}_ms"] = float(np.mean(further - rest))
            found[f"fiber{other}_error_ms"] = float(np.hypot(*errors))
    found["width"] = _width(new, old, fiber)
    return found


def _disagreement_ms(new, old, moved, fiber):
    """New minus old wavelength, the drift taken out, over the orders both know but for their ends."""
    orders = np.intersect1d(new.solution.orders, old.solution.orders)
    nodes = (np.arange(64) + 0.5) / 64 * old.solution.n_pixels - 0.5
    nodes = nodes[3:-3]
    moves = drift.terms(old.solution, fiber, orders[:, None], nodes)
    back = moves @ [moved.shift, moved.stretch, moved.turn, moved.pressure_ms]
    then = solution.evaluate(old.solution, fiber, orders[:, None], nodes - back)
    return doppler.velocity_ms(solution.evaluate(new.solution, fiber, orders[:, None], nodes) / then)


def _width(new, old, fiber):
    orders = np.intersect1d(new.line_shape.orders, old.line_shape.orders)
    widths = [
        shape.fwhm[shape.fibers.index(fiber)][np.searchsorted(shape.orders, orders)]
        for shape in (new.line_shape, old.line_shape)
    ]
    return float(np.median(widths[0] / widths[1]))
