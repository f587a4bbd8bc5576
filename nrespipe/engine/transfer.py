"""The wavelengths of one fiber from those of another, by the lines that both see."""

from dataclasses import replace

import numpy as np

from nrespipe.engine import solution
from nrespipe.numerics import leastsquares, legendre2d


def relative(base, lines, base_lines, fiber):
    """Fit the solution of another fiber as a smooth difference from that of the reference fiber.

    Parameters
    ----------
    base : Solution
        Of the reference fiber alone.
    lines : ArcLines
        Lines of the other fiber, whose wavelengths say which is which, with their centers in the state of the
        spectrograph that `base` describes.
    base_lines : ArcLines
        Lines of the reference fiber.
    fiber : int
        Number of the other fiber.

    Returns
    -------
    Solution
        Of the other fiber alone, with the terms of `base`; its covariance includes that of `base`.
    zero_error_ms : float
        Error of the mean of the difference [m / s].

    Notes
    -----
    The same line in both fibers needs no laboratory wavelength: neither the error of that nor blends enter.
    """
    mine, theirs = _common(lines, base_lines)
    m = lines.order[mine].astype(float)
    reference = base.fibers[0]
    target = m * solution.evaluate(base, reference, m, base_lines.x[theirs])
    per_pixel = solution.velocity_per_pixel(base, reference, m, base_lines.x[theirs])
    error_ms = np.hypot(per_pixel * np.hypot(lines.x_error[mine], base_lines.x_error[theirs]), 0.3 * solution.FLOOR_MS)
    design = legendre2d.design(base.degrees, *solution.scaled(base, m, lines.x[mine]))
    inside = base.degrees.sum(axis=1) <= (5 if len(mine) > 400 else 3)
    difference, covariance, kept = leastsquares.robust(
        design[:, inside], target - design @ base.coefficients[0], target * error_ms / solution.C_MS
    )
    coefficients, full = base.coefficients[0].copy(), base.covariance[0].copy()
    coefficients[inside] += difference
    full[np.ix_(inside, inside)] += covariance
    zero = solution.mean_error_ms(design[kept][:, inside], covariance, coefficients[0])
    found = solution.one(fiber, base.orders, base.n_pixels, base.degrees, coefficients, full, 0.0, kept.sum())
    return found, float(zero)


def doubted(scale, error_ms):
    """Return a solution with a further error of its zero point.

    Parameters
    ----------
    scale : Solution
        Of any fibers.
    error_ms : float
        What all wavelengths may be wrong by together; one that is not finite is left to others to tell [m / s].

    Returns
    -------
    Solution
        With a larger covariance.
    """
    if not np.isfinite(error_ms):
        return scale
    all_of_it = scale.coefficients[:, :, None] * scale.coefficients[:, None, :]
    return replace(scale, covariance=scale.covariance + all_of_it * (error_ms / solution.C_MS) ** 2)


def _common(lines, base_lines):
    """Pairs of lines with the same order and the same laboratory wavelength, clean in both fibers."""
    known = {}
    for k in np.flatnonzero(np.isfinite(base_lines.vacuum_angstrom) & (base_lines.x_error < 0.2)):
        known[int(base_lines.order[k]), float(base_lines.vacuum_angstrom[k])] = k
    mine, theirs = [], []
    for k in np.flatnonzero(np.isfinite(lines.vacuum_angstrom) & (lines.x_error < 0.2)):
        pair = known.get((int(lines.order[k]), float(lines.vacuum_angstrom[k])))
        if pair is not None:
            mine.append(k)
            theirs.append(pair)
    return np.array(mine, int), np.array(theirs, int)
