"""Dark frames: the dark current and the hot pixels."""

from collections.abc import Mapping, Sequence

import numpy as np

from nrespipe.engine.acceptance import frame_outliers
from nrespipe.engine.detector import correction, detector_values, fixed_pattern, header_checks, stacking
from nrespipe.errors import BadFrame, MissingCalibration
from nrespipe.frames.masters import Dark
from nrespipe.frames.quality import Pixel, Quality
from nrespipe.frames.raw import Kind, RawFrame
from nrespipe.frames.reduction import Reduction, References
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.recipes.origin import origin_of

NEEDS = (Kind.BIAS,)
MINIMUM, USUAL = 1, 3
#: Darks of so many nights before are included where nothing has changed: three alone are little more than read noise.
LOOKBACK_DAYS = 10
#: Darks of a night whose rates differ by more than this were not all taken in the dark [ADU / second].
_LEAK_ADU_PER_S = 1 / 300


def reduce(raw: RawFrame, refs: References, spectrograph: Spectrograph) -> Reduction:
    """Check a dark frame.

    Parameters
    ----------
    refs
        With the master bias.
    spectrograph
        Its table of the detector is compared with the header.

    Returns
    -------
    Reduction
        With flags of header and noise, and the measurements ``level_adu`` and ``rate_adu_per_s``.

    Raises
    ------
    BadFrame
        If the exposure time is not positive, or light has reached the detector.
    MissingCalibration
        If there is no master bias.
    """
    if refs.bias is None:
        raise MissingCalibration(f"{raw.filename}: a dark needs a master bias")
    if not raw.exposure_s > 0:
        raise BadFrame(f"{raw.filename}: a dark of {raw.exposure_s} s")
    adu = correction.trim(raw) - refs.bias.adu
    jumped = correction.level_steps(raw, refs.bias)
    correction.subtract_steps(adu, jumped, len(adu))
    level = float(np.median(adu))
    bright = float(np.mean(adu > level + 30 * refs.bias.read_noise_adu))
    if bright > 0.02 or level > 100 * refs.bias.read_noise_adu:
        raise BadFrame(f"{raw.filename}: not a dark: median {level:.0f} ADU, {bright:.1%} of the pixels are bright")
    gain_e = detector_values.nominal_gain([raw], spectrograph.detector).e_per_adu
    seen_adu = detector_values.overscan_noise(raw)
    quality = header_checks.flags(raw, spectrograph.detector, refs.bias.read_noise_adu, gain_e, seen_adu)
    quality |= Quality.LEVEL_JUMPED if any(jumped) else Quality(0)
    return Reduction(quality=quality, measurements={"level_adu": level, "rate_adu_per_s": level / raw.exposure_s})


def outlier_frames(_objects: Sequence[str], measured: Sequence[Mapping[str, float]]) -> list[str]:
    """Return why darks of a night differ from the others.

    Parameters
    ----------
    measured
        Measurements of each.

    Returns
    -------
    list of str
        The reason for each frame; '' for a frame that agrees with the others.
    """
    rates = [each.get("rate_adu_per_s", np.nan) for each in measured]
    message = "it gains {value:.4f} ADU a second, the other darks {usual:.4f} ADU a second"
    return frame_outliers.find(rates, _LEAK_ADU_PER_S, message)


def combine(frames: Sequence[RawFrame], refs: References, spectrograph: Spectrograph, hot_sigma: float = 4.5) -> Dark:
    """Stack darks into a master.

    Parameters
    ----------
    frames
        Checked darks of one camera.
    refs
        With the master bias.
    spectrograph
        Its table of the detector, or the headers, have the gain, on which the photon noise of the hot pixels depends.
    hot_sigma
        Pixels that exceed their surroundings by more than this keep their own value; all others take that of these,
        because the read noise of a few darks exceeds their dark current.

    Returns
    -------
    Dark
        Marked bad are pixels whose charge in the longest input exceeds a tenth of the linear range, those whose charge
        does not grow with the exposure time, and, where one dark alone cannot tell them from cosmic rays, all hot ones.
    """
    if refs.bias is None:
        raise MissingCalibration("a master dark needs a master bias")
    longest = max(raw.exposure_s for raw in frames)
    exposures_s = np.array([raw.exposure_s for raw in frames])
    bias = refs.bias

    samples = stacking.samples(len(bias.adu), 64, 8)
    jumped = {raw.filename: correction.level_steps(raw, bias, samples) for raw in frames}

    def band_of(raw, rows):
        return correction.subtract_steps(
            correction.trim(raw, rows) - bias.adu[rows], jumped[raw.filename], len(bias.adu), rows
        )

    # the gain is not measured yet: of two values the one with more noise, so that no good pixel is called unsteady
    gains = detector_values.nominal_gain(frames, spectrograph.detector).e_per_adu, spectrograph.detector.gain_e_per_adu
    noise = float(np.mean([detector_values.read_noise(raw, bias.read_noise_adu, samples[0]) ** 2 for raw in frames]))
    rate, variance, _, unsteady = stacking.mean(
        frames, band_of, bias.adu.shape, noise, 1 / min(gains), scales=list(exposures_s)
    )
    # the error of the master bias is the same in all inputs
    variance += bias.variance * np.float32(len(frames) / exposures_s.sum()) ** 2
    pattern, error, deviation = fixed_pattern.settle(rate, variance, hot_sigma)
    linear_adu = detector_values.limits(frames[0], spectrograph.detector, gains[0]).max_linear_adu
    bad = unsteady | (pattern * longest > 0.1 * linear_adu)
    if len(frames) == 1:
        bad |= deviation > hot_sigma * np.sqrt(variance)
    quality = Quality.FEW_CALIBRATIONS if len(frames) < USUAL else Quality(0)
    quality |= Quality.LEVEL_JUMPED if any(map(any, jumped.values())) else Quality(0)
    mask = np.where(bad, Pixel.BAD, 0).astype(np.uint8)
    return Dark(origin_of(Kind.DARK, frames, quality), pattern, error, mask)
