import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import argrelmax

from nrespipe.numerics import peaks

_U = np.linspace(-2.5, 2.5, 101)


def _table(n=1, skew=0.0):
    values = np.exp(-4 * np.log(2) * _U**2) * (1 + skew * _U)
    values /= values.sum() * (_U[1] - _U[0])
    return np.broadcast_to(np.r_[_U[0], _U[1] - _U[0], 0, values], (n, 104)).copy()


def _spectrum(flux, center, fwhm, tables, n_pixels=200):
    return peaks.render(1, n_pixels, np.zeros(len(flux), int), flux, center, fwhm, tables, 2.4)


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_peaks_are_the_local_maxima_that_scipy_finds(seed):
    signal = np.random.default_rng(seed).normal(size=300)
    (expected,) = argrelmax(signal, order=3)
    found = peaks.find(signal, np.ones(300), 1.0, 3)
    inside = (found >= 3) & (found < 297)
    assert list(found[inside]) == [i for i in expected if 3 <= i < 297 and signal[i] > 1]


def test_a_pixel_without_noise_is_no_peak():
    signal = np.zeros(20)
    signal[10] = 5
    assert len(peaks.find(signal, np.zeros(20), 3.0, 2)) == 0


@settings(deadline=None)
@given(st.floats(-2.3, 2.3))
def test_the_profile_between_its_points_is_the_curve_they_sample_to_a_ten_thousandth(u):
    value, slope = peaks.profile(_table()[0], u)
    norm = np.sqrt(4 * np.log(2) / np.pi)
    assert value == pytest.approx(norm * np.exp(-4 * np.log(2) * u**2), abs=2e-4)
    assert slope == pytest.approx(-8 * np.log(2) * u * norm * np.exp(-4 * np.log(2) * u**2), abs=2e-2)


@pytest.mark.slow
def test_rendered_lines_hold_their_light():
    image = _spectrum(np.array([1000.0]), np.array([100.3]), np.array([4.0]), _table())
    assert image.sum() == pytest.approx(1000, rel=1e-4)


@pytest.mark.parametrize("free_width", [False, True])
def test_a_noise_free_line_is_recovered_to_a_thousandth_of_a_pixel(free_width):
    truth = np.array([5000.0]), np.array([100.37]), np.array([4.2])
    tables = _table(skew=0.2)
    spectrum = _spectrum(*truth, tables) + 30.0
    start = np.array([[0.0, 100.0, 4.8 if free_width else 4.2]])
    fit = peaks.fit(
        spectrum, np.ones_like(spectrum), np.ones_like(spectrum), np.array([0]), start, tables, 1.5, free_width
    )[0]
    assert fit[:4] == pytest.approx([5000, 100.37, 4.2, 30], rel=1e-4)
    assert abs(fit[1] - 100.37) < 1e-3


def test_errors_of_centers_are_their_scatter_even_if_the_weights_are_not_the_inverse_variance():
    random = np.random.default_rng(6)
    n, tables = 400, _table(400)
    center = 100 + random.uniform(-0.5, 0.5, n)
    clean = peaks.render(n, 200, np.arange(n), np.full(n, 3000.0), center, np.full(n, 4.0), tables, 2.4)
    variance = clean + 200
    noisy = clean + random.normal(size=clean.shape) * np.sqrt(variance)
    start = np.column_stack([np.zeros(n), np.full(n, 100.0), np.full(n, 4.0)])
    for weight in (1 / variance, np.ones_like(variance)):
        fits = peaks.fit(noisy, weight, variance, np.arange(n), start, tables, 1.5, False)
        pull = (fits[:, 1] - center) / fits[:, 4]
        assert np.std(pull) == pytest.approx(1, abs=0.12)
        assert abs(np.mean(pull)) < 0.2


def test_a_neighbor_that_has_been_taken_away_does_not_move_a_line():
    flux, center, fwhm, tables = np.array([3000.0, 9000.0]), np.array([100.0, 105.5]), np.full(2, 4.0), _table(2)
    start = np.column_stack([flux, center + np.array([0.1, -0.1]), fwhm])
    spectrum = _spectrum(flux, center, fwhm, tables)
    for _ in range(6):
        residual = spectrum - _spectrum(*start.T.copy(), tables)
        weight = np.ones_like(residual)
        start[:, :2] = peaks.fit(residual, weight, weight, np.zeros(2, int), start, tables, 1.5, False)[:, :2]
    assert start[:, 1] == pytest.approx(center, abs=0.01)


def test_a_line_of_bad_pixels_or_without_light_has_no_center():
    zeros = np.zeros((1, 50))
    start = np.array([[0.0, 25.0, 4.0]])
    no_light = peaks.fit(zeros, np.ones_like(zeros), np.ones_like(zeros), np.array([0]), start, _table(), 1.5, True)
    bad = peaks.fit(zeros + 5, zeros, zeros + 1, np.array([0]), start, _table(), 1.5, True)
    assert np.isnan(no_light[0, 1])
    assert np.isnan(bad[0, 1])
