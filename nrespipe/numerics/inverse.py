"""The inverse of a small symmetric matrix."""

from numba import njit

from nrespipe.frames.arrays import Floats


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
