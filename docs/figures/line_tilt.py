"""Slanted lines."""

import numpy as np

from figures import figure, style
from nrespipe.engine.extraction import line_tilt


@figure("arc", "arcs")
def lines(night):
    """Show a tilted bright line, and tilt and curvature of lines over the detector.

    Parameters
    ----------
    night : Night
        Simulated frames.

    Returns
    -------
    matplotlib.figure.Figure
    """
    refs, bench = night.references, night.bench
    traces = refs.flat.traces
    lean, bend = (part[0] for part in line_tilt.per_pixel(refs.arc.slant, traces, (0,)))
    index = traces.orders - bench.spectrograph.first_order
    place = np.linspace(0, 1, lean.shape[1])
    true_curvature = np.broadcast_to(bench.bow[0, index, None], bend.shape)
    true = bench.tilt[0, index, :1] * (1 - place) + bench.tilt[0, index, 1:] * place
    result, (cutout, tilts, curvatures) = style.panels(1, 3, 2.8, width_ratios=(1.1, 1, 1))
    _cutout(cutout, night, lean, bend)
    chosen = np.isin(traces.orders, (60, 80, 100))
    for axes, found, expected, unit in (
        (tilts, 1e3 * lean, 1e3 * true, "tilt [0.001]"),
        (curvatures, 1e3 * bend, 1e3 * true_curvature, "curvature [0.001 / pixel]"),
    ):
        colors = (style.VERMILION, style.GREEN, style.BLUE)
        for order, one, other, color in zip(traces.orders[chosen], found[chosen], expected[chosen], colors):
            axes.plot(one, color=color, label=f"order {order}")
            axes.plot(other, "--", lw=0.9, color=color)
        style.label(axes, "column [pixel]", unit)
        axes.margins(y=0.35)
    tilts.legend(loc="lower left")
    return result


def _cutout(axes, night, lean, bend, order=95, half=10):
    electrons, traces = night.corrected(night.arc).electrons, night.references.flat.traces
    row = np.flatnonzero(traces.orders == order)[0]
    light = night.arc.truth.flux[0, np.flatnonzero(night.arc.truth.orders == order)[0]]
    x = 400 + int(np.argmax(np.where(light[400:3600] < 2e5, light[400:3600], 0)))
    y = round(float(traces.centers[0, row, x]))
    part = electrons[y - half : y + half + 1, x - half : x + half + 1]
    edges = (x - half - 0.5, x + half + 0.5, y - half - 0.5, y + half + 0.5)
    axes.imshow(np.arcsinh(part / part.max() * 30), extent=edges)
    rows = np.arange(y - 7, y + 8)
    u = rows - traces.centers[0, row, x]
    near = np.abs(u) < 6
    weight = np.clip(electrons[rows, x - 3 : x + 4], 0, None)
    center = np.sum(weight * np.arange(x - 3, x + 4)) / weight.sum()
    axes.plot((center + lean[row, x] * u + bend[row, x] * u**2)[near], rows[near], color=style.VERMILION)
    style.label(axes, "column [pixel]", "row [pixel]", f"a line in order {order}")
