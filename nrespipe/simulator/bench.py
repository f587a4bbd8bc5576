"""The true optics of a simulated spectrograph, which differ a little from its table, and their state in an exposure."""

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev, legendre, polynomial

from nrespipe import doppler
from nrespipe.frames.arrays import Floats, frozen
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.instruments import optics

#: Speed of light [m / s].

# Row of the highest fiber and its distance from the next one, Legendre degree in u = (x - 2048) / 2048 down, power of
# v = (m - 85) / 33 across; smooth fits (0.03-0.25 px) to the lsc order positions of 2018-09.
_ROWS = (
    (1508.634, 1802.607, 529.437, 123.708, 19.433, 9.797),
    (-28.325, -43.803, -23.330, -7.620, 0.0, 0.0),
    (89.907, 1.830, 0.196, -0.555, 0.0, 0.0),
    (-0.210, -0.165, -0.011, 0.003, 0.0, 0.0),
    (0.516, -0.172, -0.172, -0.541, 0.0, 0.0),
)
_SEPARATION = ((19.977, 2.792, 1.175, 0.276), (-0.014, 0.060, -0.139, -0.198), (-0.005, 0.058, 0.176, 0.044))
_FIRST_ORDER, _PLACES = 52, np.linspace(-1, 1, 67)
# Half the side of the detector for which that holds; a smaller one sees a part of the same image [pixel].
_HALF = 2048

# Columns beyond either end of an order for which the model still holds: light scatters in from there.
MARGIN = 30
_DEGREE = 14


@dataclass(frozen=True)
class State:
    """Difference of the bench in one exposure from its reference state.

    Attributes
    ----------
    velocity_ms
        Shift of all lines as by a change of pressure: as if wavelengths were longer by ``1 + velocity_ms / c`` [m / s].
    shift_px, stretch_px
        Shift along x at the middle of the detector, and its increase from there to the last column [pixel].
    fiber_ms
        Further shift of this kind of each fiber; 0 for the reference fiber [m / s].
    rise_px
        Shift across the dispersion [pixel].
    pressure_psi, temperature_c
        Readings of the sensors of the spectrograph.
    """

    velocity_ms: float = 0.0
    shift_px: float = 0.0
    stretch_px: float = 0.0
    fiber_ms: tuple[float, ...] = (0.0, 0.0, 0.0)
    rise_px: float = 0.0
    pressure_psi: float = 12.35
    temperature_c: float = 21.5


@dataclass(frozen=True, eq=False)
class Bench:
    """True optics and detector constants of one spectrograph.

    Attributes
    ----------
    spectrograph
        The table, from which the true optics differ.
    seed
        Seed of everything that is fixed for this bench, its detector included.
    wavelength_terms : shape (n_fibers, n_orders, n_terms)
        Chebyshev coefficients of the wavelength along the order, reference state [angstrom].
    row_terms : shape (n_fibers, n_orders, n_terms)
        Chebyshev coefficients of the row of the trace, reference state [pixel].
    tilt : shape (n_fibers, n_orders, 2)
        Tilt of the image of a line at the first and at the last column: columns per row, linear in between.
    bow : shape (n_fibers, n_orders)
        Curvature of the image of a line: columns per square of the row.
    gain_e_per_adu, read_noise_e
        Of the amplifier; the values of the header differ [electron / ADU, electron].
    """

    spectrograph: Spectrograph
    seed: int
    wavelength_terms: np.ndarray
    row_terms: np.ndarray
    tilt: np.ndarray
    bow: np.ndarray
    gain_e_per_adu: float
    read_noise_e: float

    def __post_init__(self):
        f, o = len(self.spectrograph.fibers.upward), len(self.spectrograph.orders)
        frozen(self, wavelength_terms=(f, o, None), row_terms=(f, o, None), tilt=(f, o, 2), bow=(f, o))


def build(spectrograph: Spectrograph, seed: int | None = None) -> Bench:
    """Return the true bench of a spectrograph.

    Parameters
    ----------
    seed
        Which bench; by default the one that belongs to the name, the same on every night.

    Returns
    -------
    Bench
        Shifted against the table by up to 25 px in x and 15 px in y, rotated by up to 0.25 degree, magnified by up to
        0.3 percent, and bent by a smooth polynomial of a few pixels.
    """
    seed = zlib.crc32(spectrograph.name.encode()) if seed is None else seed
    rng = np.random.default_rng([seed, 1])
    half = spectrograph.detector.columns / 2
    nodes = np.cos(np.pi * (np.arange(48) + 0.5) / 48)
    x = (half + MARGIN) * nodes + half - 0.5
    n_fibers, n_orders = len(spectrograph.fibers.upward), len(spectrograph.orders)
    v = places(spectrograph)
    warp = _warp(rng)
    rows, wavelengths = [], []
    for fiber in range(n_fibers):
        row = _rows(spectrograph, fiber, v, (x - half) / _HALF)
        seen = x - warp["x"](x - half, row - half) - 0.8 * rng.standard_normal() * (1 + 0.3 * v[:, None])
        wavelengths.append(optics.wavelength(spectrograph, fiber, spectrograph.orders[:, None], seen))
        rows.append(row + warp["y"](x - half, row - half))
    fit = lambda values: chebyshev.chebfit(nodes, np.reshape(values, (-1, len(nodes))).T, _DEGREE).T  # noqa: E731
    shape = (n_fibers, n_orders, _DEGREE + 1)
    return Bench(
        spectrograph=spectrograph,
        seed=seed,
        wavelength_terms=fit(wavelengths).reshape(shape),
        row_terms=fit(rows).reshape(shape),
        tilt=_tilts(rng, n_fibers, v),
        bow=_bows(seed, n_fibers, v),
        gain_e_per_adu=3.2 * (1 + rng.uniform(-0.04, 0.04)),
        read_noise_e=rng.uniform(6.6, 7.6),
    )


def places(spectrograph: Spectrograph) -> Floats:
    """Return the place of each order among those of the design.

    Returns
    -------
    ndarray of float, shape (n_orders,)
        -1 for order 52, 1 for order 118.

    Raises
    ------
    ValueError
        If the table has orders beyond these.
    """
    places = spectrograph.orders - _FIRST_ORDER
    if places.min() < 0 or places.max() >= len(_PLACES):
        last = _FIRST_ORDER + len(_PLACES) - 1
        raise ValueError(f"{spectrograph.name}: only orders {_FIRST_ORDER} to {last} can be simulated")
    return _PLACES[places]


def _rows(spectrograph, fiber, v, u):
    """Row of the traces of a fiber by the common pattern, shape (n_orders, n_columns)."""
    step = spectrograph.fibers.upward[::-1].index(fiber)
    terms = np.array([polynomial.polyval(v, c) for c in _ROWS])
    # the table tells which part of the image a smaller detector sees, to a whole pixel
    expected = polynomial.polyval(spectrograph.orders - spectrograph.first_order, spectrograph.order_rows)
    terms[0] -= np.rint(np.median(legendre.legval(0.0, terms) - expected))
    terms[: len(_SEPARATION)] -= step * np.array([polynomial.polyval(v, c) for c in _SEPARATION])
    return legendre.legval(u, terms)


def _warp(rng):
    """Displacement in x and y as functions of the place on the detector, from its center [pixel]."""
    shift = rng.uniform(-1, 1, 2) * (25, 15)
    angle, magnification = np.radians(0.25) * rng.uniform(-1, 1), 0.003 * rng.uniform(-1, 1)
    bends = rng.uniform(-1, 1, (2, 4, 4)) * 1.5
    for bend in bends:
        bend[np.add.outer(range(4), range(4)) > 3] = 0
        bend[0, 0] = bend[0, 1] = bend[1, 0] = 0

    def along(axis):
        def displacement(x, y):
            turn = -angle * y if axis == 0 else angle * x
            bend = legendre.legval2d(*np.broadcast_arrays(x / _HALF, y / _HALF), bends[axis])
            return shift[axis] + magnification * (x if axis == 0 else y) + turn + bend

        return displacement

    return {"x": along(0), "y": along(1)}


def _tilts(rng, n_fibers, v):
    """Half a degree to two degrees, slowly varying, the fibers alike."""
    middle, slope, bow, ends = rng.uniform([0.8, -0.35, -0.2, -0.3], [1.4, 0.35, 0.2, 0.3])
    degrees = np.stack([middle + slope * v + bow * v**2 - ends, middle + slope * v + bow * v**2 + ends], axis=-1)
    fibers = 1 + 0.04 * rng.standard_normal(n_fibers)
    return np.tan(np.radians(degrees * fibers[:, None, None]))


def _bows(seed, n_fibers, v):
    """A few thousandths, as coma and the plane of the grating make it; slowly varying, the fibers not quite alike."""
    rng = np.random.default_rng([seed, 7])
    middle, slope = rng.uniform(-0.004, 0.004), rng.uniform(-0.002, 0.002)
    return (middle + slope * v) * (1 + 0.1 * rng.standard_normal((n_fibers, 1)))


def _nodes(bench, x):
    half = bench.spectrograph.detector.columns / 2
    return (x - half + 0.5) / (half + MARGIN)


def _undrifted(bench, state, x):
    """Column at which the light that now falls on column x would fall in the reference state."""
    half = bench.spectrograph.detector.columns / 2
    return half + (x - state.shift_px - half) / (1 + state.stretch_px / half)


def wavelength(bench: Bench, fiber: int, x: Floats, state: State = State()) -> Floats:
    """Return the wavelength whose image is centered on a column, for every order.

    Parameters
    ----------
    x : shape (n_columns,)
        Columns [pixel].

    Returns
    -------
    ndarray of float, shape (n_orders, n_columns)
        Vacuum wavelength [angstrom].
    """
    terms = bench.wavelength_terms[fiber]
    still = chebyshev.chebval(_nodes(bench, _undrifted(bench, state, np.asarray(x, float))), terms.T)
    return still / doppler.factor(state.velocity_ms + state.fiber_ms[fiber])


def position(bench: Bench, fiber: int, order: int, wavelength_angstrom: Floats, state: State = State()) -> Floats:
    """Return the column on which the image of a wavelength is centered (its first moment).

    Parameters
    ----------
    fiber, order
        Fiber number and diffraction order.
    wavelength_angstrom
        Vacuum wavelengths [angstrom].

    Returns
    -------
    ndarray of float
        Columns; NaN more than `MARGIN` beyond either end [pixel].
    """
    columns = bench.spectrograph.detector.columns
    half, terms = columns / 2, bench.wavelength_terms[fiber, order - bench.spectrograph.first_order]
    target = np.asarray(wavelength_angstrom) * doppler.factor(state.velocity_ms + state.fiber_ms[fiber])
    grid = np.linspace(-1, 1, 257)
    node = np.interp(target, chebyshev.chebval(grid, terms), grid, left=np.nan, right=np.nan)
    slope = chebyshev.chebder(terms)
    for _ in range(3):
        node = node - (chebyshev.chebval(node, terms) - target) / chebyshev.chebval(node, slope)
    still = node * (half + MARGIN) + half - 0.5
    return half + (still - half) * (1 + state.stretch_px / half) + state.shift_px


def row(bench: Bench, fiber: int, x: Floats, state: State = State()) -> Floats:
    """Return the row on which the light of every order is centered.

    Parameters
    ----------
    x : shape (n_columns,)
        Columns [pixel].

    Returns
    -------
    ndarray of float, shape (n_orders, n_columns)
        Rows, also where they lie off the detector [pixel].
    """
    return chebyshev.chebval(_nodes(bench, np.asarray(x, float)), bench.row_terms[fiber].T) + state.rise_px


def drift_ms(bench: Bench, state: State, fiber: int = 1) -> float:
    """Return the drift of a state as one number.

    Returns
    -------
    float
        Mean over all orders and columns of c * (change of the wavelength of a pixel) / wavelength [m / s].
    """
    x = np.arange(0, bench.spectrograph.detector.columns, 16.0)
    return float(np.mean(doppler.velocity_ms(wavelength(bench, fiber, x, state) / wavelength(bench, fiber, x))))
