"""The error of a velocity, by its sources."""

import numpy as np


def parts(photon_ms, wavelengths, fiber, *, transfer_ms=0.0, no_drift_ms=50.0):
    """Return the total error of a velocity and the parts whose squares add up to it.

    Parameters
    ----------
    photon_ms : float
        Error by the noise of the pixels [m / s].
    wavelengths : Wavelengths
        Of the frame.
    fiber : int
        Fiber of the star.
    transfer_ms : float, optional
        Error of the zero point of the fiber relative to the reference fiber [m / s].
    no_drift_ms : float, optional
        Error of the zero point where the drift was not measured [m / s].

    Returns
    -------
    dict of str to float
        ``error_ms``, ``photon_error_ms``, ``wavelength_error_ms``, ``drift_error_ms``, ``transfer_error_ms``, as the
        attributes of a ``Velocity`` [m / s].

    Notes
    -----
    ``Wavelengths.error_ms`` is the error of the scale and that of the fiber together; they are told apart here.
    """
    drift = wavelengths.drift
    scale_ms = float(wavelengths.error_ms[wavelengths.fibers.index(fiber)])
    transfer_ms = min(float(transfer_ms), scale_ms)
    found = {
        "photon_error_ms": float(photon_ms),
        "wavelength_error_ms": float(np.sqrt(scale_ms**2 - transfer_ms**2)) if np.isfinite(scale_ms) else scale_ms,
        "drift_error_ms": float(no_drift_ms if drift.n_lines == 0 else drift.velocity_error_ms),
        "transfer_error_ms": transfer_ms,
    }
    return {"error_ms": float(np.sqrt(sum(part**2 for part in found.values()))), **found}
