import numpy as np
import pytest
from scipy.optimize import minimize

from nrespipe.numerics import leastsquares


def _line(random, n=400, sigma=0.1):
    x = random.uniform(-1, 1, n)
    return np.column_stack([np.ones(n), x]), 2 - 3 * x + sigma * random.normal(size=n), np.full(n, sigma)


def test_outliers_on_one_side_do_not_move_a_fit():
    random = np.random.default_rng(2)
    matrix, values, sigma = _line(random)
    values[::8] += random.uniform(3, 30, len(values[::8]))
    coefficients, covariance, kept = leastsquares.robust(matrix, values, sigma)
    assert not kept[::8].any()
    assert np.all(np.abs(coefficients - [2, -3]) < 4 * np.sqrt(np.diag(covariance)))


def test_claimed_errors_of_the_coefficients_are_their_scatter():
    random = np.random.default_rng(3)
    pulls = []
    for _ in range(300):
        coefficients, covariance, _ = leastsquares.robust(*_line(random), clip=8)
        pulls.append((coefficients - [2, -3]) / np.sqrt(np.diag(covariance)))
    assert np.std(pulls, axis=0) == pytest.approx([1, 1], abs=0.15)


def test_fits_that_share_a_part_of_their_errors_differ_by_the_other_part():
    random = np.random.default_rng(5)
    matrix, values, shared = _line(random, sigma=0.2)
    own = random.uniform(0.02, 0.2, len(values))
    sigma = np.hypot(shared, own)
    prior = np.zeros(2), np.array([np.inf, 0.05])
    fits = [leastsquares.robust(matrix, values + own * random.normal(size=400), sigma, prior)[0] for _ in range(400)]
    claimed = leastsquares.carried(matrix, sigma, own, prior)
    assert np.std(fits, axis=0) == pytest.approx(np.sqrt(np.diag(claimed)), rel=0.12)


def test_points_that_scatter_more_than_they_claim_enlarge_the_errors():
    random = np.random.default_rng(4)
    matrix, values, sigma = _line(random)
    _, honest, _ = leastsquares.robust(matrix, values, sigma)
    _, bold, _ = leastsquares.robust(matrix, values, sigma / 10)
    assert bold[0, 0] == pytest.approx(honest[0, 0], rel=0.2)


def test_a_prior_decides_where_the_points_say_nothing():
    matrix = np.column_stack([np.ones(20), np.zeros(20)])
    prior = np.array([0.0, 5.0]), np.array([np.inf, 0.1])
    coefficients, covariance, _ = leastsquares.robust(matrix, np.ones(20), np.ones(20), prior)
    assert coefficients == pytest.approx([1, 5])
    assert covariance[1, 1] == pytest.approx(0.01)


def test_points_that_do_not_determine_the_coefficients_are_an_error():
    with pytest.raises(np.linalg.LinAlgError):
        leastsquares.robust(np.zeros((5, 2)), np.ones(5), np.ones(5))


def test_the_huber_estimate_of_a_clean_line_is_almost_as_good_as_the_least_squares_one():
    random = np.random.default_rng(6)
    pulls = []
    for _ in range(300):
        matrix, values, sigma = _line(random)
        coefficients, covariance, _ = leastsquares.huber(matrix, values, 1 / sigma**2)
        pulls.append((coefficients - [2, -3]) / np.sqrt(np.diag(covariance)))
    assert np.std(pulls, axis=0) == pytest.approx([1, 1], abs=0.15)


def test_the_huber_estimate_is_the_minimum_of_its_loss():
    random = np.random.default_rng(7)
    matrix, values, sigma = _line(random, n=60)
    values[:6] += 3.0
    coefficients, _, influence = leastsquares.huber(matrix, values, 1 / sigma**2, iterations=300)
    residuals = np.abs(values - matrix @ coefficients) / sigma
    limit = 1.5 * max(1.0, 1.4826 * np.median(residuals))

    def loss(c):
        r = np.abs(values - matrix @ c) / sigma
        return np.sum(np.where(r < limit, r**2 / 2, limit * r - limit**2 / 2))

    found = minimize(loss, [2, -3], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10})
    np.testing.assert_allclose(coefficients, found.x, atol=1e-4)
    np.testing.assert_allclose(influence, np.minimum(1, limit / residuals), rtol=1e-2)


def test_a_wild_minority_with_great_weights_does_not_decide_the_huber_estimate():
    values = np.append(np.linspace(0.09, 0.11, 40), 5.0)
    weights = np.append(np.ones(40), 500.0)
    found, _, _ = leastsquares.huber(np.ones((41, 1)), values, weights / 0.01**2)
    assert 0.09 < found[0] < 0.12


@pytest.mark.parametrize("of_kept", [True, False])
def test_a_fit_is_repeated_without_its_outliers_until_they_stay_the_same(of_kept):
    random = np.random.default_rng(9)
    values, usable = random.normal(size=500), np.arange(500) != 7
    values[:4], values[7] = (50.0, -50.0, -3.3, 3.7), 1e9
    fits = []

    def solve(kept):
        fits.append(kept)
        return values[kept].mean(), values - values[kept].mean()

    mean, state = leastsquares.clipped(solve, usable, (3.0, 4.0), of_kept=of_kept)
    assert mean == values[state.kept].mean()
    assert np.flatnonzero(~state.kept[:10]).tolist() == [0, 1, 2, 7]
    np.testing.assert_array_equal(fits[-1], state.kept)
    assert len(fits) < 10


def test_the_leverage_gives_the_residual_of_a_point_without_itself():
    random = np.random.default_rng(3)
    x, sigma = random.uniform(-1, 1, 30), random.uniform(0.5, 2.0, 30)
    matrix = np.vander(x, 4)
    values = random.normal(size=30)
    every = np.ones(30, bool)
    prior = np.zeros(4), np.array([np.inf, np.inf, 2.0, np.inf])
    share = leastsquares.leverage(matrix, sigma, every, prior)
    fitted = lambda kept: leastsquares.robust(matrix[kept], values[kept], sigma[kept], prior, clip=1e9)[0]  # noqa: E731
    for point in (0, 7, int(np.argmax(x))):
        alone = values[point] - matrix[point] @ fitted(np.arange(30) != point)
        together = values[point] - matrix[point] @ fitted(every)
        assert together / (1 - share[point]) == pytest.approx(alone)
