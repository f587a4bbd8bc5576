"""Optical model: wavelength as a function of fiber, diffraction order and column."""

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import ArrayLike

from nrespipe.frames.arrays import Floats
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.instruments import POLYNOMIAL_TERMS

#: The model's x grid reaches this far beyond either end of an order [pixel].
_MARGIN = 20


def wavelength(spectrograph: Spectrograph, fiber: int, order: ArrayLike, x: ArrayLike) -> Floats:
    """Return the vacuum wavelength that the optical model predicts.

    Parameters
    ----------
    order
        Diffraction order; broadcast against `x`.
    x
        Column, 0 is the middle of the first pixel [pixel].

    Returns
    -------
    ndarray of float
        Vacuum wavelength [angstrom].

    Notes
    -----
    Littrow échelle behind a double-pass prism, plus a polynomial of fifteen Legendre terms; the other fibers are the
    reference fiber shifted along x. The constants describe one spectrograph at one time, and are wrong by tens
    of pixels at others: good enough for the start of a blind wavelength solution.
    """
    order, x = np.broadcast_arrays(np.asarray(order, float), np.asarray(x, float))
    optics, columns = spectrograph.optics, spectrograph.detector.columns
    jx = x - columns / 2
    jo = order - spectrograph.first_order - (spectrograph.last_order - spectrograph.first_order + 1) / 2
    if fiber != spectrograph.fibers.reference:
        jx = jx - _fiber_shift(optics.fiber_shifts[fiber], jx, jo)
    n_orders = spectrograph.last_order - spectrograph.first_order + 1
    coefficients = np.zeros((5, 5))
    for (a, b), value in zip(POLYNOMIAL_TERMS, optics.polynomial_nm):
        coefficients[a, b] = value
    correction_nm = legendre.legval2d(2 * jx / (columns + 2 * _MARGIN), 2 * jo / n_orders, coefficients)
    return 10 * (_grating_nm(optics, spectrograph.detector.pixel_mm, jx, order) + correction_nm)


def _grating_nm(optics, pixel_mm, jx, order):
    spacing_nm = optics.groove_spacing_um * 1e3
    sin_alpha = np.sin(np.radians(optics.incidence_deg))
    apex = np.radians(optics.prism_apex_deg)
    center_index = _refractive_index(optics, optics.prism_center_um)
    deviation = np.arcsin(center_index * np.sin(apex / 2)) - apex / 2
    blaze_nm = 2 * spacing_nm * sin_alpha / order
    y_mm = 4 * optics.focal_length_mm * deviation * (_refractive_index(optics, blaze_nm / 1e3) - center_index)
    gamma = np.arcsin((y_mm - optics.y0_mm) / optics.focal_length_mm)
    x_mm = jx * pixel_mm + y_mm * np.sin(np.radians(optics.rotation_deg))
    beta = -np.radians(optics.incidence_deg) - np.arctan(x_mm / optics.focal_length_mm)
    return spacing_nm / order * (sin_alpha - np.sin(beta)) * np.cos(gamma) / (1 + optics.gas_refractivity)


def _refractive_index(optics, wavelength_um):
    square = wavelength_um**2
    terms = (b * square / (square - c) for b, c in zip(optics.sellmeier_b, optics.sellmeier_c))
    return np.sqrt(1 + sum(terms))


def _fiber_shift(f, jx, jo):
    return (
        f[0] + f[1] * jo + f[2] * jx + f[3] * jx * jo + f[4] * jo**2 + f[5] * jx * jo**2
        + f[6] * jx**2 + f[7] * jo * jx**2 + f[8] * jx**3 + f[9] * jo**3
    )  # fmt: skip
