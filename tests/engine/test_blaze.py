import numpy as np

from nrespipe.engine import blaze


def test_the_blaze_is_one_at_the_peak_and_zero_where_the_lamp_is_too_faint():
    shape = np.sinc((np.arange(2000) - 1000) / 1050) ** 2
    flux = 50_000 * np.tile(shape, (1, 3, 1))
    result = blaze.normalise(flux, flux + 500)
    assert abs(result.max() - 1) < 0.01
    assert (result[..., shape < 0.01] == 0).all()
    np.testing.assert_allclose(result[..., shape > 0.02], np.tile(shape[shape > 0.02], (1, 3, 1)), rtol=0.01)


def test_a_dark_order_has_no_blaze():
    assert not blaze.normalise(np.full((1, 1, 100), np.nan), np.ones((1, 1, 100))).any()
