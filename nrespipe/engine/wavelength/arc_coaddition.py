"""Coaddition of the arcs of a night."""

from collections.abc import Sequence

import numpy as np

from nrespipe.errors import BadFrame
from nrespipe.frames.arrays import Floats
from nrespipe.frames.quality import Pixel
from nrespipe.frames.spectra import Spectra

_FALSE_LIGHT = int(Pixel.SATURATED | Pixel.NONLINEAR | Pixel.BLOOMED)


def arcs(frames: Sequence[Spectra]) -> tuple[Spectra, Floats]:
    """Add up the arcs of a night, each fiber over the arcs that light it.

    Parameters
    ----------
    frames
        Arcs with the same orders.

    Returns
    -------
    stack : Spectra
        All fibers that any arc lights. A pixel that is bad in some arcs, or too bright in one, is the sum of the
        others; a pixel that is saturated in one is flagged.
    levels : ndarray of float, shape (n_fibers, n_arcs)
        Brightness of each arc relative to the median one, 0 where the fiber is dark.

    Raises
    ------
    BadFrame
        If the arcs do not have the same orders, or show no light.
    """
    first = frames[0]
    if any(not np.array_equal(arc.orders, first.orders) or arc.flux.shape[2] != first.flux.shape[2] for arc in frames):
        raise BadFrame("the arcs were extracted along different orders and cannot be added up")
    fibers = tuple(sorted({fiber for arc in frames for fiber in arc.fibers}))
    levels, sums = np.zeros((len(fibers), len(frames))), []
    for i, fiber in enumerate(fibers):
        lit = [k for k, arc in enumerate(frames) if fiber in arc.fibers]
        total, levels[i, lit] = _sum([frames[k].of(fiber) for k in lit], fiber)
        sums.append(total)
    flux, variance, quality, blaze = (np.array(parts) for parts in zip(*sums))
    return Spectra(fibers, first.orders, flux, variance, quality.astype(np.uint8), blaze), levels


def _sum(parts, fiber):
    flux = np.array([part[0] for part in parts], float)
    variance = np.array([part[1] for part in parts], float)
    quality = np.array([part[2] for part in parts], np.uint8)
    good = np.isfinite(flux) & (variance > 0) & (quality & ~np.uint8(_FALSE_LIGHT) == 0)
    # a pixel that is saturated in one arc has another fraction of its flux in each of them
    false = (quality & np.uint8(_FALSE_LIGHT) > 0).any(axis=0)
    levels = _levels(flux, good & ~false, fiber)
    lit = levels > 0.05
    flux, variance, quality, good = (a[lit] for a in (flux, variance, quality, good))
    scale = levels[lit][:, None, None]
    good &= false | ~_spikes(flux / scale, variance / scale**2, good)
    share = np.where(good, scale, 0.0).sum(axis=0) / scale.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        total = np.where(good, flux, 0.0).sum(axis=0) / share
        total_variance = np.where(good, variance, 0.0).sum(axis=0) / share**2
    flags = np.bitwise_or.reduce(quality & np.uint8(_FALSE_LIGHT), axis=0)
    flags |= np.where(share > 0, 0, np.bitwise_and.reduce(quality, axis=0)).astype(np.uint8)
    dark = share == 0
    total[dark], total_variance[dark] = np.nan, np.nan
    return (total, total_variance, flags, parts[0][3]), levels


def _levels(flux, good, fiber):
    """Return the brightness of arcs relative to the median arc, by the brightest hundredth of the usable pixels."""
    clean = np.where(good, flux, 0.0)
    middle = np.median(clean, axis=0)
    bright = (middle >= np.percentile(middle, 99)) & (middle > 0)
    norm = middle[bright]
    if len(norm) == 0:
        raise BadFrame(f"no light of the lamp in fiber {fiber} of the arcs")
    return np.array([max(0.0, np.median(arc[bright] / norm)) for arc in clean])


def _spikes(flux, variance, good):
    """Pixels far above the median of three or more arcs, by more than drifting lines change."""
    if len(flux) < 3:
        return np.zeros(flux.shape, bool)
    middle = np.median(np.where(good, flux, 0.0), axis=0)
    near = np.max([np.roll(middle, shift, axis=1) for shift in range(-2, 3)], axis=0)
    return flux - middle > 6 * np.sqrt(variance) + 0.3 * np.maximum(near, 0)
