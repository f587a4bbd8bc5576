"""Resolving power, line-spread function and brightness of the lines of a master arc, and shifts of single arcs."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from nrespipe import doppler
from nrespipe.engine.wavelength import solution
from nrespipe.frames.masters import Arc
from nrespipe.plots import page


def draw(arc: Arc, single: Sequence[tuple[float, Mapping[int, float]]] = ()) -> Figure:
    """Draw the line-spread function of a master arc.

    Parameters
    ----------
    single
        Time of each single arc [MJD], and offset of its lines from the optical model by fiber [pixel].

    Returns
    -------
    matplotlib.figure.Figure
        Resolving power by order, width of the lines along the orders, their shape, their flux, and the shifts of the
        single arcs.
    """
    figure = Figure(figsize=page.SIZE, layout="constrained")
    power, width, shape, light, moved = (figure.add_subplot(2, 3, place) for place in (1, 2, 3, 4, (5, 6)))
    best = []
    for i, fiber in enumerate(arc.solution.fibers):
        best.append(_power(power, arc, fiber))
        along = np.nanmedian(arc.line_shape.fwhm[arc.line_shape.fibers.index(fiber)], axis=0)
        width.plot(along, lw=0.9, color=page.color(fiber), label=f"fiber {fiber}")
        _shape(shape, arc.line_shape, fiber)
        _light(light, arc, i, fiber)
    width.legend(fontsize=8)
    _moved(moved, arc.solution.fibers, single)
    page.label(power, "order", "resolving power", "wavelength / width: median of the order; dotted: both ends")
    page.label(
        width, "column [pixel]", "full width at half maximum [pixel]", "width of the lines, median over the orders"
    )
    page.label(shape, "distance [full width at half maximum]", "density of light", "shape of a line, left to right end")
    page.label(light, "electron" + (" / s" if arc.exposure_s is not None else ""), "lines", "flux of the lines used")
    reference = arc.reference.fibers[0]
    numbers = "; ".join(
        f"fiber {fiber}: R {r:,.0f}, {n} lines"
        + (fiber != reference) * f", ± {error:.1f} m/s against fiber {reference}"
        for fiber, r, n, error in zip(arc.solution.fibers, best, arc.solution.n_lines, arc.transfer_error_ms)
    )
    figure.suptitle(f"{page.title(arc.origin)}\n{numbers}", fontsize=9.5)
    return figure


def _power(axes, arc, fiber):
    """Draw the resolving power of a fiber and return its median."""
    columns = np.linspace(0, arc.solution.n_pixels - 1, 17)
    orders = arc.line_shape.orders
    fwhm = arc.line_shape.fwhm[arc.line_shape.fibers.index(fiber)][:, np.rint(columns).astype(int)]
    pixel_ms = solution.velocity_per_pixel(arc.solution, fiber, orders[:, None], columns)
    power = doppler.C_MS / np.where(pixel_ms > 0, fwhm * pixel_ms, np.nan)
    if not np.isfinite(power).any():
        return np.nan
    axes.plot(orders, np.nanmedian(power, axis=1), color=page.color(fiber), lw=1)
    axes.plot(orders, power[:, [0, -1]], ":", color=page.color(fiber), lw=0.6)
    return float(np.nanmedian(power))


def _shape(axes, shape, fiber):
    values = shape.values[shape.fibers.index(fiber)]
    for column, dash in ((0, ":"), (len(shape.columns) // 2, "-"), (-1, "--")):
        axes.plot(shape.offsets, values[column], dash, lw=0.8, color=page.color(fiber))


def _light(axes, arc, i, fiber):
    used = arc.lines.used & (arc.lines.fiber == fiber) & (arc.lines.flux > 0)
    seconds = 1.0 if arc.exposure_s is None else arc.exposure_s[i]
    light = np.log10(arc.lines.flux[used] / seconds)
    if light.size:
        edges = np.arange(np.floor(light.min()), np.ceil(light.max()) + 0.1, 0.1)
        axes.hist(10**light, 10**edges, histtype="step", color=page.color(fiber))
        axes.set_xscale("log")


def _moved(axes, fibers, single):
    for fiber in fibers:
        known = [(mjd, shift[fiber]) for mjd, shift in single if fiber in shift]
        if known:
            hours, shifts = (np.array(each) for each in zip(*known))
            first = min(mjd for mjd, _ in single)
            axes.plot(24 * (hours - first), shifts - np.median(shifts), "o", ms=4, color=page.color(fiber))
    if single:
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, -0.1), max(high, 0.1))
        page.label(
            axes,
            "time since the first arc [h]",
            "shift [pixel]",
            "shifts of single arcs against their median",
        )
    else:
        axes.set_axis_off()
