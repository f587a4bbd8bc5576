"""Doppler shift: the speed of light, and how velocities change the wavelengths that a spectrograph sees.

A star recedes from the barycenter of the solar system with the velocity ``rv_ms`` = c z. The barycentric correction
``berv_ms`` = c z of the observer is positive where the observer moves towards the star. A line at rest is seen at the
wavelength ``rest * (1 + rv_ms / c) / (1 + berv_ms / c)`` (Wright & Eastman 2014, PASP 126, 838, equation 28).
"""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

#: Speed of light, exact by the definition of the metre [m / s].
C_MS = 299792458.0

Numbers = TypeVar("Numbers", float, NDArray[np.floating[Any]])


def factor(velocity_ms: Numbers) -> Numbers:
    """Return the factor by which a velocity of recession lengthens wavelengths."""
    return 1 + velocity_ms / C_MS


def seen(rv_ms: Numbers, berv_ms: float) -> Numbers:
    """Return the ratio of the wavelength that the spectrograph sees to the wavelength at rest.

    Parameters
    ----------
    rv_ms
        Barycentric velocity of the star [m / s].
    berv_ms
        Barycentric correction of the observer [m / s].
    """
    return factor(rv_ms) / factor(berv_ms)


def ln_seen(rv_ms: float, berv_ms: float) -> float:
    """Return the natural logarithm of the ratio that `seen` returns, exact to the last digit for small velocities."""
    return float(np.log1p(rv_ms / C_MS) - np.log1p(berv_ms / C_MS))


def seen_ms(rv_ms: Numbers, berv_ms: float) -> Numbers:
    """Return the velocity of a star relative to the observer, who moves with a barycentric correction [m / s]."""
    return velocity_ms(seen(rv_ms, berv_ms))


def velocity_ms(ratio: Numbers) -> Numbers:
    """Return the velocity of recession c z that changes wavelengths by a ratio [m / s]."""
    return C_MS * (ratio - 1)
