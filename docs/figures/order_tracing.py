"""Finding the orders."""

import numpy as np

from figures import figure, style
from nrespipe.engine.orders import ridges, trace


@figure("flat")
def rows(night):
    """Show the ridges that cross the middle of a flat, joined into orders.

    Parameters
    ----------
    night : Night
        Simulated frames.

    Returns
    -------
    matplotlib.figure.Figure
    """
    electrons = night.corrected(night.flat).electrons
    binned = ridges.bin_columns(electrons)
    x, centers, _ = ridges.find(binned)
    crossing = ridges.middle_rows(x, centers, electrons.shape[1])
    groups = ridges.group(crossing, 2)
    result, parts = style.panels(1, 2, 2.5)
    cut = binned[:, binned.shape[1] // 2 - 2 : binned.shape[1] // 2 + 2].mean(axis=1)
    for axes, (low, high) in zip(parts, ((250, 560), (3000, 3310))):
        axes.plot(np.arange(low, high), cut[low:high], color=style.GREY, lw=0.8)
        for number, members in enumerate(groups):
            found = crossing[members[members >= 0]]
            found = found[(found > low) & (found < high)]
            axes.plot(found, np.interp(found, np.arange(len(cut)), cut), "o-", color=style.FIBERS[number % 2], lw=0.8)
        style.label(
            axes, "row [pixel]", "light at the middle [electron]", "red orders" if low < 1000 else "blue orders"
        )
    return result


@figure("flat")
def centers(night):
    """Show the centers over a flat, and their errors.

    Parameters
    ----------
    night : Night
        Simulated frames.

    Returns
    -------
    matplotlib.figure.Figure
    """
    electrons, truth = night.corrected(night.flat).electrons, night.flat.truth
    found = trace.find(electrons, (0, 1), night.bench.spectrograph)
    result, (cutout, errors) = style.panels(1, 2, 3.0, width_ratios=(1, 1.25))
    _cutout(cutout, electrons, found)
    places = found.orders - truth.orders[0]
    offset = 1e3 * (found.centers - truth.rows[:, places])
    # the center of a skewed profile is a matter of definition
    offset -= np.nanmedian(offset, axis=2, keepdims=True)
    binned = offset[0].reshape(len(found.orders), 128, -1).mean(axis=2)
    extent = (0, offset.shape[-1], found.orders[0] - 0.5, found.orders[-1] + 0.5)
    image = errors.imshow(binned, extent=extent, aspect="auto", cmap="RdBu", vmin=-20, vmax=20)
    result.colorbar(image, ax=errors, label="measured − true [mpx]")
    style.label(errors, "column [pixel]", "order", "error of the centers, fiber 0")
    return result


def _cutout(axes, electrons, found, corner=(400, 0), size=(220, 1200)):
    y, x = corner
    part = electrons[y : y + size[0], x : x + size[1] : 4]
    extent = (x, x + size[1], y - 0.5, y + size[0] - 0.5)
    axes.imshow(np.arcsinh(part / 300), extent=extent, aspect="auto", cmap="Greys_r")
    column = np.arange(x, x + size[1], 24)
    for fiber, traces in zip(found.fibers, found.centers):
        for center in traces:
            axes.plot(column, center[column], "-", lw=0.7, color=style.FIBERS[fiber])
    axes.set(xlim=(x, x + size[1]), ylim=(y, y + size[0] - 1))
    style.label(axes, "column [pixel]", "row [pixel]", "centers on the flat")
