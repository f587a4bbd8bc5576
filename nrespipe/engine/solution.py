"""The wavelength solution: evaluating it, and fitting it to lines."""

import numpy as np

from nrespipe.errors import BadFrame
from nrespipe.frames.wavelength import Solution
from nrespipe.numerics import leastsquares, legendre2d

C_MS = 299792458.0
#: Scatter of the centers that photons do not explain: shape of the lines, faint blends [m / s].
FLOOR_MS = 20.0


def evaluate(solution, fiber, order, x):
    """Return the wavelength at places of the spectra.

    Parameters
    ----------
    solution : Solution
        Wavelength solution.
    fiber : int
        Fiber number.
    order, x : ndarray
        Diffraction order and column, broadcast [1, pixel].

    Returns
    -------
    ndarray of float
        Vacuum wavelength [angstrom].
    """
    order, x = np.broadcast_arrays(np.asarray(order, float), np.asarray(x, float))
    design = legendre2d.design(solution.degrees, *scaled(solution, order.ravel(), x.ravel()))
    coefficients = solution.coefficients[solution.fibers.index(fiber)]
    return ((design @ coefficients) / order.ravel()).reshape(order.shape)


def on_grid(solution, fiber, orders, x):
    """Return the wavelength at the same columns of several orders.

    Parameters
    ----------
    solution : Solution
        Wavelength solution.
    fiber : int
        Fiber number.
    orders : ndarray of int, shape (n_orders,)
        Diffraction orders.
    x : ndarray of float, shape (n_x,)
        Columns [pixel].

    Returns
    -------
    ndarray of float, shape (n_orders, n_x)
        Vacuum wavelength [angstrom].
    """
    coefficients = solution.coefficients[solution.fibers.index(fiber)]
    orders = np.asarray(orders, float)
    return legendre2d.on_grid(solution.degrees, coefficients, *scaled(solution, orders, x)) / orders[:, None]


def velocity_per_pixel(solution, fiber, order, x):
    """Return the dispersion as a velocity.

    Parameters
    ----------
    solution : Solution
        Wavelength solution.
    fiber : int
        Fiber number.
    order, x : ndarray
        Diffraction order and column, broadcast [1, pixel].

    Returns
    -------
    ndarray of float
        Change of velocity from one pixel to the next [m / s / pixel].
    """
    x = np.asarray(x, float)
    low, high = evaluate(solution, fiber, order, x - 0.5), evaluate(solution, fiber, order, x + 0.5)
    return C_MS * 2 * (high - low) / (high + low)


def slopes_ms(solution, fiber, order, x):
    """Return how the wavelength changes with each coefficient.

    Parameters
    ----------
    solution : Solution
        Wavelength solution.
    fiber : int
        Fiber number.
    order, x : ndarray
        Diffraction order and column, broadcast [1, pixel].

    Returns
    -------
    ndarray of float, shape (..., n_terms)
        As a velocity [m / s / angstrom].
    """
    order, x = np.broadcast_arrays(np.asarray(order, float), np.asarray(x, float))
    design = legendre2d.design(solution.degrees, *scaled(solution, order.ravel(), x.ravel()))
    level = design @ solution.coefficients[solution.fibers.index(fiber)]
    return (C_MS * design / level[:, None]).reshape(*order.shape, -1)


def fit(lines, orders, n_pixels, lamp, index, per_pixel, fiber):
    """Fit the solution of one fiber to the lines whose laboratory wavelengths are known.

    Parameters
    ----------
    lines : ArcLines
        Lines of the fiber; those with `used` may take part.
    orders : ndarray of int, shape (n_orders,)
        Diffraction orders.
    n_pixels : int
        Length of an order.
    lamp : LampLines
        Laboratory lines.
    index : ndarray of int, shape (n_lines,)
        Which laboratory line each is, -1 for unknown.
    per_pixel : ndarray of float, shape (n_lines,)
        Dispersion at each line [angstrom / pixel].
    fiber : int
        Fiber number.

    Returns
    -------
    solution : Solution
        Of this fiber alone.
    used : ndarray of bool, shape (n_lines,)
        Lines that took part.

    Raises
    ------
    BadFrame
        If there are too few lines.

    Notes
    -----
    m * lambda is a sum of Legendre products of x and m of total degree 7 (with fewer orders or lines, less). Argon, and
    thorium without a modern wavelength, may each lie off the scale by a velocity that is fitted along, so that only the
    best thorium lines fix the zero point. Neighbors too faint to be seen displace a line by an amount that falls with
    its light; how much is told by the residuals, and counts in the weights.
    """
    part = np.flatnonzero(lines.used & (index >= 0) & (lamp.use[index] > 0))
    terms = _terms(len(part), len(orders))
    which, m = index[part], lines.order[part].astype(float)
    target = m * lamp.vacuum_angstrom[which]
    error_ms = C_MS * np.hypot(lines.x_error[part] * per_pixel[part], lamp.error_angstrom[which])
    error_ms = np.hypot(error_ms / lamp.vacuum_angstrom[which], FLOOR_MS)
    faintness_ms = C_MS * per_pixel[part] / lamp.vacuum_angstrom[which] / lines.flux[part]
    design = legendre2d.design(terms, legendre2d.scaled(lines.x[part], 0, n_pixels - 1), _scaled_m(orders, m))
    classes = [(lamp.use[which] < 2) & (lamp.species[which] == name) for name in ("Th", "Ar")]
    offsets = np.column_stack([target / C_MS * 10 * member for member in classes])
    matrix = np.column_stack([design, offsets])
    prior = np.zeros(matrix.shape[1]), np.r_[np.full(len(terms), np.inf), 1.0, 1.0]
    fitted = lambda error: leastsquares.robust(matrix, target, target * error / C_MS, prior)  # noqa: E731
    for _ in range(2):
        solved, _, kept = fitted(error_ms)
        residuals_ms = C_MS * (target - matrix @ solved) / target
        error_ms = np.hypot(error_ms, _crowding(residuals_ms[kept], error_ms[kept], faintness_ms[kept]) * faintness_ms)
    solved, covariance, kept = fitted(error_ms)
    used = np.zeros(len(lines.x), bool)
    used[part[kept]] = True
    n = len(terms)
    residuals_ms = C_MS * (target - matrix @ solved)[kept] / target[kept]
    scatter = 1.4826 * np.median(np.abs(residuals_ms))
    return one(fiber, orders, n_pixels, terms, solved[:n], covariance[:n, :n], scatter, kept.sum()), used


def join(solutions):
    """Put the solutions of several fibers together.

    Parameters
    ----------
    solutions : sequence of Solution
        One a fiber, with the same orders and terms.

    Returns
    -------
    Solution
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
            for name in ("coefficients", "covariance", "scatter_ms", "n_lines")
        ),
    )


def zero_error_ms(solution, lines, fiber):
    """Return the statistical error of the mean wavelength of a fiber.

    Parameters
    ----------
    solution : Solution
        Wavelength solution.
    lines : ArcLines
        Its lines.
    fiber : int
        Fiber number.

    Returns
    -------
    float
        Of the mean over the places of the lines that were used, as a velocity [m / s].

    Notes
    -----
    Ends of orders without a line are extrapolated with errors of hundreds of m/s. There is no light there either, so
    they have no part in the mean.
    """
    i = solution.fibers.index(fiber)
    there = lines.used & (lines.fiber == fiber)
    design = legendre2d.design(solution.degrees, *scaled(solution, lines.order[there].astype(float), lines.x[there]))
    return mean_error_ms(design, solution.covariance[i], solution.coefficients[i][0])


def mean_error_ms(design, covariance, scale):
    """Return the error of the mean wavelength of some places.

    Parameters
    ----------
    design : ndarray of float, shape (n_places, n_terms)
        Terms of the solution there.
    covariance : ndarray of float, shape (n_terms, n_terms)
        Of their coefficients [angstrom2].
    scale : float
        The first coefficient, the mean of m * wavelength [angstrom].

    Returns
    -------
    float
        As a velocity [m / s].
    """
    mean = design.mean(axis=0)
    return float(C_MS * np.sqrt(mean @ covariance @ mean) / scale)


def _crowding(residuals_ms, error_ms, faintness_ms):
    """What neighbors too faint to be seen add to the error of a line, times its light [pixel electron].

    The likelihood of the residuals, with a distribution whose wings do not let outliers decide.
    """
    trials = np.r_[0.0, np.geomspace(3, 30_000, 25)]
    errors = [np.hypot(error_ms, trial * faintness_ms) for trial in trials]
    return trials[np.argmin([np.sum(np.log(e) + 2 * np.log1p((residuals_ms / e) ** 2 / 3)) for e in errors])]


def one(fiber, orders, n_pixels, terms, coefficients, covariance, scatter_ms, n_lines):
    """Return the solution of a single fiber.

    Parameters
    ----------
    fiber : int
        Fiber number.
    orders : ndarray of int, shape (n_orders,)
        Diffraction orders.
    n_pixels : int
        Length of an order.
    terms : ndarray of int, shape (n_terms, 2)
        Legendre degrees in x and in m.
    coefficients : ndarray of float, shape (n_terms,)
        Of m * wavelength [angstrom].
    covariance : ndarray of float, shape (n_terms, n_terms)
        Of the coefficients [angstrom2].
    scatter_ms : float
        Scatter of the lines [m / s].
    n_lines : int
        Lines used.

    Returns
    -------
    Solution
    """
    return Solution(
        (fiber,), np.asarray(orders), n_pixels, terms, coefficients[None], covariance[None],
        np.array([float(scatter_ms)]), np.array([int(n_lines)]),
    )  # fmt: skip


def _terms(n_lines, n_orders):
    total = 7 if n_lines > 300 else 6 if n_lines > 150 else 5
    terms = legendre2d.degrees(total, total, min(total, n_orders - 1))
    if n_lines < 2.5 * len(terms):
        terms = legendre2d.degrees(4, 4, min(2, n_orders - 1))
    if n_lines < 2.5 * len(terms):
        raise BadFrame(f"only {n_lines} lines of the lamp could be identified, too few for a wavelength solution")
    return terms


def scaled(solution, order, x):
    """Return where places lie on the axes of the Legendre polynomials.

    Parameters
    ----------
    solution : Solution
        Wavelength solution.
    order, x : ndarray of float
        Diffraction order and column [1, pixel].

    Returns
    -------
    x, m : ndarray of float
        -1 to 1.
    """
    return legendre2d.scaled(x, 0, solution.n_pixels - 1), _scaled_m(solution.orders, order)


def _scaled_m(orders, m):
    return legendre2d.scaled(m, np.min(orders), np.max(orders))
