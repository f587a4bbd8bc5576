"""The response of the pixels of a flat: how sensitive each is relative to the smooth model of the flux."""

import numpy as np
from numba import njit

from nrespipe.engine.extraction.profile import SPACING
from nrespipe.engine.orders.kernel_layout import HALF_WINDOW
from nrespipe.frames.arrays import Floats, Integers
from nrespipe.frames.image import Image
from nrespipe.frames.quality import Pixel
from nrespipe.frames.traces import Profile, Traces
from nrespipe.numerics.column_fit_kernels import add_traces

# The scatter of the response is measured in tiles of this size: fringes make it larger in the red [pixel].
_TILE = (128, 256)
_USUAL = 0.01  # scatter of the response where no flat is bright enough to tell
_LIMITS = (1e-3**2, 0.1**2)  # limits of the variance of the response
_UNLIKE = 0.3  # how far the variance of a tile may be from the typical one, as a share of it
_CLIP = 4.0  # significance beyond which a deviation does not belong to the scatter
# Share of the pixels that are expected under dust, or with foreign light, and how far those are off. A factor of ten in
# the share moves the deviation at which a pixel is taken for one of those by half a standard deviation, from 4.3.
_RARE, _DEPTH = 3e-4, 0.1
_BAD = np.uint8(Pixel.BAD)


def measure(
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
        From ``profile.measure``.
    flux : shape (n_lit, n_orders, n_pixels)
        Smooth spectrum of the lamp [electron].
    lit
        The fibers it lights.
    core
        Within this distance of a trace the model is exact: there the scatter of the response is measured, and a pixel
        may be flagged as flawed [pixel].
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
    the error :math:`s \\sqrt{1 - w}`. A pixel may instead be under dust, where only the flat shows how dark it is
    (:math:`s` is then 0.1), or have light that is not the lamp's, as of a cosmic ray, and then the flat does not
    measure it. The response is the mean over the three cases with their probabilities, which follow from the flat of
    the pixel and, for dust, from that of the eight pixels around it. It is a smooth function of the flat.
    """
    chosen = [traces.fibers.index(fiber) for fiber in lit]
    centers = traces.centers[chosen].reshape(-1, traces.centers.shape[-1])
    tables = np.array(profile.values).reshape(len(centers), *profile.values.shape[2:])
    grid = (np.array(profile.columns), profile.offsets[0], SPACING)
    flux = np.nan_to_num(flux.reshape(len(centers), -1))
    places = np.ascontiguousarray(centers.T)
    model = _model_image(image.electrons.shape, places, tables, *grid, HALF_WINDOW - 1, flux)
    inner = _model_image(image.electrons.shape, places, tables, *grid, core, flux) > 0
    known = image.electrons, image.floor_variance, image.mask, model, inner
    scatter, typical = _scatter(*known)
    return _responses(*known, scatter, typical, flawed)


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
            own, noise = scatter[y // _TILE[0], x // _TILE[1]], (floor[y, x] + model[y, x]) / model[y, x] ** 2
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
            response[y, x], error[y, x] = 1 + mean, np.sqrt(variance)
            weight[y, x] = usual * share + dust * all_
    return response, error, weight, bad


@njit(cache=True)
def _odds(deviation, variance):
    """Likelihood of a deviation to one side if it is of dust or foreign light, over that of what all pixels have."""
    wider = variance + _DEPTH**2
    exponent = 0.5 * deviation**2 * (1 / variance - 1 / wider)
    return 2 * np.sqrt(variance / wider) * np.exp(min(exponent, 80.0))


@njit(cache=True)
def _model_image(shape, centers, tables, columns, low, step, half, flux):
    model, even = np.zeros(shape, np.float32), np.ones(shape[0], np.float32)
    for x in range(shape[1]):
        add_traces(model[:, x], flux[:, x], centers[x], tables, columns, x, (low, step, half), even)
    return model
