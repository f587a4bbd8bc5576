"""Spectra of simulated stars, and the transmission of the atmosphere."""

import zlib
from functools import lru_cache

import numpy as np

from nrespipe import data, doppler
from nrespipe.frames.arrays import Floats
from nrespipe.frames.star import name_key
from nrespipe.simulator import pixel_kernels
from nrespipe.simulator.stars import Target

#: Spacing of the grid of ln(wavelength) on which spectra are made: 0.25 km / s.
STEP = 250.0 / doppler.C_MS

_START, _END = 3700.0, 9250.0

# Strong lines with wings: vacuum wavelength, half width [angstrom], thickness at the center in a G2 dwarf, and whether
# it is hydrogen, whose strength follows the temperature.
_STRONG = (
    (3934.777, 2.2, 6.0, False),
    (3969.591, 1.9, 5.0, False),
    (4102.892, 1.2, 0.9, True),
    (4341.684, 1.1, 0.9, True),
    (4862.683, 1.0, 1.0, True),
    (6564.614, 0.8, 1.4, True),
    (8500.36, 0.5, 0.7, False),
    (8544.44, 0.8, 1.0, False),
    (8664.52, 0.7, 1.0, False),
)

# Where the atmosphere absorbs more than a little: oxygen, water [angstrom], typical thickness of a line.
_BANDS = (
    (6865, 6965, 0.6),
    (7160, 7350, 0.5),
    (7590, 7720, 1.6),
    (8100, 8370, 0.5),
    (8900, 9250, 0.9),
)

_HYDROGEN = {"F5": 1.6, "G2": 1.0, "K2": 0.55, "K5": 0.4, "M0": 0.3}
_CALCIUM_HK = (3934.777, 3969.591)


@lru_cache(maxsize=6)
def rest_spectrum(spectral_type: str, vsini_kms: float, seed: int, emission: float = 0.0) -> Floats:
    """Return the normalized spectrum of a star at rest.

    Parameters
    ----------
    spectral_type
        One of ``data.stellar_types``.
    vsini_kms
        Projected rotation [km / s].
    seed
        Of the differences of this star from its line list: depths by 7 percent, and faint lines that no list has.
    emission
        Height of the emission in the cores of Ca H and K, relative to the continuum.

    Returns
    -------
    ndarray of float
        Light relative to the continuum, at ``ln(3700) + STEP * k``.
    """
    mask, rng = data.stellar_lines(spectral_type), np.random.default_rng([seed, 3])
    depth = np.clip(mask.depth * (1 + 0.07 * rng.standard_normal(len(mask.depth))), 0.001, 0.985)
    count = 2 * len(depth)
    wavelength = np.concatenate(
        [mask.vacuum_angstrom, rng.choice(mask.vacuum_angstrom, count) + rng.normal(0, 4, count)]
    )
    depth = np.concatenate([depth, np.minimum(rng.exponential(0.015, count), 0.1)])
    thickness = np.zeros(int(np.log(_END / _START) / STEP))
    sigma_ms = rng.uniform(1900.0, 2300.0)
    pixel_kernels.add_gaussians(
        thickness, np.log(wavelength / _START) / STEP, -np.log1p(-depth), sigma_ms / doppler.C_MS / STEP
    )
    thickness += _wings(len(thickness), _HYDROGEN[spectral_type])
    spectrum = np.exp(-thickness)
    cores = np.log(np.array(_CALCIUM_HK) / _START) / STEP
    pixel_kernels.add_gaussians(spectrum, cores, np.full(2, float(emission)), 13000.0 / doppler.C_MS / STEP)
    return _rotated(spectrum, vsini_kms * 1e3 / doppler.C_MS / STEP)


def _wings(n, hydrogen):
    """Thickness of the strong lines, cut smoothly 40 half widths away."""
    wavelength, thickness = _START * np.exp(STEP * np.arange(n)), np.zeros(n)
    for center, half_width, depth, is_hydrogen in _STRONG:
        near = np.abs(wavelength - center) < 40 * half_width
        u = (wavelength[near] - center) / half_width
        thickness[near] += depth * (hydrogen if is_hydrogen else 1.0) / (1 + u**2) * (1 - (u / 40) ** 2) ** 2
    return thickness


def _rotated(spectrum, half_width):
    """Broaden by a rotating disk with limb darkening 0.6 (Gray 2005, eq. 18.14); `half_width` in samples."""
    n = int(np.ceil(half_width))
    if n < 1:
        return spectrum
    # each sample of the kernel is its mean over the sample, so a narrow kernel keeps its area and its symmetry
    fine = (np.arange(-20 * n - 10, 20 * n + 10) + 0.5) / 20 / half_width
    inside = np.clip(1 - fine**2, 0, None)
    kernel = (2 * 0.4 * np.sqrt(inside) + np.pi / 2 * 0.6 * inside).reshape(-1, 20).mean(axis=1)
    return np.convolve(spectrum, kernel / kernel.sum(), mode="same")


@lru_cache(maxsize=2)
def _telluric_thickness():
    """Optical thickness at airmass 1 on the grid of spectra; the same above every site."""
    bands, rng = data.tellurics(), np.random.default_rng(760)
    width = bands.end_angstrom - bands.start_angstrom
    lines_each = np.maximum(1, np.round(width / 0.9)).astype(int)
    which = np.repeat(np.arange(len(width)), lines_each)
    center = bands.start_angstrom[which] + width[which] * np.where(
        lines_each[which] == 1, 0.5, rng.uniform(0.05, 0.95, len(which))
    )
    typical = np.full(len(center), 0.08)
    for start, end, thick in _BANDS:
        typical[(center > start) & (center < end)] = thick
    # an interval that the mask gives more room has the deeper lines
    strength = np.minimum(rng.exponential(typical * (0.5 + 2 * np.minimum(width[which], 0.5))), 4.0)
    thickness = np.zeros(int(np.log(_END / _START) / STEP))
    pixel_kernels.add_gaussians(thickness, np.log(center / _START) / STEP, strength, 1500.0 / doppler.C_MS / STEP)
    return thickness


def temperature_k(target: Target) -> float:
    """Return the temperature that colours the continuum of a star.

    Returns
    -------
    float
        Effective temperature of its type [kelvin].
    """
    return data.stellar_lines(target.spectral_type).teff_k


def transmission(wavelength_angstrom: Floats, airmass: float) -> Floats:
    """Return the transmission of the atmosphere.

    Parameters
    ----------
    wavelength_angstrom
        Vacuum, frame of the observatory [angstrom].
    airmass
        Air mass that the light has crossed.

    Returns
    -------
    ndarray of float
        1 outside the telluric intervals.
    """
    places = np.log(np.ravel(wavelength_angstrom))
    thickness = pixel_kernels.sampled(_telluric_thickness(), np.log(_START), STEP, places)
    return np.exp(-airmass * thickness).reshape(np.shape(wavelength_angstrom))


def seen(target: Target, wavelength_angstrom: Floats, berv_ms: float) -> Floats:
    """Return a star's spectrum at wavelengths of the observatory.

    Parameters
    ----------
    wavelength_angstrom
        Vacuum wavelength in the frame of the observatory [angstrom].
    berv_ms
        Barycentric correction, as in ``Barycentric.berv_ms`` [m / s].

    Returns
    -------
    ndarray of float
        Light relative to the continuum.
    """
    spectrum = rest_spectrum(
        target.spectral_type, target.vsini_kms, zlib.crc32(name_key(target.star.name).encode()), target.emission
    )
    shift = doppler.ln_seen(target.rv_ms, berv_ms)
    places = np.log(np.ravel(wavelength_angstrom)) - shift
    return pixel_kernels.sampled(spectrum, np.log(_START), STEP, places).reshape(np.shape(wavelength_angstrom))
