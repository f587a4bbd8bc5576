"""Fit of the wavelength solution of a fiber to the lines of the lamp."""

import numpy as np

from nrespipe import doppler
from nrespipe.engine.wavelength import solution
from nrespipe.errors import BadFrame
from nrespipe.frames.arrays import Booleans, Floats, Integers
from nrespipe.frames.wavelength import ArcLines, LampLines, Solution
from nrespipe.numerics import leastsquares, legendre2d

#: Trial values of the displacement of the centers of all lines [m / s], and of that by unresolved blends, which falls
#: with the root of the flux [pixel electron^1/2].
_FLOORS_MS = np.geomspace(5, 80, 11)
_BLENDS = np.r_[0.0, np.geomspace(0.7, 30, 21)]
#: Their first guesses.
_FIRST = 20.0, 4.0
#: Degrees of freedom of the distribution of the residuals: its wings do not let outliers decide.
_WINGS = 15


def fit(
    lines: ArcLines, orders: Integers, n_pixels: int, lamp: LampLines, index: Integers, per_pixel: Floats, fiber: int
) -> tuple[Solution, Booleans, Floats]:
    """Fit the solution of one fiber to the lines whose laboratory wavelengths are known.

    Parameters
    ----------
    lines
        Lines of the fiber; only those with `used` are fitted.
    orders : shape (n_orders,)
        Diffraction orders.
    n_pixels
        Length of an order.
    index : shape (n_lines,)
        Index of the laboratory line of each, -1 for unknown.
    per_pixel : shape (n_lines,)
        Dispersion at each line [angstrom / pixel].

    Returns
    -------
    solution : Solution
        Of this fiber alone.
    used : ndarray of bool, shape (n_lines,)
        Lines of the fit.
    x_error : ndarray of float, shape (n_lines,)
        Errors of the centers of all lines, by photon noise and by the scatter of the residuals beyond it [pixel].

    Raises
    ------
    BadFrame
        If there are too few lines.

    Notes
    -----
    m * lambda is a sum of Legendre products of x and m of total degree 7 (with fewer orders or lines, less). Argon,
    and thorium without a modern wavelength, each have a common velocity offset that is fitted too, so that only the
    best thorium lines fix the zero point. Unresolved blends displace a line by an amount that falls with the root of
    its flux, and errors of the line-spread function displace all lines alike. The residuals measure both: the variance
    of a center is that of its photons, plus c2 / flux, plus f2, where c and f maximise the likelihood of the residuals.
    """
    part = np.flatnonzero(lines.used & (index >= 0) & (lamp.use[index] > 0))
    terms = _terms(len(part), len(orders))
    matrix, target, prior = _system(lines, part, orders, n_pixels, lamp, index[part], terms)
    ms_per_pixel = doppler.C_MS * lines.order[part] * per_pixel[part] / target
    laboratory_ms = doppler.C_MS * lines.order[part] * lamp.error_angstrom[index[part]] / target
    known_ms = np.hypot(lines.x_noise[part] * ms_per_pixel, laboratory_ms)
    faint_ms = ms_per_pixel / np.sqrt(lines.flux[part])
    floor_ms, blend = _FIRST
    for again in (True, True, False):
        error_ms = np.sqrt(known_ms**2 + floor_ms**2 + (blend * faint_ms) ** 2)
        solved, covariance, kept = leastsquares.robust(matrix, target, target * error_ms / doppler.C_MS, prior)
        residual_ms = doppler.C_MS * (target - matrix @ solved) / target
        if again:
            floor_ms, blend = _excess(residual_ms[kept], known_ms[kept], faint_ms[kept])
    used = np.zeros(len(lines.x), bool)
    used[part[kept]] = True
    scatter_ms, n = 1.4826 * np.median(np.abs(residual_ms[kept])), len(terms)
    noise = leastsquares.carried(
        matrix[kept],
        (target * error_ms / doppler.C_MS)[kept],
        (target * lines.x_noise[part] * ms_per_pixel / doppler.C_MS)[kept],
        prior,
    )
    covariances = covariance[:n, :n], noise[:n, :n]
    found = solution.of_fiber(fiber, orders, n_pixels, terms, solved[:n], covariances, scatter_ms, kept.sum())
    floor_px = floor_ms / solution.velocity_per_pixel(found, fiber, lines.order, lines.x)
    return found, used, np.sqrt(lines.x_noise**2 + floor_px**2 + blend**2 / lines.flux)


def _system(lines, part, orders, n_pixels, lamp, which, terms):
    """Return the matrix of the terms and of the offsets of argon and older thorium lines, the values, and the prior."""
    m = lines.order[part].astype(float)
    target = m * lamp.vacuum_angstrom[which]
    x = legendre2d.scaled(lines.x[part], 0, n_pixels - 1)
    design = legendre2d.design(terms, x, legendre2d.scaled(m, np.min(orders), np.max(orders)))
    classes = [(lamp.use[which] < 2) & (lamp.species[which] == name) for name in ("Th", "Ar")]
    offsets = np.column_stack([target / doppler.C_MS * 10 * member for member in classes])
    prior = np.zeros(len(terms) + 2), np.r_[np.full(len(terms), np.inf), 1.0, 1.0]
    return np.column_stack([design, offsets]), target, prior


def _excess(residual_ms, known_ms, faint_ms):
    """Return the displacements of lines beyond photon noise and laboratory: of all lines, and by unresolved blends."""
    best = np.inf, *_FIRST
    for floor_ms in _FLOORS_MS:
        for blend in _BLENDS:
            variance = known_ms**2 + floor_ms**2 + (blend * faint_ms) ** 2
            wings = (_WINGS + 1) * np.log1p(residual_ms**2 / (_WINGS * variance))
            best = min(best, (np.sum(np.log(variance) + wings), floor_ms, blend))
    return best[1:]


def _terms(n_lines, n_orders):
    total = 7 if n_lines > 300 else 6 if n_lines > 150 else 5
    terms = legendre2d.degrees(total, total, min(total, n_orders - 1))
    if n_lines < 2.5 * len(terms):
        terms = legendre2d.degrees(4, 4, min(2, n_orders - 1))
    if n_lines < 2.5 * len(terms):
        raise BadFrame(f"only {n_lines} lines of the lamp could be identified, too few for a wavelength solution")
    return terms
