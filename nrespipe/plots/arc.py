"""Wavelength calibration of a master arc: residuals of the lines, their errors, and agreement of the orders."""

import numpy as np
from matplotlib.figure import Figure

from nrespipe.engine.wavelength import diagnostics
from nrespipe.frames.masters import Arc
from nrespipe.plots import page

_LARGEST_MS = 300.0


def draw(arc: Arc) -> Figure:
    """Draw the residuals of the lines of a master arc.

    Returns
    -------
    matplotlib.figure.Figure
        Residuals of the lines against wavelength, order and column; scatter of the lines against their photon
        error; number of lines of each order; and differences of lines that two orders show.
    """
    figure = Figure(figsize=page.SIZE, layout="constrained")
    axes = figure.subplots(3, 2)
    residual_ms, photon_ms = diagnostics.residuals(arc.solution, arc.lines)
    orders = diagnostics.by_order(arc.solution, arc.lines)
    pairs = diagnostics.overlaps(arc.solution, arc.lines)
    for fiber in arc.solution.fibers:
        color = page.color(fiber)
        used = arc.lines.used & (arc.lines.fiber == fiber) & np.isfinite(residual_ms)
        for panel, where in ((axes[0, 0], arc.lines.vacuum_angstrom), (axes[1, 0], arc.lines.x)):
            panel.plot(where[used], residual_ms[used], ".", ms=2, color=color, alpha=0.5, rasterized=True)
        _orders(axes[0, 1], axes[2, 0], orders, fiber, color)
        _errors(axes[1, 1], residual_ms[used], photon_ms[used], color)
        here = pairs["fiber"] == fiber
        _pairs(axes[2, 1], {name: column[here] for name, column in pairs.items()}, color)
    _label(axes, arc)
    return figure


def _orders(scatter, number, orders, fiber, color):
    here = orders["fiber"] == fiber
    beside = orders["order"][here] + 0.2 * (fiber - 1)
    scatter.errorbar(
        beside, orders["mean_ms"][here], orders["mean_error_ms"][here], fmt="o", ms=2.5, lw=0.8, color=color
    )
    scatter.plot(beside, orders["rms_ms"][here], "-", lw=0.6, color=color)
    number.step(orders["order"][here], orders["n_lines"][here], where="mid", color=color, lw=0.8, ls=":")
    number.step(orders["order"][here], orders["n_used"][here], where="mid", color=color, label=f"fiber {fiber}", lw=1.2)


def _errors(axes, residual_ms, photon_ms, color) -> None:
    """Scatter of the lines in classes of equal error."""
    ranked = np.argsort(photon_ms)
    classes = [part for part in np.array_split(ranked, 20) if len(part) >= 5]
    error = [np.median(photon_ms[part]) for part in classes]
    scatter = [1.4826 * np.median(np.abs(residual_ms[part])) for part in classes]
    axes.loglog(error, scatter, "o-", ms=3, lw=0.8, color=color)


def _pairs(axes, pairs, color):
    good = pairs["error_ms"] < 100
    axes.plot(pairs["order"][good], pairs["difference_ms"][good], ".", ms=2, color=color, alpha=0.4, rasterized=True)
    places = [order for order in np.unique(pairs["order"][good]) if np.sum(good & (pairs["order"] == order)) >= 3]
    middle = [np.median(pairs["difference_ms"][good & (pairs["order"] == order)]) for order in places]
    axes.plot(places, middle, "-", lw=1.2, color=color)


def _label(axes, arc):
    for panel, x, y, title in (
        (axes[0, 0], "wavelength [Å]", "residual [m/s]", "residuals of the lines used"),
        (axes[0, 1], "order", "mean, scatter [m/s]", "mean residual of each order; line: scatter"),
        (axes[1, 0], "column [pixel]", "residual [m/s]", "residuals along the orders"),
        (axes[1, 1], "photon error [m/s]", "scatter [m/s]", "scatter of the lines against photon error; grey: equal"),
        (axes[2, 0], "order", "lines", "lines measured (dotted) and used"),
        (axes[2, 1], "lower order", "difference [m/s]", "lines that two orders show: difference and its median"),
    ):
        panel.set_xlabel(x)
        panel.set_ylabel(y)
        panel.set_title(title, fontsize=10)
    for panel in (axes[0, 0], axes[0, 1], axes[1, 0], axes[2, 1]):
        panel.axhline(0, color="0.6", lw=0.8)
        low, high = panel.get_ylim()
        panel.set_ylim(max(low, -_LARGEST_MS), min(high, _LARGEST_MS))
    low, high = axes[1, 1].get_xlim()
    axes[1, 1].plot([low, high], [low, high], color="0.6", lw=0.8)
    axes[2, 0].legend(fontsize=8)
    scatter = ", ".join(
        f"fiber {fiber}: {n} lines, {ms:.0f} m/s"
        for fiber, n, ms in zip(arc.solution.fibers, arc.solution.n_lines, arc.solution.scatter_ms)
    )
    axes[0, 0].figure.suptitle(f"{page.title(arc.origin)}. {scatter}", fontsize=11)
