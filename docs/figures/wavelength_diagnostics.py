"""How good the wavelength scale is."""

import numpy as np

from figures import figure, style
from nrespipe.engine.wavelength import diagnostics


@figure("arcs")
def scatter(night):
    """Show the scatter of the lines against the error of their light, and lines that two orders show.

    Parameters
    ----------
    night : Night
        Simulated frames.

    Returns
    -------
    matplotlib.figure.Figure
    """
    arc = night.references.arc
    residual_ms, photon_ms = diagnostics.residuals(arc.solution, arc.lines)
    pairs = diagnostics.overlaps(arc.solution, arc.lines)
    result, (left, right) = style.panels(1, 2, 2.8)
    for fiber in arc.solution.fibers:
        used = np.flatnonzero(arc.lines.used & (arc.lines.fiber == fiber) & np.isfinite(residual_ms))
        classes = np.array_split(used[np.argsort(photon_ms[used])], 20)
        error = [np.median(photon_ms[part]) for part in classes]
        found = [1.4826 * np.median(np.abs(residual_ms[part])) for part in classes]
        left.loglog(error, found, "o-", color=style.FIBERS[fiber], label=f"fiber {fiber}")
        here = (pairs["fiber"] == fiber) & (pairs["error_ms"] < 100)
        right.plot(
            pairs["order"][here], pairs["difference_ms"][here], ".", ms=2, alpha=0.5, color=style.FIBERS[fiber],
            rasterized=True,
        )  # fmt: skip
    left.plot(left.get_xlim(), left.get_xlim(), color=style.GREY, lw=0.7)
    left.legend()
    right.set_ylim(-300, 300)
    style.label(left, "photon error [m/s]", "scatter [m/s]", "scatter of lines of equal photon error")
    style.label(right, "lower order", "difference [m/s]", "lines seen in two orders")
    return result
