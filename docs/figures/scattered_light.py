"""Scattered light."""

import numpy as np

from figures import figure, style


@figure("star")
def surface(night):
    """Show the surface, a cut through it between the orders, and its error.

    Parameters
    ----------
    night : Night
        Simulated frames.

    Returns
    -------
    matplotlib.figure.Figure
    """
    removed = night.star_image.electrons - night.star_clean.electrons
    true = night.star.truth.background
    cells = len(true)
    found = removed.reshape(cells, len(removed) // cells, cells, -1).mean(axis=(1, 3))
    result, (cut, shape, errors) = style.panels(1, 3, 2.9, width_ratios=(1.4, 1, 1))
    _cut(cut, night.star_image.electrons, removed, found, true)
    edges = (0, removed.shape[1], 0, removed.shape[0])
    for axes, values, name, options in (
        (shape, found, "surface [electron]", {}),
        (errors, found - true, "found − true [electron]", {"cmap": "RdBu", "vmin": -1, "vmax": 1}),
    ):
        image = axes.imshow(values, extent=edges, aspect="auto", **options)
        result.colorbar(image, ax=axes, label=name, location="top", shrink=0.9)
        axes.set(xticks=(0, 2000, 4000), yticks=(0, 2000, 4000))
        style.label(axes, "column [pixel]", "row [pixel]")
    return result


def _cut(axes, electrons, removed, found, true, column=1440, rows=slice(330, 560), half=6):
    place = np.arange(rows.start, rows.stop)
    near = slice(column - half, column + half)
    light = np.median(electrons[rows, near], axis=1)
    axes.step(place, light, where="mid", color=style.GREY, lw=0.8, label="frame")
    size = len(removed) // len(true)
    axes.plot(place, removed[rows, column], color=style.BLUE, lw=1.6, label="surface")
    cells = np.arange(rows.start // size, rows.stop // size + 1)
    axes.plot((cells + 0.5) * size, true[cells, column // size], "o", ms=5, color=style.VERMILION, label="truth")
    axes.set(ylim=(0, 5 * np.median(removed[rows, column])), xlim=(rows.start, rows.stop))
    axes.legend(loc="upper center", ncols=3, bbox_to_anchor=(0.5, 1.14), columnspacing=0.8, handlelength=1)
    style.label(axes, f"row at column {column} [pixel]", "flux [electron]")
