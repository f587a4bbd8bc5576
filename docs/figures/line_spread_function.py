"""Line-spread function."""

import numpy as np

from figures import figure, lamp, style


@figure("arcs")
def profiles(night):
    """Show the line-spread function at three places, and its width along the orders.

    Parameters
    ----------
    night : Night
        Simulated frames.

    Returns
    -------
    matplotlib.figure.Figure
    """
    shape = night.references.arc.line_shape
    fiber = shape.fibers.index(1)
    result, (profiles, widths) = style.panels(1, 2, 2.8)
    gaussian = 2 * np.sqrt(np.log(2) / np.pi) * np.exp(-4 * np.log(2) * shape.offsets**2)
    profiles.plot(shape.offsets, gaussian, "--", color=style.GREY, lw=0.9, label="Gaussian")
    for column, color in zip((0, len(shape.columns) // 2, -1), (style.BLUE, style.GREEN, style.VERMILION)):
        name = f"column {shape.columns[column]:.0f}"
        profiles.plot(shape.offsets, shape.values[fiber, column], color=color, label=name)
    profiles.set(yscale="log", ylim=(1e-3, 6), xlim=(-2.4, 2.4))
    profiles.legend(loc="upper center", ncols=2)
    style.label(profiles, "distance from the center / width", "density of flux")
    _widths(widths, shape, night.bench)
    return result


def _widths(axes, shape, bench):
    columns, _, middle = lamp.line_shape(bench, 1, 85)
    found = shape.fwhm[shape.fibers.index(1)]
    for order, color in zip((60, 85, 110), (style.VERMILION, style.GREEN, style.BLUE)):
        width = found[int(np.flatnonzero(shape.orders == order)[0]), np.round(columns).astype(int)]
        axes.plot(columns, 100 * (width / middle - 1), color=color, label=f"order {order}")
        true = lamp.line_shape(bench, 1, order)[2]
        axes.plot(columns, 100 * (true / middle - 1), "--", color=color, lw=0.9)
    axes.margins(y=0.4)
    axes.legend(loc="upper right", ncols=3, columnspacing=0.8, handlelength=1.2)
    style.label(axes, "column [pixel]", "width / true width of order 85 − 1 [%]")
