"""The noun of the zero points of nights."""

from dataclasses import dataclass

import numpy as np

from nrespipe.frames.arrays import frozen


@dataclass(frozen=True, eq=False)
class ZeroPoints:
    """By how much the velocities of one fiber are off in each night, as its constant stars tell.

    Attributes
    ----------
    nights : shape (n_nights,)
        Number of the day of each night, ascending.
    value_ms, error_ms : shape (n_nights,)
        What is to be taken from a velocity of the night, and its error; NaN where nothing tells. The median over the
        nights that stars tell of is zero [m / s].
    n_stars : shape (n_nights,)
        Constant stars of the night.
    is_own : shape (n_nights,)
        Whether the stars of the night itself tell it; that of another night is the median of those around it.
    stars : shape (n_stars,)
        Names.
    jitter_ms : shape (n_stars,)
        Scatter of each star beyond its errors, with which it was weighted [m / s].
    deviation_ms, deviation_error_ms : shape (n_stars, n_nights)
        How far each star was off its own mean of the other nights, and the error of that with its jitter; NaN where
        it was not seen, or in that night alone [m / s].
    """

    nights: np.ndarray
    value_ms: np.ndarray
    error_ms: np.ndarray
    n_stars: np.ndarray
    is_own: np.ndarray
    stars: np.ndarray
    jitter_ms: np.ndarray
    deviation_ms: np.ndarray
    deviation_error_ms: np.ndarray

    def __post_init__(self):
        by_night, by_star = (len(self.nights),), (len(self.stars),)
        frozen(self, nights=by_night, value_ms=by_night, error_ms=by_night, n_stars=by_night, is_own=by_night)
        both = by_star + by_night
        frozen(self, stars=by_star, jitter_ms=by_star, deviation_ms=both, deviation_error_ms=both)
