"""Report about a camera of a new site: a page of text, and drawings of its masters."""

from typing import TypeVar

import numpy as np
from matplotlib.figure import Figure

from nrespipe.frames.masters import Arc, Bias, Dark, Flat
from nrespipe.frames.reports import CameraReport
from nrespipe.plots import arc, detector, flat, page, resolution

Master = TypeVar("Master", Bias, Dark, Flat, Arc)


def pages(report: CameraReport) -> list[Figure]:
    """Draw the report about a camera.

    Returns
    -------
    list of matplotlib.figure.Figure
        A page of text, and drawings of the masters that exist: bias and dark, images of the flats with the orders
        drawn over them, master flat, wavelengths, resolution.
    """
    advice = [f"  {line}" for line in report.advice]
    drawn = page.of_text(report.name, [*report.findings, "", "What to do next:", *advice])
    bias, dark = _master(report, Bias), _master(report, Dark)
    lamp, scale = _master(report, Flat), _master(report, Arc)
    if bias is not None or dark is not None:
        drawn.append(detector.draw(bias, dark))
    if lamp is not None:
        if report.looks:
            drawn.append(_light(report, lamp.traces))
        drawn.append(flat.draw(lamp))
    if scale is not None:
        drawn += [arc.draw(scale), resolution.draw(scale, report.arcs)]
    return drawn


def _master(report: CameraReport, noun: type[Master]) -> Master | None:
    return next((master for master in report.masters.values() if isinstance(master, noun)), None)


def _light(report, traces):
    figure = Figure(figsize=page.SIZE, layout="constrained")
    axes = figure.subplot_mosaic([["light", "cut"], ["light", "numbers"], ["light", "fit"]], width_ratios=[1.35, 1])
    _orders(axes["light"], report.looks, traces)
    _cut(axes["cut"], report.looks, traces)
    _numbers(axes["numbers"], report.numbering, int(traces.orders[0]))
    _fit(axes["fit"], report.looks, traces.orders)
    names = ", ".join(f"{look.filename} (fibers {' and '.join(map(str, look.lit))})" for look in report.looks)
    figure.suptitle(f"{report.name}: images of {names}", fontsize=10)
    return figure


def _orders(axes, looks, traces):
    light = np.max([look.light for look in looks], axis=0)
    rows, columns = len(looks[0].cut), traces.centers.shape[2]
    extent = (-0.5, columns - 0.5, -0.5, rows - 0.5)
    shown = np.arcsinh(np.clip(light, 0, None) / max(np.percentile(light, 60), 1.0))
    axes.imshow(shown, origin="lower", extent=extent, cmap="Greys", aspect="auto", interpolation="nearest")
    # the left half shows the light alone
    x = np.unique(np.linspace(columns // 2, columns - 1, 33).astype(int))
    for fiber, centers in zip(traces.fibers, traces.centers):
        axes.plot(x, centers[:, x].T, lw=0.5, color=page.color(fiber))
    for order, centers in zip(traces.orders, traces.centers[0]):
        seen = np.flatnonzero(np.isfinite(centers))
        if len(seen) and (order % 5 == 0 or order in traces.orders[[0, -1]]):
            # where the order ends at the right, so that the numbers form a column
            axes.text(seen[-1] + 20, centers[seen[-1]], str(order), fontsize=6.5, va="center", in_layout=False)
    axes.set(xlim=(0, 1.05 * columns), ylim=(0, rows), xlabel="column [pixel]", ylabel="row [pixel]")
    names = ", ".join(f"{name} fiber {fiber}" for fiber, name in enumerate(("blue", "orange", "green")))
    axes.set_title(f"image; in the right half the orders found: {names}", fontsize=10)


def _cut(axes, looks, traces) -> None:
    """Light across the reddest orders at the middle column, and where the orders were found."""
    middle = traces.centers[:, :, traces.centers.shape[2] // 2]
    top = np.nanmax(middle[:, : min(6, middle.shape[1])], initial=0.0) + 20
    for look, dash in zip(looks, ("-", "--", ":")):
        axes.plot(np.arange(len(look.cut)), look.cut, dash, lw=0.7, color="0.3")
    height = max(float(np.max([look.cut[: int(top) + 1].max() for look in looks])), 1.0)
    for fiber, rows in zip(traces.fibers, middle):
        for order, row in zip(traces.orders, rows):
            if np.isfinite(row) and row < top:
                axes.axvline(row, lw=0.6, color=page.color(fiber))
                if fiber == traces.fibers[-1]:
                    axes.text(row, 1.02 * height, str(order), fontsize=7, color=page.color(fiber), in_layout=False)
    axes.set(xlim=(0, top), ylim=(0, 1.15 * height))
    page.label(axes, "row [pixel]", "electron", "flux across the reddest orders, at the middle column")


def _numbers(axes, numbering, chosen):
    if numbering:
        first, cost = (np.array(each) for each in zip(*sorted(numbering.items())))
        near = np.abs(first - chosen) <= 8
        axes.semilogy(first[near], cost[near], "o-", ms=4, lw=0.8, color=page.COLORS[0])
        axes.semilogy(chosen, numbering[chosen], "o", ms=9, mfc="none", color=page.COLORS[1])
        axes.axhline(50, color="0.5", lw=0.8, ls=":")
    page.label(axes, "number of the lowest order", "deviation squared", "misfit of the distances to the order pattern")


def _fit(axes, looks, orders):
    right = axes.twinx()
    for look, mark in zip(looks, ("o", "s", "^")):
        for fiber, chi2, share in zip(look.lit, look.chi2, look.share):
            axes.plot(orders, chi2, mark, ms=2.5, color=page.color(fiber))
            right.plot(orders, 100 * share, "-", lw=0.7, color=page.color(fiber))
    axes.set_ylim(0, max(2.0, axes.get_ylim()[1]))
    right.set_ylim(0, max(2.0, right.get_ylim()[1]))
    right.set_ylabel("residual [% of the flux] (lines)")
    page.label(axes, "order", "chi squared (dots)", "residuals of the profiles in a single flat")
