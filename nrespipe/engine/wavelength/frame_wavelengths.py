"""Wavelengths of the pixels of a frame: the solution of the night, shifted by the drift of the frame."""

import numpy as np

from nrespipe.engine.wavelength import line_spread, wavelength_errors
from nrespipe.engine.wavelength.drift import terms as drift_terms
from nrespipe.engine.wavelength.drift import undo as undo_drift
from nrespipe.engine.wavelength.solution import on_grid
from nrespipe.errors import MissingCalibration
from nrespipe.frames.masters import Arc
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.wavelength import Drift, Wavelengths


def compute(spectra: Spectra, arc: Arc, drift: Drift) -> Wavelengths:
    """Return the wavelengths of the pixels of a frame.

    Parameters
    ----------
    spectra
        The frame, with the orders that ``order_numbers.of_frame`` returns.
    drift
        Drift of the frame from the arc; the same in pixels for all fibers.

    Returns
    -------
    Wavelengths
        Of all fibers of the frame; rows beyond the orders of the arc are NaN.

    Raises
    ------
    MissingCalibration
        If the arc has no solution for one of the fibers.
    """
    unknown = [fiber for fiber in spectra.fibers if fiber not in arc.solution.fibers]
    if unknown:
        raise MissingCalibration(f"the master arc has no wavelengths for fiber {unknown[0]}: no arc lit it")
    orders = spectra.orders
    known = np.isin(orders, arc.solution.orders)
    wavelength = np.full(spectra.flux.shape, np.nan)
    error_ms = np.full(spectra.flux.shape, np.nan, np.float32)
    for i, fiber in enumerate(spectra.fibers):
        wavelength[i, known] = _drifted(arc.solution, fiber, orders[known], drift)
        error_ms[i, known] = wavelength_errors.per_pixel(arc.solution, drift, fiber, orders[known])
    places = [arc.solution.fibers.index(fiber) for fiber in spectra.fibers]
    return Wavelengths(
        fibers=spectra.fibers,
        orders=orders,
        vacuum_angstrom=wavelength,
        error_ms=np.hypot(arc.transfer_error_ms[places], wavelength_errors.zero_point_ms(arc)),
        drift=drift,
        line_shape=line_spread.select(arc.line_shape, spectra.fibers, orders),
        pixel_error_ms=error_ms,
        solution=arc.solution,
    )


def _drifted(solution, fiber, orders, drift):
    """Wavelengths of all pixels of some orders after a drift."""
    columns = np.arange(solution.n_pixels, dtype=float)
    wavelength = on_grid(solution, fiber, orders, undo_drift(drift, columns, solution.n_pixels))
    nodes = np.linspace(0, solution.n_pixels - 1, 129)
    bent = drift_terms(solution, fiber, orders[:, None], nodes)[..., 2:] @ [drift.turn_px, drift.bend_ms]
    further = np.array([np.interp(columns, nodes, one) for one in bent])
    return wavelength - further * np.gradient(wavelength, axis=1)
