"""Extracted arcs of a simulated bench: thousands of lines in a tenth of a second, as no detector is simulated."""

from collections.abc import Sequence
from functools import cache

import numpy as np

from nrespipe.frames.arrays import Floats, Integers
from nrespipe.frames.quality import Pixel
from nrespipe.frames.raw import Kind
from nrespipe.frames.spectra import Spectra
from nrespipe.simulator import bench as benches
from nrespipe.simulator import frame, lamps, lineshape, pixel_kernels
from nrespipe.simulator.bench import Bench, State

#: Light of a pixel of an extracted spectrum whose brightest pixel of the detector is full [electron].
SATURATION_E = 6e5


def expose(
    bench: Bench,
    fibers: tuple[int, ...],
    state: State = State(),
    *,
    seed: int,
    orders: Integers | Sequence[int] | None = None,
    renumber: int = 0,
    lamp: float = 1.0,
    read_variance: float = 650.0,
    lamp_seed: int = lamps.SEED,
    bloom: float = 0.2,
) -> Spectra:
    """Expose fibers to the lamp, and extract them.

    Parameters
    ----------
    fibers
        Fibers that are lit.
    orders
        Diffraction orders that are extracted; all by default.
    renumber
        Added to the order numbers: the error of a numbering.
    lamp
        Brightness of the lamp, relative to 600 s of the usual one.
    read_variance
        Variance of an extracted pixel without light [electron2].
    lamp_seed
        Which lamp it is, as in ``lamps.thorium_argon``.
    bloom
        Share of the light that does not fit into a pixel which runs along the column into each of the next orders.

    Returns
    -------
    Spectra
        With the lines of ``lamps.thorium_argon`` (listed and not, sodium among them) through ``lineshape``. Light
        beyond `SATURATION_E` is cut off and flagged with its neighbors, and a share of it turns up in the
        neighboring orders, flagged where it is more than noise.
    """
    rng = np.random.default_rng(seed)
    bright = np.array([lamp * one for one in _light(bench, tuple(fibers), state, lamp_seed, orders)])
    excess = np.maximum(bright - SATURATION_E, 0)
    spill = np.zeros_like(excess)
    spill[:, 1:] += bloom * excess[:, :-1]
    spill[:, :-1] += bloom * excess[:, 1:]
    clipped = np.minimum(bright, SATURATION_E) + spill
    variance = clipped + read_variance
    flux = clipped + np.sqrt(variance) * rng.standard_normal(clipped.shape)
    full = excess > 0
    for _ in range(2):
        full = full | np.roll(full, 1, axis=2) | np.roll(full, -1, axis=2)
    quality = np.where(full, Pixel.SATURATED, 0) | np.where(spill > 0.2 * np.sqrt(read_variance), Pixel.BLOOMED, 0)
    ones = np.ones(flux.shape)
    numbers = (bench.spectrograph.orders if orders is None else np.asarray(orders)) + renumber
    return Spectra(tuple(fibers), numbers, flux, variance, quality.astype(np.uint8), ones)


def _light(bench, fibers, state, lamp_seed, orders):
    sources = tuple("thar" if fiber in fibers else "none" for fiber in range(3))
    samples = frame.spectra(bench, frame.Scene(Kind.ARC, sources, 600.0, lamp_seed=lamp_seed), state, orders=orders)
    first, columns = pixel_kernels.PADDING * pixel_kernels.OVERSAMPLING, bench.spectrograph.detector.columns
    pick = slice(first, first + columns * pixel_kernels.OVERSAMPLING, pixel_kernels.OVERSAMPLING)
    return [samples[fiber][:, pick] for fiber in fibers]


def wavelength(
    bench: Bench, fiber: int, x: Floats, state: State = State(), *, orders: Integers | None = None
) -> Floats:
    """Return the wavelength of the line whose center, as the solution defines it, is on a column.

    Parameters
    ----------
    x : shape (n_columns,)
        Columns [pixel].
    orders
        Diffraction orders; all by default.

    Returns
    -------
    ndarray of float, shape (n_orders, n_columns)
        Vacuum wavelength [angstrom].
    """
    x = np.asarray(x, float)
    here = benches.wavelength(bench, fiber, x, state)
    slope = benches.wavelength(bench, fiber, x + 0.5, state) - benches.wavelength(bench, fiber, x - 0.5, state)
    every = here + slope * offset_px(bench, fiber, x)
    return every if orders is None else every[np.asarray(orders) - bench.spectrograph.first_order]


def offset_px(bench: Bench, fiber: int, x: Floats) -> Floats:
    """Return how far the center of light of a line lies from what the solution calls its center.

    Parameters
    ----------
    x : shape (n_columns,)
        Columns [pixel].

    Returns
    -------
    ndarray of float, shape (n_orders, n_columns)
        To the right positive [pixel].
    """
    columns, offsets, _ = shape_along(bench, fiber)
    return np.array([np.interp(x, columns, offset) for offset in offsets])


@cache
def shape_along(bench: Bench, fiber: int, nodes: int = 33) -> tuple[Floats, Floats, Floats]:
    """Return the true center and width of the image of a line along each order, the pixel included.

    Returns
    -------
    columns : ndarray of float, shape (nodes,)
        Columns [pixel].
    offset, fwhm : ndarray of float, shape (n_orders, nodes)
        How far the center of light lies to the right of that of the Gaussian of the same width that fits the line
        best, and full width at half maximum [pixel].
    """
    columns = np.linspace(0, bench.spectrograph.detector.columns - 1, nodes)
    widths, softness = lineshape.widths(bench, fiber, columns), lineshape.softness(bench, fiber, columns)
    # orders differ by a few percent of the width alone, so three of them are enough
    few = np.linspace(widths.min(axis=0), widths.max(axis=0), 3)
    found = np.array([[_center(width, soft) for width, soft in zip(row, softness)] for row in few])
    share = (widths - few[0]) / np.where(few[2] > few[0], few[2] - few[0], 1) * 2
    low = np.minimum(share.astype(int), 1)
    place = np.arange(nodes)
    near, far = found[low, place], found[low + 1, place]
    both = near + (share - low)[..., None] * (far - near)
    return columns, both[..., 0], both[..., 1]


def _center(width, softness):
    u = np.arange(-30, 30, 0.02)
    values = pixel_kernels.pixel_shape(u, width, softness)
    half, above = values.max() / 2, np.flatnonzero(values > values.max() / 2)
    first, last = above[0], above[-1]
    left = np.interp(half, values[first - 1 : first + 1], u[first - 1 : first + 1])
    fwhm = np.interp(-half, -values[last : last + 2], u[last : last + 2]) - left
    center = 0.0
    for _ in range(50):
        weight = values * np.exp(-4 * np.log(2) * ((u - center) / fwhm) ** 2)
        center += 2 * np.sum(weight * (u - center)) / weight.sum()
    return -center, fwhm
