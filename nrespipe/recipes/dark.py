"""Dark frames: the current that needs no light, and the hot pixels."""

import numpy as np
from scipy.ndimage import zoom

from nrespipe.engine import detector, stack
from nrespipe.errors import BadFrame
from nrespipe.frames.masters import Dark
from nrespipe.frames.quality import Pixel, Quality
from nrespipe.frames.raw import Kind
from nrespipe.frames.reduction import Reduction
from nrespipe.recipes.origin import origin_of

NEEDS = (Kind.BIAS,)
MINIMUM, USUAL = 1, 3
_BLOCK = 128


def reduce(raw, refs, spectrograph):
    """Check a dark frame.

    Parameters
    ----------
    raw : RawFrame
        The frame.
    refs : References
        With the master bias.
    spectrograph : Spectrograph
        Not used.

    Returns
    -------
    Reduction
        With the measurements ``level_adu`` and ``rate_adu_per_s``.

    Raises
    ------
    BadFrame
        If the exposure time is not positive, or light has reached the detector.
    """
    if not raw.exposure_s > 0:
        raise BadFrame(f"{raw.filename}: a dark of {raw.exposure_s} s")
    adu = detector.trim(raw) - refs.bias.adu
    level = float(np.median(adu))
    bright = float(np.mean(adu > level + 30 * refs.bias.read_noise_adu))
    if bright > 0.02 or level > 100 * refs.bias.read_noise_adu:
        raise BadFrame(f"{raw.filename}: not a dark: median {level:.0f} ADU, {bright:.1%} of the pixels are bright")
    return Reduction(measurements={"level_adu": level, "rate_adu_per_s": level / raw.exposure_s})


def combine(frames, refs, spectrograph, hot_sigma=6.0):
    """Stack darks into a master.

    Parameters
    ----------
    frames : sequence of RawFrame
        Checked darks of one camera.
    refs : References
        With the master bias.
    spectrograph : Spectrograph
        Its nominal gain scales the photon noise of the hot pixels.
    hot_sigma : float, optional
        Pixels that stand out by more than this keep their own value; all others take that of their surroundings,
        because the read noise of a few darks exceeds their dark current.

    Returns
    -------
    Dark
        Pixels whose charge in the longest input exceeds a tenth of the linear range are marked bad.
    """
    longest = max(raw.exposure_s for raw in frames)
    rates = [(detector.trim(raw) - refs.bias.adu) / np.float32(raw.exposure_s) for raw in frames]
    typical = float(np.median([raw.exposure_s for raw in frames]))
    noise = (refs.bias.read_noise_adu / typical) ** 2
    photon = 1 / (spectrograph.detector.gain_e_per_adu * typical)
    rate, variance, _ = stack.mean(rates, noise, photon)
    smooth = _smooth(rate)
    hot = np.abs(rate - smooth) > hot_sigma * np.sqrt(variance + np.maximum(smooth, 0) * photon / len(frames))
    mask = np.where(rate * longest > 0.1 * spectrograph.detector.max_linear_adu, Pixel.BAD, 0).astype(np.uint8)
    quality = Quality.FEW_CALIBRATIONS if len(frames) < USUAL else Quality(0)
    return Dark(
        origin_of(Kind.DARK, frames, quality),
        np.where(hot, rate, smooth).astype(np.float32),
        np.where(hot, variance, variance / _BLOCK**2).astype(np.float32),
        mask,
    )


def _smooth(rate):
    rows, columns = (n // _BLOCK for n in rate.shape)
    blocks = rate[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK)
    medians = np.median(blocks.swapaxes(1, 2).reshape(rows, columns, -1), axis=2)
    factors = [n / k for n, k in zip(rate.shape, medians.shape)]
    return zoom(medians, factors, order=1, mode="nearest", grid_mode=True).astype(np.float32)
