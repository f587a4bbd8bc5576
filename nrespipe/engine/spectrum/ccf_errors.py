"""How well width, contrast and bisector span of a cross-correlation function are known."""

from typing import TYPE_CHECKING

import numpy as np

from nrespipe import doppler
from nrespipe.engine.spectrum import ccf

if TYPE_CHECKING:
    from nrespipe.engine.velocity.mask_fit import Fit

_FWHM = 2.3548200450309493


def errors(found: "Fit", berv_ms: float = 0.0, *, window: float = 1.25) -> tuple[float, float, float]:
    """Return the photon errors of the shape of a cross-correlation function.

    Parameters
    ----------
    found
        From ``mask_fit.fit``.
    berv_ms
        Barycentric correction that it was made with [m / s].
    window
        As in ``mask_fit.fit``.

    Returns
    -------
    fwhm_ms, contrast, bisector_ms : float
        Errors of ``found.fwhm_ms``, ``found.contrast``, ``found.bisector_ms``; infinite where the function has no dip
        [m / s, 1, m / s].

    Notes
    -----
    The points of the function are correlated, because a pixel lies under many lines and a line on many points. So the
    derivative of each number with respect to the points is carried back to the pixels, whose noise is independent:
    ``error**2 = sum over pixels of (sum over points of dX/df df/dpixel)**2 variance``.
    """
    orders, lines = found.orders, found.lines
    reach_ms = window * found.fwhm_ms
    grid_ms = np.linspace(-reach_ms, reach_ms, 81)
    box_ms = grid_ms[1] - grid_ms[0]
    seen_ms = doppler.seen_ms(found.rv_ms + grid_ms, berv_ms)
    good = orders.good & (orders.continuum > 0)
    level = np.where(good, orders.continuum, 1.0)
    flux = np.where(good, orders.flux / level, found.model)
    edges, total = ccf.pixel_edges(orders.wavelength), lines.weight.sum()
    function = ccf.correlate(flux[None], edges, lines, seen_ms, box_ms)[0].sum(axis=0) / total
    noise = np.where(good, orders.variance / level**2, 0.0)
    answers = _gaussian_answers(grid_ms, function), _bisector_answer(grid_ms, function)
    if answers[0] is None:
        return np.inf, np.inf, np.inf
    result = []
    for answer in (*answers[0], answers[1]):
        coefficients = np.broadcast_to(answer / total, (len(orders.flux), len(grid_ms)))
        pixels = ccf.projection(edges, lines, seen_ms, box_ms, np.ascontiguousarray(coefficients))
        result.append(float(np.sqrt(np.sum(pixels**2 * noise))))
    return tuple(value if value > 0 else np.inf for value in result)


def _gaussian_answers(grid_ms, function):
    """Return how width and contrast of the fitted Gaussian answer to each point, or None where there is no dip."""
    peak = ccf.peak(grid_ms, function)
    sigma_ms, depth = peak.fwhm_ms / _FWHM, peak.contrast * peak.level
    if not (sigma_ms > 0 and depth > 0 and peak.level > 0):
        return None
    u = (grid_ms - peak.center_ms) / sigma_ms
    bell = np.exp(-0.5 * u**2)
    # level, depth, center, width
    slopes = np.stack([np.ones(len(u)), -bell, -depth * bell * u / sigma_ms, -depth * bell * u**2 / sigma_ms], axis=1)
    level, deep, _, width = np.linalg.pinv(slopes)
    return _FWHM * width, deep / peak.level - depth / peak.level**2 * level


def _bisector_answer(grid_ms, function, step=1e-4):
    """Return how the bisector span answers to each point; NaN where it is not defined."""
    steps = step * np.ptp(function) * np.eye(len(function))
    fitted = ccf.peak(grid_ms, function)
    span = lambda moved: ccf.bisector_span(grid_ms, moved, fitted)
    return np.array([span(function + move) - span(function - move) for move in steps]) / (2 * step * np.ptp(function))
