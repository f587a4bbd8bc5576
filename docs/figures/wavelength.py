"""Wavelengths."""

import numpy as np

from figures import figure, lamp, style
from nrespipe.engine import solution
from nrespipe.simulator import bench as benches


@figure("arcs")
def scale(night):
    """Show the residuals of the lines, and the error of the solution over the detector.

    Parameters
    ----------
    night : Night
        Simulated frames.

    Returns
    -------
    matplotlib.figure.Figure
    """
    arc = night.references.arc
    known = lamp.of_fiber(arc.lines, 1, used=True)
    fitted = solution.evaluate(arc.solution, 1, known.order, known.x)
    residual = benches.C_MS * (known.vacuum_angstrom / fitted - 1)
    result, (lines, errors) = style.panels(1, 2, 2.9, width_ratios=(1, 1.2))
    lines.plot(known.vacuum_angstrom / 10, residual, ".", ms=1.2, color=style.BLUE, rasterized=True)
    lines.axhline(0, color=style.GREY, lw=0.8)
    lines.set(ylim=(-700, 700))
    style.label(lines, "wavelength [nm]", "line − solution [m/s]", "lines of fiber 1")
    x, orders = np.arange(0.0, arc.solution.n_pixels, 32), arc.solution.orders
    found = solution.on_grid(arc.solution, 1, orders, x)
    true = np.array([_true(night, order, x) for order in orders])
    extent = (0, arc.solution.n_pixels, orders[0] - 0.5, orders[-1] + 0.5)
    velocity = benches.C_MS * (found / true - 1)
    image = errors.imshow(velocity, extent=extent, aspect="auto", cmap="RdBu", vmin=-40, vmax=40)
    result.colorbar(image, ax=errors, label="found − true [m/s]")
    style.label(errors, "column [pixel]", "order", "error of the solution")
    return result


def _true(night, order, x):
    moved = x + lamp.offset_px(night.bench, 1, order, x)
    return benches.wavelength(night.bench, 1, moved)[order - night.bench.spectrograph.first_order]
