"""Bias frames: the fixed pattern that the overscan does not show, and the read noise."""

from collections.abc import Mapping, Sequence

import numpy as np

from nrespipe.engine.acceptance import frame_outliers
from nrespipe.engine.detector import correction, detector_values, fixed_pattern, header_checks, stacking
from nrespipe.errors import BadFrame
from nrespipe.frames.masters import Bias
from nrespipe.frames.quality import Pixel, Quality
from nrespipe.frames.raw import Kind, RawFrame
from nrespipe.frames.reduction import Reduction, References
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.numerics.robust_statistics import spread
from nrespipe.recipes.origin import origin_of

NEEDS = ()
#: Fewest frames that make a master, and the number below which it is flagged.
MINIMUM, USUAL = 2, 5
#: Biases of so many nights before are included where nothing has changed: five alone leave a pattern of noise.
LOOKBACK_DAYS = 10
#: Noise that the image may have in excess of the overscan, as a share of the variance; and least variance of light per
#: count, that of the largest gain there is.
_ALIKE, _FAINTEST = 0.2, 1 / 30
#: Relative difference of the measured read noise from that of header or table that is flagged.
_TOLERANCE = 0.3


def reduce(raw: RawFrame, refs: References, spectrograph: Spectrograph) -> Reduction:
    """Check a bias frame.

    Parameters
    ----------
    spectrograph
        Its table of the detector is compared with the header.

    Returns
    -------
    Reduction
        With flags of header and noise, and the measurements ``level_adu``, ``structure_adu`` and ``noise_adu``.

    Raises
    ------
    BadFrame
        If light has reached the detector, or the image has no noise.
    """
    adu = correction.trim(raw)
    noise = _noise(adu)
    structure = float(np.median(adu))
    if noise == 0:
        raise BadFrame(f"{raw.filename}: the image has no noise, all its pixels are alike")
    bright = float(np.mean(adu > 20 * noise + structure))
    gain_e = detector_values.nominal_gain([raw], spectrograph.detector).e_per_adu
    dark = detector_values.overscan_noise(raw)
    quality = header_checks.flags(raw, spectrograph.detector, noise, gain_e, dark)
    if abs(structure) > 10 * noise:
        # light brings its own noise with it, a level of the amplifier does not
        if structure > 0 and noise**2 > (1 + _ALIKE) * dark**2 + _FAINTEST * structure:
            raise BadFrame(
                f"{raw.filename}: not a bias: the image lies {structure:.0f} ADU above its overscan, with the noise of "
                f"light: {noise:.1f} ADU, that of the overscan is {dark:.1f} ADU"
            )
        quality |= Quality.LEVEL_JUMPED
    if bright > 0.01:
        # each quarter of the detector by itself, as the amplifiers may have levels of their own
        bright = max(np.mean(part > 20 * noise + np.median(part)) for part in _quarters(adu))
    if bright > 0.01:
        raise BadFrame(f"{raw.filename}: not a bias: light has reached {bright:.1%} of the pixels")
    level = float(np.median(correction.overscan(raw).level))
    measurements = {"level_adu": level, "structure_adu": structure, "noise_adu": noise}
    return Reduction(quality=quality, measurements=measurements)


def outlier_frames(_objects: Sequence[str], measured: Sequence[Mapping[str, float]]) -> list[str]:
    """Return why biases of a night differ from the others.

    Parameters
    ----------
    measured
        Measurements of each.

    Returns
    -------
    list of str
        The reason for each frame; '' for a frame that agrees with the others.
    """
    noise = np.array([each.get("noise_adu", np.nan) for each in measured])
    structure = [each.get("structure_adu", np.nan) for each in measured]
    usual = np.nanmedian(noise) if np.isfinite(noise).any() else np.nan
    noisy = frame_outliers.find(
        noise, 0.5 * usual, "its noise is {value:.2f} ADU, that of the other biases {usual:.2f} ADU"
    )
    high = frame_outliers.find(
        structure, usual, "it lies {value:+.2f} ADU above its overscan, the others {usual:+.2f} ADU"
    )
    return [one or other for one, other in zip(noisy, high)]


def combine(frames: Sequence[RawFrame], refs: References, spectrograph: Spectrograph, far_off: float = 10.0) -> Bias:
    """Stack biases into a master.

    Parameters
    ----------
    frames
        Checked biases of one camera.
    spectrograph
        Its table of the detector is compared with the frames.
    far_off
        A pixel or a column whose level differs from its surroundings by more than this many times the read noise is
        marked bad.

    Returns
    -------
    Bias
        Its read noise comes from the differences of successive frames. Pixels that vary by more than it are marked bad.
    """
    light, table = frames[0].data_section, spectrograph.detector
    shape = light.end_row - light.first_row, light.end_column - light.first_column
    read_noise, levels = _samples(frames, shape[0])
    # the level of an amplifier that jumps is that of most frames
    off = levels - np.median(levels, axis=0)
    off[np.abs(off) <= read_noise] = 0.0
    jumped = {raw.filename: each for raw, each in zip(frames, off)}

    def band_of(raw, rows):
        return _subtract_offsets(correction.trim(raw, rows), jumped[raw.filename], shape[0], rows)

    mean, variance, _, unsteady = stacking.mean(frames, band_of, shape, read_noise**2)
    adu, variance, deviation = fixed_pattern.settle(mean, variance)
    limit = far_off * read_noise
    bad = unsteady | (np.abs(deviation) > limit) | fixed_pattern.far_columns(adu, limit)
    quality = Quality.FEW_CALIBRATIONS if len(frames) < USUAL else Quality(0)
    if off.any():
        quality |= Quality.LEVEL_JUMPED
    header = detector_values.header_noise(frames, table, read_noise)
    known = table.read_noise_e / table.gain_e_per_adu
    quality |= header_checks.flag_difference(known, read_noise, _TOLERANCE, Quality.READ_NOISE_DISAGREES)
    quality |= header_checks.flag_difference(header, read_noise, _TOLERANCE, Quality.HEADER_DISAGREES)
    mask = np.where(bad, Pixel.BAD, 0).astype(np.uint8)
    return Bias(origin_of(Kind.BIAS, frames, quality), adu, variance, read_noise, mask, header)


def _samples(frames, n_rows):
    """Return the read noise by the differences of successive frames, and the levels of their quarters [ADU]."""
    samples = stacking.samples(n_rows, 64, 8)
    found, levels, before = [], [], None
    for raw in frames:
        adu = np.concatenate([correction.trim(raw, rows) for rows in samples])
        levels.append([np.median(part) for part in _quarters(adu)])
        if before is not None:
            difference = adu - before
            # neighboring columns: a level that has jumped is no noise
            found.append(spread(difference[:, 1:] - difference[:, :-1]) / 2)
        before = adu
    return float(np.median(found)), np.array(levels)


def _quarters(adu):
    """Return the quarters of an image, or of rows that are spread evenly over it."""
    return [half for part in np.array_split(adu, 2) for half in np.array_split(part, 2, axis=1)]


def _subtract_offsets(adu, off, n_rows, rows):
    """Subtract from rows of a frame the offset of the level of each quarter, in place."""
    start, end, _ = rows.indices(n_rows)
    border = int(np.clip(n_rows // 2 - start, 0, end - start))
    parts = [half for part in (adu[:border], adu[border:]) for half in np.array_split(part, 2, axis=1)]
    for part, level in zip(parts, off):
        part -= np.float32(level)
    return adu


def _noise(adu):
    """Return the scatter of neighboring columns, which no smooth structure changes."""
    return float(spread(adu[::4, 1:] - adu[::4, :-1]) / np.sqrt(2))
