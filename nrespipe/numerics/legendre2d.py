"""Sums of Legendre products in two variables."""

import numpy as np
from numpy.polynomial import legendre

from nrespipe.frames.arrays import Floats, Integers


def degrees(total: int, x: int | None = None, y: int | None = None) -> Integers:
    """Return the degrees of all products up to a total degree.

    Parameters
    ----------
    total
        Highest sum of the two degrees.
    x, y
        Highest degree in either variable; None for `total`.

    Returns
    -------
    ndarray of int, shape (n_terms, 2)
        Degree in x and in y, ordered by the sum.
    """
    x, y = (total if limit is None else limit for limit in (x, y))
    return np.array([(a, s - a) for s in range(total + 1) for a in range(s + 1) if a <= x and s - a <= y])


def design(terms: Integers, x: Floats, y: Floats) -> Floats:
    """Return the products at scattered points.

    Parameters
    ----------
    terms : shape (n_terms, 2)
        As `degrees` returns them.
    x, y : shape (n_points,)
        Coordinates, -1..1.

    Returns
    -------
    ndarray of float, shape (n_points, n_terms)
    """
    in_x = legendre.legvander(np.asarray(x, float), terms[:, 0].max())
    in_y = legendre.legvander(np.asarray(y, float), terms[:, 1].max())
    return in_x[:, terms[:, 0]] * in_y[:, terms[:, 1]]


def on_grid(terms: Integers, coefficients: Floats, x: Floats, y: Floats) -> Floats:
    """Return the sum on the grid of two axes.

    Parameters
    ----------
    terms : shape (n_terms, 2)
        As `degrees` returns them.
    coefficients : shape (n_terms,)
        Factors of the terms.
    x : shape (n_x,)
        First axis, -1..1.
    y : shape (n_y,)
        Second axis, -1..1.

    Returns
    -------
    ndarray of float, shape (n_y, n_x)
    """
    matrix = np.zeros(terms.max(axis=0) + 1)
    np.add.at(matrix, (terms[:, 0], terms[:, 1]), coefficients)
    in_x = legendre.legvander(np.asarray(x, float), matrix.shape[0] - 1)
    in_y = legendre.legvander(np.asarray(y, float), matrix.shape[1] - 1)
    return in_y @ matrix.T @ in_x.T


def scaled(values: Floats | Integers, first: float, last: float) -> Floats:
    """Return values mapped from an interval to -1..1.

    Parameters
    ----------
    values
        What to map.
    first, last
        Ends of the interval; an empty one maps to 0.
    """
    if last == first:
        return np.zeros(np.shape(values))
    return (2 * np.asarray(values, float) - first - last) / (last - first)
