"""Offset of the wavelengths of a fiber from those of the reference fiber, by their common lines."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nrespipe import doppler
from nrespipe.engine.wavelength import arc_coaddition, arc_lines, wavelength_errors
from nrespipe.engine.wavelength.drift import UNKNOWN
from nrespipe.engine.wavelength.drift import of_fiber as drift_of_fiber
from nrespipe.engine.wavelength.drift import terms as drift_terms
from nrespipe.engine.wavelength.solution import evaluate, scaled, velocity_per_pixel
from nrespipe.engine.wavelength.solution import of_fiber as solution_of_fiber
from nrespipe.frames.arrays import Floats
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.wavelength import ArcLines, Drift, LineShape, Solution
from nrespipe.numerics import leastsquares, legendre2d

#: Largest distance of a line from its expected wavelength [m / s].
_SAME_MS = 1000.0
#: Scatter of the difference of a line in two fibers beyond photon noise [m / s].
_FLOOR_MS = 6.0


def reference_lines(
    arcs: Sequence[Spectra], levels: Floats, stack: Spectra, lines: ArcLines, shape: LineShape, base: Solution
) -> tuple[ArcLines, Drift]:
    """Measure the lines of the reference fiber in the arcs that light another fiber too.

    Parameters
    ----------
    arcs
        All arcs of a night.
    levels : shape (n_arcs,)
        Brightness of the other fiber in each, 0 where it is dark.
    stack
        Sum of all arcs.
    lines
        Lines of the reference fiber in that sum, identified.
    shape
        Line-spread function of the sum.
    base
        Of the reference fiber alone.

    Returns
    -------
    lines : ArcLines
        Of the reference fiber in the sum of these arcs, identified.
    drift : Drift
        Their drift from the sum of all arcs; ``n_lines`` is 0 where no arc lights both fibers: then the lines are those
        of all arcs.

    Notes
    -----
    The sum of some arcs has a line-spread function of its own: a drift of 1000 m/s between arcs blurs their sum, and
    the profile of a sum that is blurred more would shift the lines by 3 m/s.
    """
    reference = base.fibers[0]
    with_it = [arc for arc in arcs if reference in arc.fibers]
    both = [arc for arc, level in zip(arcs, levels) if level > 0 and reference in arc.fibers]
    if len(both) == len(with_it):
        return lines, Drift(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, len(lines.x))
    if not both:
        return lines, UNKNOWN
    total, _ = arc_coaddition.arcs([arc.select(reference) for arc in both])
    drift = drift_of_fiber(total, reference, stack, lines, shape, base)
    found = arc_lines.find(total, reference, arc_lines.line_shape(total, reference))
    there = without_drift(found, drift, base)
    expected = evaluate(base, reference, there.order, there.x)
    return replace(found, vacuum_angstrom=_nearest(lines, there.order, expected)), drift


def without_drift(lines: ArcLines, drift: Drift, base: Solution) -> ArcLines:
    """Return lines with their centers corrected for a drift.

    Parameters
    ----------
    lines
        Lines of any fiber.
    drift
        Drift of the lines.
    base
        Of the reference fiber.
    """
    values = np.array([drift.shift_px, drift.stretch_px, drift.turn_px, drift.bend_ms])
    return replace(lines, x=lines.x - drift_terms(base, base.fibers[0], lines.order, lines.x) @ values)


def fit(base: Solution, lines: ArcLines, base_lines: ArcLines, fiber: int) -> tuple[Solution, float]:
    """Fit the solution of another fiber as a smooth difference from that of the reference fiber.

    Parameters
    ----------
    base
        Of the reference fiber alone.
    lines
        Identified lines of the other fiber, with their centers in the state of the spectrograph of `base`.
    base_lines
        Lines of the reference fiber.
    fiber
        Number of the other fiber.

    Returns
    -------
    solution : Solution
        Of the other fiber alone, with the terms of `base`; its covariance includes that of `base`.
    zero_error_ms : float
        Error of the mean of the difference [m / s].

    Notes
    -----
    Laboratory wavelengths and blends cancel in the difference of a line between fibers.
    """
    mine, theirs = _common(lines, base_lines)
    m = lines.order[mine].astype(float)
    reference = base.fibers[0]
    target = m * evaluate(base, reference, m, base_lines.x[theirs])
    per_pixel = velocity_per_pixel(base, reference, m, base_lines.x[theirs])
    noise_ms = per_pixel * np.hypot(lines.x_noise[mine], base_lines.x_noise[theirs])
    error_ms = np.hypot(noise_ms, _FLOOR_MS)
    design = legendre2d.design(base.degrees, *scaled(base, m, lines.x[mine]))
    inside = base.degrees.sum(axis=1) <= (5 if len(mine) > 400 else 3)
    difference, covariance, kept = leastsquares.robust(
        design[:, inside], target - design @ base.coefficients[0], target * error_ms / doppler.C_MS
    )
    errors = [(target * ms / doppler.C_MS)[kept] for ms in (error_ms, noise_ms)]
    noise = leastsquares.carried(design[kept][:, inside], *errors)
    coefficients, full, photons = (
        array[0].copy() for array in (base.coefficients, base.covariance, base.photon_covariance)
    )
    coefficients[inside] += difference
    full[np.ix_(inside, inside)] += covariance
    photons[np.ix_(inside, inside)] += noise
    zero = wavelength_errors.of_design_mean(design[kept][:, inside], covariance, coefficients[0])
    covariances = full, photons
    found = solution_of_fiber(
        fiber, base.orders, base.n_pixels, base.degrees, coefficients, covariances, 0.0, kept.sum()
    )
    return found, float(zero)


def with_zero_error(solution: Solution, error_ms: float) -> Solution:
    """Return a solution with a covariance that includes an error of its zero point.

    Parameters
    ----------
    error_ms
        Common error of all wavelengths; one that is not finite is ignored [m / s].

    Returns
    -------
    Solution
        With a larger covariance.
    """
    if not np.isfinite(error_ms):
        return solution
    all_of_it = solution.coefficients[:, :, None] * solution.coefficients[:, None, :]
    return replace(solution, covariance=solution.covariance + all_of_it * (error_ms / doppler.C_MS) ** 2)


def _nearest(lines, order, expected):
    """Return the laboratory wavelength of the identified line next to each expected wavelength; NaN for none."""
    known = np.flatnonzero(np.isfinite(lines.vacuum_angstrom))
    # orders are further apart than wavelengths, so that one search finds both
    table = lines.order[known] * 1e5 + lines.vacuum_angstrom[known]
    known, table = known[np.argsort(table)], np.sort(table)
    place = np.clip(np.searchsorted(table, order * 1e5 + expected), 1, len(table) - 1)
    nearer = np.abs(table[place - 1] - order * 1e5 - expected) < np.abs(table[place] - order * 1e5 - expected)
    best = lines.vacuum_angstrom[known[np.where(nearer, place - 1, place)]]
    return np.where(np.abs(best / expected - 1) < _SAME_MS / doppler.C_MS, best, np.nan)


def _common(lines, base_lines):
    """Pairs of lines with the same order and the same laboratory wavelength, clean in both fibers."""
    known = {}
    for k in np.flatnonzero(np.isfinite(base_lines.vacuum_angstrom) & (base_lines.x_noise < 0.2)):
        known[int(base_lines.order[k]), float(base_lines.vacuum_angstrom[k])] = k
    mine, theirs = [], []
    for k in np.flatnonzero(np.isfinite(lines.vacuum_angstrom) & (lines.x_noise < 0.2)):
        pair = known.get((int(lines.order[k]), float(lines.vacuum_angstrom[k])))
        if pair is not None:
            mine.append(k)
            theirs.append(pair)
    return np.array(mine, int), np.array(theirs, int)
