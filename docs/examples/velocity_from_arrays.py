"""Measure velocities from arrays alone: with a list of lines, and with a template made of the exposures themselves."""

import numpy as np

from nrespipe import data
from nrespipe.engine.spectrum.order_spectra import OrderSpectra
from nrespipe.engine.velocity import template, velocity_of_arrays
from nrespipe.frames.star import Star

C_MS = 299792458.0
SNR, BLAZE = 100.0, np.sinc(np.linspace(-0.6, 0.6, 3000)) ** 2

# five orders of a spectrograph, vacuum wavelengths in angstrom
wavelength = np.linspace(5000.0, 5060.0, 3000) + 70.0 * np.arange(5)[:, None]
lines = data.stellar_lines("G2")


def exposure(rv_ms, berv_ms, seed):
    """Return flux and variance of a star, in electrons."""
    spectrum = np.ones(wavelength.shape)
    for center, depth in zip(lines.vacuum_angstrom * (1 + rv_ms / C_MS) / (1 + berv_ms / C_MS), lines.depth):
        near = np.abs(wavelength - center) < 0.3
        spectrum[near] *= 1 - depth * np.exp(-0.5 * ((wavelength[near] - center) / 0.045) ** 2)
    variance = SNR**2 * BLAZE * spectrum
    return variance + np.sqrt(variance) * np.random.default_rng(seed).standard_normal(variance.shape), variance


# one spectrum, one list of lines
flux, variance = exposure(12_345.0, 8_000.0, seed=1)
found = velocity_of_arrays.velocity(wavelength, flux, variance, lines, berv_ms=8_000.0, blaze=BLAZE * np.ones((5, 1)))
print(f"mask: {found.rv_ms:.1f} +- {found.error_ms:.1f} m/s")

# ten spectra of the star make a template, with which the first one is measured again
exposures = []
for seed, berv_ms in enumerate(np.linspace(-20e3, 20e3, 10), 10):
    light, noise = exposure(12_345.0, berv_ms, seed)
    every = np.ones(light.shape, bool)
    spectrum = OrderSpectra(light / BLAZE, noise / BLAZE**2, every, wavelength, np.full(light.shape, SNR**2))
    exposures.append(template.Exposure(spectrum, np.arange(5), 12_345.0, berv_ms))
made = template.build(exposures, Star("my star"))
again = velocity_of_arrays.velocity(wavelength, flux / BLAZE, variance / BLAZE**2, made, berv_ms=8_000.0)
print(f"template: {again.rv_ms:.1f} +- {again.error_ms:.1f} m/s, chi-square of the orders {again.order_chi2:.1f}")
