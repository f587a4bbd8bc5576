"""What a header claims of the detector, held against the spectrograph's table and against the frame itself."""

import numpy as np

from nrespipe.frames.quality import Quality
from nrespipe.numerics.robust import spread

#: What a counter of 16 bits can hold [ADU].
_MOST_ADU = 65535.0


def limits(raw, detector):
    """Return the levels above which a frame is saturated and no longer linear.

    Parameters
    ----------
    raw : RawFrame
        The frame; its header may have limits.
    detector : Detector
        Its table, which stands where the header has none, or one that makes no sense.

    Returns
    -------
    saturation_adu, max_linear_adu : float
        The second is never above the first [ADU].

    Notes
    -----
    A limit makes sense between a third of the table's and what a counter of 16 bits can hold.
    """
    saturation_adu, max_linear_adu = (
        claimed if _sensible(claimed, known) else known
        for claimed, known in (
            (raw.saturation_adu, detector.saturation_adu),
            (raw.max_linear_adu, detector.max_linear_adu),
        )
    )
    return saturation_adu, min(max_linear_adu, saturation_adu)


def doubts(raw, detector, read_noise_adu, tolerance=0.25):
    """Check the claims of a frame's header, and the noise of its overscan.

    Parameters
    ----------
    raw : RawFrame
        The frame.
    detector : Detector
        Its table.
    read_noise_adu : float
        Read noise of the master bias [ADU].
    tolerance : float, optional
        By how much the noise of the overscan may differ from it, relative.

    Returns
    -------
    Quality
        ``HEADER_DISAGREES`` for a limit of saturation or linearity that is not positive or makes no sense, or that
        contradicts the other; a missing one is no contradiction. ``READ_NOISE_DISAGREES`` for a noise that the biases
        do not have.
    """
    quality = Quality(0)
    pairs = (raw.saturation_adu, detector.saturation_adu), (raw.max_linear_adu, detector.max_linear_adu)
    absurd = any(claimed is not None and not _sensible(claimed, known) for claimed, known in pairs)
    if absurd or (raw.max_linear_adu or 0) > (raw.saturation_adu or np.inf):
        quality |= Quality.HEADER_DISAGREES
    return quality | read_noise(overscan_noise(raw), read_noise_adu, tolerance)


def overscan_noise(raw):
    """Measure the read noise of a single frame in its overscan.

    Parameters
    ----------
    raw : RawFrame
        Frame with its overscan.

    Returns
    -------
    float
        Scatter of neighboring columns, which is blind to the level of the rows [ADU].
    """
    rows, columns = raw.bias_section.slices
    half = (columns.start + columns.stop) // 2
    overscan = raw.adu[rows, half : columns.stop]
    return float(spread(overscan[:, 1:] - overscan[:, :-1]) / np.sqrt(2))


def read_noise(found, expected, tolerance=0.3):
    """Compare two values of the read noise.

    Parameters
    ----------
    found, expected : float
        In one unit; an `expected` that is not positive is not known.
    tolerance : float, optional
        By how much they may differ, relative to `expected`.

    Returns
    -------
    Quality
        ``READ_NOISE_DISAGREES`` or nothing.
    """
    differs = expected > 0 and not abs(found / expected - 1) <= tolerance
    return Quality.READ_NOISE_DISAGREES if differs else Quality(0)


def header_noise(frames, found_e, tolerance=0.3):
    """Hold the read noise that headers claim against the one that was measured.

    Parameters
    ----------
    frames : sequence of RawFrame
        Frames with headers; one without the card claims nothing.
    found_e : float
        Read noise that was measured [electron].
    tolerance : float, optional
        By how much a claim may differ, relative.

    Returns
    -------
    Quality
        ``HEADER_DISAGREES`` or nothing.
    """
    return _contradicted([raw.header_read_noise_e for raw in frames], found_e, tolerance)


def header_gain(frames, gain_e_per_adu, tolerance=0.1):
    """Hold the gain that headers claim against the one that was measured.

    Parameters
    ----------
    frames : sequence of RawFrame
        Frames with headers; one without the card claims nothing.
    gain_e_per_adu : float
        Gain by photon transfer [electron / ADU].
    tolerance : float, optional
        By how much a claim may differ, relative.

    Returns
    -------
    Quality
        ``HEADER_DISAGREES`` or nothing.
    """
    return _contradicted([raw.header_gain_e_per_adu for raw in frames], gain_e_per_adu, tolerance)


def _contradicted(claimed, found, tolerance):
    wrong = any(claim is not None and not abs(claim / found - 1) <= tolerance for claim in claimed)
    return Quality.HEADER_DISAGREES if wrong else Quality(0)


def _sensible(claimed, known):
    return claimed is not None and known / 3 <= claimed <= _MOST_ADU
