"""Spectra of the calibration lamps: lines of thorium and argon, and the tungsten continuum."""

from functools import cache

import numpy as np

from nrespipe import data
from nrespipe.frames.arrays import Booleans, Floats

#: Temperature of the tungsten filament as the detector sees it: faint in the blue [kelvin].
TUNGSTEN_K = 2900.0

#: Lines that saturate in an arc of 600 s: as many as are known to do so on the real instrument.
SATURATED_LINES = 22

# Argon lines strong enough to saturate and to bloom, with their light relative to `_SATURATED`
_BLOOMING = {
    6967.35: 12, 7069.17: 9, 7274.94: 5, 7386.01: 10, 7505.93: 25, 7516.72: 18, 7637.21: 60, 7726.33: 30, 7950.36: 25,
    8008.36: 25, 8016.99: 40, 8105.92: 30, 8117.54: 80, 8266.79: 25, 8410.52: 50, 8426.96: 60, 8523.78: 40, 8670.33: 15,
}  # fmt: skip
# The same of further lines, of the first and from the last of 200 on, which still fills a pixel twice
_FURTHER, _LAST, _MOST = (10.0, 5.0), 200, 400
# With this light at the peak, charge of the brightest spills over three orders either way, as it does in real arcs
_SATURATED = 3.6e5
# Argon is brighter than thorium beyond this wavelength, so its lines saturate first there [angstrom]
_RED = 6900.0
_SODIUM = (5891.583, 5897.558)

# Peak height against local rank, from the percentiles of a real arc of 600 s, most of the blaze taken out [electron]
_RANKS = (0.0, 0.40, 0.52, 0.63, 0.75, 0.85, 0.91, 0.952, 0.985, 1.0)
_PEAKS = (40.0, 130.0, 320.0, 900.0, 1900.0, 3600.0, 8500.0, 25000.0, 60000.0, 130000.0)
_PIXELS_PER_PEAK = 3.9

#: Of the lamp that most simulations share.
SEED = 8406

# Lines that no list knows, a angstrom, and the mean of their peaks [electron]
_FOREST_PER_ANGSTROM = 8.0
_FOREST_PEAK = 40.0


def planck(wavelength_angstrom: Floats, temperature_k: float) -> Floats:
    """Return the colour of a black body, in photons per wavelength.

    Parameters
    ----------
    wavelength_angstrom
        Wavelength [angstrom].
    temperature_k
        Temperature [kelvin].

    Returns
    -------
    ndarray of float
        Photons per second and angstrom, 1 at 5500 angstrom.
    """
    rate = lambda w: w**-4 / np.expm1(1.438777e8 / (w * temperature_k))  # noqa: E731
    return rate(np.asarray(wavelength_angstrom, float)) / rate(5500.0)


@cache
def thorium_argon(seed: int = SEED, saturated: int = SATURATED_LINES) -> tuple[Floats, Floats, Booleans]:
    """Return the lines that the lamp emits, with their light in an arc of 600 s at the peak of the blaze.

    Parameters
    ----------
    seed
        Of the errors of the list, of the strengths of the lines, and of the lines that no list knows.
    saturated
        How many lines saturate, from 18 to 400: argon lines beyond 6900 angstrom, then argon lines elsewhere.

    Returns
    -------
    wavelength_angstrom : ndarray of float, shape (n_lines,)
        True vacuum wavelengths, increasing; listed ones differ from the list by its own errors [angstrom].
    flux : ndarray of float, shape (n_lines,)
        Light of each line [electron].
    listed : ndarray of bool, shape (n_lines,)
        Whether ``data.lamp_lines`` has the line.

    Raises
    ------
    ValueError
        If so many lines cannot saturate.
    """
    lamp, rng = data.lamp_lines(), np.random.default_rng(seed)
    wavelength = lamp.vacuum_angstrom + np.minimum(lamp.error_angstrom, 4e-4) * rng.standard_normal(
        len(lamp.vacuum_angstrom)
    )
    argon = np.char.startswith(lamp.species, "Ar")
    strength = np.log(np.maximum(lamp.intensity, 1e-3)) + argon + 0.7 * rng.standard_normal(len(wavelength))
    rank = _local_rank(lamp.vacuum_angstrom, strength)
    peak = np.exp(np.interp(rank, _RANKS, np.log(_PEAKS)))
    for line in _SODIUM:
        peak[np.argmin(np.abs(lamp.vacuum_angstrom - line))] = 9e4
    for line, strength in _BLOOMING.items():
        nearest = np.argmin(np.abs(lamp.vacuum_angstrom - line) + 99 * ~argon)
        peak[nearest] = _SATURATED * strength
    for nearest, strength in zip(*_further(lamp, argon, saturated)):
        peak[nearest] = _SATURATED * strength
    forest, forest_peak = _forest(rng, wavelength[0], wavelength[-1])
    every = np.concatenate([wavelength, forest])
    order = np.argsort(every)
    flux = _PIXELS_PER_PEAK * np.concatenate([peak, forest_peak])
    listed = np.arange(len(every)) < len(wavelength)
    return every[order], flux[order], listed[order]


def _further(lamp, argon, saturated):
    """Lines that saturate besides `_BLOOMING`, and their light relative to an ordinary bright line."""
    if not len(_BLOOMING) <= saturated <= _MOST:
        raise ValueError(f"from {len(_BLOOMING)} to {_MOST} lines can saturate, not {saturated}")
    count = saturated - len(_BLOOMING)
    known = np.min(np.abs(lamp.vacuum_angstrom[:, None] - np.array([*_BLOOMING])), axis=1) < 0.5
    red = lamp.vacuum_angstrom > _RED
    brightest = np.lexsort((-lamp.intensity, ~red, ~argon | known))
    strength = np.interp(np.arange(count), [0, _LAST - len(_BLOOMING)], _FURTHER)
    return brightest[:count], strength


def _local_rank(wavelength, strength, neighbors=150):
    """Rank among the nearest lines, because scales of intensity differ between sources: 0 faintest, 1 brightest."""
    first = np.clip(np.arange(len(wavelength)) - neighbors // 2, 0, len(wavelength) - neighbors)
    return np.array([np.mean(strength[i : i + neighbors] < s) for i, s in zip(first, strength)])


def _forest(rng, start, end):
    count = int((end - start) * _FOREST_PER_ANGSTROM)
    return rng.uniform(start, end, count), rng.exponential(_FOREST_PEAK, count)
