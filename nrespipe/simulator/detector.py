"""The simulated detector: response, dark current, bias structure, cosmic rays, blooming, noise and readout."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from nrespipe.frames.arrays import Floats, Integers, frozen

if TYPE_CHECKING:
    from nrespipe.simulator.bench import Bench

#: Parts of a raw image that see no light: columns of overscan on the right, spare rows at the top.
OVERSCAN_COLUMNS, SPARE_ROWS = 64, 12

#: Charge that a pixel holds before it spills along its column [electron].
FULL_WELL_E = 185000.0

#: Length over which the ends of a trail of such charge fall by a factor of e [pixel].
TAPER_PX = 8.0

#: Cosmic rays per square centimetre and minute.
COSMIC_RATE = 5.0

# Response falls below proportion above this level, by this share at twice the level.
_LINEAR_E, _COMPRESSION = 130000.0, 0.03


@dataclass(frozen=True)
class Pattern:
    """Properties of the pixels of a detector, the same in every frame.

    Attributes
    ----------
    response : shape (n_rows, n_columns)
        Sensitivity of each pixel, mean 1.
    dark_e_per_s : shape (n_rows, n_columns)
        Dark current, hot pixels included [electron / second].
    bias_adu : shape (n_rows + SPARE_ROWS, n_columns + OVERSCAN_COLUMNS)
        Bias relative to its overscan [ADU].
    """

    response: np.ndarray
    dark_e_per_s: np.ndarray
    bias_adu: np.ndarray

    def __post_init__(self):
        frozen(self, response=(None, None), dark_e_per_s=(None, None), bias_adu=(None, None))


@lru_cache(maxsize=2)
def pattern(seed: int, rows: int = 4096, columns: int = 4096) -> Pattern:
    """Return the properties of the pixels of the detector of a bench.

    Parameters
    ----------
    rows, columns
        Size of the light-sensitive part.

    Returns
    -------
    Pattern
        Response scatters by 0.7 percent, with dust; 2,500 hot pixels on 4096 x 4096, and three hot column ends; a bias
        of a few ADU.
    """
    part = rows * columns / 4096**2
    rng = np.random.default_rng([seed, 11])
    response = (1 + 0.007 * rng.standard_normal((rows, columns), dtype=np.float32)).astype(np.float32)
    y, x = np.mgrid[-6:7, -6:7]
    for _ in range(round(40 * part)):
        r, c = rng.integers(10, rows - 10), rng.integers(10, columns - 10)
        spot = 1 - rng.uniform(0.02, 0.15) * np.exp(-(x**2 + y**2) / (2 * rng.uniform(1, 2.5) ** 2))
        response[r - 6 : r + 7, c - 6 : c + 7] *= spot.astype(np.float32)
    n_dead, n_hot = round(300 * part), round(2500 * part)
    dead = rng.integers(0, rows, n_dead), rng.integers(0, columns, n_dead)
    response[dead] = rng.uniform(0.0, 0.6, n_dead)
    dark = np.full((rows, columns), 0.0015, np.float32)
    dark *= np.linspace(0.7, 1.4, rows, dtype=np.float32)[:, None]
    hot = rng.integers(0, rows, n_hot), rng.integers(0, columns, n_hot)
    dark[hot] += np.minimum(0.02 * rng.pareto(0.8, n_hot), 60.0)
    for _ in range(3):
        dark[rng.integers(500 * rows // 4096, rows) :, rng.integers(0, columns)] += rng.uniform(0.05, 1.0)
    return Pattern(response, dark, _bias(rng, rows, columns))


def _bias(rng, rows, columns):
    x, y = np.arange(columns + OVERSCAN_COLUMNS), np.arange(rows + SPARE_ROWS)
    along = 4.0 * np.exp(-x / 60.0) + 0.3 * rng.standard_normal(len(x)) + 1.2 * np.cos(x / 700.0)
    along[columns:] *= 0.2
    waves = 0.8 * np.outer(np.sin(y / 430.0 + rng.uniform(0, 6)), np.sin(x / 610.0 + rng.uniform(0, 6)))
    waves[:, columns:] = 0
    bias = waves + along + 0.5 * (2.0 * np.exp(-y / 25.0))[:, None]
    return bias.astype(np.float32)


def cosmics(rng: np.random.Generator, exposure_s: float, rows: int, columns: int) -> tuple[Integers, Integers, Floats]:
    """Return the charge that cosmic rays leave.

    Parameters
    ----------
    exposure_s
        Time that the detector collected, readout included [second].
    rows, columns
        Size of the light-sensitive part.

    Returns
    -------
    row, column : ndarray of int, shape (n,)
        Pixels with charge of a cosmic ray; a track crosses many.
    electrons : ndarray of float, shape (n,)
        Charge [electron].
    """
    area = rows * columns * 0.0015**2
    count = rng.poisson(COSMIC_RATE * area * exposure_s / 60)
    if not count:
        return np.zeros(0, int), np.zeros(0, int), np.zeros(0)
    rows_hit, columns_hit, charges = [], [], []
    for _ in range(count):
        length = min(rng.exponential(4.0) + 0.5, 60.0)
        angle, density = rng.uniform(0, 2 * np.pi), min(400.0 * (1 + rng.pareto(1.6)), 2e4)
        steps = np.arange(0, length, 0.25)
        y = rng.uniform(0, rows) + steps * np.sin(angle) + 0.25 * rng.standard_normal(len(steps))
        x = rng.uniform(0, columns) + steps * np.cos(angle) + 0.25 * rng.standard_normal(len(steps))
        rows_hit.append(np.floor(y))
        columns_hit.append(np.floor(x))
        charges.append(np.full(len(steps), density * 0.25))
    row, column, charge = np.concatenate(rows_hit), np.concatenate(columns_hit), np.concatenate(charges)
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    pixels, where = np.unique(row[inside].astype(int) * columns + column[inside].astype(int), return_inverse=True)
    return pixels // columns, pixels % columns, np.asarray(np.bincount(where, weights=charge[inside]), float)


@njit(cache=True)
def bloom(image: Floats, full_well: float) -> None:
    """Spill charge above the full well along the columns, half of it either way, in place.

    Parameters
    ----------
    image : shape (n_rows, n_columns)
        Charge [electron].
    full_well
        What a pixel holds [electron].

    Notes
    -----
    Each pixel on the way keeps the share ``1 / TAPER_PX`` of the charge that passes, but no more than fits in. So a
    long trail is flat at the full well near the line, and its ends fall off exponentially. Charge that reaches the edge
    is lost.
    """
    n_rows, n_columns = image.shape
    for x in range(n_columns):
        for y in range(n_rows):
            if image[y, x] > full_well:
                excess = image[y, x] - full_well
                image[y, x] = full_well
                for direction in (-1, 1):
                    rest, r = excess / 2, y + direction
                    while rest > 0 and 0 <= r < n_rows:
                        # what a pixel beyond the well holds is spilled in its own turn
                        room = max(0.0, full_well - image[r, x])
                        taken = min(room, max(rest / TAPER_PX, min(rest, 1.0)))
                        image[r, x] += taken
                        rest -= taken
                        r += direction


def photons(rng: np.random.Generator, expected: Floats) -> Floats:
    """Draw the number of photons in each pixel.

    Parameters
    ----------
    expected : shape (n_rows, n_columns)
        Mean of it; negative counts as 0 [electron].

    Returns
    -------
    ndarray of float32, shape (n_rows, n_columns)
        Poisson deviates below a mean of 25, above it normal deviates with the variance and the skew of Poisson's.
    """
    counts = np.empty_like(expected)
    for first in range(0, len(expected), 128):
        block = slice(first, first + 128)
        shape = expected[block].shape
        _photons(counts[block], expected[block], rng.random(shape), rng.standard_normal(shape, dtype=np.float32))
    return counts


@njit(cache=True)
def _photons(counts, expected, uniform, normal):
    for y in range(expected.shape[0]):
        for x in range(expected.shape[1]):
            mean = float(expected[y, x])
            if mean <= 0.0:
                counts[y, x] = 0.0
            elif mean < 25.0:
                share, k = np.exp(-mean), 0
                left = uniform[y, x] - share
                while left > 0.0 and k < 200:
                    k += 1
                    share *= mean / k
                    left -= share
                counts[y, x] = k
            else:
                # the terms of skew and of rounding add a variance of 1/18 + 1/12
                z = float(normal[y, x])
                counts[y, x] = np.floor(mean + np.sqrt(mean - 5 / 36) * z + (z * z - 1) / 6 + 0.5)


def read_out(
    rng: np.random.Generator,
    electrons: Floats,
    bench: "Bench",
    level_adu: float,
    *,
    fixed: bool = True,
    noise: bool = True,
) -> Integers:
    """Turn charge into the raw image.

    Parameters
    ----------
    electrons : shape (n_rows, n_columns)
        Charge [electron].
    bench
        Gain, read noise, fixed pattern.
    level_adu
        Bias level of this exposure [ADU].
    fixed, noise
        Whether there is bias structure with a drift of the level, and read noise.

    Returns
    -------
    ndarray of uint16, shape (n_rows + SPARE_ROWS, n_columns + OVERSCAN_COLUMNS)
        With overscan and spare rows [ADU].
    """
    rows, columns = electrons.shape
    raw = np.zeros((rows + SPARE_ROWS, columns + OVERSCAN_COLUMNS), np.float32)
    np.divide(_compressed(electrons), np.float32(bench.gain_e_per_adu), out=raw[:rows, :columns])
    # charge that the transfer left behind shows up in the first columns of the overscan
    tail = 3e-4 * np.exp(-np.arange(10) / 1.6)
    raw[:rows, columns : columns + 10] = raw[:rows, columns - 1 : columns] * tail
    raw[:, columns - 1] = raw[:, columns - 2]
    if noise:
        raw += np.float32(bench.read_noise_e / bench.gain_e_per_adu) * rng.standard_normal(raw.shape, dtype=np.float32)
        raw[:, columns - 1] = raw[:, columns - 2]
    if fixed:
        raw += pattern(bench.seed, rows, columns).bias_adu
        raw += _level_drift(rng, len(raw)).astype(np.float32)[:, None]
    raw += np.float32(level_adu + 0.5)
    return np.clip(raw, 0, 65535).astype(np.uint16)


def _compressed(electrons):
    """Charge as the amplifier reports it: a little less than in proportion near the top."""
    bright = electrons > _LINEAR_E
    if not bright.any():
        return electrons
    out = electrons.copy()
    out[bright] *= 1 - _COMPRESSION * (out[bright] / np.float32(_LINEAR_E) - 1)
    return out


def _level_drift(rng, n_rows):
    """A slow wander of the bias through the readout, plus 0.15 ADU from row to row."""
    walk = np.cumsum(rng.standard_normal(n_rows)) * 0.03
    return walk - np.linspace(0, walk[-1], n_rows) + 0.15 * rng.standard_normal(n_rows)
