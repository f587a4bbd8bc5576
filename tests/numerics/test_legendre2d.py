import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrespipe.numerics import legendre2d


@settings(deadline=None)
@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 8))
def test_degrees_hold_every_allowed_product_once(total, x, y):
    terms = {tuple(term) for term in legendre2d.degrees(total, x, y)}
    allowed = {(a, b) for a in range(x + 1) for b in range(y + 1) if a + b <= total}
    assert terms == allowed


def test_a_grid_and_scattered_points_give_the_same_sum():
    terms = legendre2d.degrees(5, 4, 3)
    coefficients = np.random.default_rng(1).normal(size=len(terms))
    x, y = np.linspace(-1, 1, 7), np.linspace(-1, 1, 5)
    grid = legendre2d.on_grid(terms, coefficients, x, y)
    scattered = legendre2d.design(terms, *(a.ravel() for a in np.meshgrid(x, y))) @ coefficients
    np.testing.assert_allclose(grid.ravel(), scattered, atol=1e-12)


def test_the_ends_of_an_interval_map_to_minus_one_and_one_and_an_empty_one_to_zero():
    assert legendre2d.scaled(np.array([3.0, 5.0, 7.0]), 3, 7) == pytest.approx([-1, 0, 1])
    assert np.all(legendre2d.scaled(np.array([4.0, 4.0]), 4, 4) == 0)
