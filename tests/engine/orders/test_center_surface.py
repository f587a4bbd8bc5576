import numpy as np
import pytest

from nrespipe.engine.orders import center_surface

X = np.arange(0, 4096, 64.0) + 15.5


def rows(m, x, fiber):
    """Rows of two fibers of a spectrograph that never was."""
    return 200 + 40 * m + 0.2 * m**2 + 60 * (x / 2048 - 1) ** 2 + fiber * (18 + 0.03 * m)


def measured(rng, significance, n_orders=30):
    m, x = np.arange(n_orders)[:, None], X
    truth = np.stack([rows(m, x, fiber) for fiber in (0, 1)])
    significance = np.broadcast_to(significance, truth.shape)
    sigma = np.hypot(2.5 / significance, 0.007)
    return truth, truth + sigma * rng.standard_normal(truth.shape), significance


@pytest.mark.parametrize("significance", [1e5, 60.0])
def test_the_errors_of_the_rows_are_those_that_noise_makes(significance):
    rng, columns, pulls = np.random.default_rng(1), np.linspace(0, 4095, 9), []
    for _ in range(30):
        _, centers, weight = measured(rng, significance)
        fitted, belongs = center_surface.fit(X, centers, weight, 4096)
        truth = np.stack([rows(np.arange(30)[:, None], columns, fiber) for fiber in (0, 1)])
        pulls.append((fitted.rows(columns) - truth) / fitted.errors(columns))
        assert belongs.mean() > 0.995
    assert np.std(pulls) == pytest.approx(1, abs=0.1)


def test_the_errors_grow_where_an_order_is_not_seen():
    _, centers, weight = measured(np.random.default_rng(2), 1000.0)
    centers[:, 20:, :20] = np.nan
    errors = center_surface.fit(X, centers, weight, 4096)[0].errors(X)
    assert errors[:, 29, 0].min() > 10 * np.median(errors)


def test_centers_that_lie_elsewhere_do_not_belong():
    _, centers, weight = measured(np.random.default_rng(3), 1000.0)
    centers[0, 5, 10] += 3
    belongs = center_surface.fit(X, centers, weight, 4096)[1]
    assert not belongs[0, 5, 10]
    assert belongs.sum() > belongs.size - 5
