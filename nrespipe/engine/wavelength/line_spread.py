"""Line-spread function: the profile of a single wavelength along an order."""

from collections.abc import Sequence

import numpy as np

from nrespipe.frames.arrays import Floats, Integers
from nrespipe.frames.wavelength import LineShape
from nrespipe.numerics import leastsquares, legendre2d, peaks, tensorspline

_OFFSETS = np.linspace(-2.5, 2.5, 101)
_KNOTS = np.r_[np.arange(-2.5, -1.0, 0.25), np.arange(-1.0, 1.01, 0.125), np.arange(1.25, 2.51, 0.25)]
_FOUR_LN2 = 4 * np.log(2)
#: Least number of lines for a profile, and number of the brightest lines to use where few are bright.
_FEWEST, _WANTED = 30, 60


def gaussian(fibers: tuple[int, ...], orders: Integers, n_pixels: int, fwhm: float = 4.0) -> LineShape:
    """Return a Gaussian line-spread function of constant width, as a first guess.

    Parameters
    ----------
    orders : shape (n_orders,)
        Diffraction orders.
    n_pixels
        Length of an order.
    fwhm
        Full width at half maximum [pixel].
    """
    values = np.exp(-_FOUR_LN2 * _OFFSETS**2) * np.sqrt(_FOUR_LN2 / np.pi)
    return LineShape(
        fibers=tuple(fibers),
        orders=np.asarray(orders),
        fwhm=np.full((len(fibers), len(orders), n_pixels), float(fwhm)),
        offsets=_OFFSETS,
        columns=np.array([0.0, n_pixels - 1.0]),
        values=np.broadcast_to(values, (len(fibers), 2, len(values))),
    )


def at(shape: LineShape, fiber: int, row: Integers, x: Floats) -> tuple[Floats, Floats]:
    """Return width and profile at places of the spectra.

    Parameters
    ----------
    row : shape (n_lines,)
        Index into ``shape.orders``.
    x : shape (n_lines,)
        Column [pixel].

    Returns
    -------
    fwhm : ndarray of float, shape (n_lines,)
        Full width at half maximum [pixel].
    tables : ndarray of float, shape (n_lines, 3 + n_offsets)
        Profiles in the form that ``numerics.peaks`` takes.
    """
    f = shape.fibers.index(fiber)
    column = np.clip(np.rint(x).astype(int), 0, shape.fwhm.shape[2] - 1)
    place = np.interp(x, shape.columns, np.arange(len(shape.columns)))
    low = np.minimum(place.astype(int), len(shape.columns) - 2)
    share = (place - low)[:, None]
    tables = np.empty((len(x), 3 + len(shape.offsets)))
    tables[:, 0], tables[:, 1], tables[:, 2] = shape.offsets[0], shape.offsets[1] - shape.offsets[0], 0.0
    tables[:, 3:] = (1 - share) * shape.values[f, low] + share * shape.values[f, low + 1]
    return shape.fwhm[f, row, column], tables


def centroid_px(shape: LineShape, fiber: int, columns: Floats, *, reach: float = 1.5) -> Floats:
    """Return the centroid of a line minus its center.

    Parameters
    ----------
    columns : shape (n_columns,)
        Columns [pixel].
    reach
        Light further from the center does not count, as in the fits of lines [full width at half maximum].

    Returns
    -------
    ndarray of float, shape (n_orders, n_columns)
        [pixel].
    """
    f, near = shape.fibers.index(fiber), np.abs(shape.offsets) <= reach
    values = shape.values[f][:, near]
    centroid = np.interp(columns, shape.columns, values @ shape.offsets[near] / values.sum(axis=1))
    return centroid * shape.fwhm[f][:, np.clip(np.rint(columns).astype(int), 0, shape.fwhm.shape[2] - 1)]


def measure(
    flux: Floats,
    variance: Floats,
    row: Integers,
    fits: Floats,
    orders: Integers,
    fiber: int,
    degree_x: int = 3,
    iterations: int = 4,
    least_snr: float = 40.0,
    faintest_snr: float = 10.0,
) -> LineShape:
    """Measure the line-spread function of one fiber from the lines of its arcs.

    Parameters
    ----------
    flux, variance : shape (n_orders, n_pixels)
        Spectrum without its background, NaN where bad, and its variance [electron, electron2].
    row : shape (n_lines,)
        Index of the order of each line. Lines that are neither blended nor saturated.
    fits : shape (n_lines, 8)
        Fits of the lines with free width, columns as in ``numerics.peaks.COLUMNS``.
    orders : shape (n_orders,)
        Diffraction orders.
    degree_x
        Degree of the change of the profile along the order.
    iterations
        Rounds of: profile from the lines, lines from the profile.
    least_snr, faintest_snr
        Least signal-to-noise ratio of a line; the second where fewer than sixty lines have the first.

    Returns
    -------
    LineShape
        Of this fiber; a Gaussian of the width of the lines where fewer than thirty have `faintest_snr`.

    Notes
    -----
    The profile is a cubic spline of the distance from the center in units of the local full width at half maximum,
    whose coefficients are polynomials of x; the width is a polynomial of x and m. Its zero point is the center of the
    Gaussian of the same width that fits it best, the place where the integral of L(u) u exp(-4 ln 2 u2) vanishes. It
    lies between the peak and the centroid, like the center of a Gaussian that is fitted to the CCF of narrow stellar
    lines: the remaining difference between lamp and star is the same in every frame.
    """
    n_pixels = flux.shape[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        snr = np.where(np.isfinite(fits[:, 1]), fits[:, 0] / fits[:, 5], 0.0)
    # a Gaussian instead of a skewed profile shifts stars against the lamp by tens of m/s: faint lines measure the
    # skewness better than none
    wanted = np.sort(snr)[-min(_WANTED, len(snr)) :].min(initial=np.inf)
    bright = (snr > least_snr) | (snr >= max(wanted, faintest_snr))
    if bright.sum() < _FEWEST:
        return gaussian((fiber,), orders, n_pixels, float(np.nanmedian(fits[:, 2])) if len(fits) else 4.0)
    row, fits = row[bright], fits[bright]
    width = _width_surface(row, fits, len(orders), n_pixels)
    shape = _with(gaussian((fiber,), orders, n_pixels), width, *_nodes(n_pixels))
    for _ in range(iterations):
        shape = _refined(shape, flux, variance, row, fits, degree_x)
        fwhm, tables = at(shape, fiber, row, fits[:, 1])
        model = peaks.render(flux.shape[0], flux.shape[1], row, fits[:, 0], fits[:, 1], fwhm, tables, 2.4)
        weight = np.where(np.isfinite(flux), 1 / variance, 0.0)
        start = np.column_stack([fits[:, 0], fits[:, 1], fwhm])
        again = peaks.fit(np.nan_to_num(flux - model), weight, variance, row, start, tables, 1.5, False)
        good = np.isfinite(again[:, 1])
        row, fits = row[good], again[good]
    return shape


def join(shapes: Sequence[LineShape]) -> LineShape:
    """Join the line-spread functions of several fibers.

    Parameters
    ----------
    shapes
        One a fiber, with the same orders.
    """
    columns = max((shape.columns for shape in shapes), key=len)
    values = [np.array([np.interp(columns, shape.columns, v) for v in shape.values[0].T]).T for shape in shapes]
    return LineShape(
        fibers=tuple(shape.fibers[0] for shape in shapes),
        orders=shapes[0].orders,
        fwhm=np.concatenate([shape.fwhm for shape in shapes]),
        offsets=shapes[0].offsets,
        columns=columns,
        values=np.array(values),
    )


def select(shape: LineShape, fibers: tuple[int, ...], orders: Integers) -> LineShape:
    """Return the line-spread function of some fibers and orders.

    Parameters
    ----------
    orders : shape (n_orders,)
        Diffraction orders; an order without a width gets that of the nearest one.
    """
    which = [shape.fibers.index(fiber) for fiber in fibers]
    rows = np.argmin(np.abs(np.asarray(orders)[:, None] - shape.orders), axis=1)
    return LineShape(
        tuple(fibers), np.asarray(orders), shape.fwhm[which][:, rows], shape.offsets, shape.columns, shape.values[which]
    )


def _nodes(n_pixels, n=17):
    columns = np.linspace(0, n_pixels - 1.0, n)
    return columns, np.broadcast_to(np.exp(-_FOUR_LN2 * _OFFSETS**2) * np.sqrt(_FOUR_LN2 / np.pi), (n, len(_OFFSETS)))


def _with(shape, fwhm, columns, values):
    return LineShape(shape.fibers, shape.orders, fwhm[None], shape.offsets, columns, np.asarray(values)[None])


def _width_surface(row, fits, n_orders, n_pixels):
    terms = legendre2d.degrees(6, 5, min(2, n_orders - 1))
    x = legendre2d.scaled(fits[:, 1], 0, n_pixels - 1)
    m = legendre2d.scaled(row, 0, n_orders - 1)
    snr = np.minimum(fits[:, 0] / fits[:, 5], 300.0)
    prior = np.r_[np.log(np.median(fits[:, 2])), np.zeros(len(terms) - 1)], np.full(len(terms), 0.5)
    coefficients, _, _ = leastsquares.robust(
        legendre2d.design(terms, x, m), np.log(fits[:, 2]), 1 / snr + 0.02, prior, clip=3.0
    )
    grid = legendre2d.scaled(np.arange(n_pixels), 0, n_pixels - 1)
    return np.exp(
        legendre2d.on_grid(terms, coefficients, grid, legendre2d.scaled(np.arange(n_orders), 0, n_orders - 1))
    )


def _refined(shape, flux, variance, row, fits, degree_x):
    """Fit the profile to the pixels around the lines, then normalise its zero point and width."""
    fwhm, tables = at(shape, shape.fibers[0], row, fits[:, 1])
    model = peaks.render(flux.shape[0], flux.shape[1], row, fits[:, 0], fits[:, 1], fwhm, tables, 2.4)
    reach = int(np.ceil(2.5 * fwhm.max()))
    pixel = np.rint(fits[:, 1]).astype(int)[:, None] + np.arange(-reach, reach + 1)
    u = (pixel - fits[:, 1:2]) / fwhm[:, None]
    inside = (np.abs(u) < 2.499) & (pixel >= 0) & (pixel < flux.shape[1])
    line, _ = np.nonzero(inside)
    pixel, u = pixel[inside], u[inside]
    own = _own(tables[line], u) * fits[line, 0] / fwhm[line]
    light = (flux - model)[row[line], pixel] + own
    scale = fwhm[line] / fits[line, 0]
    error = np.hypot(np.sqrt(variance[row[line], pixel]) * scale, 0.01)
    good = np.isfinite(light) & np.isfinite(error)
    x = legendre2d.scaled(fits[line, 1], 0, flux.shape[1] - 1)
    coefficients = tensorspline.fit(u[good], x[good], (light * scale)[good], error[good], _KNOTS, degree_x)
    return _normalised(shape, coefficients)


def _own(tables, u):
    step = tables[:, 1]
    t = (u - tables[:, 0]) / step
    i = np.clip(t.astype(int), 0, tables.shape[1] - 5)
    at_line = np.arange(len(u))
    low, high = tables[at_line, 3 + i], tables[at_line, 4 + i]
    return low + (t - i) * (high - low)


def _normalised(shape, coefficients):
    n_pixels = shape.fwhm.shape[2]
    columns, _ = _nodes(n_pixels)
    in_x = np.polynomial.legendre.legvander(legendre2d.scaled(columns, 0, n_pixels - 1), coefficients.shape[1] - 1)
    values, stretch = [], []
    for c in (coefficients @ in_x.T).T:
        profile = tensorspline.curve(_KNOTS, c)
        center, width = _center_and_width(profile)
        v = np.nan_to_num(profile(center + _OFFSETS * width))
        values.append(v / (v.sum() * (_OFFSETS[1] - _OFFSETS[0])))
        stretch.append(width)
    width = shape.fwhm[0] * np.interp(np.arange(n_pixels), columns, stretch)
    return _with(shape, width, columns, values)


def _center_and_width(profile):
    u = np.linspace(-2.5, 2.5, 2001)
    v = np.nan_to_num(profile(u))
    half = np.flatnonzero(v > v.max() / 2)
    ends = [
        np.interp(v.max() / 2, v[[i - 1, i][::s]], u[[i - 1, i][::s]]) for i, s in ((half[0], 1), (half[-1] + 1, -1))
    ]
    width, center = ends[1] - ends[0], 0.5 * (ends[0] + ends[1])
    for _ in range(30):
        weight = v * np.exp(-_FOUR_LN2 * ((u - center) / width) ** 2)
        center += 2 * np.sum(weight * (u - center)) / np.sum(weight)
    return center, width
