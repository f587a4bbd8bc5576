"""From counts to electrons: overscan, trim, bias, dark, gain, and what is known against each pixel."""

import itertools

import numpy as np
from scipy.ndimage import gaussian_filter1d

from nrespipe.frames.image import Image
from nrespipe.frames.quality import Pixel
from nrespipe.numerics.robust import spread

#: The first overscan columns hold charge that the serial register left behind.
_DEFERRED_COLUMNS = 8


def overscan_level(raw, smoothing_rows=4.0):
    """Measure the bias level of each row from its overscan.

    Parameters
    ----------
    raw : RawFrame
        Frame with its overscan.
    smoothing_rows : float, optional
        Standard deviation of the Gaussian along the rows that averages the read noise of the overscan [pixel].

    Returns
    -------
    ndarray of float32, shape (n_rows,)
        Level of the rows of the data section [ADU].

    Notes
    -----
    Each row's level is the mean of its overscan after the values beyond four times the scatter about the row's
    median are left out.
    """
    section = raw.bias_section
    first = min(section.first_column + _DEFERRED_COLUMNS, section.end_column - 1)
    rows = slice(raw.data_section.first_row, raw.data_section.end_row)
    overscan = raw.adu[rows, first : section.end_column].astype(np.float32)
    residual = overscan - np.median(overscan, axis=1, keepdims=True)
    good = np.abs(residual) <= max(4 * 1.4826 * np.median(np.abs(residual)), 1.0)
    level = np.sum(overscan * good, axis=1) / np.maximum(good.sum(axis=1), 1)
    return gaussian_filter1d(level, smoothing_rows, mode="nearest").astype(np.float32)


def trim(raw):
    """Return the light-sensitive part of a frame above its overscan.

    Parameters
    ----------
    raw : RawFrame
        Frame with its overscan.

    Returns
    -------
    ndarray of float32, shape (n_rows, n_columns)
        Counts above the bias level of the row [ADU].
    """
    return raw.adu[raw.data_section.slices].astype(np.float32) - overscan_level(raw)[:, np.newaxis]


def flags(raw, detector):
    """Mark the pixels whose value says nothing, or little, about the light.

    Parameters
    ----------
    raw : RawFrame
        Frame as it was read.
    detector : Detector
        Limits where the header has none, and the columns that are known to be bad.

    Returns
    -------
    ndarray of uint8, shape (n_rows, n_columns)
        ``Pixel.SATURATED``, ``Pixel.NONLINEAR`` and ``Pixel.BAD``.
    """
    adu = raw.adu[raw.data_section.slices]
    mask = np.zeros(adu.shape, np.uint8)
    mask[adu > (raw.max_linear_adu or detector.max_linear_adu)] |= np.uint8(Pixel.NONLINEAR)
    mask[adu >= (raw.saturation_adu or detector.saturation_adu)] |= np.uint8(Pixel.SATURATED)
    mask[:, list(detector.bad_columns)] |= np.uint8(Pixel.BAD)
    return mask


def correct(raw, bias, dark, detector, gain_e_per_adu):
    """Turn a raw frame into electrons with the variance of everything but its own light.

    Parameters
    ----------
    raw : RawFrame
        Frame as it was read.
    bias : Bias
        Master bias; its read noise is that of the frame.
    dark : Dark or None
        Master dark; None leaves the dark current in.
    detector : Detector
        Limits and bad columns.
    gain_e_per_adu : float
        Gain [electron / ADU].

    Returns
    -------
    Image
        In electrons.

    Raises
    ------
    ValueError
        If frame and masters differ in size.
    """
    adu = trim(raw)
    if adu.shape != bias.adu.shape or (dark is not None and adu.shape != dark.adu_per_s.shape):
        raise ValueError(f"{raw.filename}: {adu.shape[1]} x {adu.shape[0]} pixels do not fit the masters")
    adu -= bias.adu
    variance = bias.variance + np.float32(bias.read_noise_adu**2)
    mask = flags(raw, detector)
    if dark is not None:
        charge = dark.adu_per_s * np.float32(raw.exposure_s)
        adu -= charge
        variance += dark.variance * np.float32(raw.exposure_s) ** 2
        variance += np.maximum(charge, 0) / np.float32(gain_e_per_adu)
        mask |= dark.mask
    gain = np.float32(gain_e_per_adu)
    return Image(adu * gain, variance * gain**2, mask, raw.exposure_s)


def photon_transfer(pairs, read_noise_adu, block=64):
    """Measure the gain from pairs of equal exposures.

    Parameters
    ----------
    pairs : iterable of (ndarray, ndarray)
        Equal flats, bias subtracted, shape (n_rows, n_columns) each [ADU].
    read_noise_adu : float
        Read noise of one exposure [ADU].
    block : int, optional
        Side of the blocks within which the two are scaled to each other [pixel].

    Returns
    -------
    gain_e_per_adu, error : float
        Gain and its error [electron / ADU]; (nan, inf) where there is too little light.

    Notes
    -----
    In a bin of pixels of like brightness the variance of the difference of two frames is twice
    ``mean / gain + k mean^2 + read_noise^2`` (Janesick 2007, Photon Transfer). The term k absorbs what a small shift of
    the orders between the two exposures adds. The scatter is the robust one of each bin, because cosmic rays dominate
    the plain variance.
    """
    level, slope, weight = [], [], []
    for first, second in pairs:
        mean, difference = _matched(first, second, block)
        edges = np.geomspace(20 * max(read_noise_adu, 1.0) ** 2, 30000.0, 13)
        for low, high in itertools.pairwise(edges):
            chosen = (mean >= low) & (mean < high)
            n = int(chosen.sum())
            if n < 2000:
                continue
            sample = difference[chosen]
            scatter = spread(sample)
            level.append(float(np.mean(mean[chosen])))
            slope.append((scatter**2 / 2 - read_noise_adu**2) / level[-1])
            # the variance of n values is known to sqrt(2 / n) of itself
            weight.append(np.sqrt(n / 2) / max(scatter**2 / 2 / level[-1], 1e-9))
    if len(level) < 4:
        return np.nan, np.inf
    design = np.stack([np.ones(len(level)), np.array(level) / 1e4], axis=1) * np.array(weight)[:, np.newaxis]
    (inverse, _), residual, _, _ = np.linalg.lstsq(design, np.array(slope) * weight)
    if inverse <= 0:
        return np.nan, np.inf
    excess = np.sqrt(max(residual[0] / (len(level) - 2), 1.0)) if len(residual) else 1.0
    error = excess * np.sqrt(np.linalg.inv(design.T @ design)[0, 0])
    return float(1 / inverse), float(error / inverse**2)


def _matched(first, second, block):
    """Return mean and difference of two frames after scaling both to their mean in blocks."""
    rows, columns = (n // block * block for n in first.shape)
    a, b = first[:rows, :columns], second[:rows, :columns]
    shape = (rows // block, block, columns // block, block)
    sums = [np.maximum(frame.reshape(shape).sum(axis=(1, 3), dtype=np.float64), 1.0) for frame in (a, b)]
    ratio = np.sqrt(sums[0] / sums[1])
    usable = (ratio > 0.8) & (ratio < 1.25)
    scale = np.repeat(np.repeat(np.where(usable, ratio, np.nan), block, 0), block, 1).astype(np.float32)
    a, b = a / scale, b * scale
    keep = np.isfinite(scale)
    return ((a + b) / 2)[keep], (a - b)[keep]
