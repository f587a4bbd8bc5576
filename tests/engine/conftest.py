"""Star light in one dimension with known truth, made by other means than the engine's."""

from functools import lru_cache
from types import SimpleNamespace

import numpy as np
import pytest
from star_kernels import absorb, spread

from nrespipe import data, instruments
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.star import Star
from nrespipe.frames.velocity import Barycentric
from nrespipe.frames.wavelength import Drift, LineShape, Wavelengths
from nrespipe.instruments import optics

LIGHT_MS = 299792458.0
STEP = 100.0 / LIGHT_MS
X = np.arange(4096.0)
#: The line-spread function doubles in width along the order, has wings, and is skewed, less and less
FWHM = 2.85 + 2.95 * (X / 4095) ** 1.3
OFFSETS = np.linspace(-3, 3, 41)
COLUMNS = np.array([0.0, 2048.0, 4095.0])


def _kernel(skew):
    core = np.exp(-0.5 * ((OFFSETS + 0.04 * skew) * 2.3548 / 0.95) ** 2) * 0.82 / 0.95
    wing = np.exp(-0.5 * ((OFFSETS - 0.18 * skew) * 2.3548 / 1.3) ** 2) * 0.18 / 1.3
    return (core + wing) / np.sum(core + wing) / (OFFSETS[1] - OFFSETS[0])


KERNELS = np.stack([_kernel(skew) for skew in (1.0, 0.6, 0.2)])


def _rest(kind, vsini_ms, rng, scatter=0.1, faint=4000, product=False):
    """Light at rest from 3850 angstrom: depths off by 10 percent, and faint lines that no list has."""
    mask = data.stellar_lines(kind)
    depth = np.clip(mask.depth * (1 + scatter * rng.standard_normal(len(mask.depth))), 0.003, 0.97)
    angstrom = np.append(mask.vacuum_angstrom, rng.uniform(3850, 9150, faint))
    depth = np.append(depth, np.clip(rng.exponential(0.02, faint), 0, 0.5))
    log_flux = np.zeros(int(np.log(9200 / 3850) / STEP))
    absorb(log_flux, np.log(angstrom / 3850) / STEP, depth, product)
    flux = np.exp(log_flux)
    if vsini_ms > 0:
        v = np.arange(-(vsini_ms // 100) - 1, vsini_ms // 100 + 2) * 100 / vsini_ms
        inside = np.clip(1 - v**2, 0, None)
        kernel = 0.8 * np.sqrt(inside) + 0.3 * np.pi * inside
        flux = 1 - np.convolve(1 - flux, kernel / kernel.sum(), mode="same")
    return flux


def _seen(rest, ln_rest):
    """Through the line-spread function: light of column x - u arrives at x."""
    weights = np.stack([np.interp(X, COLUMNS, KERNELS[:, k]) for k in range(len(OFFSETS))])
    flux = np.zeros(ln_rest.shape)
    spread(flux, rest, (ln_rest - np.log(3850)) / STEP, weights / weights.sum(axis=0), OFFSETS, FWHM)
    return flux


def _atmosphere(wavelength):
    bands, rng = data.tellurics(), np.random.default_rng(7)
    depth = rng.uniform(0.02, 0.6, len(bands.start_angstrom))
    band = np.searchsorted(bands.start_angstrom, wavelength) - 1
    inside = (band >= 0) & (wavelength < bands.end_angstrom[np.maximum(band, 0)])
    return np.where(inside, 1 - depth[np.maximum(band, 0)], 1.0)


def _light(wavelength, teff_k, orders):
    """Counts of a star over those of the lamp, and the blaze, both 1 where they peak."""
    planck = lambda t: 1 / wavelength**4 / np.expm1(1.4388e8 / wavelength / t)  # noqa: E731
    color = planck(teff_k) / planck(2900.0)
    amount = np.interp(orders, [52, 60, 90, 105, 112, 118], [1.0, 1.6, 1.0, 0.5, 0.27, 0.08])
    steepness = np.linspace(0.75, 1.9, len(orders))[:, None]
    return color / color[:, 2048:2049] * amount[:, None], np.sinc((X - 2048) / 4096 * steepness) ** 2


@pytest.fixture(scope="session")
def starlight():
    """Return a function that makes the spectrum of a star in fiber 0 of nres01, with its wavelengths."""
    nres = instruments.load("nres01")
    wavelength = np.stack([optics.wavelength(nres, 0, m, X) for m in nres.orders])
    atmosphere = _atmosphere(wavelength)

    @lru_cache(maxsize=4)
    def noiseless(kind, rv_ms, berv_ms, vsini_ms, star_seed, options):
        rest = _rest(kind, vsini_ms, np.random.default_rng([star_seed, 2]), **dict(options))
        ln_rest = np.log(wavelength) - np.log((1 + rv_ms / LIGHT_MS) / (1 + berv_ms / LIGHT_MS))
        return _seen(rest, ln_rest) * atmosphere

    def make(kind="G2", rv_ms=12345.0, snr=100.0, berv_ms=-8000.0, seed=0, vsini_ms=0.0, star_seed=0, **options):
        noise, teff_k = np.random.default_rng([seed, 1]), data.stellar_lines(kind).teff_k
        hits = options.pop("hits", 0.002)
        color, blaze = _light(wavelength, teff_k, nres.orders)
        light = noiseless(kind, rv_ms, berv_ms, vsini_ms, star_seed, tuple(sorted(options.items())))
        signal = light * blaze * color * snr**2
        variance = signal + 150.0
        flux = signal + np.sqrt(variance) * noise.standard_normal(signal.shape)
        hit = noise.random(signal.shape) < hits
        flux = np.where(hit, flux + noise.exponential(3 * snr**2, signal.shape), flux)
        quality = np.where(hit, 8, 0) | np.where(blaze < 0.05, 32, 0)
        blaze = np.where(blaze < 0.05, 0.0, blaze)
        spectra = Spectra((0,), nres.orders, flux[None], variance[None], quality[None].astype(np.uint8), blaze[None])
        fwhm = np.tile(FWHM, (1, len(nres.orders), 1))
        shape = LineShape((0,), nres.orders, fwhm, OFFSETS, COLUMNS, KERNELS[None])
        drift = Drift(0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 100)
        wavelengths = Wavelengths((0,), nres.orders, wavelength[None], np.array([1.0]), drift, shape)
        return SimpleNamespace(
            spectra=spectra,
            wavelengths=wavelengths,
            star=Star("test", 10.0, 10.0, spectral_type=kind),
            barycentric=Barycentric(58000.0, 2458000.5, berv_ms, True),
            rv_ms=rv_ms,
            level=color * snr**2,
        )

    return make
