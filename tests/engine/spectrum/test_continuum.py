"""Continua of stars whose continuum is known."""

import numpy as np
import pytest

from nrespipe.engine.spectrum import continuum


def normalised(spectra):
    """Return the flux of the first fiber relative to its continuum; NaN where a pixel is not to be used."""
    flux, variance, good = continuum.above_blaze(*spectra.of(spectra.fibers[0]))
    return np.where(good, flux / continuum.envelope(flux, variance, good), np.nan)


@pytest.mark.parametrize("kind", ["F5", "G2", "K2"])
@pytest.mark.slow
def test_the_continuum_is_right_to_half_a_percent_where_lines_leave_room(starlight, kind):
    light = starlight(kind, snr=150.0, hits=0.001)
    middle = (light.spectra.orders >= 85) & (light.spectra.orders <= 105)
    normal = normalised(light.spectra)[middle]
    flux, level, blaze = light.spectra.flux[0][middle], light.level[middle], light.spectra.blaze[0][middle]
    good = np.isfinite(normal)
    assert good.mean() > 0.7
    ratio = (normal[good] * level[good] * blaze[good]) / flux[good]
    assert np.sqrt(np.mean((ratio - 1) ** 2)) < 0.005


def test_pixels_that_are_flagged_or_dark_have_no_normalised_flux(starlight):
    light = starlight("G2")
    normal = normalised(light.spectra)
    assert np.all(np.isnan(normal[light.spectra.quality[0] != 0]))


def test_against_its_own_model_the_level_is_exact_however_many_lines_there_are():
    rng, x = np.random.default_rng(2), np.linspace(-1, 1, 4096)
    level = (1e4 * (1 + 0.3 * x - 0.2 * x**3))[None]
    model = 1 - 0.6 * rng.random((1, 4096))
    variance = level * model
    flux = variance + np.sqrt(variance) * rng.standard_normal(model.shape)
    found = continuum.against_model(flux, variance, np.ones(model.shape, bool), model)
    np.testing.assert_allclose(found, level, rtol=4e-3)


def test_an_order_without_enough_pixels_has_no_continuum():
    good = np.zeros((2, 4096), bool)
    good[0] = True
    found = continuum.envelope(np.ones((2, 4096)), np.full((2, 4096), 1e-4), good)
    assert np.all(np.isfinite(found[0]))
    assert np.all(np.isnan(found[1]))


def faint(snr, n_orders=200, seed=4):
    """A spectrum with lines whose variance is that of the flux that was found, as the extraction gives it."""
    rng, x = np.random.default_rng(seed), np.linspace(-1, 1, 1024)
    level = snr**2 * (1 + 0.3 * x - 0.2 * x**3) * np.ones((n_orders, 1))
    model = np.where(rng.random(level.shape) < 0.15, 0.5, 1.0)
    floor = 50.0
    flux = level * model + np.sqrt(level * model + floor) * rng.standard_normal(level.shape)
    return flux, floor + np.maximum(flux, 0), np.ones(level.shape, bool), model, level


@pytest.mark.parametrize("snr", [3.0, 5.0, 10.0, 50.0])
def test_the_level_of_a_faint_star_is_as_true_as_that_of_a_bright_one(snr):
    *seen, model, level = faint(snr)
    found = continuum.against_model(*seen, model)
    # the mean of 200 orders is known to that
    error = np.sqrt(np.mean(50.0 + level)) / np.mean(level) / np.sqrt(level.size)
    assert abs(np.mean(found / level) - 1) < 4 * error


@pytest.mark.parametrize("snr", [5.0, 10.0, 50.0])
def test_the_envelope_of_a_faint_star_is_within_half_a_percent(snr):
    flux, variance, good, _, level = faint(snr)
    free = faint(snr)[3] > 0.9
    found = continuum.envelope(flux, variance, good & free)
    assert abs(np.mean(found / level) - 1) < 0.005


def test_the_variance_of_expected_light_does_not_follow_the_noise():
    flux, variance, good, model, level = faint(4.0)
    depends = continuum.noise(flux, variance, good)
    found, true = depends.at(level * model), 50.0 + level * model
    assert np.mean(found / true) == pytest.approx(1, abs=0.02)
    assert abs(np.corrcoef((flux - level * model).ravel(), (found - true).ravel())[0, 1]) < 0.05


def above_blaze(snr=60.0, floor=400.0, seed=5):
    """Orders divided by a blaze that falls to a twentieth at their ends, with the true variance of every pixel."""
    rng, x = np.random.default_rng(seed), np.linspace(-0.96, 0.96, 1536)
    blaze = np.sinc(x) ** 2 + 0.05
    model = 1 - 0.6 * (rng.random((40, len(x))) < 0.15)
    electrons = snr**2 * blaze * model
    found = electrons + np.sqrt(electrons + floor) * rng.standard_normal(electrons.shape)
    true = (electrons + floor) / blaze**2
    return found / blaze, (np.maximum(found, 0) + floor) / blaze**2, electrons / blaze, true


def test_the_variance_is_right_to_the_ends_of_an_order_where_it_rises_steeply():
    flux, variance, expected, true = above_blaze()
    found = continuum.noise(flux, variance, np.ones(flux.shape, bool)).at(expected)
    for end in (slice(0, 64), slice(64, 512), slice(-64, None)):
        assert np.mean(found[:, end] / true[:, end]) == pytest.approx(1, abs=0.03)
        assert np.std(found[:, end] / true[:, end]) < 0.1


def test_a_pixel_that_is_known_less_well_than_its_neighbors_keeps_its_variance():
    flux, variance, good, model, level = faint(10.0)
    variance[:, ::50] += 40_000.0
    found = continuum.noise(flux, variance, good).at(level * model)
    assert np.all(found[:, ::50] > 39_000)
    others = np.delete(np.arange(flux.shape[1]), slice(None, None, 50))
    assert np.mean((found / (50.0 + level * model))[:, others]) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("step", [14, 200, 2000])
def test_an_order_of_few_usable_pixels_has_their_variance(step):
    flux, variance, good, model, level = faint(10.0)
    good[:] = False
    good[:, ::step] = True
    found = continuum.noise(flux, np.where(good, variance, 1.0), good).at(level * model)[good]
    assert np.mean(found / (50.0 + level * model)[good]) == pytest.approx(1, abs=0.05)


def test_orders_without_any_usable_pixel_or_light_are_no_error():
    flux, variance, *_ = faint(10.0, n_orders=3)
    for good in (np.zeros(flux.shape, bool), np.ones(flux.shape, bool)):
        found = continuum.noise(np.zeros(flux.shape), variance, good).at(np.zeros(flux.shape))
        assert np.all(np.isfinite(found) & (found > 0))
