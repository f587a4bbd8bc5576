"""Fit of the wavelength solution of a fiber to the lines of the lamp."""

from dataclasses import dataclass

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
#: Lines from which on the degree is 7; with fewer it is one of these, if there are as many lines for each term
_MANY, _DEGREES, _PER_TERM = 300, (4, 5, 6, 7), 2.5


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
    m * lambda is a sum of Legendre products of x and m of total degree 7; with 300 lines or fewer, of the total degree
    from 4 to 7 with which each line has the greatest likelihood in the fit to all others. Argon, and thorium without a
    modern wavelength, each have a common velocity offset that is fitted too, so that only the best thorium lines fix
    the zero point. Unresolved blends displace a line by an amount that falls with the root of
    its flux, and errors of the line-spread function displace all lines alike. The residuals measure both: the variance
    of a center is that of its photons, plus c2 / flux, plus f2, where c and f maximise the likelihood of the residuals.
    """
    part = np.flatnonzero(lines.used & (index >= 0) & (lamp.use[index] > 0))
    given = lines, part, orders, n_pixels, lamp, index[part], per_pixel[part]
    found = [_fitted(*given, terms) for terms in _candidates(len(part), len(orders))]
    best = min(found, key=lambda each: each.misfit)
    used = np.zeros(len(lines.x), bool)
    used[part[best.kept]] = True
    one = solution.of_fiber(
        fiber, orders, n_pixels, best.terms, best.coefficients, best.covariances, best.scatter_ms, best.kept.sum()
    )
    floor_px = best.floor_ms / solution.velocity_per_pixel(one, fiber, lines.order, lines.x)
    return one, used, np.sqrt(lines.x_noise**2 + floor_px**2 + best.blend**2 / lines.flux)


@dataclass(frozen=True)
class _Fit:
    """A fit with one set of terms; `misfit` is minus twice the logarithm of the likelihood of left-out lines."""

    terms: np.ndarray
    coefficients: np.ndarray
    covariances: tuple[np.ndarray, np.ndarray]
    scatter_ms: float
    kept: np.ndarray
    floor_ms: float
    blend: float
    misfit: float


def _fitted(lines, part, orders, n_pixels, lamp, which, per_pixel, terms):
    matrix, target, prior = _system(lines, part, orders, n_pixels, lamp, which, terms)
    ms_per_pixel = doppler.C_MS * lines.order[part] * per_pixel / target
    laboratory_ms = doppler.C_MS * lines.order[part] * lamp.error_angstrom[which] / target
    known_ms = np.hypot(lines.x_noise[part] * ms_per_pixel, laboratory_ms)
    faint_ms = ms_per_pixel / np.sqrt(lines.flux[part])
    floor_ms, blend = _FIRST
    for again in (True, True, False):
        error_ms = np.sqrt(known_ms**2 + floor_ms**2 + (blend * faint_ms) ** 2)
        sigma = target * error_ms / doppler.C_MS
        solved, covariance, kept = leastsquares.robust(matrix, target, sigma, prior)
        residual_ms = doppler.C_MS * (target - matrix @ solved) / target
        # what a line of the fit is off without it: the more it pulls the fit, the less is left of that
        free = np.where(kept, np.maximum(1 - leastsquares.leverage(matrix, sigma, kept, prior), 1e-3), 1.0)
        if again:
            floor_ms, blend = _excess(*(values[kept] for values in (residual_ms / np.sqrt(free), known_ms, faint_ms)))
    scatter_ms, n = 1.4826 * np.median(np.abs(residual_ms[kept])), len(terms)
    noise = leastsquares.carried(
        matrix[kept], sigma[kept], (target * lines.x_noise[part] * ms_per_pixel / doppler.C_MS)[kept], prior
    )
    misfit = _unlikelihood(residual_ms / free, error_ms**2 / free)
    return _Fit(terms, solved[:n], (covariance[:n, :n], noise[:n, :n]), scatter_ms, kept, floor_ms, blend, misfit)


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
            best = min(best, (_unlikelihood(residual_ms, variance), floor_ms, blend))
    return best[1:]


def _unlikelihood(residual, variance):
    """Return minus twice the logarithm of the likelihood of residuals."""
    return float(np.sum(np.log(variance) + (_WINGS + 1) * np.log1p(residual**2 / (_WINGS * variance))))


def _candidates(n_lines, n_orders):
    """Return the sets of terms to choose from; raise BadFrame if there are too few lines for any."""
    totals = (7,) if n_lines > _MANY else _DEGREES
    every = [legendre2d.degrees(total, total, min(total, n_orders - 1)) for total in totals]
    found = [terms for terms in every if n_lines >= _PER_TERM * len(terms)]
    smallest = legendre2d.degrees(4, 4, min(2, n_orders - 1))
    if not found and n_lines >= _PER_TERM * len(smallest):
        found = [smallest]
    if not found:
        raise BadFrame(f"only {n_lines} lines of the lamp could be identified, too few for a wavelength solution")
    return found
