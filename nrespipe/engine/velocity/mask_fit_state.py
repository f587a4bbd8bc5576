"""How the model of a star is brought to its spectrum, step by step."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from nrespipe.engine.spectrum import ccf, synthetic

if TYPE_CHECKING:
    from nrespipe.engine.spectrum.ccf import Peak

_FWHM = 2.3548200450309493

#: Accepted width of the thermal motion and small eddies [m / s]
_THERMAL_MS = (900.0, 3500.0)


@dataclass(frozen=True)
class State:
    """A model of a star whose lines are brought to those of its spectrum.

    Attributes
    ----------
    rv_ms
        Barycentric velocity [m / s].
    broadening_ms, strength, thermal_ms
        As in ``synthetic.at_rest``.
    fwhm_ms
        Width of the cross-correlation function [m / s].
    last
        Square of the broadening that was tried before, and of the width that it gave; empty in the beginning.
    """

    rv_ms: float
    broadening_ms: float = 3500.0
    strength: float = 1.0
    fwhm_ms: float = 10e3
    thermal_ms: float = 1800.0
    last: tuple = ()


@dataclass(frozen=True)
class Comparison:
    """Spectrum against model in one round.

    Attributes
    ----------
    shift_ms, photon_ms
        What the velocity of the model lacks, and the photon error of that [m / s].
    peak, model_peak
        Of the two cross-correlation functions.
    saturation
        Logarithm of the area of deep lines over that of shallow ones, spectrum less model; NaN where it cannot be told.
    bisector_ms
        Bisector span of the spectrum [m / s].
    order_shift_ms, order_error_ms, order_weight : shape (n_orders,)
        The same for each order, and its share in the mean.
    signal, leverage : shape (n_orders, n_pixels)
        Terms of the sums over pixels: they add up to `shift_ms`, and to 1.
    """

    shift_ms: float
    photon_ms: float
    peak: ccf.Peak
    model_peak: ccf.Peak
    saturation: float
    bisector_ms: float
    order_shift_ms: np.ndarray
    order_error_ms: np.ndarray
    order_weight: np.ndarray
    signal: np.ndarray
    leverage: np.ndarray

    @property
    def shapes_agree(self) -> bool:
        """Whether model and spectrum have lines of equal width and depth."""
        return (
            abs(self.peak.fwhm_ms / self.model_peak.fwhm_ms - 1) < 0.006
            and abs(self.peak.contrast / self.model_peak.contrast - 1) < 0.015
            and not abs(self.saturation) > 0.015
        )

    @property
    def alike(self) -> bool:
        """Whether model and spectrum have lines of about one width and depth, within a factor of 1.3.

        Whatever list of lines is fitted to whatever dwarf, they agree within a percent.
        """
        pairs = (self.peak.fwhm_ms, self.model_peak.fwhm_ms), (self.peak.contrast, self.model_peak.contrast)
        return all(expected < 1.3 * value and value < 1.3 * expected for value, expected in pairs)


def wide(velocity_ms: float, fwhm_ms: float) -> State:
    """Return a model to begin with for a star that rotates fast.

    Parameters
    ----------
    velocity_ms
        Barycentric velocity [m / s].
    fwhm_ms
        Width of the cross-correlation function [m / s].
    """
    # models that rotate with 30 to 150 km/s have functions 2.9 to 3.2 times as wide as they are broadened
    return State(velocity_ms, broadening_ms=fwhm_ms / 3.0, fwhm_ms=fwhm_ms)


def advanced(state: State, found: Comparison, settled: bool) -> State:
    """Return the next state: shift the model, and bring width, area and saturation of its lines to the spectrum's.

    Parameters
    ----------
    found
        What it differs from the spectrum by.
    settled
        Whether only the velocity is to change.

    Notes
    -----
    Width answers to broadening one to one, until the last step tells better. Saturation, the area of deep lines over
    that of shallow ones, answers to strength alone; area to strength and heat (logarithmic derivatives of models of
    dwarfs from G2 to M0: -0.20 to -0.35; 0.55 to 0.76, 0.6 to 1.1). With heat held at 1.8 km/s instead, blends left
    20 to 40 m/s in an M0 dwarf that rotates with 10 to 20 km/s.
    """
    rv_ms = state.rv_ms + float(np.clip(found.shift_ms, -3e3, 3e3))
    if settled:
        return replace(state, rv_ms=rv_ms)
    tried, given = state.broadening_ms**2, _width2(found.model_peak)
    response = 1.0
    if state.last and abs(tried - state.last[0]) > 1e-3 * tried:
        response = float(np.clip((given - state.last[1]) / (tried - state.last[0]), 0.4, 2.5))
    square = tried + (_width2(found.peak) - given) / response
    grown = np.log(area(found.peak) / area(found.model_peak))
    stronger = np.clip(-found.saturation / 0.28, -0.4, 0.4) if np.isfinite(found.saturation) else grown / 0.75
    stronger = np.clip(np.log(state.strength) + stronger, *np.log(synthetic.STRENGTHS)) - np.log(state.strength)
    wanted_ms = state.thermal_ms * np.exp(np.clip((grown - 0.67 * stronger) / 1.05, -0.3, 0.3))
    thermal_ms = float(np.clip(wanted_ms, *_THERMAL_MS))
    if not np.isfinite(found.saturation):
        thermal_ms = state.thermal_ms
    if thermal_ms != wanted_ms:
        # heat cannot give the area that is wanted, so strength must
        stronger = np.clip((grown - 1.05 * np.log(thermal_ms / state.thermal_ms)) / 0.75, -1, 1)
    return State(
        rv_ms=rv_ms,
        broadening_ms=float(np.sqrt(np.clip(square, tried / 4, tried * 4))),
        strength=state.strength * float(np.exp(stronger)),
        fwhm_ms=float(np.clip(found.peak.fwhm_ms, state.fwhm_ms / 2, state.fwhm_ms * 2)),
        thermal_ms=thermal_ms,
        last=(tried, given),
    )


def _width2(peak):
    return (peak.fwhm_ms / _FWHM) ** 2


def area(peak: "Peak") -> float:
    """Return the area of a peak.

    Parameters
    ----------
    peak
        From ``ccf.peak``.

    Returns
    -------
    float
        Contrast times width [m / s].
    """
    return max(peak.contrast * peak.fwhm_ms, 1e-3)
