"""Extracted spectra of stars on the simulated bench: series of exposures in seconds, as no detector is simulated."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from nrespipe import doppler
from nrespipe.frames.arrays import Floats
from nrespipe.frames.quality import Pixel
from nrespipe.frames.raw import Kind
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.wavelength import Drift, LineShape, Wavelengths
from nrespipe.simulator import bench as benches
from nrespipe.simulator import frame, lineshape, pixel_kernels
from nrespipe.simulator.bench import Bench, State

if TYPE_CHECKING:
    from nrespipe.simulator.stars import Target

#: Where the lamp has less than this share of its peak an order is not used.
_FAINTEST = 0.05
#: Charge of a typical cosmic ray relative to the light of a pixel.
_COSMIC_E = 3.0


def expose(
    bench: Bench,
    target: "Target",
    berv_ms: float,
    *,
    seed: int | Sequence[int],
    fiber: int = 0,
    airmass: float = 1.2,
    cosmic_share: float = 0.002,
    missed: float = 0.002,
    read_variance: float = 550.0,
) -> Spectra:
    """Expose a star, and extract it.

    Parameters
    ----------
    target
        The star, with its velocity and its signal-to-noise ratio; of infinite ratio for no noise.
    berv_ms
        Barycentric correction, as in ``Barycentric.berv_ms`` [m / s].
    fiber
        Fiber of the star.
    airmass
        For the depth of the telluric lines.
    cosmic_share
        Share of the pixels with a cosmic ray.
    missed
        Share of the cosmic rays that are not flagged; they are an eighth as bright.
    read_variance
        Variance of an extracted pixel without light [electron2].

    Returns
    -------
    Spectra
        Of this fiber alone, the bench in its reference state.
    """
    rng, noisy = np.random.default_rng(seed), np.isfinite(target.snr)
    scale = target.snr**2 if noisy else 1e8
    flux = scale * spectrum(bench, target, berv_ms, fiber=fiber, airmass=airmass)
    variance = flux + (read_variance if noisy else 0.0)
    quality = np.where(lamp(bench, fiber) < _FAINTEST, Pixel.DARK, 0)
    if noisy:
        flux = flux + np.sqrt(variance) * rng.standard_normal(flux.shape)
        cosmic = rng.random(flux.shape) < cosmic_share
        flagged = cosmic & (rng.random(flux.shape) >= missed)
        charge = rng.exponential(_COSMIC_E * scale, flux.shape)
        flux = flux + np.where(cosmic, np.where(flagged, charge, charge / 8), 0.0)
        quality = quality | np.where(flagged, Pixel.COSMIC, 0)
    blaze = np.where(lamp(bench, fiber) < _FAINTEST, 0.0, lamp(bench, fiber))
    return Spectra(
        (fiber,), bench.spectrograph.orders, flux[None], variance[None], quality[None].astype(np.uint8), blaze[None]
    )


def spectrum(bench: Bench, target: "Target", berv_ms: float, *, fiber: int = 0, airmass: float = 1.2) -> Floats:
    """Return the light of a star without noise.

    Parameters
    ----------
    bench, target, berv_ms, fiber, airmass
        As in `expose`.

    Returns
    -------
    ndarray of float, shape (n_orders, n_columns)
        1 in a typical pixel of the orders 85 to 95.
    """
    return _light(bench, replace(target, snr=1.0), float(berv_ms), fiber, float(airmass))


def wavelengths(
    bench: Bench,
    fiber: int = 0,
    *,
    zero_ms: float = 0.0,
    error_ms: float = 0.0,
    drift_error_ms: float = 0.0,
) -> Wavelengths:
    """Return the wavelengths of the bench as a solution with errors of a known size has them.

    Parameters
    ----------
    fiber
        Fiber of the star.
    zero_ms
        True error of the zero point [m / s].
    error_ms, drift_error_ms
        Estimated errors [m / s].

    Returns
    -------
    Wavelengths
        With the true line-spread function.
    """
    columns = bench.spectrograph.detector.columns
    x = np.arange(columns, dtype=float)
    angstrom = benches.wavelength(bench, fiber, x) * doppler.factor(zero_ms)
    drift = Drift(0.0, 0.0, 0.0, 0.0, 0.0, float(drift_error_ms), 1000)
    shape = line_shape(bench, fiber)
    return Wavelengths((fiber,), bench.spectrograph.orders, angstrom[None], np.array([float(error_ms)]), drift, shape)


@lru_cache(maxsize=2)
def line_shape(bench: Bench, fiber: int = 0) -> LineShape:
    """Return the true line-spread function of a fiber, the width of the pixel included.

    Returns
    -------
    LineShape
        Its point 0 is the center of light.
    """
    columns = bench.spectrograph.detector.columns
    x, places = np.arange(columns, dtype=float), np.linspace(0, columns - 1, 17)
    width, softness = lineshape.widths(bench, fiber, x), lineshape.softness(bench, fiber, places)
    offsets, typical = np.linspace(-3.2, 3.2, 161), np.interp(places, x, np.median(width, axis=0))
    values = np.stack(
        [pixel_kernels.pixel_shape(offsets * w, w, s) * w for w, s in zip(typical, softness)]
    )  # fmt: skip
    values /= values.sum(axis=1, keepdims=True) * (offsets[1] - offsets[0])
    return LineShape((fiber,), bench.spectrograph.orders, width[None], offsets, places, values[None])


@lru_cache(maxsize=4)
def lamp(bench: Bench, fiber: int = 0) -> Floats:
    """Return the spectrum of the flat lamp.

    Parameters
    ----------
    fiber
        Fiber that it lights.

    Returns
    -------
    ndarray of float, shape (n_orders, n_columns)
        1 at the peak of each order.
    """
    sources = tuple("tung" if number == fiber else "none" for number in range(3))
    flux = _pixels(bench, frame.Scene(Kind.FLAT, sources, 60.0), fiber)
    return flux / flux.max(axis=1, keepdims=True)


@lru_cache(maxsize=8)
def _light(bench, target, berv_ms, fiber, airmass):
    """Return the light of a star, 1 electron in a typical pixel."""
    sources = tuple("star" if number == fiber else "none" for number in range(3))
    scene = frame.Scene(Kind.SCIENCE, sources, 600.0, {fiber: target}, {fiber: berv_ms}, airmass)
    flux = _pixels(bench, scene, fiber)
    orders = bench.spectrograph.orders
    return flux / np.median(flux[(orders >= 85) & (orders <= 95)])


def _pixels(bench, scene, fiber):
    samples = frame.spectra(bench, scene, State())[fiber]
    first, columns = pixel_kernels.PADDING * pixel_kernels.OVERSAMPLING, bench.spectrograph.detector.columns
    return samples[:, first : first + columns * pixel_kernels.OVERSAMPLING : pixel_kernels.OVERSAMPLING]
