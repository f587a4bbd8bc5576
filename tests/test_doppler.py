"""The shift of a wavelength agrees with its definition, and each function with the others."""

import numpy as np
import pytest

from nrespipe import doppler


def test_the_speed_of_light_is_that_of_the_metre():
    assert doppler.C_MS == 299792458.0


def test_an_observer_who_moves_with_the_star_sees_no_shift():
    assert doppler.seen(25_000.0, 25_000.0) == 1
    assert doppler.seen_ms(25_000.0, 25_000.0) == 0


def test_a_correction_towards_the_star_shortens_the_wavelength():
    assert doppler.factor(30_000.0) == pytest.approx(1.000100069, abs=1e-9)
    assert doppler.seen(0.0, 30_000.0) == pytest.approx(1 / 1.000100069, abs=1e-9)


@pytest.mark.parametrize("rv_ms", [-310_000.0, 0.0, 12.5, 90_000.0])
def test_ratio_logarithm_and_velocity_agree(rv_ms):
    grid_ms, berv_ms = rv_ms + np.linspace(-2e4, 2e4, 9), -27_000.0
    seen = doppler.seen(grid_ms, berv_ms)
    np.testing.assert_allclose(doppler.velocity_ms(seen), doppler.seen_ms(grid_ms, berv_ms), rtol=0, atol=0)
    np.testing.assert_allclose(doppler.factor(doppler.seen_ms(grid_ms, berv_ms)), seen, rtol=1e-15)
    np.testing.assert_allclose(np.log(seen[4]), doppler.ln_seen(rv_ms, berv_ms), rtol=0, atol=1e-15)
