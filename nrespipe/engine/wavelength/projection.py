"""Where the optical model expects the lines of the lamp."""

import numpy as np

from nrespipe.frames.arrays import Floats, Integers
from nrespipe.instruments import optics
from nrespipe.numerics import legendre2d

#: Lines are predicted this far beyond either end of an order [pixel].
_MARGIN = 200


class Projection:
    """Where the optical model expects the lines of the lamp.

    Parameters
    ----------
    spectrograph : Spectrograph
        Whose model.
    lamp : LampLines
        Lines.
    fiber : int
        Fiber number.
    """

    def __init__(self, spectrograph, lamp, fiber):
        self.n_pixels = spectrograph.detector.columns
        self.first, self.last = spectrograph.first_order, spectrograph.last_order
        self._x = np.arange(-_MARGIN, self.n_pixels + _MARGIN, 4.0)
        self.lamp, self._known = lamp, {}
        self._spectrograph, self._fiber = spectrograph, fiber

    def lines(self, order: int) -> tuple[Integers, Floats]:
        """Return the lines of an order.

        Returns
        -------
        index : ndarray of int
            Into the table of the lamp.
        x : ndarray of float
            Predicted columns, up to 200 px beyond either end [pixel].
        """
        if order not in self._known:
            wavelength = optics.wavelength(self._spectrograph, self._fiber, order, self._x)
            table = self.lamp.vacuum_angstrom
            index = np.arange(np.searchsorted(table, wavelength[0]), np.searchsorted(table, wavelength[-1]))
            self._known[order] = index, np.interp(table[index], wavelength, self._x)
        return self._known[order]

    def scaled(self, order: Floats, x: Floats) -> tuple[Floats, Floats]:
        """Return x and m mapped to -1..1 over the whole spectrograph.

        Parameters
        ----------
        order, x
            Diffraction order and column [pixel].

        Returns
        -------
        x, m : ndarray of float
        """
        return legendre2d.scaled(x, 0, self.n_pixels - 1), legendre2d.scaled(order, self.first, self.last)
