"""The profile of each trace across its order, and how well it describes a frame."""

import numpy as np
from numba import njit
from scipy.ndimage import gaussian_filter1d

from nrespipe.engine.extraction.scattered_light import DISTANCES
from nrespipe.engine.orders import kernel_layout
from nrespipe.engine.orders.kernel_layout import HALF_WINDOW
from nrespipe.frames.arrays import Floats
from nrespipe.frames.image import Image
from nrespipe.frames.masters import Flat
from nrespipe.frames.traces import Profile, Traces
from nrespipe.numerics import background_surface, bspline, column_fit_kernels, profile_table

_REACH = HALF_WINDOW + 1.5  # the tables go a little beyond the window, for shifted traces [pixel]
SPACING = 0.05  # spacing of the tables [pixel]
_KNOT = 0.5  # knots of the splines [pixel]
# Their smoothing bridges gaps. It is relative to the mean weight, which the dark flanks of a bright flat dominate: 1e-4
# already flattened the core by half a percent.
_SMOOTHING = 1e-6
#: Half width of the core, over which the misfit of a profile is measured: it has most of the light [pixel].
_CORE = 4.5
#: Cosmic rays are further off than so many standard deviations and so large a share of the light.
_COSMIC_SIGMA, _GUARD = 6.0, 0.05


def measure(
    image: Image,
    traces: Traces,
    lit: tuple[int, ...],
    wings: Floats,
    n_chunks: int = 16,
    rounds: int = 3,
    order_smoothing: float = 1.5,
) -> tuple[Profile, Floats, Floats]:
    """Measure the cross-dispersion profiles of a flat.

    Parameters
    ----------
    image
        Background-subtracted stack of flats.
    traces
        Where the orders lie in it.
    lit
        The fibers it lights.
    wings : shape (2, n_distances)
        From ``scattered_light.of_flat``.
    n_chunks
        Pieces along an order with a profile of their own.
    rounds
        How often light and profile are fitted in turn.
    order_smoothing
        Standard deviation, in orders, over which profiles are averaged, weighted by their light.

    Returns
    -------
    profile : Profile
        Of the lit fibers; response 1 everywhere.
    flux, variance : ndarray of float, shape (n_lit, n_orders, n_pixels)
        Light of the lamp along each trace and its variance [electron, electron2].

    Notes
    -----
    The curvature of the orders makes every sub-pixel position occur in each chunk, so the profile, including the
    integration over a pixel, is a spline in the distance from the center with knots finer than a pixel. Light and
    profile are fitted in turn, each with the other fixed; neighboring traces are subtracted meanwhile.
    """
    centers, order = kernel_layout.sorted_rows(traces, lit)
    n_fibers, n_orders, n_columns = len(lit), len(traces.orders), len(centers)
    data, floor = (column_fit_kernels.transposed(a) for a in (image.electrons, image.floor_variance))
    bad = column_fit_kernels.transposed((image.mask > 0).view(np.uint8))
    even, nothing = np.ones_like(data), np.zeros_like(data)
    offsets = np.arange(-_REACH, _REACH + SPACING / 2, SPACING)
    columns = (np.arange(n_chunks) + 0.5) * n_columns / n_chunks - 0.5
    table = np.tile(_first_guess(offsets), (n_fibers, n_orders, n_chunks, 1)).astype(np.float32)
    guard, extra = np.full(len(order), 0.05), nothing
    flux = np.full((len(order), n_columns), np.nan)
    for attempt in range(rounds + 1):
        tables = table.reshape(len(order), n_chunks, -1)[order]
        shares, first = column_fit_kernels.shares_of(even, centers, tables, columns, offsets[0], SPACING, HALF_WINDOW)
        threshold = np.inf if attempt < 2 else 8.0
        flux, variance, _ = column_fit_kernels.fit(
            data, floor, nothing, bad, shares, first, extra, guard, threshold, flux, 3
        )
        if attempt == rounds:
            break
        rest = data - extra
        del extra
        splines, weights = _fit_chunks(rest, floor, bad, centers, tables, columns, flux)
        splines, weights = (kernel_layout.unsort(a, order, (n_fibers, n_orders)) for a in (splines, weights))
        table, beyond = _with_wings(
            _tabulate(_smooth_over_orders(splines, weights, order_smoothing), offsets), offsets, wings
        )
        rest[:] = 0
        extra = rest
        light = np.ascontiguousarray(flux.T)
        background_surface.add_wings(extra, centers, light, beyond, DISTANCES[1], HALF_WINDOW)
    even, sure = (np.broadcast_to(np.float32(value), image.electrons.shape) for value in (1, 0))
    profile = Profile(offsets, columns, table, DISTANCES, beyond, even, sure)
    flux, variance = (kernel_layout.unsort(a, order, (n_fibers, n_orders)) for a in (flux, variance))
    return profile, flux, variance


def misfit(image: Image, traces: Traces, flat: Flat, lit: tuple[int, ...], stride: int = 8) -> tuple[Floats, Floats]:
    """Compare a frame with the model of its extracted flux.

    Parameters
    ----------
    traces
        Where the orders lie in it.
    lit
        Fibers that carry light.
    stride
        Every `stride`-th column is used.

    Returns
    -------
    chi2 : ndarray of float, shape (n_lit, n_orders)
        Sum of the squared residuals of the pixels near the center, in units of their noise, over their number less
        the number of columns; NaN where there is no light. Below 1 where the frame is one of the few that the flat was
        made of.
    share : ndarray of float, shape (n_lit, n_orders)
        Root mean square of the residuals beyond the noise, as a share of that of the light.
    """
    laid = kernel_layout.lay_out(image, traces, flat, lit, stride)
    shares, first = column_fit_kernels.shares_of(laid.response, laid.centers, laid.tables, *laid.grid)
    nothing, n = np.zeros_like(laid.data), len(laid.order)
    flux, _, _ = column_fit_kernels.fit(
        laid.data, laid.floor, laid.error, laid.bad, shares, first, nothing, np.full(n, _GUARD), _COSMIC_SIGMA,
        np.full((n, len(laid.data)), np.nan), 6,
    )  # fmt: skip
    model = np.zeros(laid.data.shape)
    for x in range(len(model)):
        column_fit_kernels.model_column(model[x], shares[x], first[x], flux[:, x], nothing[x], -np.inf)
    noise = laid.floor + np.maximum(model, 0) + (laid.error * model) ** 2
    left, good = (laid.data - model) ** 2, laid.bad == 0
    found = np.array(
        [_compared(left, noise, model, good, center, light) for center, light in zip(laid.centers.T, flux)]
    )
    return laid.unsort(found[:, 0]), laid.unsort(found[:, 1])


def _first_guess(offsets):
    inside = np.exp(-0.5 * np.abs(offsets / 2.2) ** 3)
    return inside / (inside.sum() * SPACING)


def _fit_chunks(data, floor, bad, centers, tables, columns, flux):
    n_traces, n_chunks = len(flux), len(columns)
    n_knots = round(2 * _REACH / _KNOT)
    splines = np.zeros((n_traces, n_chunks, n_knots + 3))
    weights = np.zeros((n_traces, n_chunks))
    for c in range(n_chunks):
        low, high = (round(len(data) * k / n_chunks) for k in (c, c + 1))
        for k in range(n_traces):
            u, value, weight = _points(data, floor, bad, centers, tables, columns, flux, k, low, high)
            if len(u) > 200:
                splines[k, c] = bspline.fit(u, value, weight, -_REACH, _KNOT, n_knots, _SMOOTHING)
                weights[k, c] = weight.sum()
    return splines, weights


@njit(cache=True)
def _points(data, floor, bad, centers, tables, columns, flux, k, low, high):
    """Share of the light against distance from the center, for one trace and a range of columns."""
    size = (high - low) * (2 * int(_REACH) + 2)
    u = np.empty(size)
    value = np.empty(size)
    weight = np.empty(size)
    n = 0
    n_rows = data.shape[1]
    for x in range(low, high):
        c, s = centers[x, k], flux[k, x]
        if np.isnan(c) or np.isnan(s) or s <= 0:
            continue
        place, share = profile_table.chunk_of(columns, float(x))
        for y in range(max(0, int(np.ceil(c - _REACH))), min(n_rows, int(c + _REACH) + 1)):
            if bad[x, y]:
                continue
            own = s * max(profile_table.profile_of(tables[k], place, share, y - c, -_REACH, SPACING), 0.0)
            others = 0.0
            for i in range(max(0, k - 3), min(len(flux), k + 4)):
                if i != k and not np.isnan(centers[x, i]) and not np.isnan(flux[i, x]):
                    p = profile_table.profile_of(tables[i], place, share, y - centers[x, i], -_REACH, SPACING)
                    others += max(flux[i, x], 0.0) * p
            # where a neighbor outshines the trace, its imperfect model would leak in
            if others > 2 * own + 0.003 * s and abs(y - c) > 5:
                continue
            u[n] = y - c
            value[n] = (data[x, y] - others) / s
            weight[n] = s * s / (floor[x, y] + own + others + (0.02 * others) ** 2)
            n += 1
    return u[:n], value[:n], weight[:n]


def _smooth_over_orders(splines, weights, sigma):
    """Average the splines of neighboring orders, weighted by their light; linear in the order at the ends."""
    scale = np.where(weights > 0, weights, 0)[..., np.newaxis]
    scale = np.minimum(scale, 20 * np.median(scale[scale > 0])) if (scale > 0).any() else scale
    total = gaussian_filter1d(scale, sigma, axis=1, mode="constant")
    mean = gaussian_filter1d(scale * splines, sigma, axis=1, mode="constant")
    return np.where(total > 0, mean / np.where(total > 0, total, 1), 0)


def _with_wings(table, offsets, wings):
    """Scale profiles that sum to 1 in the window, and the wings that belong to their core, to 1 together."""
    core = table[..., np.abs(offsets) < 4.5].sum(axis=-1) * SPACING
    core = np.median(core[core > 0])
    total = 1 + core * wings[:, DISTANCES > HALF_WINDOW].sum() * DISTANCES[1]
    return (table / total).astype(np.float32), wings * core / total


def _tabulate(splines, offsets):
    """Evaluate the splines and scale them so that a sum over pixels is 1 at every sub-pixel position."""
    n_knots = splines.shape[-1] - 3
    basis = np.stack(
        [bspline.evaluate(np.eye(n_knots + 3)[i], offsets, -_REACH, _KNOT) for i in range(n_knots + 3)], axis=-1
    )
    table = np.maximum(splines @ basis.T, 0)
    table[..., np.abs(offsets) > _REACH - 0.25] = 0
    per_pixel = round(1 / SPACING)
    inside = np.abs(offsets) <= HALF_WINDOW
    for phase in range(per_pixel):
        pixels = np.arange(phase, len(offsets), per_pixel)
        total = table[..., pixels[inside[pixels]]].sum(axis=-1, keepdims=True)
        table[..., pixels] /= np.where(total > 0, total, 1)
    return table.astype(np.float32)


def _compared(left, noise, model, good, center, light):
    """Chi square and unexplained share of one trace."""
    seen = np.flatnonzero(np.isfinite(center) & np.isfinite(light) & (light > 0))
    if len(seen) == 0:
        return np.nan, np.nan
    rows = np.floor(center[seen])[:, np.newaxis].astype(int) + np.arange(-int(_CORE), int(_CORE) + 2)
    inside = (rows >= 0) & (rows < left.shape[1]) & (np.abs(rows - center[seen, np.newaxis]) < _CORE)
    x, y = np.broadcast_to(seen[:, np.newaxis], rows.shape)[inside], rows[inside]
    x, y = (each[good[x, y]] for each in (x, y))
    free = len(x) - len(seen)
    if free < 1:
        return np.nan, np.nan
    excess = np.sum(left[x, y]) * len(x) / free - np.sum(noise[x, y])
    return np.sum(left[x, y] / noise[x, y]) / free, np.sqrt(max(excess, 0.0) / np.sum(model[x, y] ** 2))
