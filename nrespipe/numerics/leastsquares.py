"""Least squares that outliers do not move."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np

from nrespipe.frames.arrays import Booleans, Floats

_Solution = TypeVar("_Solution")
#: Expected coefficients and their errors.
Prior = tuple[Floats, Floats]


class Clipped(NamedTuple):
    """Outcome of `clipped`.

    Attributes
    ----------
    kept : shape (n_points,)
        Points within the limits of the last fit.
    residuals : shape (n_points,)
        Of the last fit, normalised by the errors.
    scatter
        Robust scatter of the residuals, not below the least one.
    """

    kept: Booleans
    residuals: Floats
    scatter: float


def clipped(
    solve: Callable[[Booleans], tuple[_Solution, Floats]],
    usable: Booleans,
    clip: tuple[float, float],
    least: float = 1.0,
    rounds: int = 10,
    of_kept: bool = True,
) -> tuple[_Solution, Clipped]:
    """Repeat a fit without its outliers until they stay the same.

    Parameters
    ----------
    solve
        Fits the points of a mask; returns the solution and the normalised residuals of all points.
    usable : shape (n_points,)
        Points that may be used at all.
    clip
        Points further below and above the fit than these many times the scatter are left out.
    least
        Least scatter of the normalised residuals: 1 where the given errors are not to be undercut.
    rounds
        Most fits.
    of_kept
        Whether the scatter is that of the points that were kept, or of all that are usable.

    Returns
    -------
    solution
        As `solve` returned it last.
    state : Clipped
        Which points were kept.
    """
    kept = usable
    for _ in range(rounds):
        solution, residuals = solve(kept)
        scatter = max(1.4826 * float(np.median(np.abs(residuals[kept if of_kept else usable]))), least)
        previous, kept = kept, usable & (residuals > -clip[0] * scatter) & (residuals < clip[1] * scatter)
        if np.array_equal(kept, previous):
            break
    return solution, Clipped(kept, residuals, scatter)


def robust(
    matrix: Floats,
    values: Floats,
    sigma: Floats,
    prior: Prior | None = None,
    clip: float = 4.0,
    iterations: int = 20,
) -> tuple[Floats, Floats, Booleans]:
    """Fit a linear model without the points that lie too far from it.

    Parameters
    ----------
    matrix : shape (n_points, n_terms)
        Model terms at the points.
    values, sigma : shape (n_points,)
        Measured values and their errors.
    prior : each of shape (n_terms,)
        Expected coefficients and their errors (infinite where nothing is known).
    clip
        Points further off than this many times the robust scatter of the normalised residuals (or their claimed
        error, whichever is larger) are left out, on both sides.
    iterations
        Most rounds of rejection.

    Returns
    -------
    coefficients : ndarray of float, shape (n_terms,)
    covariance : ndarray of float, shape (n_terms, n_terms)
        Scaled by the scatter of the points kept where that exceeds the given errors.
    kept : ndarray of bool, shape (n_points,)

    Raises
    ------
    numpy.linalg.LinAlgError
        If the points do not determine the coefficients.
    """

    def solve(kept):
        coefficients, inverse = _solve(matrix[kept], values[kept], sigma[kept], prior)
        return (coefficients, inverse), (values - matrix @ coefficients) / sigma

    everything = np.ones(len(values), bool)
    (coefficients, inverse), (kept, residuals, _) = clipped(solve, everything, (clip, clip), rounds=iterations)
    excess = np.sum(residuals[kept] ** 2) / max(1, kept.sum() - matrix.shape[1])
    return coefficients, inverse * max(1.0, excess), kept


def carried(matrix: Floats, sigma: Floats, noise: Floats, prior: Prior | None = None) -> Floats:
    """Return the covariance of the coefficients of a fit from one component of the errors.

    Parameters
    ----------
    matrix : shape (n_points, n_terms)
        Model terms at the points.
    sigma : shape (n_points,)
        Errors that the fit was weighted with.
    noise : shape (n_points,)
        The part of them that is independent from fit to fit.
    prior : each of shape (n_terms,)
        As in `robust`.

    Returns
    -------
    ndarray of float, shape (n_terms, n_terms)
        Covariance of the coefficients from the independent error component alone.
    """
    _, inverse = _solve(matrix, np.zeros(len(sigma)), sigma, prior)
    effect = (matrix * (noise / sigma**2)[:, None]) @ inverse
    return effect.T @ effect


def leverage(matrix: Floats, sigma: Floats, kept: Booleans, prior: Prior | None = None) -> Floats:
    """Return the leverage of each point: the derivative of the fit there with respect to the point.

    Parameters
    ----------
    matrix : shape (n_points, n_terms)
        Model terms at the points.
    sigma : shape (n_points,)
        Errors of the points.
    kept : shape (n_points,)
        Points of the fit.
    prior : each of shape (n_terms,)
        As in `robust`.

    Returns
    -------
    ndarray of float, shape (n_points,)
        Diagonal of the hat matrix: variance of the fit over that of the point. Without a point of the fit its residual
        is that of the fit divided by 1 less this number.
    """
    _, inverse = _solve(matrix[kept], np.zeros(kept.sum()), sigma[kept], prior)
    return np.einsum("ij,jk,ik->i", matrix, inverse, matrix) / sigma**2


def _solve(matrix, values, sigma, prior):
    weighted = matrix / sigma[:, None]
    normal, right = weighted.T @ weighted, weighted.T @ (values / sigma)
    if prior is not None:
        expected, error = prior
        normal = normal + np.diag(1 / error**2)
        right = right + expected / error**2
    scale = 1 / np.sqrt(np.maximum(np.diag(normal), np.finfo(float).tiny))
    factor = np.linalg.cholesky(normal * scale * scale[:, None])
    root = np.linalg.inv(factor) * scale
    inverse = root.T @ root
    return inverse @ right, inverse


def huber(
    matrix: Floats, values: Floats, weights: Floats, turn: float = 1.5, iterations: int = 30
) -> tuple[Floats, Floats, Floats]:
    """Fit a linear model by absolute residuals where they are large, by their squares where they are small.

    Parameters
    ----------
    matrix : shape (n_points, n_terms)
        Model terms at the points.
    values, weights : shape (n_points,)
        Measured values and their inverse variances.
    turn
        From this many times the robust scatter of the normalised residuals on a point counts by its absolute residual.
    iterations
        Most rounds of new weights, with the given errors and again with the scatter of the points.

    Returns
    -------
    coefficients : ndarray of float, shape (n_terms,)
    covariance : ndarray of float, shape (n_terms, n_terms)
        Scaled by the scatter of the points where that exceeds the given errors.
    influence : ndarray of float, shape (n_points,)
        1 for a point that counts by its square, less the further it lies from the fit.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the points do not determine the coefficients.

    Notes
    -----
    Huber (1964 Ann. Math. Stat. 35 73), by weights that are made anew from the residuals of the fit before. Unlike a
    fit that leaves points out, it does not depend on where it begins.
    """
    root, influence, scatter = np.sqrt(weights), np.ones(len(values)), 1.0
    coefficients = np.full(matrix.shape[1], np.inf)
    # with the given errors there is one solution, from which the scatter of most points follows
    for claimed in (True, False):
        for _ in range(iterations):
            previous = coefficients
            coefficients, inverse = _solve(matrix, values, 1 / (root * np.sqrt(influence)), None)
            residuals = np.abs(values - matrix @ coefficients) * root
            scatter = 1.0 if claimed else max(1.0, 1.4826 * np.median(residuals))
            influence = np.minimum(1, turn * scatter / np.maximum(residuals, 1e-9))
            if np.all(np.abs(coefficients - previous) < 1e-3 * np.sqrt(np.diag(inverse))):
                break
    return coefficients, inverse * scatter**2, influence
