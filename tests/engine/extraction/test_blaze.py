import numpy as np

from nrespipe.engine.extraction import blaze


def test_the_blaze_is_one_at_the_peak_and_zero_where_the_lamp_is_too_faint():
    shape = np.sinc((np.arange(2000) - 1000) / 1050) ** 2
    flux = 50_000 * np.tile(shape, (1, 3, 1))
    result = blaze.normalise(flux, flux + 500)
    assert abs(result.max() - 1) < 0.01
    assert (result[..., shape < 0.01] == 0).all()
    np.testing.assert_allclose(result[..., shape > 0.02], np.tile(shape[shape > 0.02], (1, 3, 1)), rtol=0.01)


def test_a_dark_order_has_no_blaze():
    assert not blaze.normalise(np.full((1, 1, 100), np.nan), np.ones((1, 1, 100))).any()


def lamp(n=2048, orders=6, peak=400_000.0, seed=1, scatter=0.007):
    """The light of orders as it is extracted from pixels whose response scatters by 0.7 percent, seven to a column."""
    rng = np.random.default_rng(seed)
    x = np.linspace(-1, 1, n)
    truth = np.stack([peak * (0.3 + 0.7 * rng.random()) * np.sinc(0.7 * x + 0.05 * k) ** 2 for k in range(orders)])
    response = rng.normal(1, scatter / np.sqrt(7), truth.shape)
    variance = truth + 7 * 36 / 20
    flux = truth * response + np.sqrt(variance) * rng.standard_normal(truth.shape)
    return truth[None], flux[None], variance[None]


def error_of(result, truth):
    """Relative to the peak of the order, where there is light."""
    return (result - truth) / truth.max(axis=-1, keepdims=True)


def test_the_smooth_lamp_is_recovered_to_a_permille_of_its_peak():
    truth, flux, variance = lamp()
    error = error_of(blaze.smooth(flux, variance), truth)
    assert np.sqrt(np.mean(error**2)) < 5e-4
    assert np.abs(error).max() < 3e-3
    assert np.abs(np.median(error, axis=-1)).max() < 2e-4


def test_dust_and_dead_columns_do_not_dent_the_blaze():
    truth, flux, variance = lamp(seed=2)
    clean = blaze.smooth(flux, variance)
    for k, x in enumerate((50, 700, 1024, 1030, 1500, 2000)):
        flux[0, k, x : x + 5] *= 0.87
        flux[0, k, x + 20], flux[0, k, x - 20] = 0.0, 3 * flux[0, k, x - 20]
    error = error_of(blaze.smooth(flux, variance), truth)
    assert np.sqrt(np.mean(error**2)) < 5e-4
    # an eighth of the pixels between two knots are missing there, no more
    assert np.abs(error_of(blaze.smooth(flux, variance), clean)).max() < 4e-3


def test_pixels_that_were_not_extracted_stay_unknown_and_harm_no_others():
    truth, flux, variance = lamp(seed=3)
    flux[..., :37], flux[..., -5:] = np.nan, np.nan
    variance[0, 1, 400:420] = np.nan
    flux[0, 2, 800:900] = np.nan
    flux[0, 3, 1024:] = np.nan
    unknown = np.isnan(flux) | np.isnan(variance)
    result = blaze.smooth(flux, variance)
    np.testing.assert_array_equal(np.isnan(result), unknown)
    error = error_of(result, truth)
    assert np.sqrt(np.nanmean(error**2)) < 6e-4
    # the end of an order that leaves the detector is as good as any other end
    assert np.nanmax(np.abs(error[0, 3])) < 3e-3


def test_an_order_of_less_than_four_knots_is_not_known():
    _, flux, variance = lamp(orders=2)
    flux[0, 0, 150:] = np.nan
    result = blaze.smooth(flux, variance)
    assert np.isnan(result[0, 0]).all()
    assert np.isfinite(result[0, 1]).all()


def test_a_faint_order_is_smoothed_within_its_noise():
    truth, flux, variance = lamp(peak=200.0, seed=4)
    result = blaze.smooth(flux, variance)
    pulls = (result - truth) / np.sqrt(variance)
    # 54 coefficients share 2048 pixels
    assert np.sqrt(np.mean(pulls**2)) < 1.2 * np.sqrt(54 / 2048)
