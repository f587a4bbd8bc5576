import numpy as np
import pytest

from nrespipe.numerics import tensorspline

_KNOTS = np.linspace(-2.5, 2.5, 31)


def _points(seed, n=20_000, error=0.02):
    random = np.random.default_rng(seed)
    u, x = random.uniform(-2.499, 2.499, n), random.uniform(-1, 1, n)
    return u, x, _truth(u, x) + error * random.normal(size=n), np.full(n, error)


def _truth(u, x):
    return np.exp(-2.77 * (u - 0.1 * x * u**2) ** 2)


def test_a_line_profile_that_changes_along_the_order_is_recovered_to_one_percent():
    u, x, y, error = _points(1)
    y[::10] += 1.0
    coefficients = tensorspline.fit(u, x, y, error, _KNOTS, 3)
    grid = np.linspace(-2.4, 2.4, 97)
    for place in (-0.9, 0.0, 0.9):
        at_place = coefficients @ np.polynomial.legendre.legvander(np.array([place]), 3)[0]
        found = tensorspline.curve(_KNOTS, at_place)(grid)
        assert np.max(np.abs(found - _truth(grid, place))) < 0.01


def test_the_curve_ends_at_zero():
    coefficients = tensorspline.fit(*_points(2), _KNOTS, 1)
    ends = tensorspline.curve(_KNOTS, coefficients[:, 0])(np.array([-2.5, 2.5]))
    assert ends == pytest.approx([0, 0], abs=1e-4)


@pytest.mark.slow
def test_the_normal_equations_agree_with_a_dense_design_matrix():
    random = np.random.default_rng(3)
    n, n_spline, terms = 50, 9, 3
    values, legendre = random.normal(size=(n, 4)), random.normal(size=(n, terms))
    first, y, weight = random.integers(0, n_spline - 3, n), random.normal(size=n), random.uniform(size=n)
    weight[::7] = 0
    dense = np.zeros((n, n_spline, terms))
    for k in range(n):
        dense[k, first[k] : first[k] + 4] = np.outer(values[k], legendre[k])
    dense = dense.reshape(n, -1)
    normal, right = tensorspline.normal_equations(values, first, legendre, y, weight, n_spline * terms)
    np.testing.assert_allclose(normal, dense.T * weight @ dense, atol=1e-12)
    np.testing.assert_allclose(right, dense.T @ (weight * y), atol=1e-12)
