"""How the light of each trace spreads across its order, and how the pixels respond."""

import numpy as np
from numba import njit
from scipy.ndimage import gaussian_filter1d

from nrespipe.engine.extraction.scattered_light import DISTANCES
from nrespipe.engine.orders.column_layout import HALF_WINDOW
from nrespipe.frames.arrays import Floats, Integers
from nrespipe.frames.image import Image
from nrespipe.frames.quality import Pixel
from nrespipe.frames.traces import Profile, Traces
from nrespipe.numerics import background_surface, bspline, profile_table
from nrespipe.numerics import column_model as kernel

_REACH = HALF_WINDOW + 1.5  # the tables go a little beyond the window, for shifted traces [pixel]
_FINE = 0.05  # spacing of the tables [pixel]
_KNOT = 0.5  # knots of the splines [pixel]
# The scatter of the response is measured in tiles of this size: fringes make it larger in the red [pixel].
_TILE = (128, 256)
_USUAL = 0.01  # scatter of the response where no flat is bright enough to tell
_LIMITS = (1e-3**2, 0.1**2)  # variances of the response that are believed
_UNLIKE = 0.3  # how far the variance of a tile may be from the typical one, as a share of it
_CLIP = 4.0  # significance beyond which a deviation does not belong to the scatter
# Share of the pixels that are expected under dust, or with foreign light, and how far those are off. A factor of ten in
# the share moves the deviation at which a pixel is taken for one of those by half a standard deviation, from 4.3.
_RARE, _DEPTH = 3e-4, 0.1
_BAD = np.uint8(Pixel.BAD)
# Their smoothing bridges gaps. It is relative to the mean weight, which the dark flanks of a bright flat dominate: 1e-4
# already flattened the core by half a percent.
_SMOOTHING = 1e-6


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
    profile are fitted in turn, each with the other held; neighboring traces are subtracted meanwhile.
    """
    chosen = [traces.fibers.index(fiber) for fiber in lit]
    centers = traces.centers[chosen]
    n_fibers, n_orders, n_columns = centers.shape
    flat_centers = centers.reshape(-1, n_columns)
    typical = np.array([np.nanmedian(c) if np.isfinite(c).any() else np.inf for c in flat_centers])
    order = np.argsort(typical, kind="stable")
    sorted_centers = np.ascontiguousarray(flat_centers[order].T)
    data, floor = (kernel.transposed(a) for a in (image.electrons, image.floor_variance))
    bad = kernel.transposed((image.mask > 0).view(np.uint8))
    even, nothing = np.ones_like(data), np.zeros_like(data)
    offsets = np.arange(-_REACH, _REACH + _FINE / 2, _FINE)
    columns = (np.arange(n_chunks) + 0.5) * n_columns / n_chunks - 0.5
    table = np.tile(_first_guess(offsets), (n_fibers, n_orders, n_chunks, 1)).astype(np.float32)
    guard, extra = np.full(len(order), 0.05), nothing
    flux = np.full((len(order), n_columns), np.nan)
    for attempt in range(rounds + 1):
        tables = table.reshape(len(order), n_chunks, -1)[order]
        shares, first = kernel.shares_of(even, sorted_centers, tables, columns, offsets[0], _FINE, HALF_WINDOW)
        threshold = np.inf if attempt < 2 else 8.0
        flux, variance, _ = kernel.fit(data, floor, nothing, bad, shares, first, extra, guard, threshold, flux, 3)
        if attempt == rounds:
            break
        known, extra = data - extra, None
        splines, weights = _fit_chunks(known, floor, bad, sorted_centers, tables, columns, flux)
        splines, weights = (_unsort(a, order, (n_fibers, n_orders)) for a in (splines, weights))
        table, beyond = _with_wings(
            _tabulate(_smooth_over_orders(splines, weights, order_smoothing), offsets), offsets, wings
        )
        known[:] = 0
        extra = known
        light = np.ascontiguousarray(flux.T)
        background_surface.add_wings(extra, sorted_centers, light, beyond, DISTANCES[1], HALF_WINDOW)
    even, sure = (np.broadcast_to(np.float32(value), image.electrons.shape) for value in (1, 0))
    profile = Profile(offsets, columns, table, DISTANCES, beyond, even, sure)
    return profile, *(_unsort(a, order, (n_fibers, n_orders)) for a in (flux, variance))


def respond(
    image: Image,
    traces: Traces,
    profile: Profile,
    flux: Floats,
    lit: tuple[int, ...],
    core: float = 4.0,
    flawed: float = 0.2,
) -> tuple[Floats, Floats, Floats, Integers]:
    """Measure the response of the pixels of a flat relative to the smooth model of its light.

    Parameters
    ----------
    image
        Background-subtracted stack of flats.
    traces
        Where the orders lie in it.
    profile
        From `measure`.
    flux : shape (n_lit, n_orders, n_pixels)
        Smooth spectrum of the lamp [electron].
    lit
        The fibers it lights.
    core
        Within this distance of a trace the model is beyond doubt: there the scatter of the response is measured, and
        a pixel can be told flawed [pixel].
    flawed
        A pixel whose response differs from 1 by more is no use.

    Returns
    -------
    response, error : ndarray of float32, shape (n_rows, n_columns)
        Sensitivity of each pixel and its error.
    weight : ndarray of float32, shape (n_rows, n_columns)
        Share of the response that this flat decided, 0 where it does not light the pixel.
    mask : ndarray of uint8, shape (n_rows, n_columns)
        ``Pixel.BAD`` where a pixel is flawed.

    Notes
    -----
    A pixel's own flat is known to the noise n; that it resembles its neighbors is known to the scatter s of the
    response in that part of the detector. The two together give the share :math:`w = s^2 / (s^2 + n^2)` of the flat and
    the error :math:`s \\sqrt{1 - w}`. A pixel may instead be under dust, where only the flat tells how dark it is
    (:math:`s` is then 0.1), or have light that is not the lamp's, as of a cosmic ray, and then the flat tells
    nothing of it. The response is the mean over the three cases with their probabilities, which follow from the flat of
    the pixel and, for dust, from that of the eight pixels around it. It is a smooth function of the flat.
    """
    chosen = [traces.fibers.index(fiber) for fiber in lit]
    centers = traces.centers[chosen].reshape(-1, traces.centers.shape[-1])
    tables = np.array(profile.values).reshape(len(centers), *profile.values.shape[2:])
    grid = (np.array(profile.columns), profile.offsets[0], _FINE)
    flux = np.nan_to_num(flux.reshape(len(centers), -1))
    places = np.ascontiguousarray(centers.T)
    model = _model_image(image.electrons.shape, places, tables, *grid, HALF_WINDOW - 1, flux)
    inner = _model_image(image.electrons.shape, places, tables, *grid, core, flux) > 0
    known = image.electrons, image.floor_variance, image.mask, model, inner
    return _responses(*known, *_scatter(*known), flawed)


def _scatter(*known, rounds=6):
    """Scatter of the response beyond the noise, in each tile and typically.

    Tiles whose noise hides it, as where there is hardly any light, take the typical one.
    """
    n_rows, n_columns = known[0].shape
    tiles = np.full((-(-n_rows // _TILE[0]), -(-n_columns // _TILE[1])), _USUAL**2)
    typical = _USUAL**2
    for _ in range(rounds):
        square, weight = _excess(*known, tiles, typical)
        if not weight.any():
            break
        # the scatter of a squared normal deviate is the root of two times its mean
        typical = float(np.clip(square.sum() / weight.sum(), *_LIMITS))
        prior = 2 / (_UNLIKE * typical) ** 2
        tiles = np.clip((square + prior * typical) / (weight + prior), *_LIMITS)
    return np.sqrt(tiles), np.sqrt(typical)


@njit(cache=True)
def _excess(electrons, floor, mask, model, inner, tiles, typical):
    """Weighted squared deviations beyond the noise, summed over each tile, and the sums of their weights."""
    square = np.zeros(tiles.shape)
    weight = np.zeros(tiles.shape)
    for y in range(model.shape[0]):
        for x in range(model.shape[1]):
            if inner[y, x] and mask[y, x] == 0:
                i, j = y // _TILE[0], x // _TILE[1]
                light = float(model[y, x])
                noise = (floor[y, x] + light) / light**2
                deviation = electrons[y, x] / light - 1
                if deviation**2 < _CLIP**2 * (tiles[i, j] + noise):
                    w = 1 / (typical + noise) ** 2
                    square[i, j] += w * (deviation**2 - noise)
                    weight[i, j] += w
    return square, weight


@njit(cache=True)
def _responses(electrons, floor, mask, model, inner, scatter, typical, flawed):
    """Response, its error, the share of the flat in it, and the flawed pixels."""
    n_rows, n_columns = model.shape
    response = np.ones((n_rows, n_columns), np.float32)
    error = np.full((n_rows, n_columns), np.float32(typical))
    weight = np.zeros((n_rows, n_columns), np.float32)
    bad = np.zeros((n_rows, n_columns), np.uint8)
    # deviation over its variance, and the inverse of that, of the pixels that the flat lights
    pull = np.zeros((n_rows, n_columns), np.float32)
    inverse = np.zeros((n_rows, n_columns), np.float32)
    for y in range(n_rows):
        for x in range(n_columns):
            if model[y, x] > 0 and mask[y, x] == 0:
                noise = (floor[y, x] + model[y, x]) / model[y, x] ** 2
                inverse[y, x] = 1 / (scatter[y // _TILE[0], x // _TILE[1]] ** 2 + noise)
                pull[y, x] = (electrons[y, x] / model[y, x] - 1) * inverse[y, x]
    for y in range(n_rows):
        for x in range(n_columns):
            if inverse[y, x] == 0:
                continue
            own = scatter[y // _TILE[0], x // _TILE[1]]
            noise = (floor[y, x] + model[y, x]) / model[y, x] ** 2
            deviation = electrons[y, x] / model[y, x] - 1
            if abs(deviation) > flawed:
                # outside the core that is a flaw of the model, which is no response either
                error[y, x] = own
                if inner[y, x] and abs(deviation) > flawed + 5 * np.sqrt(noise):
                    bad[y, x] = _BAD
                continue
            # the odds of dust, which makes a pixel darker, or of foreign light against a pixel like the others
            dust, light = 0.0, 0.0
            if deviation < 0:
                around, known = -pull[y, x], -inverse[y, x]
                for j in range(max(0, y - 1), min(n_rows, y + 2)):
                    for i in range(max(0, x - 1), min(n_columns, x + 2)):
                        around += pull[j, i]
                        known += inverse[j, i]
                dust = _RARE * _odds(deviation, own**2 + noise)
                if known > 0 and around < 0:
                    dust *= 1 + _odds(around / known, 1 / known)
            else:
                light = _RARE * _odds(deviation, own**2 + noise)
            total = 1 + dust + light
            dust, light = dust / total, light / total
            usual = 1 - dust - light
            share, all_ = own**2 / (own**2 + noise), _DEPTH**2 / (_DEPTH**2 + noise)
            mean = (usual * share + dust * all_) * deviation
            variance = usual * (own**2 * (1 - share) + (share * deviation - mean) ** 2)
            variance += dust * (_DEPTH**2 * (1 - all_) + (all_ * deviation - mean) ** 2)
            variance += light * (own**2 + mean**2)
            response[y, x] = 1 + mean
            error[y, x] = np.sqrt(variance)
            weight[y, x] = usual * share + dust * all_
    return response, error, weight, bad


@njit(cache=True)
def _odds(deviation, variance):
    """Likelihood of a deviation to one side if it is of dust or foreign light, over that of what all pixels have."""
    wider = variance + _DEPTH**2
    exponent = 0.5 * deviation**2 * (1 / variance - 1 / wider)
    return 2 * np.sqrt(variance / wider) * np.exp(min(exponent, 80.0))


def _first_guess(offsets):
    inside = np.exp(-0.5 * np.abs(offsets / 2.2) ** 3)
    return inside / (inside.sum() * _FINE)


def _unsort(values, order, lead):
    result = np.empty_like(values)
    result[order] = values
    return result.reshape(*lead, *values.shape[1:])


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
            own = s * max(profile_table.profile_of(tables[k], place, share, y - c, -_REACH, _FINE), 0.0)
            others = 0.0
            for i in range(max(0, k - 3), min(len(flux), k + 4)):
                if i != k and not np.isnan(centers[x, i]) and not np.isnan(flux[i, x]):
                    p = profile_table.profile_of(tables[i], place, share, y - centers[x, i], -_REACH, _FINE)
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
    core = table[..., np.abs(offsets) < 4.5].sum(axis=-1) * _FINE
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
    per_pixel = round(1 / _FINE)
    inside = np.abs(offsets) <= HALF_WINDOW
    for phase in range(per_pixel):
        pixels = np.arange(phase, len(offsets), per_pixel)
        total = table[..., pixels[inside[pixels]]].sum(axis=-1, keepdims=True)
        table[..., pixels] /= np.where(total > 0, total, 1)
    return table.astype(np.float32)


@njit(cache=True)
def _model_image(shape, centers, tables, columns, low, step, half, flux):
    model = np.zeros(shape, np.float32)
    for x in range(shape[1]):
        place, weight = profile_table.chunk_of(columns, float(x))
        for k in range(len(flux)):
            c = centers[x, k]
            if not np.isnan(c):
                for y in range(max(0, int(np.ceil(c - half))), min(shape[0], int(c + half) + 1)):
                    model[y, x] += flux[k, x] * profile_table.profile_of(tables[k], place, weight, y - c, low, step)
    return model
