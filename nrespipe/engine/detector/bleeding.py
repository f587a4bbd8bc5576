"""Charge that saturated pixels spill along their columns, into other orders and fibers."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import binary_closing, label, maximum_filter1d, uniform_filter1d

from nrespipe.frames.image import Image
from nrespipe.frames.masters import Flat
from nrespipe.frames.quality import Pixel
from nrespipe.frames.traces import Traces
from nrespipe.numerics import bleeding_kernels

#: Pixels closer to a trace contain its own light [pixel].
_CLEAR = 6.5
#: Gaps are looked at in pieces of about this height [pixel].
_PIECE = 8.0
#: Pixels on either side of a trace whose sum is its flux, to scale its wings with [pixel].
_CORE = 4
#: Error of the wings relative to themselves: those of a line have not the form of the flat's, and reach columns beside.
_UNLIKE, _BESIDE = np.float32(0.3), 6
#: Columns over which the level of a gap without spilled charge is the same [pixel].
_BLOCK = 256
#: Error of that level relative to itself: scattered light is not the same over a block.
_UNEVEN = np.float32(0.1)
#: Pieces around a saturated pixel that do not count for the level, and pieces on either side that replace them.
_AROUND, _STAND_IN = 1, 8
#: Every pixel of a piece stands out by so many errors where charge has surely been spilled; and the mean of the piece,
#: in its own column or over five, where charge from there is seen.
_SURELY, _SEEN = 5.0, 2.5
#: A column counts with no more than so many errors in the mean of five.
_MOST = 4.0
#: Error of the level that no number of pixels mends [electron].
_LEAST_E = 1.0
#: Fewest pixels of a piece in which charge is sure.
_FEWEST = 3
#: A piece does not count where the error of the wings exceeds its own error so many times.
_BLIND = 3.0
#: So many columns between two with spilled charge may not show it, because of bright lines.
_HIDDEN = 4
#: Pixels beside a saturated one hold charge of it in any case.
_NEAR = 2


def mark(image: Image, traces: Traces, flat: Flat, lit: tuple[int, ...]) -> Image:
    """Flag the pixels that hold charge which saturated pixels have spilled.

    Parameters
    ----------
    image
        Corrected frame, its background not subtracted.
    traces
        Where the orders lie in it, to half a pixel.
    flat
        Wings of the traces.
    lit
        Fibers that carry light in this frame.

    Returns
    -------
    Image
        The same frame; ``Pixel.BLOOMED`` is added to its mask.

    Notes
    -----
    Between the traces there is little light but scattered one, so spilled charge is seen there whatever the orders
    show. Each gap between neighboring traces is cut into pieces of some eight rows, and each piece of a column compared
    with the same piece of other columns. Four rules decide which pieces are flagged:

    1. Charge begins at saturated pixels, and at a piece all of whose pixels stand out, if a neighboring piece does as
       well. No cosmic ray and no line makes such a pair. A detector may spill below the level at which its header has
       it saturated.
    2. From there it is followed along the column, in both directions, through pieces that stand out by 2.5 errors. A
       single piece that does not is passed over.
    3. It is also followed through pieces in which the wings of bright light may hide charge that is more than the noise
       of a trace beside them.
    4. The piece after the last one is flagged too, and the trace before it.
    """
    centers = _filled(traces.centers[[traces.fibers.index(fiber) for fiber in lit]])
    low, high, below = _pieces(centers, len(image.electrons))
    mean, lowest, variance, count = bleeding_kernels.levels(
        image.electrons, image.floor_variance, image.mask, np.uint8(Pixel.SATURATED | Pixel.NONLINEAR), low, high
    )
    light = bleeding_kernels.clipped_core_flux(image.electrons, centers, _CORE)
    table, step = np.array(flat.profile.wings), flat.profile.distances[1]
    brightest = maximum_filter1d(light, 2 * _BESIDE + 1, axis=1)
    wings, wing_error, faintest = bleeding_kernels.wings_in(low, high, below, centers, light, brightest, table, step)
    wing_error *= _UNLIKE
    known, usable = count > 0, np.maximum(count, 1)
    full = bleeding_kernels.pixels_with(image.mask, np.uint8(Pixel.SATURATED))
    source = bleeding_kernels.beside(*full, low, high)
    # a star that saturates spills charge into all columns of a block
    calm = np.where(maximum_filter1d(source, 2 * _AROUND + 1, axis=0), 0, count) if len(full[0]) else count
    base = _smooth(bleeding_kernels.block_levels(mean - wings, variance + wings, calm, _BLOCK), mean.shape[1])
    noise = variance + wings + np.maximum(base, 0)
    limit = wing_error + _UNEVEN * np.maximum(base, 0)
    strong = lowest - wings - base > _SURELY * np.sqrt(noise) + limit
    seed = _with_neighbor(strong & (count >= _FEWEST))
    if not seed.any() and not len(full[0]):
        return image
    excess, error = np.where(known, mean - wings - base, np.float32(0)), np.hypot(np.sqrt(noise / usable), _LEAST_E)
    weak = known & (seed | _standing_out(excess, error, known, limit))
    # what the wings may hide matters where it is more than the noise of a trace beside the piece
    blind = (wing_error > _BLIND * error) & ((2 * _CORE + 1) * wing_error > np.sqrt(faintest))
    spilled = _connected(weak, source | ~known | blind, seed | source)
    mask = image.mask.copy()
    for step in range(-_NEAR, _NEAR + 1):
        mask[np.clip(full[0] + step, 0, len(mask) - 1), full[1]] |= np.uint8(Pixel.BLOOMED)
    bleeding_kernels.flag_pieces(mask, np.uint8(Pixel.BLOOMED), spilled, low, high)
    return Image(image.electrons, image.floor_variance, mask, image.exposure_s)


def _smooth(levels, n_columns):
    """Level of every piece in all columns; where its blocks do not tell it, it goes as that of the pieces around."""
    n_blocks = levels.shape[1]
    unknown = np.isnan(levels)
    if unknown.any():
        around = np.pad(levels, ((_STAND_IN, _STAND_IN), (0, 0)), constant_values=np.nan)
        # the median of those that are known, which come first
        around = np.sort(sliding_window_view(around, 2 * _STAND_IN + 1, axis=0), axis=-1)
        middle = np.maximum(np.isfinite(around).sum(axis=-1, keepdims=True) - 1, 0) // 2
        around = _bridged(np.take_along_axis(around, middle, axis=-1)[..., 0])
        levels = around + _bridged(levels - around)
    middles = (np.arange(n_blocks) + 0.5) * n_columns / n_blocks - 0.5
    x = np.arange(n_columns)
    return np.array([np.interp(x, middles, level) for level in levels], np.float32)


def _bridged(levels):
    """Levels, those that are unknown interpolated along the piece; 0 where all of a piece is unknown."""
    levels, block = levels.copy(), np.arange(levels.shape[1])
    for p in np.flatnonzero(np.isnan(levels).any(axis=1)):
        known = np.isfinite(levels[p])
        levels[p] = np.interp(block, block[known], levels[p, known]) if known.any() else 0.0
    return levels


def _standing_out(excess, error, known, limit):
    """Return which pieces are too bright alone, or together with two columns on either side."""
    number = np.maximum(uniform_filter1d(known.astype(np.float32), 5, axis=1), 0.1)
    # a column that stands out far must not count for those beside it
    together = uniform_filter1d(np.minimum(excess, _MOST * error + limit), 5, axis=1)
    scatter = np.sqrt(np.maximum(uniform_filter1d(np.where(known, error**2, 0), 5, axis=1), 0) / 5)
    return (excess > _SEEN * error + limit) | (together > _SEEN * scatter + limit * number)


def _connected(weak, blind, origin):
    """Pieces with charge: the bright ones that are connected with its origin, and those that may hide it."""
    upward, downward = bleeding_kernels.carried(weak, blind)
    weak = upward & downward
    # noise may hide the charge of one piece
    weak[1:-1] |= weak[2:] & weak[:-2]
    part, n = label(weak | origin)
    chosen = np.zeros(n + 1, bool)
    chosen[part[origin]] = True
    chosen[0] = False
    # between two columns with charge there is charge, whatever a bright line beside it hides
    seen = binary_closing(chosen[part] & weak, np.ones((1, _HIDDEN + 1), bool))
    upward, downward = bleeding_kernels.carried(seen, blind)
    return upward | downward


def _filled(centers):
    """Rows of all traces, increasing in every column; where a trace has none, that of its nearest column."""
    rows = []
    for one in centers.reshape(-1, centers.shape[-1]):
        known = np.flatnonzero(np.isfinite(one))
        if len(known):
            rows.append(np.interp(np.arange(len(one)), known, one[known]))
    return np.sort(np.array(rows).reshape(-1, centers.shape[-1]), axis=0)


def _pieces(centers, n_rows):
    """First row of every piece, the row after its last, and the trace below it, -1 for none."""
    edge = np.full((1, centers.shape[1]), -_CLEAR)
    bottoms = np.concatenate([edge, centers]) + _CLEAR
    tops = np.concatenate([centers, n_rows - edge]) - _CLEAR
    parts = np.maximum(np.round(np.median(tops - bottoms, axis=1) / _PIECE), 1).astype(int)
    limits = [
        bottom + (top - bottom) * np.arange(n + 1)[:, np.newaxis] / n for bottom, top, n in zip(bottoms, tops, parts)
    ]
    low, high = (
        np.clip(np.ceil(np.concatenate(chosen)), 0, n_rows).astype(np.int32)
        for chosen in ([limit[:-1] for limit in limits], [limit[1:] for limit in limits])
    )
    return low, np.maximum(low, high), np.repeat(np.arange(-1, len(parts) - 1), parts)


def _with_neighbor(strong):
    """Leave out the bright pieces without a bright neighbor, which may be single cosmic rays."""
    beside = np.zeros_like(strong)
    beside[1:] |= strong[:-1]
    beside[:-1] |= strong[1:]
    beside[:, 1:] |= strong[:, :-1]
    beside[:, :-1] |= strong[:, 1:]
    return strong & beside
