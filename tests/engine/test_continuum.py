"""Continua of stars whose continuum is known."""

import numpy as np
import pytest

from nrespipe.engine import continuum


@pytest.mark.parametrize("kind", ["F5", "G2", "K2"])
def test_the_continuum_is_right_to_half_a_percent_where_lines_leave_room(starlight, kind):
    light = starlight(kind, snr=150.0, hits=0.001)
    middle = (light.spectra.orders >= 85) & (light.spectra.orders <= 105)
    normal = continuum.normalise(light.spectra)[0][middle]
    flux, level, blaze = light.spectra.flux[0][middle], light.level[middle], light.spectra.blaze[0][middle]
    good = np.isfinite(normal)
    assert good.mean() > 0.7
    ratio = (normal[good] * level[good] * blaze[good]) / flux[good]
    assert np.sqrt(np.mean((ratio - 1) ** 2)) < 0.005


def test_pixels_that_are_flagged_or_dark_have_no_normalised_flux(starlight):
    light = starlight("G2")
    normal = continuum.normalise(light.spectra)[0]
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
