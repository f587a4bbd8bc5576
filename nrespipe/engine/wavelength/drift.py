"""Drift of the spectrum since the master arc, by the lamp in the reference fiber."""

import numpy as np

from nrespipe.engine.wavelength import arc_lines, line_spread, order_numbers
from nrespipe.engine.wavelength.solution import velocity_per_pixel
from nrespipe.frames.arrays import Booleans, Floats, Integers
from nrespipe.frames.masters import Arc
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.wavelength import DRIFT_SCATTER_MS, ArcLines, Drift, LineShape, Solution
from nrespipe.numerics import leastsquares, legendre2d, peaks

#: Expected size of shift, stretch, turn [pixel] and bend [m / s]. It hardly matters with a normal lamp, but a faint
#: lamp cannot separate the terms.
_PRIOR = np.array([np.inf, np.inf, 0.03, DRIFT_SCATTER_MS])
#: Scatter of the shifts of lines beyond photon noise [pixel].
_FLOOR_PX = 0.002
#: Fraction of the weight of all lines that the lines of the fit have.
_WEIGHT = 0.99
#: Errors beyond which a line does not count in the mean of its order.
_FARTHEST = 5.0
#: A drift that could not be measured. Turn and bend are not fitted then: they have no error of their own.
UNKNOWN = Drift(0.0, np.inf, 0.0, np.inf, 0.0, np.inf, 0)


def measure(spectra: Spectra, arc: Arc, shift_px: int | None = None) -> Drift:
    """Measure the drift of a frame against the master arc.

    Parameters
    ----------
    spectra
        The frame, with true diffraction orders; its reference fiber shows the lamp.
    shift_px
        Whole pixels of the shift, as from ``order_numbers.of_frame``; measured where absent.

    Returns
    -------
    Drift
        `UNKNOWN` where the frame has no reference fiber, or too few lines in it.

    Notes
    -----
    Each line of the arc is fitted in the arc and in the frame with the same profile and weights, so that the effects of
    blends and of an imperfect profile cancel. The differences are fitted with four terms: a shift and its change along
    the order (stretch) and over the orders (turn), and the curvature by a velocity common to all wavelengths (bend), as
    by a change of the air pressure, because pixels are not equally wide in velocity. Without the curvature a change of
    the pressure by 400 m/s leaves 4 m/s in the mean over the orders of a star, and 12 m/s rms in the pixels; it costs a
    twelfth of the precision.
    """
    return of_fiber(spectra, arc.reference.fibers[0], arc.reference, arc.lines, arc.line_shape, arc.solution, shift_px)


def of_fiber(
    spectra: Spectra,
    fiber: int,
    reference: Spectra,
    lines: ArcLines,
    line_shape: LineShape,
    solution: Solution,
    shift_px: int | None = None,
) -> Drift:
    """Measure the drift of the lamp in one fiber.

    Parameters
    ----------
    fiber
        A fiber that shows the lamp in both.
    reference
        Spectra to compare with, order by order.
    lines
        Lines in `reference`.
    solution
        Solution that converts the drift to a velocity.
    shift_px
        Whole pixels of the shift; measured where absent.

    Returns
    -------
    Drift
        As from `measure`.
    """
    order, x, shifts_px, error = _shifts(spectra, fiber, reference, lines, line_shape, shift_px)
    return _fitted(order, x, shifts_px, error, solution, fiber)


def by_order(spectra: Spectra, arc: Arc, drift: Drift) -> tuple[Integers, Floats, Floats]:
    """Return what the drift of a frame leaves in each order: a check of its terms.

    Parameters
    ----------
    spectra
        The frame.
    drift
        Of the same frame, from `measure`.

    Returns
    -------
    orders : ndarray of int, shape (n_orders,)
        Diffraction orders with lines in both; empty where the drift was not measured.
    residual_ms, error_ms : ndarray of float, shape (n_orders,)
        Weighted mean of the shifts of the lines less the fitted drift, as the change of the wavelength of a fixed
        pixel, and its error [m / s].
    """
    nothing = np.zeros(0, int), np.zeros(0), np.zeros(0)
    if drift.n_lines == 0:
        return nothing
    fiber, solution = arc.reference.fibers[0], arc.solution
    coarse = round(drift.shift_px)
    order, x, shifts_px, error = _shifts(spectra, fiber, arc.reference, arc.lines, arc.line_shape, coarse)
    if not len(x):
        return nothing
    moves = terms(solution, fiber, order, x) @ [drift.shift_px, drift.stretch_px, drift.turn_px, drift.bend_ms]
    residual_px, sigma = shifts_px - moves, np.hypot(error, _FLOOR_PX)
    near = np.abs(residual_px) < _FARTHEST * sigma
    orders, row = np.unique(order[near].astype(int), return_inverse=True)
    scale = -velocity_per_pixel(solution, fiber, order[near], x[near])
    weight = 1 / (scale * sigma[near]) ** 2
    total = np.bincount(row, weight, len(orders))
    mean = np.bincount(row, weight * scale * residual_px[near], len(orders)) / total
    return orders, mean, total**-0.5


def _shifts(spectra, fiber, reference, lines, line_shape, shift_px):
    """Return order, column, shift and its error of the lines of a lamp in a frame; empty where there are none."""
    nothing = (np.zeros(0),) * 4
    if fiber not in spectra.fibers:
        return nothing
    orders, mine, theirs = np.intersect1d(spectra.orders, reference.orders, return_indices=True)
    if shift_px is None:
        shift_px = order_numbers.lamp_shift_px(spectra.of(fiber).flux[mine], reference.of(fiber).flux[theirs])
    if shift_px is None:
        return nothing
    lamps = _Lamp(spectra, fiber, mine, shift_px), _Lamp(reference, fiber, theirs, 0)
    here = (lines.fiber == fiber) & np.isin(lines.order, orders)
    row = np.searchsorted(orders, lines.order[here])
    fwhm, tables = line_spread.at(
        line_shape, fiber, np.searchsorted(line_shape.orders, lines.order[here]), lines.x[here]
    )
    start = np.column_stack([lines.flux[here], lines.x[here], fwhm])
    which, shifts_px, error = _line_shifts(*lamps, row, start, tables)
    x, order = lines.x[here][which], lines.order[here][which].astype(float)
    return order, x, shifts_px + shift_px, error


def undo(drift: Drift, x: Floats, n_pixels: int) -> Floats:
    """Return the columns of the master arc that correspond to columns of a drifted frame, by shift and stretch.

    Parameters
    ----------
    x
        Columns [pixel].
    n_pixels
        Length of an order.

    Returns
    -------
    ndarray of float
        Columns in the master arc [pixel].
    """
    middle = (n_pixels - 1) / 2
    return middle + (np.asarray(x, float) - drift.shift_px - middle) / (1 + drift.stretch_px / middle)


def terms(solution: Solution, fiber: int, order: np.ndarray, x: np.ndarray) -> Floats:
    """Return the derivatives of the column of a line with respect to the terms of a drift.

    Parameters
    ----------
    order, x
        Diffraction order and column, broadcast [1, pixel].

    Returns
    -------
    ndarray of float, shape (..., 4)
        For shift, stretch and turn [1], and bend without its linear part [pixel / (m / s)].
    """
    columns, orders = _middles(solution.n_pixels), solution.orders[:, None]
    everywhere = _straight(solution, orders, columns).reshape(-1, 3)
    pressure = 1 / velocity_per_pixel(solution, fiber, orders, columns)
    as_straight = np.linalg.lstsq(everywhere, pressure.ravel())[0]
    straight = _straight(solution, order, x)
    bend = 1 / velocity_per_pixel(solution, fiber, order, x) - straight @ as_straight
    return np.concatenate([straight, bend[..., None]], axis=-1)


def _straight(solution, order, x):
    x, order = np.broadcast_arrays(np.asarray(x, float), np.asarray(order, float))
    scaled_x = legendre2d.scaled(x, 0, solution.n_pixels - 1)
    scaled_m = legendre2d.scaled(order, solution.orders.min(), solution.orders.max())
    return np.stack([np.ones(x.shape), scaled_x, scaled_m], axis=-1)


def _middles(n_pixels, blocks=64):
    return (np.arange(blocks) + 0.5) / blocks * n_pixels - 0.5


def effect_ms(solution: Solution, fiber: int, order: np.ndarray, x: np.ndarray) -> Floats:
    """Return the derivatives of the wavelength of a fixed pixel with respect to the terms of a drift.

    Parameters
    ----------
    order, x
        Diffraction order and column, broadcast [1, pixel].

    Returns
    -------
    ndarray of float, shape (..., 4)
        For shift, stretch and turn [m / s / pixel], and bend [1].
    """
    return -velocity_per_pixel(solution, fiber, order, x)[..., None] * terms(solution, fiber, order, x)


def _fitted(order, x, shifts_px, error, solution, fiber):
    """Fit shift, stretch, turn and bend to the shifts of lines."""
    if len(x) < 10:
        return UNKNOWN
    sigma = np.hypot(error, _FLOOR_PX)
    best = _significant(sigma)
    prior = np.zeros(4), _PRIOR
    values, covariance, kept = leastsquares.robust(
        terms(solution, fiber, order[best], x[best]), shifts_px[best], sigma[best], prior
    )
    mean = effect_ms(solution, fiber, solution.orders[:, None], _middles(solution.n_pixels)).mean(axis=(0, 1))
    (shift, stretch, turn, bend), errors = values.tolist(), np.sqrt(np.diag(covariance)).tolist()
    return Drift(
        shift_px=shift,
        shift_error_px=errors[0],
        stretch_px=stretch,
        stretch_error_px=errors[1],
        velocity_ms=float(mean @ values),
        velocity_error_ms=float(np.sqrt(mean @ covariance @ mean)),
        n_lines=int(kept.sum()),
        turn_px=turn,
        turn_error_px=errors[2],
        bend_ms=bend,
        bend_error_ms=errors[3],
        covariance=covariance,
    )


def _significant(sigma):
    """Return the indices of the lines that have nearly all of the weight.

    The centers of the others, which are hardly visible, scatter by more than their errors and would raise the error of
    all.
    """
    order = np.argsort(sigma, kind="stable")
    weight = np.cumsum(sigma[order] ** -2.0)
    return np.sort(order[: max(10, np.searchsorted(weight, _WEIGHT * weight[-1]) + 1)])


class _Lamp:
    """Spectra of the lamp in some rows of a fiber, without background, with a shift by whole pixels undone."""

    def __init__(self, spectra: Spectra, fiber: int, rows: Integers, coarse: int) -> None:
        flux, variance, weight = arc_lines.without_background(spectra, fiber)
        self.flux, self.variance = (np.roll(each[rows], -coarse, axis=1) for each in (flux, variance))
        self.good: Booleans = np.roll(weight[rows] > 0, -coarse, axis=1)


def _line_shifts(frame, reference, row, start, tables, rounds=3):
    """Return which lines both spectra show, their centers in the frame minus those in the reference, and errors."""
    level = _level(frame, reference, row, start)
    floor, good = _floor(frame), frame.good & reference.good
    n_rows, n_pixels = frame.flux.shape
    fits = []
    for lamp, factor in ((frame, level), (reference, 1.0)):
        now = start * [factor, 1, 1]
        for _ in range(rounds):
            model = peaks.render(n_rows, n_pixels, row, now[:, 0], now[:, 1], now[:, 2], tables, 2.4)
            # weights that do not move with the lines would make all shifts too small by three thousandths
            weight = np.where(good, 1 / (floor + level / factor * model), 0.0)
            fit = peaks.fit(lamp.flux - model, weight, lamp.variance, row, now, tables, 1.5, False)
            found = np.isfinite(fit[:, 1])
            now = np.where(found[:, None], np.column_stack([fit[:, :2], start[:, 2]]), now * [0, 1, 1])
        fits.append(fit)
    seen, known = (dict(zip(peaks.COLUMNS, fit.T, strict=True)) for fit in fits)
    error = np.hypot(seen["center_error"], known["center_error"])
    sound = np.isfinite(error)
    for line in (seen, known):
        sound &= line["flux"] > 3 * line["flux_error"]
    # a peak of the noise, or a cosmic ray, is not as bright as the lamp makes the line
    expected = level * known["flux"]
    sound &= np.abs(seen["flux"] - expected) < 0.5 * expected + 2.5 * seen["flux_error"]
    return np.flatnonzero(sound), (seen["center"] - known["center"])[sound], error[sound]


def _floor(frame):
    """Variance of the pixels between the lines, per row."""
    return np.array([[np.percentile(v[g], 20) if g.any() else 1.0] for v, g in zip(frame.variance, frame.good)])


def _level(frame, reference, row, start):
    pixel = np.clip(np.rint(start[:, 1]).astype(int), 1, frame.flux.shape[1] - 2)
    ours, theirs = (sum(lamp.flux[row, pixel + i] for i in (-1, 0, 1)) for lamp in (frame, reference))
    bright = theirs > np.percentile(theirs, 50) if len(theirs) else np.zeros(0, bool)
    return max(1e-4, float(np.median(ours[bright] / theirs[bright]))) if bright.any() else 1.0
