"""Orders joined to one velocity."""

import numpy as np
import pytest

from nrespipe.engine.velocity import order_velocities


def draws(n, count=4000, spread=0.7):
    """Return velocities of good orders with their errors, and the inverse variances."""
    rng = np.random.default_rng(n)
    error = np.exp(spread * rng.standard_normal(n))
    return error, error**-2.0, error * rng.standard_normal((count, n))


@pytest.mark.parametrize("n", [5, 12, 60])
def test_good_orders_lose_less_than_a_percent_of_their_information(n):
    error, weight, values = draws(n)
    robust = np.var([order_velocities.mean(value, weight, error)[0] for value in values])
    plain = np.var(values @ weight / weight.sum())
    assert robust / plain < 1.01


def test_the_error_that_follows_from_the_shares_is_the_scatter_of_the_mean():
    error, weight, values = draws(60)
    found = [order_velocities.mean(value, weight, error) for value in values]
    claimed = np.mean([(share**2 @ weight) / (share @ weight) ** 2 for _, share in found])
    assert np.var([mean for mean, _ in found]) / claimed == pytest.approx(1.0, abs=0.07)


@pytest.mark.parametrize("off", [20.0, 1e2, 1e6])
def test_one_bad_order_of_twelve_moves_the_mean_by_less_than_its_error_however_bad_it_is(off):
    error, weight, values = draws(12, 200)
    # the order that counts most, with a third of all weight
    worst = int(np.argmax(weight))
    values[:, worst] += off * error[worst]
    found = np.array([order_velocities.mean(value, weight, error)[0] for value in values])
    assert abs(found.mean()) < weight.sum() ** -0.5


def test_orders_that_all_scatter_more_than_their_errors_keep_their_weights():
    error, weight, values = draws(40, 50)
    shares = np.array([order_velocities.mean(10 * value, weight, error)[1] for value in values])
    assert shares.mean() > 0.98


def test_orders_without_weight_do_not_count_even_if_they_have_no_velocity():
    value, error = np.array([1.0, np.nan, 3.0]), np.array([1.0, np.inf, 1.0])
    mean, share = order_velocities.mean(value, np.array([1.0, 0.0, 1.0]), error)
    assert (mean, share.tolist()) == (2.0, [1.0, 0.0, 1.0])
    assert order_velocities.mean(value, np.zeros(3), error)[0] == 0.0


def test_the_disagreement_of_independent_parts_is_told_without_the_photons():
    rng, wavelength = np.random.default_rng(1), np.linspace(5000.0, 6000.0, 12800).reshape(8, 1600)
    leverage = np.full(wavelength.shape, 1 / wavelength.size)
    noise = rng.standard_normal(wavelength.shape) * leverage * 200.0
    photon_ms = 200.0 / np.sqrt(wavelength.size)
    excess_ms, consistent = order_velocities.disagreement(noise, leverage, noise.sum(), photon_ms, wavelength)
    assert consistent
    assert excess_ms < 0.8 * photon_ms
    lines = np.repeat(60.0 * rng.standard_normal((8, 32)), 50, axis=1) * leverage
    excess_ms, consistent = order_velocities.disagreement(
        noise + lines, leverage, (noise + lines).sum(), photon_ms, wavelength
    )
    assert consistent
    assert excess_ms == pytest.approx(60.0 / np.sqrt(8 * 32), rel=0.3)
