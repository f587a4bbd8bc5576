"""Master flat: places of the orders, profiles, blaze, flux of the lamp, and response of the pixels."""

import numpy as np
from matplotlib.figure import Figure

from nrespipe.frames.masters import Flat
from nrespipe.frames.quality import Pixel
from nrespipe.plots import page


def draw(flat: Flat) -> Figure:
    """Draw a master flat.

    Returns
    -------
    matplotlib.figure.Figure
        Distances of the orders and fibers, errors of the centers, profiles, blaze, flux of the lamp, and response
        of the pixels.
    """
    figure = Figure(figsize=page.SIZE, layout="constrained")
    axes = figure.subplots(2, 3)
    orders = flat.traces.orders
    shown = [len(orders) // 10, len(orders) // 2, -1 - len(orders) // 10]
    _distances(axes[0, 0], flat.traces)
    _errors(axes[0, 1], flat.traces)
    _profiles(axes[0, 2], flat, shown)
    _blaze(axes[1, 0], flat, shown)
    _light(axes[1, 1], flat)
    _response(axes[1, 2], flat)
    bad = (flat.mask & np.uint8(Pixel.BAD) > 0).mean()
    figure.suptitle(
        f"{page.title(flat.origin)}\nOrders {orders[0]} to {orders[-1]}, {len(orders)} in all; gain "
        f"{flat.gain_e_per_adu:.3f} ± {flat.gain_error:.3f} electron / ADU; {bad:.3%} of the pixels respond badly",
        fontsize=11,
    )
    return figure


def _distances(axes, traces):
    middle = traces.centers[:, :, traces.centers.shape[2] // 2]
    for fiber, rows in zip(traces.fibers, middle):
        axes.plot(
            traces.orders[:-1], np.diff(rows), "o-", ms=2, lw=0.6, color=page.color(fiber), label=f"fiber {fiber}"
        )
    for (fiber, rows), (other, others) in zip(zip(traces.fibers, middle), list(zip(traces.fibers, middle))[1:]):
        axes.plot(traces.orders, np.abs(others - rows), ".", ms=2, color="0.4", label=f"fiber {fiber} to {other}")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)
    page.label(axes, "order", "distance [pixel]", "distance to the next order, and between fibers")


def _errors(axes, traces):
    if traces.errors is not None:
        for fiber, errors in zip(traces.fibers, traces.errors):
            with np.errstate(all="ignore"):
                levels = np.nanpercentile(errors, [50, 99], axis=1) if np.isfinite(errors).any() else None
            if levels is not None:
                axes.semilogy(traces.orders, 1e3 * levels[0], "-", color=page.color(fiber))
                axes.semilogy(traces.orders, 1e3 * levels[1], ":", color=page.color(fiber))
    page.label(axes, "order", "error [pixel / 1000]", "errors of the centers: median, 99 % (dotted)")


def _profiles(axes, flat, shown):
    profile = flat.profile
    chunk = len(profile.columns) // 2
    for fiber, values in zip(flat.traces.fibers, profile.values):
        for k, dash in zip(shown, ("--", "-", ":")):
            order = flat.traces.orders[k]
            axes.plot(profile.offsets, values[k, chunk], dash, lw=0.8, color=page.color(fiber), label=f"{order}")
    handles = axes.get_lines()[:3]
    axes.legend(handles=handles, title="order", fontsize=8)
    page.label(
        axes, "distance from the center [pixel]", "fraction of the flux in a pixel", "profiles across the orders"
    )


def _blaze(axes, flat, shown):
    for fiber, blaze in zip(flat.traces.fibers, flat.blaze):
        for k, dash in zip(shown, ("--", "-", ":")):
            axes.plot(np.where(blaze[k] > 0, blaze[k], np.nan)[::8], dash, lw=0.8, color=page.color(fiber))
    step = max(1, flat.blaze.shape[2] // 8)
    axes.set_xticks(
        np.arange(0, flat.blaze.shape[2] + 1, 2 * step) / 8, np.arange(0, flat.blaze.shape[2] + 1, 2 * step)
    )
    page.label(axes, "column [pixel]", "flux", "lamp along these orders, 1 at the peak")


def _light(axes, flat):
    if flat.peak_e_per_s is not None:
        for fiber, light in zip(flat.traces.fibers, flat.peak_e_per_s):
            lit = light > 0
            axes.semilogy(flat.traces.orders[lit], light[lit], color=page.color(fiber), label=f"fiber {fiber}")
        axes.legend(fontsize=8)
    page.label(axes, "order", "electron / s / column", "flux of the lamp at the peaks")


def _response(axes, flat):
    known = flat.profile.response[flat.profile.response != 1][::7]
    if known.size:
        axes.hist(np.clip(known, 0.9, 1.1), np.linspace(0.9, 1.1, 101), histtype="step", color=page.COLORS[0])
        axes.set_yscale("log")
    scatter = np.std(known[np.abs(known - 1) < 0.1]) if known.size else np.nan
    page.label(axes, "response", "pixels (one in seven)", f"response of the pixels, scatter {scatter:.2%}")
