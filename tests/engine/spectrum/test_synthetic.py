"""Model spectra against closed forms and slow sums."""

import numpy as np
import pytest

from nrespipe.engine.spectrum import synthetic
from nrespipe.frames.velocity import LineMask

LIGHT_MS = 299792458.0


def mask(angstrom, depth):
    return LineMask("G2", 5770.0, np.asarray(angstrom, float), np.asarray(depth, float))


def velocities(rest, center):
    return (rest.ln_start + rest.ln_step * np.arange(len(rest.flux)) - np.log(center)) * LIGHT_MS


def test_a_lone_line_has_its_listed_depth():
    rest = synthetic.at_rest(mask([5000.0], [0.6]), 4990, 5010, 1500.0, step_ms=100.0)
    assert 1 - rest.flux.min() == pytest.approx(0.6, abs=0.001)


def test_lines_multiply_where_they_overlap():
    rest = synthetic.at_rest(mask([5000.0, 5000.0], [0.5, 0.3]), 4990, 5010, 1500.0, step_ms=100.0)
    assert rest.flux.min() == pytest.approx(0.5 * 0.7, abs=0.001)


@pytest.mark.parametrize("broadening_ms", [1000.0, 2500.0, 6000.0, 20000.0])
def test_broadening_spreads_a_weak_line_by_its_standard_deviation_and_keeps_its_area_and_center(broadening_ms):
    rest = synthetic.at_rest(mask([5000.0], [0.02]), 4990, 5010, broadening_ms, step_ms=100.0)
    v, absorbed = velocities(rest, 5000.0), 1 - rest.flux
    narrow_ms = min(broadening_ms, 1800.0)
    area = -np.log(0.98) * narrow_ms * np.sqrt(2 * np.pi)
    assert absorbed.sum() * 100.0 == pytest.approx(area, rel=0.01)
    assert np.sum(absorbed * v) / absorbed.sum() == pytest.approx(0.0, abs=1.0)
    assert np.sqrt(np.sum(absorbed * v**2) / absorbed.sum()) == pytest.approx(broadening_ms, rel=0.02)


def test_the_line_spread_function_carries_light_of_one_column_to_another():
    wavelength = (5000.0 + 0.02 * np.arange(400))[None]
    rest = synthetic.at_rest(mask([5004.0], [0.5]), 4990, 5020, 1000.0, step_ms=50.0)
    skewed = synthetic.Sampling(
        np.full((1, 400), 4.0), np.array([-0.5, 0.0, 0.5]), np.array([[0.0, 1.0, 1.0]]), np.zeros(1)
    )
    sharp, _ = synthetic.observed(rest, 0.0, wavelength)
    seen, _ = synthetic.observed(rest, 0.0, wavelength, skewed)
    # half the light stays in its column, half arrives two pixels further on
    np.testing.assert_allclose(seen[0, 2:], (sharp[0, 2:] + sharp[0, :-2]) / 2, atol=1e-6)


def test_the_kernel_agrees_with_a_plain_sum():
    rng = np.random.default_rng(1)
    wavelength = np.cumsum(rng.uniform(0.015, 0.03, (2, 120)), axis=1) + 5000.0
    lines = mask(np.sort(rng.uniform(4999, 5005, 30)), rng.uniform(0.1, 0.9, 30))
    rest = synthetic.at_rest(lines, 4990, 5015, 3000.0)
    offsets, columns = np.linspace(-2, 2, 17), np.array([0.0, 60.0, 119.0])
    kernels, fwhm = rng.uniform(0.1, 1.0, (3, 17)), rng.uniform(2.5, 5.0, (2, 120))
    flux, _ = synthetic.observed(rest, 7e3, wavelength, synthetic.Sampling(fwhm, offsets, kernels, columns))
    grid = (np.log(wavelength) - np.log1p(7e3 / LIGHT_MS) - rest.ln_start) / rest.ln_step
    for order in range(2):
        for pixel in range(30, 90):
            kernel = np.array([np.interp(pixel, columns, k) for k in (kernels / kernels.sum(axis=1, keepdims=True)).T])
            places = np.interp(pixel - offsets * fwhm[order, pixel], np.arange(120.0), grid[order])
            expected = np.sum(kernel * np.interp(places, np.arange(len(rest.flux)), rest.flux))
            assert flux[order, pixel] == pytest.approx(expected, abs=1e-9)


def test_the_slope_is_the_derivative_with_respect_to_velocity():
    wavelength = (5000.0 + 0.02 * np.arange(400))[None]
    rest = synthetic.at_rest(mask([5003.0, 5004.0], [0.5, 0.9]), 4990, 5020, 4000.0)
    early, late = (synthetic.observed(rest, v, wavelength)[0] for v in (900.0, 1100.0))
    slope = synthetic.observed(rest, 1000.0, wavelength)[1]
    np.testing.assert_allclose(slope, (late - early) / 200.0, atol=0.04 * np.abs(slope).max())


def test_a_spectrum_shorter_than_the_broadening_keeps_its_length_and_its_lines_their_place():
    lines = mask([5000.5], [0.6])
    short, long = (synthetic.at_rest(lines, *ends, 150e3, step_ms=1000.0) for ends in ((5000, 5001), (4950, 5050)))
    assert len(short.flux) < 150e3 / 1000
    ln = short.ln_start + short.ln_step * np.arange(len(short.flux))
    expected = np.interp(ln, long.ln_start + long.ln_step * np.arange(len(long.flux)), long.flux)
    np.testing.assert_allclose(short.flux, expected, atol=0.01)
