"""The fixed pattern of a detector, separated from the noise of the few frames that show it."""

import numpy as np
from scipy.ndimage import median_filter, uniform_filter1d

from nrespipe.frames.arrays import Booleans, Floats
from nrespipe.numerics.column_fit_kernels import transposed

#: Pixels along a column, then along a row, over which the structure is averaged.
_WINDOW = 257
#: Side of the blocks in which the scatter from pixel to pixel is judged [pixel].
_BLOCK = 64
#: Scatter by which a block must exceed its noise before its pixels differ from each other, as a ratio of variances:
#: that of 4096 values is known to 2 percent.
_EXCESS = 1.1
#: Standard deviations beyond which a pixel has no part in the first of the running means.
_WILD = 8.0


def settle(mean: Floats, variance: Floats, significant: float = 5.0) -> tuple[Floats, Floats, Floats]:
    """Keep the structure of a mean image that exceeds its noise, and smooth the rest.

    Parameters
    ----------
    mean, variance : shape (n_rows, n_columns)
        Mean of few frames, and the variance of it by the noise model.
    significant
        A pixel that differs from its neighbors by more than this many standard deviations keeps its own value.

    Returns
    -------
    pattern, variance : ndarray of float32, shape (n_rows, n_columns)
        Best estimate, and the variance of it.
    deviation : ndarray of float32, shape (n_rows, n_columns)
        By how much the mean of each pixel exceeds the structure of its columns, rows and surroundings.

    Notes
    -----
    A running mean along the columns, and one along the rows of the rest, contain the structure of columns and rows and
    all that is smooth. The remainder in a block scatters by the noise n of the mean and by the structure s of single
    pixels; a pixel takes the share :math:`w = s^2 / (s^2 + n^2)` of its own deviation, and the variance of the result
    is :math:`w n^2` with that of the running means. Where single pixels do not differ w is 0: then a master of five
    biases costs 1 percent of the variance of the read noise and not 20.
    """
    limit = np.float32(_WILD) * np.sqrt(variance)
    coarse = _coarse(mean)
    smooth = _running(np.clip(mean, coarse - limit, coarse + limit), limit)
    outlying = np.abs(mean - smooth) > significant * np.sqrt(variance)
    smooth = _running(np.where(outlying, smooth, mean), limit)
    deviation = mean - smooth
    square = deviation**2 / variance
    # where all pixels differ from each other, an outlier must exceed their scatter
    alone = square > significant**2 * np.maximum(_typical(square), 1)
    share = _share(np.where(alone, 1, square))
    share[alone] = 1
    return smooth + share * deviation, variance * np.minimum(share + np.float32(2 / _WINDOW), 1), deviation


def far_columns(image: Floats, limit: float, segment: int = 512) -> Booleans:
    """Find columns, or parts of them, whose level is far from that of their neighbors.

    Parameters
    ----------
    image : shape (n_rows, n_columns)
        Pattern, from `settle`.
    limit
        Largest difference that is not far, in the unit of the image.
    segment
        Rows of the parts [pixel].

    Returns
    -------
    ndarray of bool, shape (n_rows, n_columns)
        Whether a pixel lies in such a part.
    """
    far = np.zeros(image.shape, bool)
    for first in range(0, len(image), segment):
        level = np.median(image[first : first + segment], axis=0)
        far[first : first + segment] = np.abs(level - median_filter(level, 15, mode="nearest")) > limit
    return far


def _coarse(mean):
    """Structure of rows, of columns, and of blocks, by medians of some of the pixels: no hot pixel spoils it."""
    rest = mean - _level_of_columns(mean.T).T
    rest -= _level_of_columns(rest)
    return mean - rest + _medians(rest)


def _level_of_columns(image):
    """Median of each column within 256 rows, from every fourth of them: a column may change its level on its way."""
    level = np.empty(image.shape, np.float32)
    for first in range(0, len(image), 256):
        level[first : first + 256] = np.median(image[first : first + 256 : 4], axis=0)
    return level


def _typical(square):
    """Variance of the bulk of the pixels of each block, from the median of the squares."""
    return _medians(square) / np.float32(0.4549)


def _medians(image):
    """Median of every fourth pixel of every fourth row of each block, enlarged to the size of the image."""
    thin, step = image[::4, ::4], _BLOCK // 4
    starts = [range(0, n, step) for n in thin.shape]
    blocks = [[np.median(thin[y : y + step, x : x + step]) for x in starts[1]] for y in starts[0]]
    return _enlarged(np.array(blocks, np.float32), image.shape)


def _enlarged(blocks, shape):
    return np.repeat(np.repeat(blocks, _BLOCK, 0), _BLOCK, 1)[: shape[0], : shape[1]]


def _running(image, limit):
    columns = transposed(_mean_along(transposed(image)))
    # where a column changes its level, its mean is wrong for a while, which its neighbors must not pay for
    return columns + _mean_along(np.clip(image - columns, -limit, limit))


def _mean_along(image):
    """Running mean along the second axis, the image mirrored at its ends."""
    half = min(_WINDOW, image.shape[1]) // 2
    return uniform_filter1d(image, 2 * half + 1, axis=1, mode="reflect")


def _share(square):
    """Share of the deviations of the pixels of a block that exceeds their noise."""
    rows, columns = (-(-n // _BLOCK) for n in square.shape)
    starts = [np.arange(k) * _BLOCK for k in (rows, columns)]
    sums = np.add.reduceat(np.add.reduceat(square, starts[0], axis=0, dtype=np.float64), starts[1], axis=1)
    counts = np.outer(*(np.diff(np.append(start, n)) for start, n in zip(starts, square.shape)))
    ratio = sums / counts
    share = np.where(ratio > _EXCESS, 1 - 1 / ratio, 0).astype(np.float32)
    return _enlarged(share, square.shape)
