"""Blaze."""

import numpy as np

from figures import figure, style


@figure("flats")
def orders(night):
    """Show the blaze of some orders, and its error.

    Parameters
    ----------
    night : Night
        Simulated frames.

    Returns
    -------
    matplotlib.figure.Figure
    """
    flat, truth = night.references.flat, night.flat.truth
    result, (shapes, errors) = style.panels(1, 2, 2.7)
    for order, color in zip((56, 72, 88, 104), (style.VERMILION, style.ORANGE, style.GREEN, style.BLUE)):
        blaze = flat.blaze[0, np.flatnonzero(flat.traces.orders == order)[0]]
        true = truth.flux[0, np.flatnonzero(truth.orders == order)[0]]
        known = blaze > 0.03
        ratio = np.where(known, blaze / true, np.nan)
        shapes.plot(np.where(known, blaze, np.nan), color=color, label=f"order {order}")
        errors.plot(100 * (ratio / np.nanmedian(ratio) - 1), color=color, lw=0.9)
    shapes.set(ylim=(0, 1.5))
    shapes.legend(loc="upper center", ncols=2)
    errors.set(ylim=(-1, 1))
    style.label(shapes, "column [pixel]", "blaze, 1 at the peak")
    style.label(errors, "column [pixel]", "blaze / truth − 1 [percent]")
    return result
