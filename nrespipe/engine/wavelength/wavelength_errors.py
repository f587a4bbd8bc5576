"""Errors of wavelengths: of pixels, of means over pixels, of zero points, and between fibers."""

import numpy as np

from nrespipe import doppler
from nrespipe.engine.wavelength.drift import effect_ms as drift_effect_ms
from nrespipe.engine.wavelength.solution import scaled, slopes_ms
from nrespipe.frames.arrays import Floats, Integers
from nrespipe.frames.masters import Arc
from nrespipe.frames.wavelength import ArcLines, Drift, Solution, Wavelengths
from nrespipe.numerics import legendre2d

#: Error of the zero point of the line-spread function of a fiber, and of the difference of two (measured) [m / s].
_PROFILE_MS, PROFILES_MS = 1.0, 0.8
#: Columns between which errors are interpolated.
_NODES = 65


def per_pixel(solution: Solution, drift: Drift, fiber: int, orders: Integers) -> Floats:
    """Return the error of the wavelength of every pixel of a fiber.

    Parameters
    ----------
    solution
        Wavelength solution of the night.
    drift
        Drift of the frame.
    orders : shape (n_orders,)
        Diffraction orders.

    Returns
    -------
    ndarray of float32, shape (n_orders, n_pixels)
        Infinite where the drift is unknown [m / s].

    Notes
    -----
    With ``J`` the derivatives of the wavelength with respect to the coefficients of the solution, ``J'`` those with
    respect to the terms of the drift, as velocities, and ``C``, ``C'`` their covariances: ``sqrt(J C J + J' C' J')``.
    """
    if drift.n_lines == 0:
        return np.full((len(orders), solution.n_pixels), np.inf, np.float32)
    nodes = np.linspace(0, solution.n_pixels - 1, _NODES)
    order = np.asarray(orders, float)[:, None]
    shape = slopes_ms(solution, fiber, order, nodes)
    motion = drift_effect_ms(solution, fiber, order, nodes)
    variance = _form(shape, solution.covariance[solution.fibers.index(fiber)]) + _form(motion, drift.covariance)
    columns = np.arange(solution.n_pixels)
    return np.array([np.interp(columns, nodes, one) for one in np.sqrt(variance)], np.float32)


def of_mean(wavelengths: Wavelengths, fiber: int, weight: Floats, blocks: int = 64) -> tuple[float, float, float]:
    """Return the error of a weighted mean over the pixels of a fiber, such as the velocity of a star.

    Parameters
    ----------
    wavelengths
        Of a frame, with their solution.
    weight : shape (n_orders, n_pixels)
        Weight of each pixel in the mean; 0 where the wavelength is unknown.
    blocks
        Pieces of an order within which the error is constant.

    Returns
    -------
    night_ms, common_ms, drift_ms : float
        Error by the photon noise of the arcs of the night; error by laboratory wavelengths, unresolved blends and
        line-spread functions, which is the same in every night; and error by the drift, infinite where that is
        unknown [m / s].

    Raises
    ------
    ValueError
        If the wavelengths have no solution, and so no covariance.

    Notes
    -----
    The errors of near pixels, and those of the terms of the drift, are correlated: the covariances are propagated
    through the weights.

    The first and the last part depend on the same photons of the arcs, and their covariance is neglected. Over 60
    nights of one arc they correlated by +0.27 in the fiber of a star and by -0.37 in the reference fiber, of four arcs
    by +0.06 and -0.18 (``benchmarks/wavelengths.py --shared 60``); their sum in quadrature was 4 to 30 percent larger
    than the scatter of both.
    """
    solution, drift = wavelengths.solution, wavelengths.drift
    if solution is None:
        raise ValueError("the wavelengths have no solution, and so no covariance")
    known = np.isin(wavelengths.orders, solution.orders)
    orders, weight = wavelengths.orders[known], np.asarray(weight)[known]
    n = weight.shape[1]
    edges = np.linspace(0, n, blocks + 1).astype(int)
    shares = np.add.reduceat(weight, edges[:-1], axis=1) / weight.sum()
    middles, order = 0.5 * (edges[:-1] + edges[1:] - 1), np.asarray(orders, float)[:, None]
    shape = np.tensordot(shares, slopes_ms(solution, fiber, order, middles), 2)
    motion = np.tensordot(shares, drift_effect_ms(solution, fiber, order, middles), 2)
    i = solution.fibers.index(fiber)
    night, total = _form(shape, solution.photon_covariance[i]), _form(shape, solution.covariance[i])
    drift_ms = np.sqrt(_form(motion, drift.covariance)) if drift.n_lines else np.inf
    common_ms = float(np.sqrt(max(total - night, 0.0)))
    return float(np.sqrt(night)), float(np.hypot(common_ms, _PROFILE_MS)), float(drift_ms)


def zero_point_ms(arc: Arc) -> float:
    """Return the error of the zero point of the wavelengths of a master arc.

    Returns
    -------
    float
        Of the reference fiber, by lines, laboratory and line-spread function, which defines the center of a line;
        without the common asymmetry of star and lamp [m / s].
    """
    return float(np.hypot(of_line_mean(arc.solution, arc.lines, arc.reference.fibers[0]), _PROFILE_MS))


def of_line_mean(solution: Solution, lines: ArcLines, fiber: int) -> float:
    """Return the statistical error of the mean wavelength of the used lines of a fiber.

    Returns
    -------
    float
        Of the mean over the places of the used lines, as a velocity [m / s].

    Notes
    -----
    The solution is extrapolated to ends of orders without lines, with errors of hundreds of m/s. Stars have no flux
    there either, so the mean excludes them.
    """
    i = solution.fibers.index(fiber)
    there = lines.used & (lines.fiber == fiber)
    design = legendre2d.design(solution.degrees, *scaled(solution, lines.order[there].astype(float), lines.x[there]))
    return of_design_mean(design, solution.covariance[i], solution.coefficients[i][0])


def of_design_mean(design: Floats, covariance: Floats, level: float) -> float:
    """Return the error of the mean wavelength of some places.

    Parameters
    ----------
    design : shape (n_places, n_terms)
        Terms of the solution there.
    covariance : shape (n_terms, n_terms)
        Of their coefficients [angstrom2].
    level
        The first coefficient, the mean of m * wavelength [angstrom].

    Returns
    -------
    float
        As a velocity [m / s].
    """
    mean = design.mean(axis=0)
    return float(doppler.C_MS * np.sqrt(mean @ covariance @ mean) / level)


def transfer_noise_ms(arc: Arc, fiber: int) -> float:
    """Return the part of the transfer error of a fiber by the photon noise of the arcs.

    Returns
    -------
    float
        The rest of ``transfer_error_ms``, by the line-spread functions, is the same in every night [m / s].
    """
    total_ms = arc.transfer_error_ms[arc.solution.fibers.index(fiber)]
    return float(np.sqrt(max(total_ms**2 - PROFILES_MS**2, 0.0)))


def _form(slopes, covariance):
    return np.einsum("...i,ij,...j->...", slopes, covariance, slopes, optimize=True)
