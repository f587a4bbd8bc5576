import numpy as np
from scipy.interpolate import BSpline

from nrespipe.numerics import bspline


def test_a_spline_is_evaluated_as_scipy_does():
    rng = np.random.default_rng(2)
    coefficients = rng.normal(size=13)
    knots = -1.0 + 0.5 * (np.arange(17) - 3)
    x = np.linspace(-1, 3.999, 200)
    np.testing.assert_allclose(
        bspline.evaluate(coefficients, x, -1.0, 0.5), BSpline(knots, coefficients, 3)(x), atol=1e-12
    )


def test_a_spline_is_zero_outside_its_range():
    assert bspline.evaluate(np.ones(8), np.array([-0.1, 5.1]), 0.0, 1.0).tolist() == [0, 0]


def test_a_cubic_is_recovered_from_noise_free_points():
    x = np.linspace(0, 10, 400)
    y = 1 + x - 0.3 * x**2 + 0.02 * x**3
    fitted = bspline.fit(x, y, np.ones_like(x), 0.0, 1.0, 10)
    np.testing.assert_allclose(bspline.evaluate(fitted, x, 0.0, 1.0), y, atol=1e-5)


def test_a_gap_is_bridged_smoothly():
    x = np.concatenate([np.linspace(0, 3, 100), np.linspace(7, 10, 100)])
    fitted = bspline.fit(x, 2 * x, np.ones_like(x), 0.0, 0.5, 20, smoothing=1e-3)
    np.testing.assert_allclose(bspline.evaluate(fitted, np.array([5.0]), 0.0, 0.5), 10.0, atol=0.1)


def test_points_without_weight_give_nothing():
    assert not bspline.fit(np.arange(5.0), np.ones(5), np.zeros(5), 0.0, 1.0, 4).any()
