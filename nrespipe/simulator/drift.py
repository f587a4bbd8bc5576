"""Drift of the simulated bench through a night."""

from dataclasses import dataclass
from datetime import date

import numpy as np

from nrespipe.frames.arrays import frozen
from nrespipe.simulator.bench import Bench, State

#: Velocity per pressure: the bench is in air [m / s / PSI].
_MS_PER_PSI = 5500.0


@dataclass(frozen=True)
class Drift:
    """Drift of the bench through one night.

    Attributes
    ----------
    mjd : shape (n,)
        Times, evenly spaced [MJD].
    walks : shape (n, 7)
        Pressure [PSI], shift, stretch, rise [pixel], velocity of fibers 0 and 2 [m / s], temperature [kelvin], all from
        the reference state.
    """

    mjd: np.ndarray
    walks: np.ndarray

    def __post_init__(self):
        frozen(self, mjd=(None,), walks=(len(self.mjd), None))

    def at(self, mjd: float) -> State:
        """Return the state of the bench at a time.

        Parameters
        ----------
        mjd
            Time, UTC [MJD].
        """
        pressure, shift, stretch, rise, first, second, warm = (np.interp(mjd, self.mjd, w) for w in self.walks.T)
        return State(
            velocity_ms=float(_MS_PER_PSI * pressure),
            shift_px=float(shift + 0.06 * warm),
            stretch_px=float(stretch + 0.02 * warm),
            fiber_ms=(float(first), 0.0, float(second)),
            rise_px=float(rise),
            pressure_psi=float(12.35 + pressure),
            temperature_c=float(21.5 + warm),
        )


def through(bench: Bench, day: str, *, still: bool = False) -> Drift:
    """Return the drift of the bench through a night.

    Parameters
    ----------
    still
        Whether it does not move at all.

    Returns
    -------
    Drift
        A random walk: per night about 60 m/s by pressure, 0.03 px of shift, 0.01 px of stretch, 0.03 px across, and
        0.7 m/s between fibers, on top of an offset of the night of about as much.
    """
    start = midnight_mjd(day)
    mjd = start + np.arange(0, 1.8, 1 / 288)
    rng = np.random.default_rng([bench.seed, int(day), 21])
    per_night = np.array([0.011, 0.03, 0.010, 0.03, 0.7, 0.7, 0.03])
    offset = per_night * (1, 1, 1, 2, 0.6, 0.6, 1) * rng.standard_normal(7)
    walk = np.cumsum(rng.standard_normal((len(mjd), 7)), axis=0) / np.sqrt(288)
    # five samples of five minutes each: the bench has inertia
    walk = np.apply_along_axis(lambda w: np.convolve(np.pad(w, 3, mode="edge"), np.ones(7) / 7, "valid"), 0, walk)
    return Drift(mjd, (offset + per_night * walk) * (0.0 if still else 1.0))


def midnight_mjd(day: str) -> float:
    """Return the Modified Julian Date at which a day begins.

    Parameters
    ----------
    day
        ``YYYYMMDD``.

    Returns
    -------
    float
        At 0 h UTC [MJD].
    """
    return float((date(int(day[:4]), int(day[4:6]), int(day[6:])) - date(1858, 11, 17)).days)
