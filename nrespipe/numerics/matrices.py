"""Symmetric matrices: the solution of banded equations with its variances, and the inverse of a small matrix."""

import numpy as np
from numba import njit

from nrespipe.frames.arrays import Floats


@njit(cache=True)
def solve_banded(bands: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Solve symmetric positive banded equations and return the diagonal of the inverse.

    Parameters
    ----------
    bands : shape (n, n_bands)
        ``bands[k, j]`` is the element (k, k + j) of the matrix.
    right : shape (n,)
        Right-hand side.

    Returns
    -------
    solution, variance : ndarray of float, shape (n,)
        Solution, and diagonal of the inverse matrix.

    Notes
    -----
    L D L^T factorisation; the elements of the inverse inside the band follow from the factors alone
    (Takahashi, Fagan & Chin 1973; Erisman & Tinney 1975).
    """
    n, width = bands.shape
    lower = np.zeros((n, width))
    diagonal = np.zeros(n)
    for k in range(n):
        d = bands[k, 0]
        for j in range(1, min(width, k + 1)):
            d -= lower[k - j, j] ** 2 * diagonal[k - j]
        diagonal[k] = d
        for i in range(1, min(width, n - k)):
            v = bands[k, i]
            for j in range(1, min(width - i, k + 1)):
                v -= lower[k - j, j] * lower[k - j, j + i] * diagonal[k - j]
            lower[k, i] = v / d
    solution = right.copy()
    for k in range(n):
        for i in range(1, min(width, n - k)):
            solution[k + i] -= lower[k, i] * solution[k]
    solution /= diagonal
    inverse = np.zeros((n, width))
    for k in range(n - 1, -1, -1):
        for i in range(1, min(width, n - k)):
            solution[k] -= lower[k, i] * solution[k + i]
        for i in range(min(width, n - k) - 1, -1, -1):
            v = 0.0
            for j in range(1, min(width, n - k)):
                low, high = min(i, j), max(i, j)
                v -= lower[k, j] * (inverse[k + low, high - low] if i > 0 else inverse[k, j])
            inverse[k, i] = v + (1 / diagonal[k] if i == 0 else 0.0)
    return solution, inverse[:, 0].copy()


@njit(cache=True)
def invert(matrix: Floats, inverse: Floats) -> bool:
    """Invert a symmetric positive definite matrix by Gauss-Jordan elimination, which for these needs no pivoting.

    Parameters
    ----------
    matrix : shape (n, n)
        Is overwritten.
    inverse : shape (n, n)
        Filled with the inverse.

    Returns
    -------
    bool
        Whether the matrix is positive definite; if not, `inverse` means nothing.
    """
    n = len(matrix)
    for i in range(n):
        for j in range(n):
            inverse[i, j] = 1.0 if i == j else 0.0
    for k in range(n):
        pivot = matrix[k, k]
        if not pivot > 0:
            return False
        for j in range(n):
            matrix[k, j] /= pivot
            inverse[k, j] /= pivot
        for i in range(n):
            if i != k:
                factor = matrix[i, k]
                for j in range(n):
                    matrix[i, j] -= factor * matrix[k, j]
                    inverse[i, j] -= factor * inverse[k, j]
    return True
