"""Values of the detector that a frame is reduced with: limits, read noise and gain, measured, of header or of table."""

from collections.abc import Sequence
from typing import NamedTuple, TypeGuard

import numpy as np

from nrespipe.engine.detector.gain import Gain
from nrespipe.frames.arrays import Floats
from nrespipe.frames.raw import RawFrame
from nrespipe.frames.spectrograph import Detector
from nrespipe.numerics.robust_statistics import spread

#: Largest count of 16 bits [ADU].
_MOST_ADU = 65535.0
#: Gains that an amplifier may have [electron / ADU].
_GAINS = 0.1, 30.0
#: Relative error of a gain that was not measured, where nothing contradicts it.
_UNMEASURED = 0.3
#: A frame whose overscan is noisier by more than this than the biases were has its own read noise, relative.
NOISIER = 0.25
#: Bins of brightness in which a pile of saturated pixels is looked for, above the bias level [ADU].
_PILE_EDGES = np.geomspace(4000.0, 66000.0, 142)
#: A pile has at least so many pixels, and so many times those of as many bins below it.
_PILE, _PILE_FACTOR = 40, 5.0


class Limits(NamedTuple):
    """Levels of a raw frame, its bias level included.

    Attributes
    ----------
    saturation_adu
        At and above it a pixel is saturated [ADU].
    max_linear_adu
        Up to it the detector is linear; never above `saturation_adu` [ADU].
    """

    saturation_adu: float
    max_linear_adu: float


def limits(raw: RawFrame, detector: Detector, gain_e_per_adu: float, pile_adu: float = np.inf) -> Limits:
    """Return the levels above which a frame is saturated and no longer linear.

    Parameters
    ----------
    raw
        The frame; its header may have limits.
    detector
        Its table, for what the header does not tell.
    gain_e_per_adu
        Gain that was measured, or that of `nominal_gain` [electron / ADU].
    pile_adu
        Level at which the saturated pixels of this frame pile up, from `pile`; infinite where none do.

    Notes
    -----
    A pixel saturates at a number of electrons: a limit of the table, which is in counts at its own gain, is scaled to
    the measured gain, up to the largest count of 16 bits. A limit of the header is used if it lies between a third of
    that and the largest count, and not above the level at which the pixels pile up. Without one, the pile decides.
    """
    saturation, linear = table_limits(detector, gain_e_per_adu)
    ratio = detector.max_linear_adu / detector.saturation_adu
    if is_plausible(raw.saturation_adu, saturation):
        saturation = min(raw.saturation_adu, pile_adu)
    elif np.isfinite(pile_adu):
        saturation = pile_adu
    if is_plausible(raw.max_linear_adu, linear):
        linear = raw.max_linear_adu
    if np.isfinite(pile_adu):
        linear = min(linear, ratio * pile_adu)
    return Limits(float(saturation), float(min(linear, saturation)))


def pile(adu: Floats, level_adu: float) -> float:
    """Find the level at which saturated pixels pile up: a full well, or the end of the counter.

    Parameters
    ----------
    adu : shape (n_rows, n_columns)
        Counts as they were read; a large part of a frame or all of it [ADU].
    level_adu
        Its bias level [ADU].

    Returns
    -------
    float
        Lower end of the pile [ADU]; infinite where there is none.

    Notes
    -----
    The number of pixels of lines and stars falls with their brightness, and that of the tops of the orders of a flat is
    even. A level, to some percent, is that of a pile where

    1. forty pixels or more have it;
    2. five times as many have it as have each of the levels below;
    3. no more than a tenth as many have a higher one.

    Of several such levels the one with most pixels is taken.
    """
    bright = adu[adu > level_adu + _PILE_EDGES[0]]
    if bright.size < _PILE:
        return np.inf
    counts = np.histogram(bright - np.float32(level_adu), _PILE_EDGES)[0]
    width, below = 3, 12
    # pixels of three neighboring bins, of the twelve below them, and of all above them
    total = np.concatenate([[0], np.cumsum(counts), np.full(width, counts.sum())])
    first = np.arange(below, len(counts))
    here = total[first + width] - total[first]
    lower, above = total[first] - total[first - below], total[-1] - total[first + width]
    piled = (here >= _PILE) & (here >= _PILE_FACTOR * width / below * lower) & (here >= 10 * above)
    if not piled.any():
        return np.inf
    return float(level_adu + _PILE_EDGES[first[np.argmax(np.where(piled, here, 0))]])


def nominal_gain(frames: Sequence[RawFrame], detector: Detector) -> Gain:
    """Return the gain of frames that cannot be measured: that of their headers where it makes sense, else the table's.

    Returns
    -------
    Gain
        Its error is 30 percent, or the difference between header and table if that is larger.
    """
    header, table = median_known([raw.header_gain_e_per_adu for raw in frames]), detector.gain_e_per_adu
    if header is None or not _GAINS[0] <= header <= _GAINS[1]:
        return Gain(table, _UNMEASURED * table)
    return Gain(header, max(_UNMEASURED * header, abs(header - table)))


def median_known(values: Sequence[float | None]) -> float | None:
    """Return the median of the header values that are known.

    Parameters
    ----------
    values
        None where a header has no value.
    """
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def overscan_noise(raw: RawFrame, rows: slice | None = None) -> float:
    """Measure the read noise of a single frame in its overscan.

    Parameters
    ----------
    raw
        Frame with its overscan.
    rows
        Rows of the image to look at; those of the overscan by default.

    Returns
    -------
    float
        Scatter of neighboring columns, which is blind to the level of the rows [ADU].
    """
    own, columns = raw.bias_section.slices
    half = (columns.start + columns.stop) // 2
    overscan = raw.adu[rows or own, half : columns.stop].astype(np.float32)
    return float(spread(overscan[:, 1:] - overscan[:, :-1]) / np.sqrt(2))


def read_noise(raw: RawFrame, biases_adu: float, rows: slice | None = None) -> float:
    """Return the read noise of a frame: that of the biases, or its own if its overscan is noisier.

    Parameters
    ----------
    biases_adu
        Read noise of the master bias [ADU].
    rows
        As for `overscan_noise`.

    Returns
    -------
    float
        In ADU.
    """
    return adopted_noise(overscan_noise(raw, rows), biases_adu)


def adopted_noise(overscan_adu: float, biases_adu: float) -> float:
    """Return the read noise to reduce a frame with: that of the biases, or that of its overscan if that is noisier.

    A frame whose overscan is more quiet keeps that of the biases: an overscan may be all alike, an amplifier is not.

    Parameters
    ----------
    overscan_adu
        From `overscan_noise` [ADU].
    biases_adu
        Read noise of the master bias [ADU].
    """
    return overscan_adu if overscan_adu > (1 + NOISIER) * biases_adu else biases_adu


def header_noise(frames: Sequence[RawFrame], detector: Detector, measured_adu: float) -> float | None:
    """Return the median read noise of the headers in counts.

    Parameters
    ----------
    measured_adu
        Read noise that was measured [ADU].

    Returns
    -------
    float or None
        In ADU; None where no header has it. Headers have it in electrons, and their gain may be wrong: by the gain of
        the header or by that of the table, whichever comes nearer to the measurement.
    """
    known = median_known([raw.header_read_noise_e for raw in frames])
    if known is None:
        return None
    gains = {nominal_gain(frames, detector).e_per_adu, detector.gain_e_per_adu}
    return float(min((known / g for g in sorted(gains)), key=lambda noise: abs(noise / measured_adu - 1)))


def table_limits(detector: Detector, gain_e_per_adu: float) -> Limits:
    """Return the limits of the table for another gain than its own.

    Parameters
    ----------
    gain_e_per_adu
        Gain of the frame [electron / ADU].
    """
    ratio = detector.gain_e_per_adu / gain_e_per_adu
    return Limits(min(ratio * detector.saturation_adu, _MOST_ADU), min(ratio * detector.max_linear_adu, _MOST_ADU))


def is_plausible(limit_adu: float | None, table_adu: float) -> TypeGuard[float]:
    """Return whether a limit of a header makes sense.

    Parameters
    ----------
    limit_adu
        That of the header; None if it has none [ADU].
    table_adu
        That of the table at the gain of the frame [ADU]: a third of it is the least that makes sense, 16 bits the most.
    """
    return limit_adu is not None and table_adu / 3 <= limit_adu <= _MOST_ADU
