"""The differential line width of spectra whose lines were widened by a known amount."""

import numpy as np
import pytest

from nrespipe.engine.spectrum.order_spectra import OrderSpectra
from nrespipe.engine.velocity import template, template_fit
from nrespipe.engine.velocity.template import Exposure
from nrespipe.frames.star import Star

C_MS = 299792458.0
NUMBERS = np.arange(90, 94)
X = np.arange(1000.0)
LN_WAVELENGTH = np.log(5e5 / NUMBERS)[:, None] + 5e-6 * X * (1 + 1e-4 * X)
WIDTH_MS = 3600.0
RNG = np.random.default_rng(2)
LINES = np.sort(RNG.uniform(LN_WAVELENGTH.min() - 1e-3, LN_WAVELENGTH.max() + 1e-3, 600))
DEPTHS = RNG.uniform(0.02, 0.7, len(LINES))


def exposure(berv_ms, added_m2_s2=0.0, snr=None, seed=0):
    """Expose a star whose lines have `added_m2_s2` more of variance, and keep their area."""
    width_ms = np.sqrt(WIDTH_MS**2 + added_m2_s2)
    ln_rest, light = LN_WAVELENGTH + np.log1p(berv_ms / C_MS), np.ones(LN_WAVELENGTH.shape)
    for line, depth in zip(LINES, DEPTHS * WIDTH_MS / width_ms):
        near = np.abs(ln_rest - line) < 6 * width_ms / C_MS
        light[near] -= depth * np.exp(-0.5 * ((ln_rest[near] - line) * C_MS / width_ms) ** 2)
    signal = 1.0 if snr is None else snr**2
    flux, variance = signal * light, np.full(light.shape, 1e-4)
    if snr is not None:
        variance = signal * np.maximum(light, 0.05)
        flux = flux + np.sqrt(variance) * np.random.default_rng([seed, 3]).standard_normal(flux.shape)
    order_spectra = OrderSpectra(
        flux, variance, np.ones(flux.shape, bool), np.exp(LN_WAVELENGTH), np.full(flux.shape, signal)
    )
    return Exposure(order_spectra, NUMBERS, 0.0, berv_ms, f"frame{seed}")


@pytest.fixture(scope="module")
def noisy():
    """A template of sixteen exposures at a signal-to-noise ratio of 100."""
    bervs = np.linspace(-28e3, 28e3, 16)
    return template.build([exposure(b, snr=100.0, seed=i) for i, b in enumerate(bervs)], Star("HD1"))


def measured(made, light):
    fit = template_fit.fit(light.spectrum, light.numbers, made, 0.0, light.berv_ms)
    return template_fit.width_change(light.spectrum, light.numbers, made, fit, light.berv_ms)


def test_a_series_shows_how_much_its_lines_have_widened(noisy):
    steady, wide = (np.array([measured(noisy, exposure(b, a))[0] for b in (-9e3, 2e3, 17e3)]) for a in (0.0, 2e5))
    np.testing.assert_allclose(wide - steady, 1e5, rtol=0.05)
    # what the knots and the noise of the template take off its curvature is the same in all frames
    assert np.ptp(steady) < 2e3


def test_its_error_is_the_scatter_of_repeated_exposures(noisy):
    found = np.array([measured(noisy, exposure(5e3, 0.0, 80.0, 100 + seed)) for seed in range(60)])
    # 60 draws know a standard deviation to 9 percent
    assert np.std(found[:, 0]) / np.mean(found[:, 1]) == pytest.approx(1.0, abs=0.27)


def test_a_doppler_shift_is_no_change_of_width(noisy):
    still, moved = exposure(5e3), exposure(5e3)
    fit = template_fit.fit(moved.spectrum, NUMBERS, noisy, 0.0, 5e3 + 400.0)
    shifted = template_fit.width_change(moved.spectrum, NUMBERS, noisy, fit, 5e3 + 400.0)[0]
    assert abs(fit.rv_ms - 400.0) < 5
    assert abs(shifted - measured(noisy, still)[0]) < 2e3


def test_a_spectrum_of_which_no_pixel_takes_part_has_no_width(noisy):
    light = exposure(5e3)
    fit = template_fit.fit(light.spectrum, NUMBERS, noisy, 0.0, 5e3)
    nothing = type(fit)(**{**vars(fit), "used": np.zeros(fit.used.shape, bool)})
    value, error = template_fit.width_change(light.spectrum, NUMBERS, noisy, nothing, 5e3)
    assert np.isnan(value)
    assert np.isinf(error)
