"""Wavelength solution: its values and dispersion."""

from collections.abc import Sequence

import numpy as np

from nrespipe import doppler
from nrespipe.frames.arrays import Floats, Integers
from nrespipe.frames.wavelength import Solution
from nrespipe.numerics import legendre2d


def evaluate(solution: Solution, fiber: int, order: np.ndarray, x: np.ndarray) -> Floats:
    """Return the wavelength at places of the spectra.

    Parameters
    ----------
    order, x
        Diffraction order and column, broadcast [1, pixel].

    Returns
    -------
    ndarray of float
        Vacuum wavelength [angstrom].
    """
    order, x = np.asarray(order, float), np.asarray(x, float)
    # all columns of whole orders, as most callers ask for: a product of two small matrices instead of a term a pixel
    if order.shape[1:] == (1,) and x.ndim == 1:
        return on_grid(solution, fiber, order[:, 0], x)
    order, x = np.broadcast_arrays(order, x)
    design = legendre2d.design(solution.degrees, *scaled(solution, order.ravel(), x.ravel()))
    coefficients = solution.coefficients[solution.fibers.index(fiber)]
    return ((design @ coefficients) / order.ravel()).reshape(order.shape)


def on_grid(solution: Solution, fiber: int, orders: Integers, x: Floats) -> Floats:
    """Return the wavelength at the same columns of several orders.

    Parameters
    ----------
    orders : shape (n_orders,)
        Diffraction orders.
    x : shape (n_x,)
        Columns [pixel].

    Returns
    -------
    ndarray of float, shape (n_orders, n_x)
        Vacuum wavelength [angstrom].
    """
    coefficients = solution.coefficients[solution.fibers.index(fiber)]
    order = np.asarray(orders, float)
    return legendre2d.on_grid(solution.degrees, coefficients, *scaled(solution, order, x)) / order[:, None]


def velocity_per_pixel(solution: Solution, fiber: int, order: np.ndarray, x: np.ndarray) -> Floats:
    """Return the dispersion as a velocity.

    Parameters
    ----------
    order, x
        Diffraction order and column, broadcast [1, pixel].

    Returns
    -------
    ndarray of float
        Change of velocity from one pixel to the next [m / s / pixel].
    """
    x = np.asarray(x, float)
    low, high = evaluate(solution, fiber, order, x - 0.5), evaluate(solution, fiber, order, x + 0.5)
    return doppler.C_MS * 2 * (high - low) / (high + low)


def slopes_ms(solution: Solution, fiber: int, order: np.ndarray, x: np.ndarray) -> Floats:
    """Return the derivatives of the wavelength with respect to the coefficients, as velocities.

    Parameters
    ----------
    order, x
        Diffraction order and column, broadcast [1, pixel].

    Returns
    -------
    ndarray of float, shape (..., n_terms)
        [m / s / angstrom].
    """
    order, x = np.broadcast_arrays(np.asarray(order, float), np.asarray(x, float))
    design = legendre2d.design(solution.degrees, *scaled(solution, order.ravel(), x.ravel()))
    level = design @ solution.coefficients[solution.fibers.index(fiber)]
    return (doppler.C_MS * design / level[:, None]).reshape(*order.shape, -1)


def join(solutions: Sequence[Solution]) -> Solution:
    """Join the solutions of several fibers.

    Parameters
    ----------
    solutions
        One a fiber, with the same orders and terms.
    """
    solutions = sorted(solutions, key=lambda solution: solution.fibers)
    base = solutions[0]
    return Solution(
        tuple(solution.fibers[0] for solution in solutions),
        base.orders,
        base.n_pixels,
        base.degrees,
        *(
            np.concatenate([getattr(solution, name) for solution in solutions])
            for name in ("coefficients", "covariance", "scatter_ms", "n_lines", "noise_covariance")
        ),
    )


def of_fiber(
    fiber: int,
    orders: Integers,
    n_pixels: int,
    terms: Integers,
    coefficients: Floats,
    covariances: tuple[Floats, Floats],
    scatter_ms: float,
    n_lines: int,
) -> Solution:
    """Return the solution of a single fiber.

    Parameters
    ----------
    orders : shape (n_orders,)
        Diffraction orders.
    n_pixels
        Length of an order.
    terms : shape (n_terms, 2)
        Legendre degrees in x and in m.
    coefficients : shape (n_terms,)
        Of m * wavelength [angstrom].
    covariances : each of shape (n_terms, n_terms)
        Of the coefficients, and its part by photon noise [angstrom2].
    scatter_ms
        Scatter of the lines [m / s].
    """
    return Solution(
        (fiber,), np.asarray(orders), n_pixels, terms, coefficients[None], covariances[0][None],
        np.array([float(scatter_ms)]), np.array([int(n_lines)]), covariances[1][None],
    )  # fmt: skip


def scaled(solution: Solution, order: Floats, x: Floats) -> tuple[Floats, Floats]:
    """Return order and column mapped to the range of the Legendre polynomials.

    Parameters
    ----------
    order, x
        Diffraction order and column [1, pixel].

    Returns
    -------
    x, m : ndarray of float
        -1 to 1.
    """
    return legendre2d.scaled(x, 0, solution.n_pixels - 1), _scaled_m(solution.orders, order)


def _scaled_m(orders, m):
    return legendre2d.scaled(m, np.min(orders), np.max(orders))
