"""Where the lines of the lamp lie in a single arc, before there is any wavelength scale."""

import numpy as np

from nrespipe.engine.wavelength import arc_lines, identify
from nrespipe.engine.wavelength.projection import Projection
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.frames.wavelength import LampLines
from nrespipe.numerics import legendre2d

#: Below this height of the vote nobody knows whether the lines were recognised.
_LEAST_SIGNIFICANCE = 12.0


def measure(spectra: Spectra, fiber: int, spectrograph: Spectrograph, lamp: LampLines) -> float:
    """Measure how far the lines of the lamp lie from where the optical model has them.

    Parameters
    ----------
    fiber
        A fiber that shows the lamp.

    Returns
    -------
    float
        Mean over the orders, towards larger x positive, to some hundredths of a pixel; NaN where too few lines are
        recognised [pixel].

    Notes
    -----
    The model errs by some ten pixels, but by the same in every arc: the difference between two arcs is a move.
    """
    found = identify.start(arc_lines.find(spectra, fiber), spectra.orders, spectrograph, lamp, fiber)
    if found.significance < _LEAST_SIGNIFICANCE:
        return np.nan
    # by its mean over what is lit: beyond that the polynomial means nothing
    orders, x = np.meshgrid(spectra.orders + found.renumber, np.linspace(0, spectra.flux.shape[2] - 1, 33))
    place = Projection(spectrograph, lamp, fiber).scaled(orders.ravel(), x.ravel())
    return float(np.mean(legendre2d.design(found.terms, *place) @ found.shift))
