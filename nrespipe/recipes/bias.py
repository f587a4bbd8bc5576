"""Bias frames: the structure that the overscan does not show, and the read noise."""

import itertools

import numpy as np

from nrespipe.engine import detector, stack
from nrespipe.errors import BadFrame
from nrespipe.frames.masters import Bias
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind
from nrespipe.frames.reduction import Reduction
from nrespipe.numerics.robust import spread
from nrespipe.recipes.origin import origin_of

NEEDS = ()
#: Fewest frames that make a master, and the number below which it is flagged.
MINIMUM, USUAL = 2, 5


def reduce(raw, refs, spectrograph):
    """Check a bias frame.

    Parameters
    ----------
    raw : RawFrame
        The frame.
    refs : References
        Not used.
    spectrograph : Spectrograph
        Not used.

    Returns
    -------
    Reduction
        With the measurements ``level_adu``, ``structure_adu`` and ``noise_adu``.

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
    return Reduction(measurements={"level_adu": level, "structure_adu": structure, "noise_adu": noise})


def combine(frames, refs, spectrograph):
    """Stack biases into a master.

    Parameters
    ----------
    frames : sequence of RawFrame
        Checked biases of one camera.
    refs : References
        Not used.
    spectrograph : Spectrograph
        Not used.

    Returns
    -------
    Bias
        Its read noise comes from the differences of successive frames.
    """
    images = [detector.trim(raw) for raw in frames]
    differences = [spread(a[::4, ::4] - b[::4, ::4]) for a, b in itertools.pairwise(images)]
    read_noise = float(np.median(differences) / np.sqrt(2))
    adu, variance, _ = stack.mean(images, read_noise**2)
    quality = Quality.FEW_CALIBRATIONS if len(images) < USUAL else Quality(0)
    return Bias(origin_of(Kind.BIAS, frames, quality), adu, variance, read_noise)


def _noise(adu):
    """Scatter of neighboring columns: blind to any smooth structure."""
    return float(spread(adu[::4, 1:] - adu[::4, :-1]) / np.sqrt(2))
