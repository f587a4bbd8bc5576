"""What kind of star a spectrum shows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StellarType:
    """Temperature, spectral type and rotation of a star, from its lines.

    Attributes
    ----------
    teff_k, teff_error_k
        Effective temperature and its error [kelvin].
    spectral_type
        Subtype of a dwarf of that temperature, as ``G2``; '' where there is no temperature.
    vsini_ms, vsini_error_ms
        Projected velocity of rotation and its error; where it does not stand out of the other broadening of the lines
        it is 0, and the error is the largest that may hide in it [m / s].
    reason
        Why there is no temperature, or why its error is large; '' otherwise.
    """

    teff_k: float = float("nan")
    teff_error_k: float = float("inf")
    spectral_type: str = ""
    vsini_ms: float = float("nan")
    vsini_error_ms: float = float("inf")
    reason: str = ""
