"""From counts to electrons: overscan, trim, bias, dark, gain, and the flags of the pixels."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from nrespipe.engine.detector import detector_values
from nrespipe.frames.arrays import Floats, Integers
from nrespipe.frames.image import Image
from nrespipe.frames.masters import Bias, Dark
from nrespipe.frames.quality import Pixel
from nrespipe.frames.raw import RawFrame
from nrespipe.frames.spectrograph import Detector
from nrespipe.numerics.robust_statistics import spread

if TYPE_CHECKING:
    from nrespipe.engine.detector.detector_values import Limits

#: The share of the overscan that is left out at its beginning: it holds charge that the serial register left behind,
#: which behind a saturated pixel is found twenty columns on.
_DEFERRED = 1 / 3
#: Standard deviation of the Gaussian along the rows that averages the read noise of the overscan [pixel].
_SMOOTHING_ROWS = 4.0
_RADIUS = 16  # rows that the Gaussian reaches
#: Columns, and rows, on either side of the middle whose levels are compared. A trace lies along the rows: it leaves
#: little room between the fibers.
_BESIDE, _ABOVE = 8, 4
#: Share of the rows, or of the columns, that counts: the darkest [%].
_DARKEST = 10
#: A step of a smaller share of the level of the darkest places may be one of the light.
_SHARE = 0.3
#: Dark charge that makes a pixel useless, as a share of the linear range.
_HOT = 0.1


def counts(raw: RawFrame, rows: slice | None = None) -> tuple[Floats, Floats]:
    """Return the light-sensitive part of a frame and the bias level of its rows.

    Parameters
    ----------
    raw
        Frame with its overscan.
    rows
        Rows of the data section; all by default. The result does not depend on how a frame is cut into slices.

    Returns
    -------
    adu : ndarray of float32, shape (n_rows, n_columns)
        As it was read [ADU].
    level : ndarray of float32, shape (n_rows,)
        Level of the rows from their overscan [ADU].

    Notes
    -----
    Each row's level is the mean of its overscan after the values beyond four times the scatter about the row's
    median are left out; a Gaussian along the rows averages the levels. The first third of the overscan is not used.
    """
    light, dark = raw.data_section, raw.bias_section
    n_rows = light.end_row - light.first_row
    start, end, _ = (rows or slice(None)).indices(n_rows)
    # the scatter and then the level are averaged over neighboring rows
    low, high = max(start - 2 * _RADIUS, 0), min(end + 2 * _RADIUS, n_rows)
    image = raw.adu[light.first_row + low : light.first_row + high, : max(light.end_column, dark.end_column)]
    inner = slice(start - low, end - low)
    level = _along_rows(_row_means(image[:, _usable_overscan(raw)])).astype(np.float32)
    return image[inner, light.slices[1]], level[inner]


class Overscan(NamedTuple):
    """Bias level of the rows of a frame, from their overscan.

    Attributes
    ----------
    level : shape (n_rows,)
        Level of the rows of the data section, as `counts` gives it [ADU].
    variance
        Variance of a level about the true one, which all pixels of a row share [ADU2].
    """

    level: Floats
    variance: float


def overscan(raw: RawFrame) -> Overscan:
    """Measure the bias level of each row from its overscan, and the variance of that level.

    Parameters
    ----------
    raw
        Frame with its overscan.

    Notes
    -----
    With the kernel k of the average along the rows, the means of the rows scatter about the average by
    :math:`(\\rho^2 + n^2) (1 - 2 k_0 + \\sum k^2)`, where n is the noise of a mean and :math:`\\rho` the noise that
    changes from row to row. The average follows neither: its variance is
    :math:`\\rho^2 (1 - 2 k_0 + \\sum k^2) + n^2 \\sum k^2`.
    """
    rows = slice(raw.data_section.first_row, raw.data_section.end_row)
    columns = raw.adu[rows, _usable_overscan(raw)].astype(np.float32)
    means, noise = _row_means(columns), spread(np.diff(columns)) / np.sqrt(2 * columns.shape[1])
    averaged = _along_rows(means)
    kernel = _along_rows((np.arange(4 * _RADIUS) == 2 * _RADIUS).astype(float))
    squares = np.sum(kernel**2)
    left = 1 - 2 * kernel.max() + squares
    excess = max(spread(means - averaged) ** 2 - noise**2 * left, 0.0)
    return Overscan(averaged.astype(np.float32), float(excess + noise**2 * squares))


def _usable_overscan(raw):
    dark = raw.bias_section
    return slice(dark.first_column + round(_DEFERRED * (dark.end_column - dark.first_column)), dark.end_column)


def _row_means(overscan):
    overscan = overscan.astype(np.float32, copy=False)
    residual = np.abs(overscan - np.median(overscan, axis=1, keepdims=True))
    scatter = _along_rows(1.4826 * np.median(residual, axis=1))
    good = residual <= np.maximum(4 * scatter, 1.0)[:, np.newaxis]
    means = np.sum(overscan * good, axis=1) / np.maximum(good.sum(axis=1), 1)
    return means


def _along_rows(values):
    return gaussian_filter1d(values, _SMOOTHING_ROWS, mode="nearest", radius=_RADIUS)


def trim(raw: RawFrame, rows: slice | None = None) -> Floats:
    """Return the light-sensitive part of a frame above its overscan.

    Parameters
    ----------
    raw
        Frame with its overscan.
    rows
        Rows of the data section; all by default.

    Returns
    -------
    ndarray of float32, shape (n_rows, n_columns)
        Counts above the bias level of the row [ADU].
    """
    adu, level = counts(raw, rows)
    return np.asarray(adu, np.float32) - level[:, np.newaxis]


class LevelSteps(NamedTuple):
    """Errors of the bias levels of the halves of a detector in one exposure.

    Attributes
    ----------
    left, right, lower, upper
        Excess of the level of each half; 0 where nothing is wrong [ADU].
    """

    left: float = 0.0
    right: float = 0.0
    lower: float = 0.0
    upper: float = 0.0


def level_steps(raw: RawFrame, bias: Bias, bands: Sequence[slice] = (slice(None),)) -> LevelSteps:
    """Measure the step of the bias level from one half of the detector to the other.

    Parameters
    ----------
    bands
        Rows of the data section from which the step between left and right is measured.

    Notes
    -----
    Where the halves of a detector are read by two amplifiers, the overscan gives the level of one of them, and that of
    the other may differ from it. Light has no step there: the median step from one side of the middle to the other,
    where the frame is darkest, is one of the level. Light is not negative either: if the lower side lies below the
    master bias it has fallen, else the higher one has risen. Steps below the read noise, or below a third of the light
    between the orders, are left to the fit of the scattered light.
    """
    middle_column, middle_row = (n // 2 for n in bias.adu.shape[::-1])
    beside = slice(middle_column - _BESIDE, middle_column + _BESIDE)
    columns = [(trim(raw, rows) - bias.adu[rows])[:, beside] for rows in bands]
    near = slice(middle_row - _ABOVE, middle_row + _ABOVE)
    return _level_steps(np.concatenate(columns), trim(raw, near) - bias.adu[near], bias.read_noise_adu)


def _level_steps(columns, rows, read_noise_adu):
    """LevelSteps by the columns beside the middle one and by the rows beside the middle one, from all columns."""
    left, right = _step(columns, read_noise_adu)
    middle = rows.shape[1] // 2
    level = np.repeat(np.array([left, right], np.float32), (middle, rows.shape[1] - middle))
    return LevelSteps(left, right, *_step((rows - level).T, read_noise_adu))


def _step(strip, read_noise_adu):
    """Excess of the level of the first half and of the second half of the columns of a strip [ADU]."""
    half, inner = strip.shape[1] // 2, strip.shape[1] // 4
    sides = strip[:, :half].mean(axis=1), strip[:, half:].mean(axis=1)
    total = sides[0] + sides[1]
    dark = total <= np.percentile(total, _DARKEST)
    near = strip[:, half : half + inner].mean(axis=1) - strip[:, half - inner : half].mean(axis=1)
    # light that changes evenly differs half as much between the nearer ones
    step = float(np.median((2 * near - (sides[1] - sides[0]))[dark]))
    if not abs(step) > max(read_noise_adu, _SHARE * abs(float(np.median(total[dark]))) / 2):
        return 0.0, 0.0
    below = min(float(np.median(side[dark])) for side in sides)
    fallen = below < -read_noise_adu / 2
    excess = np.where(np.array([-step, step]) > 0, 0.0 if fallen else abs(step), -abs(step) if fallen else 0.0)
    return tuple(excess.tolist())


def subtract_steps(parts: Floats, steps: LevelSteps, n_rows: int, rows: slice = slice(None)) -> Floats:
    """Subtract the errors of the levels of the halves of a detector, in place.

    Parameters
    ----------
    parts : shape (k, n_columns)
        Rows of a frame [ADU].
    n_rows
        Rows of the whole frame.
    rows
        Which rows they are; all by default.

    Returns
    -------
    ndarray of float32, shape (k, n_columns)
        `parts`.
    """
    if any(steps):
        start, end, _ = rows.indices(n_rows)
        middle, border = parts.shape[1] // 2, np.clip(n_rows // 2 - start, 0, end - start)
        parts[:, :middle] -= np.float32(steps.left)
        parts[:, middle:] -= np.float32(steps.right)
        parts[:border] -= np.float32(steps.lower)
        parts[border:] -= np.float32(steps.upper)
    return parts


def flags(adu: Floats, limits: "Limits", detector: Detector) -> Integers:
    """Flag the pixels whose counts do not measure the light: saturated, nonlinear, bad.

    Parameters
    ----------
    adu : shape (n_rows, n_columns)
        Counts of any rows of a frame, from `counts` [ADU].
    detector
        Has the columns that are known to be bad.

    Returns
    -------
    ndarray of uint8, shape (n_rows, n_columns)
        ``Pixel.SATURATED``, ``Pixel.NONLINEAR`` and ``Pixel.BAD``.
    """
    mask = np.zeros(adu.shape, np.uint8)
    mask[adu > limits.max_linear_adu] |= np.uint8(Pixel.NONLINEAR)
    mask[adu >= limits.saturation_adu] |= np.uint8(Pixel.SATURATED)
    mask[:, list(detector.bad_columns)] |= np.uint8(Pixel.BAD)
    return mask


class DetectorState(NamedTuple):
    """State of the detector in one exposure.

    Attributes
    ----------
    steps
        Errors of the bias levels of its halves.
    overscan_noise_adu
        Read noise that the overscan shows [ADU].
    read_noise_adu
        Read noise that the frame is reduced with [ADU].
    """

    steps: LevelSteps
    overscan_noise_adu: float
    read_noise_adu: float


def correct(
    raw: RawFrame, bias: Bias, dark: Dark | None, detector: Detector, gain_e_per_adu: float
) -> tuple[Image, DetectorState]:
    """Turn a raw frame into electrons with the variance of everything but its own light.

    Parameters
    ----------
    raw
        Frame as it was read.
    bias
        Master bias; its read noise is that of the frame, unless the overscan of the frame is noisier by a quarter.
    dark
        Master dark; None leaves the dark current in.
    detector
        Limits and bad columns.
    gain_e_per_adu
        Gain that was measured, or that of `detector_values.nominal_gain` [electron / ADU].

    Returns
    -------
    image : Image
        In electrons. Its mask has those of the masters, and the pixels that their dark charge fills to a tenth of the
        linear range in this exposure.
    state : DetectorState
        Level steps and noise of this exposure.

    Raises
    ------
    ValueError
        If frame and masters differ in size.
    """
    adu, (level, level_variance) = raw.adu[raw.data_section.slices], overscan(raw)
    if adu.shape != bias.adu.shape or (dark is not None and adu.shape != dark.adu_per_s.shape):
        raise ValueError(f"{raw.filename}: {adu.shape[1]} x {adu.shape[0]} pixels do not fit the masters")
    limits = detector_values.limits(raw, detector, gain_e_per_adu, detector_values.pile(adu, float(np.median(level))))
    mask = flags(adu, limits, detector)
    if bias.mask is not None:
        mask |= bias.mask
    adu = adu - level[:, np.newaxis]
    adu -= bias.adu
    middle_row, middle_column = (n // 2 for n in adu.shape)
    beside, near = adu[:, middle_column - _BESIDE : middle_column + _BESIDE], adu[middle_row - _ABOVE :][: 2 * _ABOVE]
    steps = _level_steps(beside, near, bias.read_noise_adu)
    subtract_steps(adu, steps, len(adu))
    seen_adu = detector_values.overscan_noise(raw)
    noise_adu = detector_values.adopted_noise(seen_adu, bias.read_noise_adu)
    variance = bias.variance + np.float32(noise_adu**2 + level_variance)
    if dark is not None:
        charge = dark.adu_per_s * np.float32(raw.exposure_s)
        adu -= charge
        variance += dark.variance * np.float32(raw.exposure_s) ** 2
        variance += np.maximum(charge, 0) / np.float32(gain_e_per_adu)
        mask |= dark.mask
        mask[charge > _HOT * limits.max_linear_adu] |= np.uint8(Pixel.BAD)
    gain = np.float32(gain_e_per_adu)
    image = Image(adu * gain, variance * gain**2, mask, raw.exposure_s)
    return image, DetectorState(steps, seen_adu, noise_adu)
