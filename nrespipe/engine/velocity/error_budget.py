"""The error of a velocity, by its sources."""

import numpy as np

from nrespipe.engine.wavelength import calibrate
from nrespipe.frames.arrays import Floats
from nrespipe.frames.wavelength import DRIFT_SCATTER_MS, Wavelengths


def parts(
    photon_ms: float,
    wavelengths: Wavelengths,
    fiber: int,
    weight: Floats,
    *,
    mismatch_ms: float | None = None,
    transfer_ms: float = 0.0,
    drift_scatter_ms: float = DRIFT_SCATTER_MS,
) -> dict[str, float]:
    """Return the total error of a velocity and the parts whose squares add up to it.

    Parameters
    ----------
    photon_ms
        Error by the noise of the pixels [m / s].
    fiber
        Fiber of the star.
    weight : shape (n_orders, n_pixels)
        Share of each pixel of the frame in the velocity.
    mismatch_ms
        Error by what a template does not have in common with the spectrum; None where there is no template [m / s].
    transfer_ms
        Error of the zero point of the fiber relative to the reference fiber, of this night [m / s].
    drift_scatter_ms
        Scatter of the drifts of the spectrograph, which is the error where that of the frame was not measured [m / s].

    Returns
    -------
    dict of str to float
        ``error_ms``, ``photon_error_ms``, ``wavelength_error_ms``, ``drift_error_ms``, ``transfer_error_ms``, with a
        template ``mismatch_error_ms``, and ``scale_error_ms``, which is no part of the total, as the attributes of a
        ``Velocity`` or ``TemplateVelocity`` [m / s].

    Notes
    -----
    The covariances of the wavelength solution and of the drift are carried through the weights where the wavelengths
    know them; else their errors of the zero point stand, and are taken to differ from night to night. The error of the
    scale contains that of the fiber, which is told apart here.
    """
    night_ms, common_ms, drift_ms = _scale(wavelengths, fiber, weight)
    transfer_ms = min(float(transfer_ms), night_ms)
    found = {
        "photon_error_ms": float(photon_ms),
        "wavelength_error_ms": float(np.sqrt(night_ms**2 - transfer_ms**2)) if np.isfinite(night_ms) else night_ms,
        "drift_error_ms": float(drift_scatter_ms if wavelengths.drift.n_lines == 0 else drift_ms),
        "transfer_error_ms": transfer_ms,
    }
    if mismatch_ms is not None:
        found["mismatch_error_ms"] = float(mismatch_ms)
    total_ms = float(np.sqrt(sum(part**2 for part in found.values())))
    return {"error_ms": total_ms, "scale_error_ms": common_ms, **found}


def _scale(wavelengths, fiber, weight):
    """Return the errors of the scale, of this night and of all nights, and of the drift."""
    if wavelengths.solution is not None:
        return calibrate.mean_error_ms(wavelengths, fiber, weight)
    return float(wavelengths.error_ms[wavelengths.fibers.index(fiber)]), 0.0, wavelengths.drift.velocity_error_ms
