"""The shift of the orders of a frame from their rows in the flat, by the light of the frame itself."""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from nrespipe.engine.orders import kernel_layout
from nrespipe.errors import BadFrame
from nrespipe.frames.arrays import Floats
from nrespipe.frames.image import Image
from nrespipe.frames.masters import Flat
from nrespipe.frames.traces import Motion, Traces
from nrespipe.numerics import column_fit_kernels
from nrespipe.numerics.leastsquares import huber

_BLOCK = 8  # columns that a cut adds up: the orders climb by a pixel at most within it
_NEAR, _FAR = 8.0, 40.0  # shifts that are accepted, and shifts that are looked for to be rejected [pixel]
_RIDGE = 2.0  # standard deviation of a trace across the order, roughly [pixel]
_COSMIC_SIGMA, _GUARD = 6.0, 0.3  # outliers [standard deviation], and the error of the profile that is none of them
_UNEVEN = 0.05  # error of the offset of one column that no light mends: lines are tilted against the columns [pixel]


def coarse(image: Image, traces: Traces, lit: tuple[int, ...], cuts: int = 32, least: float = 10.0) -> Traces:
    """Find the shift of all orders of a frame to a fraction of a pixel.

    Parameters
    ----------
    image
        Corrected frame, its background subtracted or not.
    traces
        Where the flat saw the orders.
    lit
        Fibers that carry light.
    cuts
        Cuts across the orders that are looked at.
    least
        Least signal-to-noise ratio of a shift.

    Returns
    -------
    Traces
        All fibers, shifted as a whole; as in the flat if there is too little light.

    Raises
    ------
    BadFrame
        If the light of the orders lies where no shift of eight pixels or less explains it.

    Notes
    -----
    Cuts across the orders are correlated with a ridge of no mean. Its significance at the traces shifted by s, summed
    over all of them, has its maximum at the shift; more than ten standard deviations count by their
    logarithm. A frame that has shifted so far that the light of one fiber lies in the window of another has its maximum
    at a shift that is not allowed.
    """
    chosen = [traces.fibers.index(fiber) for fiber in lit]
    shifts = np.arange(-_FAR, _FAR + 0.25, 0.5)
    score, number = np.zeros(len(shifts)), 1
    for x in np.linspace(0, traces.centers.shape[2] - _BLOCK, cuts).astype(int):
        centers = traces.centers[chosen][:, :, x + _BLOCK // 2].ravel()
        places = shifts[:, np.newaxis] + centers[np.isfinite(centers)]
        ridge = _ridge(image.electrons[:, x : x + _BLOCK], image.floor_variance[:, x : x + _BLOCK])
        score += np.interp(places, np.arange(len(ridge)), ridge, 0, 0).sum(axis=1)
        number += places.shape[1]
    best = np.argmax(np.where(np.abs(shifts) <= _NEAR, score, -np.inf))
    certain = least * np.sqrt(number)
    if score.max() > max(1.25 * score[best], score[best] + certain):
        raise BadFrame(
            f"the orders are not where the flat saw them: their light lies {shifts[np.argmax(score)]:+.0f} px from "
            f"there, or in other fibers than {lit}"
        )
    if score[best] < certain:
        return traces
    left, middle, right = score[best - 1 : best + 2]
    curvature = left - 2 * middle + right
    shift = shifts[best] + (0.25 * (left - right) / curvature if curvature < 0 else 0.0)
    return Traces(traces.fibers, traces.orders, traces.centers + shift)


def measure(
    image: Image,
    traces: Traces,
    flat: Flat,
    lit: tuple[int, ...],
    rounds: int = 8,
    stride: int = 8,
    worth_px: float = 0.02,
) -> tuple[Traces, Motion]:
    """Measure shift, stretch and turn of the orders of a frame from their rows in the flat.

    Parameters
    ----------
    traces
        Where to begin: those of the flat, or shifted as a whole by `coarse`.
    flat
        Where the flat saw the orders, and their profile.
    lit
        Fibers that carry light.
    rounds
        Largest number of iterations.
    stride
        Every `stride`-th column is used.
    worth_px
        A term with a larger error is left out, unless it is five times as large as its error.

    Returns
    -------
    shifted : Traces
        The lit fibers at their place in this frame.
    motion : Motion
        The distance from where the flat saw them.

    Notes
    -----
    Each column of each trace gives a least-squares offset, the residual of the fit projected on the derivative of the
    profile. A shift, a stretch about the middle row and a turn are fitted to the offsets by the estimator of Huber
    (1964 Ann. Math. Stat. 35 73), the orders shifted, and all repeated until they settle. A clipped mean would stop at
    half the shift.
    """
    base = flat.traces.centers[[flat.traces.fibers.index(fiber) for fiber in lit]]
    design = _design(base, image.electrons.shape[0])
    begin = np.array([np.nanmedian(traces.centers - flat.traces.centers), 0.0, 0.0])
    terms = begin
    laid = kernel_layout.lay_out(image, flat.traces, flat, lit, stride)
    for attempt in range(rounds):
        shifted = _shifted(lit, traces.orders, base, design @ terms, image.electrons.shape[0])
        points = _offsets(laid, shifted, lit, design, np.inf if attempt == 0 else _COSMIC_SIGMA)
        if attempt < 2:
            kept = _worth(*points, terms, worth_px)
            terms = np.where(kept, terms, begin)
        step, covariance = _fit(*points, kept)
        terms = terms + step
        if attempt > 0 and np.all(np.abs(step) < max(0.0003, 0.1 * np.sqrt(covariance[0, 0]))):
            break
    shifted = _shifted(lit, traces.orders, base, design @ terms, image.electrons.shape[0])
    return shifted, _motion(terms, covariance, design[np.isfinite(base)])


def _design(centers, rows):
    """Terms of the motion at every point of the traces: shift, stretch about the middle row, turn."""
    n_columns = centers.shape[-1]
    v = (np.nan_to_num(centers) - (rows - 1) / 2) / (rows / 2)
    u = np.broadcast_to((np.arange(n_columns) - (n_columns - 1) / 2) / (n_columns / 2), centers.shape)
    return np.stack([np.ones(centers.shape), v, u], axis=-1)


def _shifted(lit, orders, centers, distance, rows):
    centers = centers + distance
    off = (centers < 0) | (centers > rows - 1)
    return Traces(lit, orders, np.where(off, np.nan, centers))


def _offsets(laid: kernel_layout.Columns, shifted, lit, design, threshold) -> tuple[Floats, Floats, Floats, Floats]:
    """Terms, offset, weight of each point that was measured, and the share of the weight that is light, not noise."""
    laid = laid.moved(shifted, lit)
    start = np.full((len(laid.order), len(laid.data)), np.nan)
    flux, variance, _ = column_fit_kernels.fit_exact_response(
        *laid.pieces, np.full(len(laid.order), _GUARD), threshold, start, 4
    )
    offset, weight = column_fit_kernels.trace_offsets(*laid.pieces, flux, 1)
    seen = weight > 0
    thin = design[:, :, laid.thin].reshape(*flux.shape, 3)[laid.order][seen]
    # the square of a flux is too large by its variance, and so is the weight
    real = 1 - variance[seen] / flux[seen] ** 2
    return thin, offset[seen], 1 / (1 / weight[seen] + _UNEVEN**2), real


def _fit(design, offsets, weights, real, kept):
    """Coefficients of the terms that are kept, 0 for the others, and their covariance, infinite for the others."""
    step, covariance = np.zeros(len(kept)), np.diag(np.full(len(kept), np.inf))
    if kept.any():
        found, square, influence = huber(design[:, kept], offsets, weights)
        # noise in the light makes the weights too large, and so the steps too small, by the same factor
        excess = np.sum(influence * weights) / max(np.sum(influence * weights * real), 1e-9)
        step[kept], covariance[np.ix_(kept, kept)] = found, square * excess**2
    return step, covariance


def _worth(design, offsets, weights, real, terms, worth_px):
    """Return which terms the light determines: the shift before all others."""
    every, alone = np.ones(design.shape[1], bool), np.arange(design.shape[1]) == 0
    if len(offsets) < 50 or _fit(design, offsets, weights, real, alone)[1][0, 0] > worth_px**2:
        return ~every
    step, covariance = _fit(design, offsets, weights, real, every)
    errors = np.sqrt(np.diag(covariance))
    return alone | (errors < np.clip(np.abs(terms + step) / 5, worth_px, 5 * worth_px))


def _motion(terms, covariance, design):
    typical = np.array([1.0, *np.median(design[:, 1:], axis=0)])
    known = np.isfinite(np.diag(covariance))
    error = np.sqrt(typical[known] @ covariance[np.ix_(known, known)] @ typical[known]) if known.any() else np.inf
    (_, stretch, turn), (_, stretch_error, turn_error) = terms, np.sqrt(np.diag(covariance))
    shift = float(np.median(design @ terms))
    return Motion(shift, float(error), float(stretch), float(stretch_error), float(turn), float(turn_error))


def _ridge(light, floor):
    """Significance of a ridge at each row of a cut across the orders."""
    noise = np.sqrt((floor + np.maximum(light, 0)).sum(axis=1))
    # a ridge as wide as a trace against what lies on both sides of it
    total = gaussian_filter1d(light.sum(axis=1), _RIDGE) - gaussian_filter1d(light.sum(axis=1), 2 * _RIDGE)
    level = gaussian_filter1d(noise, 2 * _RIDGE)
    return 10 * np.arcsinh(total / (1.9 * level))
