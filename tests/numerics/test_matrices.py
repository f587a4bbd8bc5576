"""Banded equations and the inverse of small symmetric matrices, against NumPy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrespipe.numerics.matrices import invert, solve_banded


def equations(rng, n, width=4):
    lower = sum(np.diag(rng.normal(size=n - k), -k) for k in range(min(width, n)))
    matrix = lower @ lower.T + np.eye(n)
    bands = np.zeros((n, width))
    for k in range(min(width, n)):
        bands[: n - k, k] = np.diagonal(matrix, k)
    return matrix, bands


@given(st.integers(1, 40), st.integers(0, 10_000))
def test_banded_equations_are_solved_as_dense_ones(n, seed):
    rng = np.random.default_rng(seed)
    matrix, bands = equations(rng, n)
    right = rng.normal(size=n)
    solution, variance = solve_banded(bands, right)
    np.testing.assert_allclose(solution, np.linalg.solve(matrix, right), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(variance, np.diag(np.linalg.inv(matrix)), rtol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_a_badly_scaled_positive_matrix_is_inverted(n):
    rng = np.random.default_rng(n)
    scale = 10.0 ** rng.uniform(-4, 6, n)
    design = rng.normal(size=(50, n)) * scale
    matrix = design.T @ design
    inverse = np.empty((n, n))
    assert invert(matrix.copy(), inverse)
    np.testing.assert_allclose(inverse @ matrix, np.eye(n), atol=1e-9 * np.outer(1 / scale, scale).max())
    np.testing.assert_allclose(
        inverse * np.outer(scale, scale), np.linalg.inv(matrix / np.outer(scale, scale)), rtol=1e-9
    )


@pytest.mark.parametrize("matrix", [[[0.0]], [[1.0, 2.0], [2.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]], [[np.nan]]])
def test_a_matrix_that_is_not_positive_definite_is_refused(matrix):
    matrix = np.array(matrix)
    assert not invert(matrix, np.empty_like(matrix))
