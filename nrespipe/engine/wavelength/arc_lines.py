"""Arc lines: detection, and measurement of their centers."""

from itertools import pairwise

import numpy as np

from nrespipe.engine.wavelength import line_spread
from nrespipe.frames.arrays import Booleans, Floats, Integers
from nrespipe.frames.quality import Pixel
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.wavelength import ArcLines, LineShape
from nrespipe.numerics import peaks
from nrespipe.numerics.robust_statistics import line_free_level

_BAD = int(Pixel.BAD | Pixel.COSMIC | Pixel.OUTSIDE | Pixel.BLENDED)
_FALSE_CENTER = int(Pixel.SATURATED | Pixel.NONLINEAR | Pixel.BLOOMED)


def find(spectra: Spectra, fiber: int, shape: LineShape | None = None, threshold: float = 5.0) -> ArcLines:
    """Find the lines of the lamp in the spectra of one fiber.

    Parameters
    ----------
    spectra
        An arc, or any frame whose `fiber` shows the lamp.
    shape
        Line-spread function; a Gaussian whose width is fitted line by line where absent.
    threshold
        Least signal-to-noise ratio of a line.

    Returns
    -------
    ArcLines
        Not identified (wavelengths NaN), sorted by order and x. Lines that touch saturated, bloomed, non-linear or bad
        pixels are left out. `used` marks the lines that no neighbor disturbs.
    """
    flux, variance, weight = without_background(spectra, fiber)
    row, fits = fit(flux, variance, weight, spectra.orders, fiber, shape, threshold)
    clean = undisturbed(spectra, fiber, row, fits)
    whole = ~_touched(spectra, fiber, row, fits)
    row, fits, clean = row[whole], fits[whole], clean[whole]
    n = len(row)
    return ArcLines(
        fiber=np.full(n, fiber),
        order=spectra.orders[row] if n else np.zeros(0, int),
        x=fits[:, 1],
        x_error=fits[:, 4],
        flux=fits[:, 0],
        fwhm=fits[:, 2],
        vacuum_angstrom=np.full(n, np.nan),
        used=clean,
    )


def without_background(spectra: Spectra, fiber: int) -> tuple[Floats, Floats, Floats]:
    """Return the spectra of a fiber without their background, and the weights of their pixels.

    Parameters
    ----------
    spectra
        Spectra of the lamp.

    Returns
    -------
    flux, variance, weight : ndarray of float, shape (n_orders, n_pixels)
        Flux above the background, its variance, and the inverse of the variance, 0 for a bad pixel
        [electron, electron2, 1 / electron2].
    """
    flux, variance, quality, _ = spectra.of(fiber)
    good = np.isfinite(flux) & np.isfinite(variance) & (variance > 0) & ((quality & _BAD) == 0)
    flux, variance = np.where(good, flux, 0.0), np.where(good, variance, 1.0)
    flux = np.where(good, flux - _background(flux, good), 0.0)
    return flux, variance, np.where(good, 1 / variance, 0.0)


def line_shape(spectra: Spectra, fiber: int) -> LineShape:
    """Measure the line-spread function of a fiber from the lines in its spectra.

    Parameters
    ----------
    spectra
        An arc, or a sum of arcs.

    Returns
    -------
    LineShape
        Of this fiber, as from ``line_spread.measure``.
    """
    flux, variance, weight = without_background(spectra, fiber)
    row, fits = fit(flux, variance, weight, spectra.orders, fiber)
    clean = undisturbed(spectra, fiber, row, fits)
    light = np.where(weight > 0, flux, np.nan)
    return line_spread.measure(light, variance, row[clean], fits[clean], spectra.orders, fiber)


def fit(
    flux: Floats,
    variance: Floats,
    weight: Floats,
    orders: Integers,
    fiber: int,
    shape: LineShape | None = None,
    threshold: float = 5.0,
    rounds: int = 3,
) -> tuple[Integers, Floats]:
    """Find peaks and fit a line to each, with its neighbors subtracted.

    Parameters
    ----------
    flux, variance, weight : shape (n_orders, n_pixels)
        As `without_background` returns them.
    orders : shape (n_orders,)
        Diffraction orders.
    shape
        Line-spread function; its rows are those of `flux`.
    threshold
        Least signal-to-noise ratio of a peak.
    rounds
        Number of fits of all lines.

    Returns
    -------
    row : ndarray of int, shape (n_lines,)
        Index of the order.
    fits : ndarray of float, shape (n_lines, 8)
        Columns as in ``numerics.peaks.COLUMNS``.
    """
    free_width = shape is None
    if shape is None:
        shape = line_spread.gaussian((fiber,), orders, flux.shape[1])
    row, x = _peaks(flux, variance, weight, threshold)
    fwhm, tables = line_spread.at(shape, fiber, row, x)
    start = np.column_stack([np.zeros(len(x)), x, fwhm])
    residual, (n_rows, n_pixels) = flux, flux.shape
    for _ in range(rounds):
        fits = peaks.fit(residual, weight, variance, row, start, tables, 1.5, free_width)
        good = np.isfinite(fits[:, 1]) & (fits[:, 0] > 3 * fits[:, 5])
        good &= ~_doubled(row, fits, good)
        row, fits = row[good], fits[good]
        fwhm, tables = line_spread.at(shape, fiber, row, fits[:, 1])
        start = np.column_stack([fits[:, :2], fits[:, 2] if free_width else fwhm])
        residual = flux - peaks.render(n_rows, n_pixels, row, start[:, 0], start[:, 1], start[:, 2], tables, 2.4)
    return row, fits


def undisturbed(spectra: Spectra, fiber: int, row: np.ndarray, fits: np.ndarray) -> Booleans:
    """Return which lines are disturbed by neither neighbors nor bad pixels.

    Parameters
    ----------
    spectra
        Spectra of the lines.
    row, fits
        As `fit` returns them.

    Returns
    -------
    ndarray of bool, shape (n_lines,)
    """
    return _isolated(row, fits) & _of_typical_width(spectra, row, fits) & ~_touched(spectra, fiber, row, fits)


def _background(flux, good, block=64):
    """Level between the lines: median of each block, repeated without outliers, smooth along the order."""
    n = flux.shape[1]
    edges = np.append(np.arange(0, n, block), n)
    middles = 0.5 * (edges[:-1] + edges[1:] - 1)
    levels = line_free_level(np.ascontiguousarray(flux), good, edges)
    padded = np.pad(levels, ((0, 0), (2, 2)), mode="edge")
    smooth = np.median([padded[:, i : i + levels.shape[1]] for i in range(5)], axis=0)
    return np.array([np.interp(np.arange(n), middles, level) for level in smooth])


def _peaks(flux, variance, weight, threshold, fwhm=3.5):
    """Peaks of the matched filter."""
    kernel = np.exp(-4 * np.log(2) * (np.arange(-6, 7) / fwhm) ** 2)
    rows, places = [], []
    for i in range(len(flux)):
        good = weight[i] > 0
        signal = np.convolve(np.where(good, flux[i], 0.0), kernel, "same")
        noise = np.sqrt(np.convolve(np.where(good, variance[i], 0.0), kernel**2, "same"))
        found = peaks.find(np.where(good, signal, 0.0), np.where(good, noise, 0.0), threshold, 2)
        rows.append(np.full(len(found), i))
        places.append(found.astype(float))
    return np.concatenate(rows), np.concatenate(places)


def _doubled(row, fits, good):
    """Which fits converged to a brighter neighbor."""
    doubled = np.zeros(len(row), bool)
    kept = np.flatnonzero(good)
    kept = kept[np.lexsort((fits[kept, 1], row[kept]))]
    for a, b in pairwise(kept):
        if row[a] == row[b] and fits[b, 1] - fits[a, 1] < 0.4 * fits[a, 2]:
            doubled[a if fits[a, 0] < fits[b, 0] else b] = True
    return doubled


def _isolated(row, fits):
    """Which lines their neighbors, if not subtracted, would shift by less than a tenth of a pixel."""
    pull = np.zeros(len(row))
    order = np.lexsort((fits[:, 1], row))
    for step in (1, 2):
        a, b = order[:-step], order[step:]
        distance = fits[b, 1] - fits[a, 1]
        near = (row[a] == row[b]) & (distance < 4 * fits[a, 2])
        a, b, distance = a[near], b[near], distance[near]
        shape = distance * np.exp(-2 * np.log(2) * (distance / fits[a, 2]) ** 2)
        touching = np.where(distance < 1.2 * fits[a, 2], 1.0, 0.0)
        np.add.at(pull, a, (shape + touching) * fits[b, 0] / fits[a, 0])
        np.add.at(pull, b, (shape + touching) * fits[a, 0] / fits[b, 0])
    return pull < 0.1


def _of_typical_width(spectra, row, fits):
    """Which lines are as wide as the lines around them."""
    if len(row) < 30:
        return np.ones(len(row), bool)
    half = spectra.flux.shape[2] / 8
    typical = np.array([np.median(fits[np.abs(fits[:, 1] - x) < half, 2]) for x in np.arange(0, 8 * half, half / 2)])
    expected = np.interp(fits[:, 1], np.arange(0, 8 * half, half / 2), typical)
    snr = fits[:, 0] / fits[:, 5]
    return np.abs(fits[:, 2] / expected - 1) < 0.25 + 2 / snr


def _touched(spectra, fiber, row, fits):
    """Which lines have a flagged pixel in their core, or leave the detector."""
    quality = spectra.of(fiber).quality
    n = spectra.flux.shape[2]
    flagged = (quality & (_BAD | _FALSE_CENTER)) != 0
    flagged |= ~np.isfinite(spectra.of(fiber).flux)
    count = np.pad(np.cumsum(flagged, axis=1), ((0, 0), (1, 0)))
    first = np.floor(fits[:, 1] - 1.2 * fits[:, 2]).astype(int)
    last = np.ceil(fits[:, 1] + 1.2 * fits[:, 2]).astype(int)
    outside = (first < 0) | (last >= n)
    first, last = np.clip(first, 0, n - 1), np.clip(last, 0, n - 1)
    return outside | (count[row, last + 1] > count[row, first])
