"""What was found on a camera of a new site, on paper."""

import numpy as np
from matplotlib.figure import Figure

from nrespipe.frames.raw import Kind
from nrespipe.frames.reports import CameraReport
from nrespipe.plots import arc, detector, flat, resolution, style, words


def pages(report: CameraReport) -> list[Figure]:
    """Draw what was found on a camera.

    Returns
    -------
    list of matplotlib.figure.Figure
        A page of words, and drawings of the masters that there are: bias and dark, light of the flats with the orders
        over it, master flat, wavelengths, resolution.
    """
    made = report.masters
    drawn = words.pages(report.name, [*report.told, "", "What to do next:", *(f"  {line}" for line in report.advice)])
    if Kind.BIAS in made or Kind.DARK in made:
        drawn.append(detector.draw(made.get(Kind.BIAS), made.get(Kind.DARK)))
    if Kind.FLAT in made:
        if report.looks:
            drawn.append(_light(report, made[Kind.FLAT].traces))
        drawn.append(flat.draw(made[Kind.FLAT]))
    if Kind.ARC in made:
        drawn += [arc.draw(made[Kind.ARC]), resolution.draw(made[Kind.ARC], report.arcs)]
    return drawn


def _light(report, traces):
    figure = Figure(figsize=style.PAGE, layout="constrained")
    axes = figure.subplot_mosaic([["light", "cut"], ["light", "numbers"], ["light", "fit"]], width_ratios=[1.35, 1])
    _orders(axes["light"], report.looks, traces)
    _cut(axes["cut"], report.looks, traces)
    _numbers(axes["numbers"], report.numbering, int(traces.orders[0]))
    _fit(axes["fit"], report.looks, traces.orders)
    names = ", ".join(f"{look.filename} (fibers {' and '.join(map(str, look.lit))})" for look in report.looks)
    figure.suptitle(f"{report.name}: light of {names}", fontsize=10)
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
        axes.plot(x, centers[:, x].T, lw=0.5, color=style.color(fiber))
    for order, centers in zip(traces.orders, traces.centers[0]):
        seen = np.flatnonzero(np.isfinite(centers))
        if len(seen) and (order % 5 == 0 or order in traces.orders[[0, -1]]):
            # where the order ends at the right, so that the numbers stand in a column
            axes.text(seen[-1] + 20, centers[seen[-1]], str(order), fontsize=6.5, va="center", in_layout=False)
    axes.set(xlim=(0, 1.05 * columns), ylim=(0, rows), xlabel="column [pixel]", ylabel="row [pixel]")
    names = ", ".join(f"{name} fiber {fiber}" for fiber, name in enumerate(("blue", "orange", "green")))
    axes.set_title(f"light; in the right half the orders found: {names}", fontsize=10)


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
                axes.axvline(row, lw=0.6, color=style.color(fiber))
                if fiber == traces.fibers[-1]:
                    axes.text(row, 1.02 * height, str(order), fontsize=7, color=style.color(fiber), in_layout=False)
    axes.set(xlim=(0, top), ylim=(0, 1.15 * height))
    style.label(axes, "row [pixel]", "electron", "light across the reddest orders, at the middle column")


def _numbers(axes, numbering, chosen):
    if numbering:
        first, cost = (np.array(each) for each in zip(*sorted(numbering.items())))
        near = np.abs(first - chosen) <= 8
        axes.semilogy(first[near], cost[near], "o-", ms=4, lw=0.8, color=style.COLORS[0])
        axes.semilogy(chosen, numbering[chosen], "o", ms=9, mfc="none", color=style.COLORS[1])
        axes.axhline(50, color="0.5", lw=0.8, ls=":")
    style.label(
        axes, "number of the lowest order", "deviation squared", "distances against the pattern, if the lowest were"
    )


def _fit(axes, looks, orders):
    beside = axes.twinx()
    for look, mark in zip(looks, ("o", "s", "^")):
        for fiber, chi2, share in zip(look.lit, look.chi2, look.share):
            axes.plot(orders, chi2, mark, ms=2.5, color=style.color(fiber))
            beside.plot(orders, 100 * share, "-", lw=0.7, color=style.color(fiber))
    axes.set_ylim(0, max(2.0, axes.get_ylim()[1]))
    beside.set_ylim(0, max(2.0, beside.get_ylim()[1]))
    beside.set_ylabel("% of the light (lines)")
    style.label(axes, "order", "chi squared (dots)", "what the profiles leave of a single flat")
