"""Scattered light: a smooth surface through the pixels between the orders, apart from the wings of the orders."""

import numpy as np

from nrespipe.engine.orders import kernel_layout
from nrespipe.frames.arrays import Floats
from nrespipe.frames.image import Image
from nrespipe.frames.masters import Flat
from nrespipe.frames.traces import Traces
from nrespipe.numerics import background_surface, column_fit_kernels
from nrespipe.numerics.leastsquares import clipped

#: Distances from the nearest trace at which free pixels are averaged apart from each other [pixel].
_CLASSES = np.array([6.5, 7.5, 8.5, 10.0, 12.0, 14.5, 18.0, 24.0, 60.0])
#: Distances at which the wings of a flat are free; linear in between, they end at the last [pixel].
_KNOTS = np.array([6.5, 7.5, 8.5, 9.5, 11.0, 13.0, 15.0, 18.0, 22.0])
#: Distances at which wings are tabulated [pixel].
DISTANCES = np.arange(0, _KNOTS[-1] + 0.1, 0.25)
#: Distance of the knots of the splines [pixel], and their stiffness.
_SPACING, _STIFFNESS = 300, 1e-4
#: Rows and columns of the cells over which pixels are averaged; every so many columns are used.
_CELL, _STRIDE = (64, 64), 4
#: Half width of the window over which the flux of a trace is summed while its profile is not known [pixel].
_CORE = 4
#: Points further below and above the surface than so many robust scatters are left out.
_CLIP = (4.0, 3.0)
#: Share by which the wings of a frame may differ from those of the flat: stars and lamps do not fill a fiber alike.
_ALIKE = 0.1


def subtract(image: Image, traces: Traces, flat: Flat, lit: tuple[int, ...]) -> Image:
    """Subtract the light that reaches the detector outside the orders.

    Parameters
    ----------
    traces
        Where the orders lie in it.
    flat
        Profile of the traces, with its wings.
    lit
        Fibers that carry light in this frame.

    Returns
    -------
    Image
        The same frame without the background; the photon noise of the background and the error of the surface are
        added to `floor_variance`.

    Notes
    -----
    Each cell contributes the clipped mean of its free pixels in several classes of distance from the nearest trace,
    after the wings W of the traces are taken off: their form is that of the flat, their light f that of this frame. The
    rest is

    .. math:: L(y, x) = \\sum_{a,b} s_{ab}\\, B_a(y)\\, B_b(x) + \\epsilon \\sum_k f_k(x)\\, W(y - c_k(x))

    with cubic splines B and a small correction to the strength of the wings. Only the surface is subtracted: the wings
    belong to the profile. Where orders are so close that no pixel is free of wings, the flat knows them from the orders
    that are far apart.
    """
    laid = kernel_layout.lay_out(image, traces, flat, lit, _STRIDE)
    start = np.full((len(laid.order), len(laid.data)), np.nan)
    flux, _, _ = column_fit_kernels.fit_exact_response(*laid.pieces, np.zeros(len(laid.order)), np.inf, start, 2)
    light = np.ascontiguousarray(flux.T)
    points, strength, _ = _cells(laid.data, laid.floor, laid.bad, laid.centers, light, flat.profile.wings, _KNOTS[:0])
    fit = _robust(points, strength[:, np.newaxis], image.electrons.shape, 0.0, _ALIKE)
    return _without(image, fit)


def of_flat(image: Image, traces: Traces, lit: tuple[int, ...], rounds: int = 3) -> tuple[Image, Floats]:
    """Subtract the scattered light of a flat, whose profile is not known yet, and measure the wings of its traces.

    Parameters
    ----------
    traces
        Where the orders lie in it.
    lit
        Fibers that it lights.
    rounds
        How often surface and wings are fitted, each time with the outliers of the last.

    Returns
    -------
    image : Image
        As from `subtract`.
    wings : ndarray of float, shape (2, n_distances)
        Light per pixel at `DISTANCES` below and above a trace, relative to its light within 4 pixels; 0 where the
        profile itself knows it better.
    """
    thin = slice(_STRIDE // 2, None, _STRIDE)
    centers, _ = kernel_layout.sorted_rows(traces, lit, thin)
    data, floor, mask = (
        column_fit_kernels.transposed(a[:, thin]) for a in (image.electrons, image.floor_variance, image.mask)
    )
    light = _whole_core_flux(data, centers)
    wings = np.zeros((2, len(DISTANCES)))
    for attempt in range(rounds):
        points, strength, hats = _cells(data, floor, mask, centers, light, wings, _KNOTS)
        # the wings end at the last knot
        hats = np.delete(hats, [len(_KNOTS) - 1, 2 * len(_KNOTS) - 1], axis=1)
        scale = np.maximum(hats.max(axis=0), 1e-9)
        # a share of the wings is not as modelled, which counts where the light is strong
        mismatch = 2e-3 * strength if attempt else 0.1 * np.abs(points[:, 0])
        fit = _robust(points, hats / scale, image.electrons.shape, mismatch, np.inf)
        found = (fit[1] / scale).reshape(2, -1)
        wings = wings + np.array([np.interp(DISTANCES, _KNOTS, np.append(side, 0.0), left=0.0) for side in found])
    return _without(image, fit), wings


def _whole_core_flux(data, centers):
    """Return the sum of the pixels around each trace; NaN where the window leaves the detector."""
    column = np.arange(len(data))[:, np.newaxis]
    inside = (centers > _CORE) & (centers < data.shape[1] - 1 - _CORE)
    middle = np.where(inside, np.round(centers), _CORE).astype(int)
    light = sum(data[column, middle + step].astype(float) for step in range(-_CORE, _CORE + 1))
    return np.where(inside, light, np.nan)


def _cells(data, floor, mask, centers, light, wings, knots):
    """Means of the cells, with columns counted on the whole detector; strength of the known wings; free wings."""
    points = background_surface.cells(
        data, floor, mask, centers, light, np.array(wings), DISTANCES[1], _CLASSES, knots, _CELL[0], _CELL[1] // _STRIDE
    )
    points[:, 3] = points[:, 3] * _STRIDE + _STRIDE // 2
    return points[:, :4], points[:, 4], points[:, 5:]


def _robust(points, extra, shape, mismatch, prior):
    """Fit the surface; what else a fiber spills only adds light, so the clip is not symmetric.

    Returns coefficients of the surface, factors of the extra terms, and the covariance of the coefficients.
    """
    level, error, row, column = points.T
    intervals = _intervals(shape)
    if len(level) < 3 * (intervals[0] + 3):
        return None, np.zeros(extra.shape[1]), None
    weight = 1 / np.hypot(error, mismatch)

    def solve(kept):
        fit = background_surface.surface(row, column, level, weight * kept, extra, prior, shape, intervals, _STIFFNESS)
        return fit, (level - background_surface.at_points(fit[0], row, column, shape) - extra @ fit[1]) * weight

    (coefficients, factors, covariance), (_, _, scatter) = clipped(solve, np.ones(len(level), bool), _CLIP)
    return coefficients, factors, covariance * scatter**2


def _intervals(shape):
    return tuple(max(round(size / _SPACING), 2) for size in shape)


def _without(image, fit):
    """Return the image without the surface; the image as it is where there are too few free pixels to tell."""
    coefficients, _, covariance = fit
    if coefficients is None:
        return image
    shape = image.electrons.shape
    surface = background_surface.on_image(coefficients, shape)
    variance = background_surface.variance_on_image(covariance, shape, _intervals(shape))
    electrons = image.electrons - surface
    # in place: these are arrays of a whole detector
    floor = np.maximum(surface, 0, out=surface)
    floor += image.floor_variance
    floor += variance
    return Image(electrons, floor, image.mask, image.exposure_s)
