"""How far the spectrum has moved since the master arc, from the lamp in the reference fiber."""

import numpy as np

from nrespipe.engine import arclines, lineshape, solution
from nrespipe.frames.wavelength import Drift
from nrespipe.numerics import leastsquares, legendre2d, peaks

#: Farthest whole-pixel move that is looked for [pixel].
_FARTHEST = 12


def measure(spectra, arc):
    """Measure the drift of a frame against the master arc.

    Parameters
    ----------
    spectra : Spectra
        The frame; its reference fiber shows the lamp.
    arc : Arc
        Master arc.

    Returns
    -------
    Drift
        With ``n_lines`` 0, no shift and infinite errors where the frame has no reference fiber, or too few lines in it.

    Notes
    -----
    Each line of the arc is fitted in the arc and in the frame with the same profile, the same pixels and the same
    weights, so that blends and imperfections of the profile move both alike; the differences give shift and stretch.
    """
    return of_fiber(spectra, arc.reference.fibers[0], arc.reference, arc.lines, arc.line_shape, arc.solution)


def of_fiber(spectra, fiber, reference, lines, line_shape, scale):
    """Measure how far the lamp in one fiber has moved.

    Parameters
    ----------
    spectra : Spectra
        The frame.
    fiber : int
        A fiber that shows the lamp in both.
    reference : Spectra
        What to compare with.
    lines : ArcLines
        Lines in `reference`.
    line_shape : LineShape
        Line-spread function.
    scale : Solution
        To express the drift as a velocity.

    Returns
    -------
    Drift
        As from `measure`.
    """
    if fiber not in spectra.fibers:
        return _unknown()
    rows, coarse = _match(spectra, reference, fiber)
    mine, theirs = np.flatnonzero(rows >= 0), rows[rows >= 0]
    ours, other = _Lamp(spectra, fiber, mine, coarse), _Lamp(reference, fiber, theirs, 0)
    here = (lines.fiber == fiber) & np.isin(lines.order, reference.orders[theirs])
    row = np.searchsorted(reference.orders[theirs], lines.order[here])
    fwhm, tables = lineshape.at(line_shape, fiber, np.searchsorted(line_shape.orders, lines.order[here]), lines.x[here])
    start = np.column_stack([lines.flux[here], lines.x[here], fwhm])
    x, moved, error = compare(ours, other, row, start, tables)
    return _drift(x, moved + coarse, error, scale, fiber)


def orders(spectra, arc):
    """Return the true diffraction orders of the rows of a frame's spectra.

    Parameters
    ----------
    spectra : Spectra
        The frame.
    arc : Arc
        Master arc, whose order numbers the lamp has proven.

    Returns
    -------
    ndarray of int, shape (n_orders,)
        Found by comparing the lamp of the reference fiber; without it the rows are taken to be those of the arc if
        they are as many, otherwise the numbers stand as they are.
    """
    true = arc.solution.orders
    if arc.reference.fibers[0] not in spectra.fibers:
        return np.array(true) if len(true) == len(spectra.orders) else np.array(spectra.orders)
    rows, _ = _match(spectra, arc.reference, arc.reference.fibers[0])
    first = int(np.flatnonzero(rows >= 0)[0])
    return spectra.orders - spectra.orders[first] + true[rows[first]]


class _Lamp:
    """Spectra of the lamp, moved by whole pixels, without background."""

    def __init__(self, spectra, fiber, rows, coarse):
        flux, variance, weight = arclines.prepared(spectra, fiber)
        self.flux, self.variance, self.good = (np.roll(a[rows], -coarse, axis=1) for a in (flux, variance, weight > 0))


def compare(frame, reference, row, start, tables, rounds=2):
    """Compare the centers of lines in two spectra.

    Parameters
    ----------
    frame, reference : _Lamp
        Spectra with the same rows.
    row : ndarray of int, shape (n_lines,)
        Row of each line.
    start : ndarray of float, shape (n_lines, 3)
        Flux, center and width in the reference.
    tables : ndarray of float, shape (n_lines, 3 + n_offsets)
        Profiles.
    rounds : int
        How often all lines are fitted, with their neighbors taken away.

    Returns
    -------
    x, moved, error : ndarray of float, shape (n_compared,)
        Center in the reference, how much larger it is in the frame, and the error of that [pixel].
    """
    level = _level(frame, reference, row, start)
    floor = _floor(frame)
    weight = np.where(frame.good & reference.good, 1 / (floor + level * np.maximum(reference.flux, 0)), 0.0)
    fits = []
    for lamp, factor in ((frame, level), (reference, 1.0)):
        now = start * [factor, 1, 1]
        for _ in range(rounds):
            model = peaks.render(*lamp.flux.shape, row, *now.T, tables, 2.4)
            fit = peaks.fit(lamp.flux - model, weight, lamp.variance, row, now, tables, 1.5, False)
            good = np.isfinite(fit[:, 1])
            now = np.where(good[:, None], np.column_stack([fit[:, :2], start[:, 2]]), now * [0, 1, 1])
        fits.append(fit)
    a, b = fits
    error = np.hypot(a[:, 4], b[:, 4])
    good = np.isfinite(error) & (a[:, 0] > 3 * a[:, 5]) & (b[:, 0] > 3 * b[:, 5])
    # a peak of the noise, or a cosmic ray, is not as bright as the lamp makes the line
    good &= np.abs(a[:, 0] - level * b[:, 0]) < 0.5 * level * b[:, 0] + 2.5 * a[:, 5]
    return b[good, 1], (a - b)[good, 1], error[good]


def _floor(frame):
    """Variance of the pixels between the lines, per row."""
    return np.array([[np.percentile(v[g], 20) if g.any() else 1.0] for v, g in zip(frame.variance, frame.good)])


def _level(frame, reference, row, start):
    pixel = np.clip(np.rint(start[:, 1]).astype(int), 1, frame.flux.shape[1] - 2)
    ours, theirs = (sum(lamp.flux[row, pixel + i] for i in (-1, 0, 1)) for lamp in (frame, reference))
    bright = theirs > np.percentile(theirs, 50) if len(theirs) else np.zeros(0, bool)
    return max(1e-4, float(np.median(ours[bright] / theirs[bright]))) if bright.any() else 1.0


def _drift(x, moved, error, scale, fiber):
    if len(x) < 10:
        return _unknown()
    scaled = legendre2d.scaled(x, 0, scale.n_pixels - 1)
    design = np.column_stack([np.ones(len(x)), scaled])
    (shift, stretch), covariance, kept = leastsquares.robust(design, moved, np.hypot(error, 0.002))
    grid = np.linspace(0, scale.n_pixels - 1, 33)
    per_pixel = solution.velocity_per_pixel(scale, fiber, scale.orders[:, None], grid)
    effect = -np.array([per_pixel.mean(), (per_pixel * legendre2d.scaled(grid, 0, scale.n_pixels - 1)).mean()])
    return Drift(
        shift=float(shift),
        shift_error=float(np.sqrt(covariance[0, 0])),
        stretch=float(stretch),
        stretch_error=float(np.sqrt(covariance[1, 1])),
        velocity_ms=float(effect @ [shift, stretch]),
        velocity_error_ms=float(np.sqrt(effect @ covariance @ effect)),
        n_lines=int(kept.sum()),
    )


def _unknown():
    return Drift(0.0, np.inf, 0.0, np.inf, 0.0, np.inf, 0)


def _match(spectra, reference, fiber):
    """Row of the arc for each row of the frame (-1 for none), and how many whole pixels the frame lies to the right."""
    ours, theirs = (_outline(lamp.of(fiber)[0]) for lamp in (spectra, reference))
    n = len(ours)
    scores = {}
    for k in range(-3, len(theirs) - n + 4):
        rows = np.arange(n) + k
        inside = (rows >= 0) & (rows < len(theirs))
        a, b = ours[inside], theirs[rows[inside]]
        for s in range(-_FARTHEST, _FARTHEST + 1, 2):
            scores[k, s] = np.vdot(a[:, 20 + s : a.shape[1] - 20 + s], b[:, 20:-20])
    k, s = max(scores, key=scores.get)
    rows = np.arange(n) + k
    return np.where((rows >= 0) & (rows < len(theirs)), rows, -1), s if abs(s) > 2 else 0


def _outline(flux):
    light = np.nan_to_num(flux).astype(np.float32)
    level = np.maximum(light - np.median(light, axis=1)[:, None], 0)
    root = np.sqrt(level)
    smooth = root + np.roll(root, 1, axis=1) + np.roll(root, -1, axis=1)
    return smooth - smooth.mean(axis=1)[:, None]
