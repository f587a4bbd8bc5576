"""The gain, from how much equal flats differ; and its running value over the nights of a camera."""

import itertools
from typing import NamedTuple

import numpy as np
from scipy.ndimage import uniform_filter1d

from nrespipe.frames.arrays import Floats
from nrespipe.numerics.robust_statistics import spread

#: Edges of the bins of brightness [ADU].
_EDGES = np.geomspace(10.0, 65536.0, 41)
#: Fewest pixels of like brightness whose scatter counts.
_FEWEST = 500
#: Rows and columns of the blocks within which two exposures are fitted to each other [pixel].
_BLOCK = 64
#: Rows on either side whose light tells how the orders have moved [pixel].
_REACH = 3
#: Columns over which the light of these rows is averaged: it is smooth along the orders, the response of the pixels and
#: the noise are not [pixel].
_SMOOTH = 5
#: Largest difference between two exposures within a block, as a share of their mean, that counts as equal light.
_UNEQUAL = 0.5
#: Least level of a bin in units of the noise of its pixels: below it the pixels were chosen by their noise.
_SIGNIFICANT = 10.0
#: Relative error of the variance for a shift of the orders by one pixel between the two exposures; it grows with the
#: square of the shift, because what the neighboring rows say of it is not exact.
_MOVED = 3.0
#: Relative error of the square of the read noise that is handed in.
_READ_NOISE = 0.05
#: Least relative error of a gain: no light is so equal, and no amplifier so linear, that it is known better.
_LEAST = 0.001
#: Variance of normal deviates within four standard deviations, in units of that of all.
_CLIPPED = 0.99893
#: Least relative error where neighboring columns of single flats take the place of pairs: the response of the pixels,
#: which differs from column to column, may scatter more where the light is fainter.
SINGLE = 0.05
#: Relative change of the gain of an amplifier that nobody has touched, in a night; it grows with the root of the time.
_DRIFT = 0.0005
#: A night's gain that differs by more standard errors than this from the running value, and by more than this share
#: of it, is that of changed electronics.
_SIGMA, _CHANGED = 4.0, 0.01


class Gain(NamedTuple):
    """A gain.

    Attributes
    ----------
    e_per_adu, error
        Value and standard error; (nan, inf) where it is not known [electron / ADU].
    """

    e_per_adu: float = np.nan
    error: float = np.inf

    @property
    def is_known(self) -> bool:
        """Whether there is a value at all."""
        return bool(np.isfinite(self.e_per_adu) and np.isfinite(self.error))


def pairs(first: Floats, second: Floats, share: float = 1.0) -> Floats:
    """Gather what two equal exposures show of the gain.

    Parameters
    ----------
    first, second : shape (n_rows, n_columns)
        Equal flats, bias subtracted, or like parts of them [ADU].
    share
        Of how many exposures `second` is the mean.

    Returns
    -------
    ndarray of float, shape (n_bins, 5)
        For each bin of brightness the mean level, its mean square, the variance of one exposure, its relative error,
        and how far the orders have moved between the two [ADU, ADU2, ADU2, 1, pixel].

    Notes
    -----
    The lamp may have drifted, and the orders may have moved: in each block the difference is fitted by the mean of the
    two, by what the neighboring rows say of a shift and a change of width, and by a constant; what is left is the
    noise. The mean of all exposures does not depend on the noise of the difference, so the fit takes only its degrees
    of freedom away.
    """
    level, noise, moved = _matched(np.asarray(first, np.float32), np.asarray(second, np.float32), share)
    place = np.digitize(level, _EDGES)
    order = np.argsort(place, kind="stable")
    bounds = np.searchsorted(place[order], np.arange(1, len(_EDGES) + 1))
    points = []
    for start, end in itertools.pairwise(bounds):
        if end - start >= _FEWEST:
            chosen = order[start:end]
            light = level[chosen].astype(np.float64)
            variance = spread(noise[chosen]) ** 2 / _CLIPPED
            # the variance of n values is known to sqrt(2 / n) of itself
            error = np.hypot(np.sqrt(2 / (end - start)), _MOVED * moved**2)
            points.append((light.mean(), np.mean(light**2), variance, error, moved))
    return np.array(points).reshape(-1, 5)


def single(frame: Floats) -> Floats:
    """Gather what a single flat shows of the gain: every other column is compared with the mean of its two neighbors.

    Parameters
    ----------
    frame : shape (n_rows, n_columns)
        Flat, bias subtracted, or a part of it [ADU].

    Returns
    -------
    ndarray of float, shape (n_bins, 5)
        As from `pairs`.
    """
    end = (frame.shape[1] - 1) // 2 * 2
    return pairs(frame[:, 1:end:2], (frame[:, 0:end:2] + frame[:, 2 : end + 1 : 2]) / 2, share=2.0)


def measure(
    points: Floats, read_noise_adu: float, linear_adu: float = 60000.0, linear_e: float = np.inf, least: float = _LEAST
) -> Gain:
    """Measure the gain by photon transfer.

    Parameters
    ----------
    points : shape (n, 5)
        Of all pairs of exposures, from `pairs`, or of single ones, from `single`.
    read_noise_adu
        Read noise of one exposure [ADU].
    linear_adu, linear_e
        Level up to which the frames, and charge up to which the detector is linear; brighter pixels are left out
        [ADU, electron].
    least
        Least relative error.

    Returns
    -------
    Gain
        Unknown where there is too little light.

    Notes
    -----
    In a bin of pixels of like brightness the variance of one exposure is ``mean / gain + k mean^2 + read_noise^2``
    (Janesick 2007, Photon Transfer). The term k absorbs what a drift of the lamp or of the orders leaves, or, of single
    flats, the response of the pixels. The weights come from the fit of the round before: a bin whose scatter came out
    low by chance must not weigh more for it.
    """
    level, square, variance, error, moved = np.asarray(points, float).reshape(-1, 5).T
    usable = (level < linear_adu) & (level > _SIGNIFICANT * np.sqrt(variance / 2))
    found = Gain()
    for _ in range(4):
        # the gain tells how many counts the linear range of the detector is
        kept = usable & ((level * found.e_per_adu < linear_e) if found.is_known else True)
        rows = level[kept], square[kept], variance[kept], error[kept], moved[kept]
        previous, found = found, _fit(*rows, read_noise_adu**2, least)
        if not found.is_known or found == previous:
            break
    return found


def follow(measured: Gain, running: Gain, days: float, alike: bool = False) -> tuple[Gain, bool]:
    """Combine the gain of a night with the running value of its camera.

    Parameters
    ----------
    measured
        Of this night's flats alone.
    running
        Adopted gain of the last good flat of the camera; unknown for the first.
    days
        Time between the two [day].
    alike
        Whether the errors of all nights that are measured in this way are alike: then their mean is no better, and
        `measured` only tells whether the gain has changed.

    Returns
    -------
    adopted : Gain
        The inverse-variance mean of the two, the running value being free to change by 0.05 percent in a night; where
        they differ by more than four standard errors, the measured one alone.
    changed : bool
        Whether they do, and by more than one percent.
    """
    if not running.is_known:
        return measured, False
    drift = _DRIFT * running.e_per_adu * np.sqrt(max(abs(days), 1.0))
    expected = Gain(running.e_per_adu, float(np.hypot(running.error, drift)))
    if not measured.is_known:
        return expected, False
    before, now = expected.error**2, measured.error**2
    apart = measured.e_per_adu - expected.e_per_adu
    if abs(apart) > _SIGMA * np.sqrt(before + now):
        return measured, bool(abs(apart) > _CHANGED * running.e_per_adu)
    if alike:
        return expected, False
    mean = expected.e_per_adu + apart * before / (before + now)
    return Gain(float(mean), float(np.sqrt(before * now / (before + now)))), False


def _fit(level, square, variance, trust, moved, read_variance, least):
    """Straight line with its curvature through the bins, the read noise being known to some percent."""
    if len(level) < 4:
        return Gain()
    # the last row says that the read noise is the one that was measured
    design = np.vstack([np.stack([level, square / 1e4, np.ones(len(level))], axis=1), [0.0, 0.0, 1.0]])
    seen = np.append(variance, read_variance)
    expected = seen
    for _ in range(5):
        error = np.append(np.maximum(expected[:-1], 1e-9) * trust, _READ_NOISE * max(read_variance, 1e-9))
        weighted = design / error[:, np.newaxis]
        fit = np.linalg.lstsq(weighted, seen / error)[0]
        expected = np.maximum(design @ fit, 1e-3 * seen)
    if fit[0] <= 0:
        return Gain()
    chi2 = np.sum((seen / error - weighted @ fit) ** 2) / max(len(level) - 2, 1)
    relative = np.sqrt(max(chi2, 1.0) * np.linalg.inv(weighted.T @ weighted)[0, 0]) / fit[0]
    # a shift does the same to all bins of a pair
    common = _MOVED * np.average(moved**2, weights=1 / trust**2)
    return Gain(float(1 / fit[0]), float(np.linalg.norm([relative, common, least]) / fit[0]))


def _matched(first, second, share):
    """Mean of two frames and the noise of the first, for the pixels that count; and how far the orders have moved."""
    mean, difference = (first + np.float32(share) * second) / np.float32(1 + share), first - second
    height, width = first.shape[0] - 2 * _REACH, first.shape[1]
    rows, columns = (max(n // _BLOCK, 1) for n in (height, width))
    rows_each, columns_each = height // rows, width // columns
    if not rows_each:
        return np.zeros(0, np.float32), np.zeros(0, np.float32), 0.0

    def blocks(image, shift=0):
        """Blocks side by side, of the image as it is a few rows further up."""
        part = image[_REACH + shift :][: rows * rows_each, : columns * columns_each]
        apart = part.reshape(rows, rows_each, columns, columns_each).swapaxes(1, 2)
        return apart.reshape(rows * columns, rows_each * columns_each)

    light, apart = blocks(mean), blocks(difference)
    smooth = uniform_filter1d(mean, _SMOOTH, axis=1, mode="nearest")
    above, below = ([blocks(smooth, sign * k) for k in range(1, _REACH + 1)] for sign in (1, -1))
    wider = above[0] + below[0] - 2 * blocks(smooth)
    shapes = np.stack([light, np.ones_like(light), wider, *(up - down for up, down in zip(above, below))], axis=1)
    # brighter pixels are noisier, by how much these very pixels tell
    weight = 1 / np.maximum(np.maximum(light, np.median(light)), 1.0)
    for _ in range(2):
        terms, inverse = _solve(shapes, apart, weight)
        rest = apart - np.einsum("bk,bkp->bp", terms, shapes)
        variance = _variance(light, rest)
        weight = np.where(rest**2 > 25 * variance, 0, 1 / variance).astype(np.float32)
    # a pixel that the fit had to follow has lost more of its noise than others
    lost = weight * np.einsum("bkp,bkp->bp", np.einsum("bkl,blp->bkp", inverse, shapes, optimize=True), shapes)
    # what the noise of the mean and of its neighbors adds, and how two exposures of unequal length share the noise
    unequal, _, width, *moved = terms.T
    moving = (3 * width**2 + np.sum(np.square(moved), axis=0)) / _SMOOTH
    # from the difference to one exposure
    factor = (1 - unequal**2 / 4 + 2 * share / (1 + share) ** 2 * moving) * (1 + 1 / share)
    equal = np.abs(unequal) < _UNEQUAL
    total = light.sum(axis=1)
    shifts = (2 * np.arange(1, _REACH + 1) @ np.array(moved))[total >= np.median(total)]
    noise = rest[equal] / np.sqrt(factor[equal][:, np.newaxis] * np.maximum(1 - lost[equal], 0.1))
    return light[equal].ravel(), noise.ravel(), float(np.median(np.abs(shifts)))


def _variance(light, rest):
    """Variance of the difference for each pixel, as pixels of like brightness have it."""
    thin = slice(None, None, 7)
    level, size = light.ravel()[thin], np.abs(rest.ravel()[thin])
    order = np.argsort(level)
    groups = np.array_split(order, 48)
    middle = np.array([level[group].mean() for group in groups])
    # the median of what noise of a standard deviation of one does not exceed
    square = np.array([(np.median(size[group]) / 0.6745) ** 2 for group in groups])
    return np.interp(light, middle, np.maximum(square, 1e-6))


def _solve(shapes, values, weight):
    """Weighted least squares in each block: terms, and the inverse of the normal matrix."""
    weighted = shapes * weight[:, np.newaxis]
    normal = np.einsum("bkp,blp->bkl", weighted, shapes, dtype=np.float64, optimize=True)
    right = np.einsum("bkp,bp->bk", weighted, values, dtype=np.float64, optimize=True)
    scale = np.sqrt(np.maximum(np.einsum("bkk->bk", normal), 1e-12))
    outer = scale[:, :, np.newaxis] * scale[:, np.newaxis]
    # terms that a dark block cannot tell apart stay small
    inverse = np.linalg.inv(normal / outer + 1e-6 * np.eye(shapes.shape[1])) / outer
    terms = np.einsum("bkl,bl->bk", inverse, right)
    return terms.astype(np.float32), inverse.astype(np.float32)
