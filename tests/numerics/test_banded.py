import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nrespipe.numerics import banded


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
    solution, variance = banded.solve(bands, right)
    np.testing.assert_allclose(solution, np.linalg.solve(matrix, right), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(variance, np.diag(np.linalg.inv(matrix)), rtol=1e-6)
