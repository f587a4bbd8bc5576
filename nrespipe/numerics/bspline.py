"""Uniform cubic B-splines fitted by least squares through their banded normal equations."""

import numpy as np
from numba import njit
from scipy.linalg import solveh_banded

from nrespipe.frames.arrays import Floats


def fit(
    position: Floats, value: Floats, weight: Floats, low: float, step: float, n_knots: int, smoothing: float = 0.0
) -> Floats:
    """Fit a uniform cubic B-spline to weighted points.

    Parameters
    ----------
    position, value, weight : shape (n_points,)
        Abscissa, ordinate, and inverse variance of each point; points outside the spline are ignored.
    low
        Abscissa of the left end.
    step
        Distance of the knots.
    smoothing
        Weight of the squared second differences of the coefficients, relative to the mean of the diagonal of the
        normal matrix: bridges gaps, and damps what the points do not decide.

    Returns
    -------
    ndarray of float, shape (n_knots + 3,)
        Coefficients; all 0 where the points carry no weight.
    """
    bands, right = normal_equations(position, value, weight, low, step, n_knots + 3)
    return solve(bands, right, smoothing)


def solve(bands: Floats, right: Floats, smoothing: float = 0.0) -> Floats:
    """Solve the normal equations of a spline.

    Parameters
    ----------
    bands : shape (4, n_coefficients)
        From `normal_equations`, or a sum of them.
    right : shape (n_coefficients,)
        Right-hand side.
    smoothing
        As in `fit`.

    Returns
    -------
    ndarray of float, shape (n_coefficients,)
        Coefficients; all 0 where the points carry no weight.
    """
    scale = bands[3].mean()
    if not scale > 0:
        return np.zeros(len(right))
    bands, penalty = bands.copy(), scale * (smoothing + 1e-9)
    # the square of the matrix of second differences
    bands[3, :-2] += penalty
    bands[3, 1:-1] += 4 * penalty
    bands[3, 2:] += penalty
    bands[2, 1:-1] -= 2 * penalty
    bands[2, 2:] -= 2 * penalty
    bands[1, 2:] += penalty
    bands[3] += scale * 1e-9
    return solveh_banded(bands, right)


def evaluate(coefficients: Floats, position: Floats, low: float, step: float) -> Floats:
    """Return the values of a spline, 0 outside it.

    Parameters
    ----------
    coefficients : shape (n_knots + 3,)
        From `fit`.
    position
        Abscissae.
    low, step
        As in `fit`.

    Returns
    -------
    ndarray of float
        Same shape as `position`.
    """
    place = (np.asarray(position, float) - low) / step
    index = np.clip(np.floor(place).astype(int), 0, len(coefficients) - 4)
    t = place - index
    basis = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    value = sum(b * coefficients[index + k] for k, b in enumerate(basis)) / 6
    return np.where((place >= 0) & (place <= len(coefficients) - 3), value, 0.0)


@njit(cache=True)
def normal_equations(
    position: Floats, value: Floats, weight: Floats, low: float, step: float, n: int
) -> tuple[Floats, Floats]:
    """Return the normal equations of the least-squares spline; those of several sets of points may be added.

    Parameters
    ----------
    position, value, weight : shape (n_points,)
        As in `fit`.
    low, step
        As in `fit`.

    Returns
    -------
    bands : ndarray of float, shape (4, n)
        Upper bands of the matrix, as ``scipy.linalg.solveh_banded`` takes them.
    right : ndarray of float, shape (n,)
        Right-hand side.
    """
    bands = np.zeros((4, n))
    right = np.zeros(n)
    basis = np.empty(4)
    for i in range(len(position)):
        place = (position[i] - low) / step
        if not (0 <= place <= n - 3) or not weight[i] > 0:
            continue
        index = min(int(place), n - 4)
        t = place - index
        basis[0] = (1 - t) ** 3 / 6
        basis[1] = (3 * t**3 - 6 * t**2 + 4) / 6
        basis[2] = (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6
        basis[3] = t**3 / 6
        for a in range(4):
            right[index + a] += weight[i] * basis[a] * value[i]
            for b in range(a, 4):
                bands[3 - (b - a), index + b] += weight[i] * basis[a] * basis[b]
    return bands, right
