"""A curve that changes along a second coordinate: cubic splines of one times Legendre polynomials of the other."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from scipy.interpolate import BSpline

from nrespipe.frames.arrays import Floats, Integers
from nrespipe.numerics.leastsquares import clipped


def fit(
    u: Floats, x: Floats, y: Floats, error: Floats, knots: Floats, degree: int, clip: float = 4.0, rounds: int = 4
) -> Floats:
    """Fit a curve that is zero at its ends to scattered points, leaving out what does not belong to it.

    Parameters
    ----------
    u : shape (n_points,)
        Coordinate of the spline, between the first and the last knot.
    x : shape (n_points,)
        Coordinate along which the curve changes, -1..1.
    y, error : shape (n_points,)
        Values and their errors.
    knots : shape (n_knots,)
        Knots of the spline, increasing.
    degree
        Highest degree of the Legendre polynomials.
    clip
        Points further off than this many robust scatters, or errors where those are larger, are left out.
    rounds
        How often the fit is made.

    Returns
    -------
    ndarray of float, shape (n_knots + 2, degree + 1)
        Coefficients of the products.
    """
    padded = _padded(knots)
    n_spline = len(padded) - 4
    spline = BSpline.design_matrix(u, padded, 3)
    values, first = spline.data.reshape(-1, 4), spline.indices[::4].astype(np.int64)
    legendre = np.polynomial.legendre.legvander(x, degree)
    # the curve ends at 0, and a change along x must be earned by the points
    ends = np.where(np.isin(np.arange(n_spline), (0, 1, n_spline - 2, n_spline - 1)), 1e8, 0.0)
    ridge = (ends[:, None] + np.where(np.arange(degree + 1) == 0, 1e-3, 30.0)).ravel()
    weight = 1 / error**2

    def solve(kept):
        normal, right = normal_equations(values, first, legendre, y, weight * kept, len(ridge))
        coefficients = np.linalg.solve(normal + np.diag(ridge), right).reshape(n_spline, degree + 1)
        near = coefficients[first[:, None] + np.arange(4)]
        return coefficients, (y - np.einsum("ki,kj,kij->k", values, legendre, near)) / error

    coefficients, _ = clipped(solve, np.ones(len(y), bool), (clip, clip), rounds=rounds, of_kept=False)
    return coefficients


def curve(knots: Floats, coefficients: Floats) -> Callable[..., Any]:
    """Return the curve at one place.

    Parameters
    ----------
    knots : shape (n_knots,)
        As given to `fit`.
    coefficients : shape (n_knots + 2,)
        Of the spline.

    Returns
    -------
    callable
        Function of u; NaN beyond the knots.
    """
    return BSpline(_padded(knots), coefficients, 3, extrapolate=False)


@njit(cache=True)
def normal_equations(
    values: Floats, first: Integers, legendre: Floats, y: Floats, weight: Floats, n: int
) -> tuple[Floats, Floats]:
    """Return the normal equations of a design whose rows are products of four splines and all Legendre polynomials.

    Parameters
    ----------
    values : shape (n_points, 4)
        The splines that are not zero at each point.
    first : shape (n_points,)
        Which spline the first of them is.
    legendre : shape (n_points, n_terms)
        Legendre polynomials.
    y, weight : shape (n_points,)
        Values and weights.

    Returns
    -------
    normal : ndarray of float, shape (n, n)
    right : ndarray of float, shape (n,)
    """
    terms = legendre.shape[1]
    normal, right = np.zeros((n, n)), np.zeros(n)
    row, at = np.empty(4 * terms), np.empty(4 * terms, np.int64)
    for k in range(len(y)):
        if weight[k] == 0:
            continue
        for i in range(4):
            for j in range(terms):
                row[i * terms + j] = values[k, i] * legendre[k, j]
                at[i * terms + j] = (first[k] + i) * terms + j
        for i in range(4 * terms):
            right[at[i]] += weight[k] * row[i] * y[k]
            for j in range(4 * terms):
                normal[at[i], at[j]] += weight[k] * row[i] * row[j]
    return normal, right


def _padded(knots):
    return np.r_[[knots[0]] * 3, knots, [knots[-1]] * 3]
