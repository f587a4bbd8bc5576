"""The smooth surface on which the centers of all orders and fibers of a flat lie."""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import legendre

from nrespipe.frames.arrays import Booleans, Floats
from nrespipe.numerics import leastsquares

#: Error of a measured center: the first over its significance, and what light does not mend [pixel].
_CENTROID, _FLOOR = 2.5, 0.007


@dataclass(frozen=True)
class Surface:
    """Rows of the orders as Legendre products in x and order, and those of each other fiber relative to the first.

    Attributes
    ----------
    n_fibers, n_orders, n_columns
        Size of what it describes; x and the index of the order are mapped to -1..1 over it.
    degree, between
        Degrees in x and order of the surface of the first fiber, and of the distances of the others from it.
    terms : shape (n_terms,)
        Coefficients of the first fiber, then those of the distance of each other one [pixel].
    covariance : shape (n_terms, n_terms)
        Of the coefficients [pixel2].
    """

    n_fibers: int
    n_orders: int
    n_columns: int
    degree: tuple[int, int]
    between: tuple[int, int]
    terms: np.ndarray
    covariance: np.ndarray

    def rows(self, columns: Floats) -> Floats:
        """Return the rows of all orders at some columns.

        Parameters
        ----------
        columns : shape (n,)
            Where [pixel].

        Returns
        -------
        ndarray of float, shape (n_fibers, n_orders, n)
        """
        x, m = _scaled(columns, self.n_columns), np.linspace(-1, 1, self.n_orders)
        sizes = [np.prod(np.add(self.degree, 1))] + [np.prod(np.add(self.between, 1))] * (self.n_fibers - 2)
        first, *others = np.split(self.terms, np.cumsum(sizes))
        first = legendre.leggrid2d(m, x, first.reshape(self.degree[0] + 1, -1).T)
        others = [legendre.leggrid2d(m, x, other.reshape(self.between[0] + 1, -1).T) for other in others]
        return np.stack([first, *(first + other for other in others)])

    def errors(self, columns: Floats) -> Floats:
        """Return the errors of the rows of all orders at some columns.

        Parameters
        ----------
        columns : shape (n,)
            Where [pixel].

        Returns
        -------
        ndarray of float, shape (n_fibers, n_orders, n)
            By the covariance of the coefficients [pixel].
        """
        designs = _designs(columns, self.n_fibers, self.n_orders, self.n_columns, self.degree, self.between)
        squares = [np.einsum("ij,ij->i", design @ self.covariance, design) for design in designs]
        return np.sqrt(squares).reshape(self.n_fibers, self.n_orders, -1)


def fit(
    x: Floats,
    centers: Floats,
    significance: Floats,
    n_columns: int,
    degree: tuple[int, int] = (6, 6),
    between: tuple[int, int] = (4, 4),
) -> tuple[Surface, Booleans]:
    """Fit a surface to the centers that were measured in a flat.

    Parameters
    ----------
    x : shape (n_bins,)
        Columns at which they were measured [pixel].
    centers : shape (n_fibers, n_orders, n_bins)
        Rows, NaN where nothing was seen [pixel].
    significance : shape (n_fibers, n_orders, n_bins)
        Light over noise.
    n_columns
        Columns of the detector.
    degree, between
        Degrees in x and order of the surface of the first fiber, and of the distances of the others from it.

    Returns
    -------
    surface : Surface
        The fit.
    belongs : ndarray of bool, shape (n_fibers, n_orders, n_bins)
        Which of the centers lie on it.
    """
    n_fibers, n_orders, _ = centers.shape
    degree, between = ((x, min(m, n_orders - 2)) for x, m in (degree, between))
    belongs = np.isfinite(centers)
    every = _designs(x, n_fibers, n_orders, n_columns, degree, between)
    design = np.concatenate([one[seen] for one, seen in zip(every, belongs.reshape(n_fibers, -1))])
    sigma = np.hypot(_CENTROID / significance[belongs], _FLOOR)
    # orders are smooth: where nothing is seen they must not swing
    expected = np.concatenate([_smoothness(degree, 3000.0, 0.3), *[_smoothness(between, 100.0, 0.05)] * (n_fibers - 1)])
    prior = np.zeros(len(expected)), expected
    terms, covariance, kept = leastsquares.robust(design, centers[belongs], sigma, prior)
    belongs[belongs] = kept
    return Surface(n_fibers, n_orders, n_columns, degree, between, terms, covariance), belongs


def _designs(columns, n_fibers, n_orders, n_columns, degree, between):
    """Terms of all coefficients at every order and column, for each fiber."""
    x, m = np.meshgrid(_scaled(columns, n_columns), np.linspace(-1, 1, n_orders))
    base, apart = (legendre.legvander2d(x.ravel(), m.ravel(), d) for d in (degree, between))
    others = range(1, n_fibers)
    return [np.hstack([base, *(apart * (other == fiber) for other in others)]) for fiber in range(n_fibers)]


def _scaled(columns, n_columns):
    return 2 * np.asarray(columns, float) / (n_columns - 1) - 1


def _smoothness(degree, first, least):
    total = np.add.outer(np.arange(degree[0] + 1), np.arange(degree[1] + 1)).ravel()
    return np.maximum(first / 4.0 ** np.maximum(total - 1, 0), least)
