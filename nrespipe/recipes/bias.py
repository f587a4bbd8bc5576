"""Bias frames: the structure that the overscan does not show, and the read noise."""

import itertools

import numpy as np

from nrespipe.engine import claims, company, detector, fixedpattern, stack
from nrespipe.engine.judge import master as judge  # noqa: F401
from nrespipe.errors import BadFrame
from nrespipe.frames.masters import Bias
from nrespipe.frames.quality import Pixel, Quality
from nrespipe.frames.raw import Kind
from nrespipe.frames.reduction import Reduction
from nrespipe.numerics.robust import spread
from nrespipe.recipes.origin import origin_of

NEEDS = ()
#: Fewest frames that make a master, and the number below which it is flagged.
MINIMUM, USUAL = 2, 5
#: Biases of so many nights before join in where nothing has changed: five alone leave a pattern of noise.
LOOKBACK_DAYS = 10


def reduce(raw, refs, spectrograph):
    """Check a bias frame.

    Parameters
    ----------
    raw : RawFrame
        The frame.
    refs : References
        Not used.
    spectrograph : Spectrograph
        Its table of the detector is held against the frame.

    Returns
    -------
    Reduction
        With doubts about header and noise, and the measurements ``level_adu``, ``structure_adu`` and ``noise_adu``.

    Raises
    ------
    BadFrame
        If light has reached the detector, or the image has no noise.
    """
    adu = detector.trim(raw)
    noise = _noise(adu)
    structure = float(np.median(adu))
    if noise == 0:
        raise BadFrame(f"{raw.filename}: the image has no noise, all its pixels are alike")
    bright = float(np.mean(adu > 20 * noise + structure))
    if abs(structure) > 10 * noise:
        raise BadFrame(f"{raw.filename}: not a bias: the image lies {structure:.0f} ADU above its overscan")
    if bright > 0.01:
        raise BadFrame(f"{raw.filename}: not a bias: light has reached {bright:.1%} of the pixels")
    level = float(np.median(detector.overscan_level(raw)))
    quality = claims.doubts(raw, spectrograph.detector, noise)
    measurements = {"level_adu": level, "structure_adu": structure, "noise_adu": noise}
    return Reduction(quality=quality, measurements=measurements)


def odd(_lit, measured):
    """Tell which biases of a night do not belong with the others.

    Parameters
    ----------
    _lit : sequence of str
        Not used.
    measured : sequence of mapping of str to float
        Measurements of each.

    Returns
    -------
    list of str
        Reasons; '' for those that do.
    """
    noise = np.array([each.get("noise_adu", np.nan) for each in measured])
    structure = [each.get("structure_adu", np.nan) for each in measured]
    usual = np.nanmedian(noise) if np.isfinite(noise).any() else np.nan
    noisy = company.odd(noise, 0.5 * usual, "its noise is {value:.2f} ADU, that of the other biases {usual:.2f} ADU")
    high = company.odd(structure, usual, "it lies {value:+.2f} ADU above its overscan, the others {usual:+.2f} ADU")
    return [one or other for one, other in zip(noisy, high)]


def combine(frames, refs, spectrograph, far_off=10.0):
    """Stack biases into a master.

    Parameters
    ----------
    frames : sequence of RawFrame
        Checked biases of one camera.
    refs : References
        Not used.
    spectrograph : Spectrograph
        Its table of the detector is held against the frames.
    far_off : float, optional
        A pixel or a column whose level differs from its surroundings by more than this many times the read noise is
        marked bad.

    Returns
    -------
    Bias
        Its read noise comes from the differences of successive frames. Pixels that vary by more than it are marked bad.
    """
    detector_table = spectrograph.detector
    light = frames[0].data_section
    shape = light.end_row - light.first_row, light.end_column - light.first_column
    read_noise = _read_noise(frames, shape[0])
    mean, variance, _, unsteady = stack.mean(frames, detector.trim, shape, read_noise**2)
    adu, variance, deviation = fixedpattern.settle(mean, variance)
    limit = far_off * read_noise
    bad = unsteady | (np.abs(deviation) > limit) | fixedpattern.far_columns(adu, limit)
    read_noise_e = read_noise * detector_table.gain_e_per_adu
    quality = Quality.FEW_CALIBRATIONS if len(frames) < USUAL else Quality(0)
    quality |= claims.read_noise(read_noise_e, detector_table.read_noise_e)
    quality |= claims.header_noise(frames, read_noise_e)
    mask = np.where(bad, Pixel.BAD, 0).astype(np.uint8)
    return Bias(origin_of(Kind.BIAS, frames, quality), adu, variance, read_noise, mask)


def _read_noise(frames, n_rows):
    """Read noise of one frame from the differences of successive ones [ADU]."""
    samples = stack.samples(n_rows, 64, 8)
    trimmed = (np.concatenate([detector.trim(raw, rows)[:, ::2] for rows in samples]) for raw in frames)
    found = [spread(second - first) for first, second in itertools.pairwise(trimmed)]
    return float(np.median(found) / np.sqrt(2))


def _noise(adu):
    """Scatter of neighboring columns: blind to any smooth structure."""
    return float(spread(adu[::4, 1:] - adu[::4, :-1]) / np.sqrt(2))
