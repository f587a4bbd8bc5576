"""Which lines are used, and where a star is found."""

import numpy as np
import pytest

from nrespipe import data
from nrespipe.engine.spectrum import line_selection
from nrespipe.engine.spectrum.order_spectra import OrderSpectra, smooth_snr2
from nrespipe.frames.velocity import LineMask, Tellurics

LIGHT_MS = 299792458.0


@pytest.fixture
def spectrum():
    wavelength = np.stack([5000.0 + 0.02 * np.arange(2048), 5035.0 + 0.02 * np.arange(2048)])
    ones = np.ones(wavelength.shape)
    return OrderSpectra(100.0 * ones, ones, ones > 0, wavelength, 100.0 * ones)


def mask(angstrom, depth=0.5):
    return LineMask("G2", 5770.0, np.asarray(angstrom, float), np.full(len(angstrom), depth))


def test_a_line_on_two_orders_counts_twice(spectrum):
    found = line_selection.clear_lines(mask([5020.0, 5038.0, 5060.0]), spectrum, 0.0, 10e3)
    assert list(found.order) == [0, 0, 1, 1]
    assert list(found.angstrom) == [5020.0, 5038.0, 5038.0, 5060.0]


@pytest.mark.parametrize("band", [5020.9, 5019.1])
def test_a_line_that_meets_the_atmosphere_in_any_season_is_not_used(spectrum, band):
    # 0.9 angstrom is 54 km/s: beyond the reach of 10 and the motion of 31 km/s; 0.6 is not
    far, near = (Tellurics(np.array([b]), np.array([b + 0.01])) for b in (band, 5020.0 + (band - 5020.0) * 0.6))
    assert len(line_selection.clear_lines(mask([5020.0]), spectrum, 0.0, 10e3, far).order) == 1
    assert len(line_selection.clear_lines(mask([5020.0]), spectrum, 0.0, 10e3, near).order) == 0


def test_the_same_lines_serve_whatever_the_season(spectrum):
    first, second = (
        line_selection.clear_lines(mask(5001 + 0.37 * np.arange(150)), spectrum, v, 10e3) for v in (4e3, 4e3)
    )
    assert np.array_equal(first.angstrom, second.angstrom)


def test_lines_of_the_chromosphere_are_not_used():
    wavelength = (6540.0 + 0.02 * np.arange(2048))[None]
    ones = np.ones(wavelength.shape)
    found = line_selection.clear_lines(
        mask([6550.0, 6564.6]), OrderSpectra(ones, ones, ones > 0, wavelength, ones), 0.0, 10e3
    )
    assert list(found.angstrom) == [6550.0]


def test_weights_follow_the_light_and_not_the_noise(spectrum):
    rng = np.random.default_rng(0)
    light = np.linspace(10.0, 100.0, 2048)[None] * np.ones((2, 1))
    noisy = light + np.sqrt(light) * rng.standard_normal(light.shape)
    snr2 = smooth_snr2(OrderSpectra(noisy, light, light > 0, spectrum.wavelength, light))
    np.testing.assert_allclose(snr2[:, 100:-100], light[:, 100:-100], rtol=0.02)


@pytest.mark.parametrize("rv_ms", [-250e3, -3e3, 120e3])
@pytest.mark.slow
def test_a_star_is_found_from_three_hundred_kilometers_per_second_away(starlight, rv_ms):
    light = starlight("K2", rv_ms=rv_ms, snr=40.0)
    flux, variance, quality, blaze = light.spectra.of(0)
    good = quality == 0
    safe = np.where(good, blaze, 1.0)
    spectrum = OrderSpectra(
        np.where(good, flux / safe, 0.0), np.where(good, variance / safe**2, 1.0), good,
        light.wavelengths.vacuum_angstrom[0], light.level,
    )  # fmt: skip
    found, significance, _ = line_selection.search_velocity(
        data.stellar_lines("K2"), spectrum, light.barycentric.berv_ms, data.tellurics()
    )  # fmt: skip
    assert abs(found - rv_ms) <= 1500
    assert significance > 10


def test_noise_looks_like_no_star():
    rng = np.random.default_rng(5)
    wavelength = (5000.0 + 0.02 * np.arange(4096))[None] + 60.0 * np.arange(10)[:, None]
    ones = np.ones(wavelength.shape)
    noise = OrderSpectra(1 + 0.05 * rng.standard_normal(ones.shape), 0.0025 * ones, ones > 0, wavelength, ones)
    significances = [
        line_selection.search_velocity(data.stellar_lines(kind), noise, 0.0)[1] for kind in data.stellar_types()
    ]
    assert max(significances) < 5


def test_an_empty_spectrum_gives_an_empty_answer():
    none, wavelength = np.zeros((1, 512)), (5000.0 + 0.02 * np.arange(512))[None]
    empty = OrderSpectra(none, none + 1, none > 0, wavelength, none)
    assert line_selection.search_velocity(data.stellar_lines("G2"), empty, 0.0) == (0.0, 0.0, 0.0)
