"""Tilt and curvature of the images of lamp lines against the columns of the detector."""

from collections.abc import Sequence

import numpy as np

from nrespipe.engine.orders import kernel_layout
from nrespipe.frames.arrays import Floats
from nrespipe.frames.image import Image
from nrespipe.frames.masters import Flat
from nrespipe.frames.traces import Slant, Traces
from nrespipe.numerics import column_fit_kernels, legendre2d, tilt_kernels
from nrespipe.numerics.leastsquares import clipped

#: Terms of the surfaces in (x, m): tilt and curvature change slowly over the detector.
_DEGREES = legendre2d.degrees(3)
#: Pieces of an order with a tilt of their own before the surfaces are fitted.
_PIECES = 8
#: Half width of the core, from which tilt and curvature are measured: further out neighbors disturb them [pixel].
_CORE = 4.5
#: Error of the profile relative to the light: the residuals of sharp lines while the tilt is not known [1].
_GUARD = 0.05
#: Scatter of tilt and curvature about their surfaces that the optics allow [pixel / pixel, pixel / pixel2].
_SMOOTH = (2e-3, 5e-4)
#: Tilt and curvature that optics make likely; a third of it for each degree of the surface. It keeps the surfaces small
#: where a lamp has no lines.
_LIKELY = (0.1, 1e-2)


def measure(
    image: Image, traces: Traces, flat: Flat, lamps: tuple[int, ...], rounds: int = 3, least_snr: float = 30.0
) -> Slant:
    """Measure tilt and curvature of the lines in a frame whose fibers carry a line lamp.

    Parameters
    ----------
    traces
        Where the orders lie in this frame.
    lamps
        Fibers that carry a line lamp, all that carry light; without any the lines are taken to be upright.
    rounds
        How often flux and tilt are fitted in turn.
    least_snr
        Columns whose light is less significant do not count.

    Returns
    -------
    Slant
        Of these fibers.

    Notes
    -----
    A column beside a tilted line is brighter above its trace and fainter below it, by the slope of the light:

    .. math:: D(x, y) = P(u)\\, s(x - \\delta) \\approx P(u)\\, [s(x) - \\delta\\, s'(x)] ,
        \\qquad \\delta = a\\, u + b\\, (u^2 - q) .

    Least squares give a and b in pieces along every order, and a low surface in (x, m) smooths them for each fiber.
    Where a lamp has no lines the surface stays near what optics make likely.
    """
    known = upright(traces, lamps)
    if not lamps:
        return known
    laid = kernel_layout.lay_out(image, traces, flat, lamps)
    shares, first = column_fit_kernels.shares_of(laid.response, laid.centers, laid.tables, *laid.grid)
    guard = np.full(len(laid.order), 0.15)
    edges = np.linspace(0, len(laid.data), _PIECES + 1).astype(np.int64)
    flux = np.full((len(laid.order), len(laid.data)), np.nan)
    extra = np.zeros_like(laid.data)
    for _ in range(rounds):
        arrays = (laid.data, laid.floor, laid.error, laid.bad, shares, first)
        flux, _, _ = column_fit_kernels.fit(*arrays, extra, guard, 8.0, flux, 3)
        tilt, curvature = (laid.sort(values) for values in per_pixel(known, traces, lamps))
        extra = tilt_kernels.displaced(laid.data.shape[1], shares, first, laid.centers, flux, tilt, curvature)
        matrix, right = tilt_kernels.sums(
            laid.data, laid.floor, laid.bad, shares, first, laid.centers, flux, extra, _GUARD, least_snr, _CORE, edges
        )
        known = _improved(known, laid.unsort(matrix), laid.unsort(right), traces, edges)
    return known


def upright(traces: Traces, fibers: tuple[int, ...]) -> Slant:
    """Return the tilt and curvature of upright lines: zero."""
    orders = int(traces.orders[0]), int(traces.orders[-1])
    zero = np.zeros((len(fibers), len(_DEGREES)))
    return Slant(tuple(fibers), orders, traces.centers.shape[-1], _DEGREES, zero, zero)


def per_pixel(slant: Slant, traces: Traces, fibers: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Return tilt and curvature at every pixel of the traces.

    Parameters
    ----------
    slant
        As measured on lamps.
    fibers
        Fibers; the lines of one that was not measured are upright.

    Returns
    -------
    tilt, curvature : ndarray of float, shape (n_fibers, n_orders, n_pixels)
        ``lean`` and ``bend`` of ``Slant`` [pixel / pixel, pixel / pixel2].
    """
    x = legendre2d.scaled(np.arange(traces.centers.shape[-1]), 0, slant.n_pixels - 1)
    m = legendre2d.scaled(traces.orders, *slant.orders)
    result = np.zeros((2, len(fibers), len(m), len(x)))
    for i, fiber in enumerate(fibers):
        if fiber in slant.fibers:
            place = slant.fibers.index(fiber)
            for part, coefficients in enumerate((slant.lean[place], slant.bend[place])):
                result[part, i] = legendre2d.on_grid(slant.degrees, coefficients, x, m)
    return result[0], result[1]


def mean(slants: Sequence[Slant]) -> Slant:
    """Return the mean tilt and curvature of several frames, fiber by fiber.

    Parameters
    ----------
    slants
        Of frames with the same orders; each may have other fibers.

    Returns
    -------
    Slant
        Of every fiber that one of them knows.
    """
    fibers = sorted({fiber for slant in slants for fiber in slant.fibers})

    def averaged(part):
        known = [[getattr(s, part)[s.fibers.index(f)] for s in slants if f in s.fibers] for f in fibers]
        return np.array([np.mean(values, axis=0) for values in known])

    first = slants[0]
    return Slant(tuple(fibers), first.orders, first.n_pixels, first.degrees, averaged("lean"), averaged("bend"))


def _improved(slant, matrix, right, traces, edges):
    """Add to tilt and curvature the surfaces through the corrections of their pieces."""
    x = legendre2d.scaled((edges[:-1] + edges[1:] - 1) / 2, 0, slant.n_pixels - 1)
    m = legendre2d.scaled(traces.orders, *slant.orders)
    grid = [axis.ravel() for axis in np.meshgrid(x, m)]
    tilt, curvature = slant.lean.copy(), slant.bend.copy()
    for i in range(len(slant.fibers)):
        known = np.linalg.det(matrix[i]).ravel() > 0
        inverse = np.linalg.inv(matrix[i].reshape(-1, 2, 2)[known])
        values = np.einsum("nij,nj->ni", inverse, right[i].reshape(-1, 2)[known])
        errors = np.sqrt(np.einsum("nii->ni", inverse))
        design = legendre2d.design(slant.degrees, *(axis[known] for axis in grid))
        for part, coefficients in enumerate((tilt, curvature)):
            total = values[:, part] + design @ coefficients[i]
            likely = _LIKELY[part] / 3.0 ** slant.degrees.sum(axis=1)
            coefficients[i] = _fit(design, total, np.hypot(errors[:, part], _SMOOTH[part]), likely)
    return Slant(slant.fibers, slant.orders, slant.n_pixels, slant.degrees, tilt, curvature)


def _fit(design, values, errors, likely):
    """Robust weighted fit, each coefficient about as large as is likely; 0 where there is too little to fit."""

    def solve(kept):
        if kept.sum() < 2 * design.shape[1]:
            raise np.linalg.LinAlgError
        rows = np.vstack([design[kept] / errors[kept, None], np.diag(1 / likely)])
        fit = np.linalg.lstsq(rows, np.append(values[kept] / errors[kept], np.zeros(len(likely))))[0]
        return fit, (values - design @ fit) / errors

    try:
        return clipped(solve, np.isfinite(values) & (errors < 0.1), (4.0, 4.0), least=0.5, rounds=6)[0]
    except np.linalg.LinAlgError:
        return np.zeros(design.shape[1])
