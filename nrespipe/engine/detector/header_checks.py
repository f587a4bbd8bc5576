"""Flags of frames whose headers contradict the table of the detector or the measurements."""

import numpy as np

from nrespipe.engine.detector import detector_values
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import RawFrame
from nrespipe.frames.spectrograph import Detector


def flags(
    raw: RawFrame,
    detector: Detector,
    read_noise_adu: float,
    gain_e_per_adu: float,
    overscan_noise_adu: float,
    tolerance: float = detector_values.NOISIER,
) -> Quality:
    """Return the flags of a frame whose header limits or overscan noise are wrong.

    Parameters
    ----------
    read_noise_adu
        Read noise of the master bias [ADU].
    gain_e_per_adu
        Gain that was measured, or that of `detector_values.nominal_gain` [electron / ADU].
    overscan_noise_adu
        Noise of the overscan of this frame [ADU].
    tolerance
        By how much the noise of the overscan may differ from it, relative.

    Returns
    -------
    Quality
        ``HEADER_DISAGREES`` for a limit of saturation or linearity that is not positive or makes no sense, or that
        contradicts the other; a missing one is no contradiction. ``READ_NOISE_DISAGREES`` for a noise that the biases
        do not have.
    """
    quality = Quality(0)
    pairs = zip((raw.saturation_adu, raw.max_linear_adu), detector_values.table_limits(detector, gain_e_per_adu))
    absurd = any(value is not None and not detector_values.is_plausible(value, expected) for value, expected in pairs)
    if absurd or (raw.max_linear_adu or 0) > (raw.saturation_adu or np.inf):
        quality |= Quality.HEADER_DISAGREES
    differs = read_noise_adu > 0 and not abs(overscan_noise_adu / read_noise_adu - 1) <= tolerance
    return quality | (Quality.READ_NOISE_DISAGREES if differs else Quality(0))


def flag_difference(value: float | None, measured: float, tolerance: float, flag: Quality) -> Quality:
    """Compare a value of a header or of a table with a measurement.

    Parameters
    ----------
    value
        None is no contradiction.
    measured
        In the same unit.
    tolerance
        By how much the value may differ, relative to the measurement.
    flag
        Flag that is returned if it differs by more.

    Returns
    -------
    Quality
        `flag` or nothing.
    """
    return flag if value is not None and not abs(value / measured - 1) <= tolerance else Quality(0)
