"""Continuum."""

import numpy as np

from figures import figure, style
from nrespipe.engine.spectrum import continuum


@figure("star")
def envelope(night):
    """Show the envelope of a red order and of a blue one.

    Parameters
    ----------
    night : Night
        Simulated frames.

    Returns
    -------
    matplotlib.figure.Figure
    """
    spectra = night.star_spectra
    flux, variance, good = continuum.above_blaze(*spectra.of(0))
    level = continuum.envelope(flux, variance, good)
    result, parts = style.panels(1, 2, 2.7)
    for axes, order in zip(parts, (82, 108)):
        row = int(np.flatnonzero(spectra.orders == order)[0])
        shown = np.where(good[row], flux[row], np.nan)
        axes.plot(shown / 1e3, color=style.GREY, lw=0.5, rasterized=True, label="star / blaze")
        axes.plot(np.where(good[row], level[row], np.nan) / 1e3, color=style.VERMILION, label="continuum")
        axes.set(ylim=(0, 1.5e-3 * np.nanpercentile(shown, 99)))
        axes.legend(loc="upper right")
        style.label(axes, "column [pixel]", "flux / blaze [1000 electron]", f"order {order}")
    return result
