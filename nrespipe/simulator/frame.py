"""One simulated exposure: the sources in the fibers, the raw image that it makes, and the truth about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.polynomial import polynomial
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter

from nrespipe.frames.arrays import Floats, Integers, frozen
from nrespipe.frames.raw import Kind
from nrespipe.simulator import bench as benches
from nrespipe.simulator import detector, lamps, lineshape, pixel_kernels, starlight
from nrespipe.simulator.bench import Bench, State
from nrespipe.simulator.stars import Target

# ln(efficiency) against v, from the light of a K1 star in each order of a real frame.
_EFFICIENCY = (-0.23, 0.07, 0.45, -0.49, -1.0)

# Share of all light that is scattered over the detector, and how far [pixel].
_SCATTERED, _SCATTER_PX = 0.02, 260.0
_COARSE = 64

#: Light of the flat lamp at its brightest column, summed across the trace [electron].
FLAT_LEVEL = 350e3

#: Rows whose read noise counts when a star's light is set by its signal-to-noise ratio.
_ROWS = 11


@dataclass(frozen=True)
class Scene:
    """Kind, length and light sources of one exposure.

    Attributes
    ----------
    kind
        Kind of the frame.
    sources
        By fiber: ``none``, ``thar``, ``tung`` or ``star``; empty for bias and dark.
    exposure_s
        Exposure time [second].
    targets
        The stars, by fiber.
    berv_ms
        Photon-weighted barycentric correction of each star [m / s].
    airmass
        For the depth of the telluric lines.
    lamp
        Light of the lamp relative to an arc of 600 s or to a typical flat.
    lamp_seed
        Which thorium-argon lamp it is, as in ``lamps.thorium_argon``.
    saturated_lines
        How many of its lines saturate in an arc of 600 s, 18 to 400, as in ``lamps.thorium_argon``.
    """

    kind: Kind
    sources: tuple[str, ...] = ()
    exposure_s: float = 0.0
    targets: Mapping[int, Target] = field(default_factory=dict)
    berv_ms: Mapping[int, float] = field(default_factory=dict)
    airmass: float = 1.2
    lamp: float = 1.0
    lamp_seed: int = lamps.SEED
    saturated_lines: int = lamps.SATURATED_LINES


@dataclass(frozen=True)
class Switches:
    """Effects of the detector that can be switched off, for tests of one effect at a time.

    Attributes
    ----------
    photon_noise, read_noise, cosmics, scatter, fixed_pattern, response
        ``fixed_pattern`` is bias structure and dark current, ``response`` the sensitivity of each pixel.
    """

    photon_noise: bool = True
    read_noise: bool = True
    cosmics: bool = True
    scatter: bool = True
    fixed_pattern: bool = True
    response: bool = True


@dataclass(frozen=True)
class Truth:
    """True light, wavelengths and places behind an image.

    Attributes
    ----------
    fibers
        Lit fibers, along the first axes.
    orders : shape (n_orders,)
        Diffraction orders.
    wavelength : shape (n_fibers, n_orders, n_columns)
        Vacuum wavelength that is centered on the middle of each pixel [angstrom].
    flux : shape (n_fibers, n_orders, n_columns)
        Noise-free light summed across the trace, whether or not the trace is on the detector [electron].
    rows : shape (n_fibers, n_orders, n_columns)
        Row of the trace, also off the detector [pixel].
    background : shape (64, 64)
        Scattered light, mean over square cells of the detector [electron / pixel].
    cosmics : shape (n_hits, 3)
        Row, column and charge of each pixel that a cosmic ray crossed [pixel, pixel, electron].
    state
        Of the bench.
    gain_e_per_adu, read_noise_e, level_adu
        True gain and read noise, and the bias level [electron / ADU, electron, ADU].
    """

    fibers: tuple[int, ...]
    orders: np.ndarray
    wavelength: np.ndarray
    flux: np.ndarray
    rows: np.ndarray
    background: np.ndarray
    cosmics: np.ndarray
    state: State
    gain_e_per_adu: float
    read_noise_e: float
    level_adu: float

    def __post_init__(self):
        shape = (len(self.fibers), len(self.orders), None)
        frozen(self, wavelength=shape, flux=shape, rows=shape, background=(None, None), cosmics=(None, 3))


@dataclass(frozen=True)
class Rendered:
    """A raw image and its truth.

    Attributes
    ----------
    adu : shape (n_rows + 12, n_columns + 64)
        Raw image, with its overscan and spare rows [ADU].
    electrons : shape (n_rows, n_columns)
        The light alone, without noise, response, dark or cosmic rays: traces and scattered light [electron].
    truth
    """

    adu: np.ndarray
    electrons: np.ndarray
    truth: Truth

    def __post_init__(self):
        frozen(self, adu=(None, None), electrons=(None, None))


def spectra(
    bench: Bench, scene: Scene, state: State = State(), *, orders: Integers | Sequence[int] | None = None
) -> dict[int, Floats]:
    """Return the blurred light of every lit fiber, oversampled along the order.

    Parameters
    ----------
    orders
        Diffraction orders to compute; all by default.

    Returns
    -------
    dict of int to ndarray of float, shape (n_orders, n_samples)
        By fiber; what a pixel centered on each sample of ``pixel_kernels.grid`` collects [electron].
    """
    index = _numbers(bench, orders) - bench.spectrograph.first_order
    lit = {fiber: source for fiber, source in enumerate(scene.sources) if source != "none"}
    make = {"thar": _arc, "tung": _flat, "star": _star}
    return {fiber: make[source](bench, scene, state, fiber, index) for fiber, source in lit.items()}


def render(
    bench: Bench,
    scene: Scene,
    state: State = State(),
    *,
    seed: int | Sequence[int] = 0,
    orders: Integers | Sequence[int] | None = None,
    switches: Switches = Switches(),
) -> Rendered:
    """Make one raw image and its truth.

    Parameters
    ----------
    orders
        Diffraction orders that carry light; all by default.
    switches
        Effects that are simulated.
    """
    rng = np.random.default_rng(seed)
    level_adu = 1020.0 + rng.uniform(-4, 4)
    rows, columns = bench.spectrograph.detector.rows, bench.spectrograph.detector.columns
    numbers = _numbers(bench, orders)
    blurred = spectra(bench, scene, state, orders=numbers)
    image = np.zeros((rows, columns), np.float32)
    for fiber, samples in blurred.items():
        _paint(image, bench, state, fiber, numbers, samples)
    background = np.zeros((_COARSE, _COARSE), np.float32)
    if switches.scatter and blurred:
        background = _scattered(image)
        image += _enlarged(background, rows, columns)
    charge, cosmics = _collected(rng, bench, scene, image, switches)
    adu = detector.read_out(rng, charge, bench, level_adu, fixed=switches.fixed_pattern, noise=switches.read_noise)
    return Rendered(adu, image, _truth(bench, state, numbers, blurred, background, cosmics, level_adu))


def _numbers(bench: Bench, orders: Integers | Sequence[int] | None) -> Integers:
    """Diffraction orders, all where none are named."""
    return bench.spectrograph.orders if orders is None else np.asarray(orders, int)


def _truth(bench, state, orders, blurred, background, cosmics, level_adu):
    columns = bench.spectrograph.detector.columns
    x, fibers = np.arange(columns), tuple(blurred)
    index = orders - bench.spectrograph.first_order
    first = pixel_kernels.PADDING * pixel_kernels.OVERSAMPLING
    pick = slice(first, first + columns * pixel_kernels.OVERSAMPLING, pixel_kernels.OVERSAMPLING)
    empty = np.zeros((0, len(orders), columns))
    return Truth(
        fibers=fibers,
        orders=orders,
        wavelength=np.array([benches.wavelength(bench, f, x, state)[index] for f in fibers]) if fibers else empty,
        flux=np.array([blurred[f][:, pick] for f in fibers]) if fibers else empty,
        rows=np.array([benches.row(bench, f, x, state)[index] for f in fibers]) if fibers else empty,
        background=background,
        cosmics=np.stack(cosmics, axis=-1).astype(float),
        state=state,
        gain_e_per_adu=bench.gain_e_per_adu,
        read_noise_e=bench.read_noise_e,
        level_adu=level_adu,
    )


def _throughput(bench, index, wavelength):
    """Efficiency of the orders times blaze, shape of `wavelength`."""
    orders = bench.spectrograph.orders
    v = benches.places(bench.spectrograph)[index]
    rng = np.random.default_rng([bench.seed, 5])
    ripple = 1 + 0.04 * rng.standard_normal(len(orders))[index]
    peak = 46640.0 + 25.0 * v + rng.uniform(-15, 15)
    # phase in units of the free spectral range; a blaze is sinc squared, a little wider than ideal, on a weak floor
    phase = 0.88 * (wavelength * orders[index][:, None] / 10 - peak[:, None]) / (wavelength / 10)
    return (np.exp(polynomial.polyval(v, _EFFICIENCY)) * ripple)[:, None] * (np.sinc(phase) ** 2 + 0.004)


def _continuum(bench, state, fiber, index, temperature_k):
    """Wavelength of the samples, and light in them up to a factor, before any line."""
    x = pixel_kernels.grid(bench.spectrograph.detector.columns)
    wavelength = benches.wavelength(bench, fiber, x, state)[index]
    sample = np.gradient(wavelength, axis=1)
    return wavelength, lamps.planck(wavelength, temperature_k) * sample * _throughput(bench, index, wavelength)


def _blurred(bench, fiber, index, samples):
    x = pixel_kernels.grid(bench.spectrograph.detector.columns)
    width, softness = lineshape.widths(bench, fiber, x)[index], lineshape.softness(bench, fiber, x)
    return np.array([pixel_kernels.blur(one, w, softness) for one, w in zip(samples, width)])


def _flat(bench, scene, state, fiber, index):
    every = np.arange(len(bench.spectrograph.orders))
    _, samples = _continuum(bench, state, fiber, every, lamps.TUNGSTEN_K)
    scale = scene.lamp * FLAT_LEVEL * (1.0, 0.94, 0.9)[fiber] / (samples.max() * pixel_kernels.OVERSAMPLING)
    return _blurred(bench, fiber, index, samples[index] * scale)


def _star(bench, scene, state, fiber, index):
    target = scene.targets[fiber]
    every = np.arange(len(bench.spectrograph.orders))
    wavelength, samples = _continuum(bench, state, fiber, every, starlight.temperature_k(target))
    samples = samples * starlight.seen(target, wavelength, scene.berv_ms[fiber])
    samples = samples * starlight.transmission(wavelength, scene.airmass)
    # blur conserves light, so the level can be set before it
    judged = (bench.spectrograph.orders >= 85) & (bench.spectrograph.orders <= 95)
    typical = np.median(samples[judged]) * pixel_kernels.OVERSAMPLING
    floor, square = _ROWS * bench.read_noise_e**2, target.snr**2
    wanted = (square + np.sqrt(square**2 + 4 * square * floor)) / 2
    return _blurred(bench, fiber, index, samples[index] * (wanted / typical))


def _arc(bench, scene, state, fiber, index):
    every, flux, _ = lamps.thorium_argon(scene.lamp_seed, scene.saturated_lines)
    columns = bench.spectrograph.detector.columns
    grid, out = np.arange(-pixel_kernels.PADDING, columns + pixel_kernels.PADDING, 8.0), []
    widths, softness = lineshape.widths(bench, fiber, grid), lineshape.softness(bench, fiber, grid)
    for i in index:
        here = slice(*np.searchsorted(every, benches.wavelength(bench, fiber, grid[[0, -1]], state)[i]))
        x = benches.position(bench, fiber, bench.spectrograph.orders[i], every[here], state)
        efficiency = _throughput(bench, np.array([i]), every[None, here])[0]
        strength = scene.lamp * (1.0, 1.0, 0.95)[fiber] * flux[here] * np.sqrt(efficiency * efficiency.max(initial=0))
        shape = np.interp(x, grid, widths[i]), np.interp(x, grid, softness)
        out.append(pixel_kernels.lines(x, strength, *shape, columns))
    return np.array(out)


def _paint(image, bench, state, fiber, orders, samples):
    columns = image.shape[1]
    x = np.arange(columns)
    rows, place = benches.row(bench, fiber, x, state), x / (columns - 1)
    symmetric, odd = lineshape.across()
    rng = np.random.default_rng([bench.seed, 6])
    scales, skews = 1 + rng.uniform(-0.03, 0.03, 2), rng.uniform(-1, 1, 2)
    for order, spectrum in zip(orders, samples):
        i = order - bench.spectrograph.first_order
        tilt = bench.tilt[fiber, i, 0] * (1 - place) + bench.tilt[fiber, i, 1] * place
        v = i / (len(bench.spectrograph.orders) - 1)
        scale = scales[0] * (1 - v) + scales[1] * v + 0.004 * fiber
        skew = 0.5 + 0.4 * (skews[0] * (1 - v) + skews[1] * v)
        line_tilt = np.stack([tilt, np.full(columns, bench.bow[fiber, i])])
        pixel_kernels.paint(image, spectrum, rows[i], line_tilt, scale, skew, symmetric, odd, lineshape.STEP)


def _scattered(image):
    rows, columns = image.shape
    cells = image.reshape(_COARSE, rows // _COARSE, _COARSE, columns // _COARSE).mean(axis=(1, 3))
    reach = [_SCATTER_PX / (n / _COARSE) for n in (rows, columns)]
    smooth = gaussian_filter(cells, reach, mode="constant", truncate=5)
    return (_SCATTERED * (0.85 * smooth + 0.15 * cells.mean())).astype(np.float32)


def _enlarged(cells, rows, columns):
    """Smooth image through the means of coarse cells, by cubic splines along both axes."""
    return _spline_matrix(rows) @ cells @ _spline_matrix(columns).T


@cache
def _spline_matrix(n):
    middle = (np.arange(_COARSE) + 0.5) * n / _COARSE - 0.5
    return CubicSpline(middle, np.eye(_COARSE), bc_type="natural")(np.arange(n)).astype(np.float32)


def _collected(rng, bench, scene, image, switches):
    """Charge in the pixels at the end of the exposure, and the cosmic rays in it."""
    fixed = detector.pattern(bench.seed, *image.shape)
    charge = image * fixed.response if switches.response else image.copy()
    if switches.fixed_pattern:
        charge += fixed.dark_e_per_s * np.float32(scene.exposure_s)
    if switches.photon_noise and charge.max() > 0:
        charge = detector.photons(rng, charge)
    cosmics = (np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    if switches.cosmics:
        cosmics = detector.cosmics(rng, scene.exposure_s + 40.0, *image.shape)
        charge[cosmics[0], cosmics[1]] += cosmics[2].astype(np.float32)
    if charge.max() > detector.FULL_WELL_E:
        detector.bloom(charge, detector.FULL_WELL_E)
    return charge, cosmics
