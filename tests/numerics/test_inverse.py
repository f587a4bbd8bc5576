"""The inverse of small symmetric matrices, against NumPy's."""

import numpy as np
import pytest

from nrespipe.numerics.inverse import invert


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
