"""Lines of the lamp."""

import numpy as np

from figures import figure, lamp, style
from nrespipe.engine.wavelength import arc_lines


@figure("arcs")
def lines(night):
    """Show a piece of an arc with the lines found, and the errors of their centers against their light.

    Parameters
    ----------
    night : Night
        Simulated frames.

    Returns
    -------
    matplotlib.figure.Figure
    """
    arc = night.references.arc
    found = lamp.of_fiber(arc.lines, 1)
    result, (piece, errors) = style.panels(1, 2, 2.8, width_ratios=(1.5, 1))
    _piece(piece, arc.reference, found)
    used = lamp.of_fiber(arc.lines, 1, used=True)
    wrong = np.abs(used.x - lamp.true_columns(night.bench, used))
    edges = np.geomspace(3e2, 1e6, 13)
    bins = np.digitize(used.flux, edges)
    filled = [k for k in range(1, len(edges)) if np.count_nonzero(bins == k) > 20]
    errors.plot(used.flux, 1e3 * used.x_noise, ".", ms=1, color=style.BLUE, rasterized=True, label="photon error")
    errors.plot(used.flux, 1e3 * used.x_error, ".", ms=1, color=style.GREY, rasterized=True, label="total error")
    middle = np.sqrt(edges[:-1] * edges[1:])[np.array(filled) - 1]
    typical = [1.4826e3 * np.median(wrong[bins == k]) for k in filled]
    errors.plot(
        middle,
        typical,
        "o",
        ms=4,
        color=style.VERMILION,
        label="measured − true, typical",
    )
    errors.set(xscale="log", yscale="log")
    errors.legend(loc="upper right", markerscale=1.5)
    style.label(errors, "flux of the line [electron]", "error of the center [mpx]")
    return result


def _piece(axes, spectra, found, order=85, columns=slice(1500, 1800)):
    row = int(np.flatnonzero(spectra.orders == order)[0])
    flux, variance, _ = arc_lines.without_background(spectra, 1)
    x = np.arange(columns.start, columns.stop)
    light = flux[row, columns]
    axes.step(x, light, where="mid", color=style.GREY, lw=0.8, label="flux above the background")
    here = (found.order == order) & (found.x > columns.start) & (found.x < columns.stop)
    for chosen, color, name in ((found.used, style.BLUE, "used"), (~found.used, style.VERMILION, "found, not used")):
        centers = found.x[here & chosen]
        top = np.maximum(light[np.round(centers).astype(int) - columns.start], 30)
        axes.plot(
            centers,
            1.5 * top,
            "v",
            ms=4,
            color=color,
            label=name,
        )
    axes.set_yscale("symlog", linthresh=5 * np.sqrt(np.median(variance[row, columns])))
    axes.set_ylim(top=100 * light.max())
    axes.legend(loc="upper right")
    style.label(axes, "column [pixel]", "flux [electron]", f"fiber 1, order {order}")
