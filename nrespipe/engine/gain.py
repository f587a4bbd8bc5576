"""The gain, from how much pairs of equal flats differ."""

import numpy as np

from nrespipe.numerics.robust import spread

#: Fewest pixels of like brightness whose scatter counts.
_FEWEST = 2000


def measure(pairs, read_noise_adu, block=64):
    """Measure the gain from pairs of equal exposures by photon transfer.

    Parameters
    ----------
    pairs : iterable of (ndarray, ndarray)
        Equal flats, bias subtracted, or like parts of them, shape (n_rows, n_columns) each [ADU].
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
    the plain variance. The weights come from the fit of the round before: a bin whose scatter came out low by chance
    must not weigh more for it.
    """
    points = [point for first, second in pairs for point in _bins(*_matched(first, second, block), read_noise_adu)]
    if len(points) < 4:
        return np.nan, np.inf
    level, variance, n = np.array(points).T
    slope = (variance - read_noise_adu**2) / level
    design = np.stack([np.ones(len(level)), level / 1e4], axis=1)
    expected = variance
    for _ in range(4):
        # the variance of n values is known to sqrt(2 / n) of itself
        weight = np.sqrt(n / 2) * level / np.maximum(expected, 1e-9)
        weighted = design * weight[:, np.newaxis]
        fit = np.linalg.lstsq(weighted, slope * weight)[0]
        expected = np.maximum(design @ fit * level, 0) + read_noise_adu**2
    if fit[0] <= 0:
        return np.nan, np.inf
    chi2 = np.sum((slope * weight - weighted @ fit) ** 2) / max(len(level) - 2, 1)
    error = np.sqrt(max(chi2, 1.0) * np.linalg.inv(weighted.T @ weighted)[0, 0])
    return float(1 / fit[0]), float(error / fit[0] ** 2)


def _bins(mean, difference, read_noise_adu):
    """Mean level, variance of one exposure, and number of pixels, for each bin of brightness."""
    edges = np.geomspace(20 * max(read_noise_adu, 1.0) ** 2, 30000.0, 13)
    place = np.digitize(mean, edges)
    for i in range(1, len(edges)):
        chosen = place == i
        n = int(np.count_nonzero(chosen))
        if n >= _FEWEST:
            yield float(np.mean(mean[chosen])), spread(difference[chosen]) ** 2 / 2, n


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
