"""A model of the lines of a star, its comparison with a spectrum, and the next, better model."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from nrespipe import doppler
from nrespipe.engine.spectrum import ccf, synthetic
from nrespipe.engine.velocity import order_velocities
from nrespipe.frames.arrays import Floats
from nrespipe.frames.velocity import LineMask, OrderVelocities

if TYPE_CHECKING:
    from nrespipe.engine.spectrum.order_spectra import OrderSpectra
    from nrespipe.engine.spectrum.synthetic import Sampling

#: Errors, or robust scatters of the orders where these are larger, beyond which an order loses weight. The faults of a
#: list make orders disagree in every frame of a star alike, and weights that follow them depend on its brightness: with
#: 4 the velocity of a K5 dwarf at a signal-to-noise ratio of 20 differed by 1.1 m/s from that at 150, with 6 by less
#: than 0.1 m/s
_ORDER_LIMIT = 6.0
#: Accepted width of the thermal motion and small eddies [m / s]
_THERMAL_MS = (900.0, 3500.0)


@dataclass(frozen=True)
class StellarModel:
    """A model of a star whose lines are fitted to those of its spectrum.

    Attributes
    ----------
    rv_ms
        Barycentric velocity [m / s].
    broadening_ms, strength, thermal_ms
        As in ``synthetic.at_rest``.
    fwhm_ms
        Width of the CCF [m / s].
    last
        Square of the broadening of the model before, and of the width of its CCF; None for the first model.
    """

    rv_ms: float
    broadening_ms: float = 3500.0
    strength: float = 1.0
    fwhm_ms: float = 10e3
    thermal_ms: float = 1800.0
    last: tuple[float, float] | None = None


@dataclass(frozen=True)
class Comparison:
    """A spectrum compared with a model.

    Attributes
    ----------
    shift_ms, photon_ms
        Velocity of the spectrum less that of the model, and its photon error [m / s].
    dip, model_dip
        Dips of the CCF of the spectrum and of the model.
    saturation
        Logarithm of the area of deep lines over that of shallow ones, spectrum less model; NaN with too few lines.
    bisector_ms
        Bisector span of the CCF of the spectrum [m / s].
    by_order
        The shift of each order.
    signal, leverage : shape (n_orders, n_pixels)
        Terms of the sums over pixels: they add up to `shift_ms`, and to 1.
    """

    shift_ms: float
    photon_ms: float
    dip: ccf.Dip
    model_dip: ccf.Dip
    saturation: float
    bisector_ms: float
    by_order: OrderVelocities
    signal: Floats
    leverage: Floats

    @property
    def shapes_agree(self) -> bool:
        """Whether model and spectrum have lines of equal width and depth."""
        return (
            abs(self.dip.fwhm_ms / self.model_dip.fwhm_ms - 1) < 0.006
            and abs(self.dip.contrast / self.model_dip.contrast - 1) < 0.015
            and not abs(self.saturation) > 0.015
        )

    @property
    def shapes_are_near(self) -> bool:
        """Whether width and depth of the lines of model and spectrum agree within a factor of 1.3.

        Whatever list of lines is fitted to whatever dwarf, they agree within a percent.
        """
        pairs = (self.dip.fwhm_ms, self.model_dip.fwhm_ms), (self.dip.contrast, self.model_dip.contrast)
        return all(expected < 1.3 * value and value < 1.3 * expected for value, expected in pairs)


def wide(velocity_ms: float, fwhm_ms: float) -> StellarModel:
    """Return the first model of a star that rotates fast.

    Parameters
    ----------
    velocity_ms
        Barycentric velocity [m / s].
    fwhm_ms
        Width of its CCF [m / s].
    """
    # models that rotate with 30 to 150 km/s have CCFs 2.9 to 3.2 times as wide as they are broadened
    return StellarModel(velocity_ms, broadening_ms=fwhm_ms / 3.0, fwhm_ms=fwhm_ms)


def expected(
    model: StellarModel, mask: LineMask, spectrum: "OrderSpectra", berv_ms: float, sampling: "Sampling | None"
) -> tuple[Floats, Floats]:
    """Return the spectrum of a model on the pixels of a spectrum, and its derivative.

    Parameters
    ----------
    mask
        All lines of the type of the star, at rest.
    spectrum
        The spectrum, for its wavelengths.
    berv_ms
        Barycentric correction [m / s].
    sampling
        Line-spread function; None for an infinitely sharp one.

    Returns
    -------
    flux : ndarray of float, shape (n_orders, n_pixels)
        Relative to a continuum of 1.
    slope : ndarray of float, shape (n_orders, n_pixels)
        Derivative of `flux` with respect to the barycentric velocity [1 / (m / s)].
    """
    start, end = spectrum.wavelength.min(), spectrum.wavelength.max()
    rest = synthetic.at_rest(
        mask, start * 0.995, end * 1.005, model.broadening_ms, strength=model.strength, thermal_ms=model.thermal_ms
    )
    seen_ms = doppler.seen_ms(model.rv_ms, berv_ms)
    flux, slope = synthetic.observed(rest, seen_ms, spectrum.wavelength, sampling)
    return flux, slope / doppler.factor(berv_ms)


def compare(
    spectrum: "OrderSpectra",
    model_flux: Floats,
    model_slope: Floats,
    lines: ccf.Lines,
    mask: LineMask,
    rv_ms: float,
    berv_ms: float,
    reach_ms: float,
) -> Comparison:
    """Compare the CCF of a spectrum with that of a model.

    Parameters
    ----------
    spectrum
        The spectrum.
    model_flux, model_slope : shape (n_orders, n_pixels)
        Of the model, from `expected`.
    lines, mask
        Lines of the CCF, and the list that they are from.
    rv_ms, berv_ms
        Barycentric velocity of the model and barycentric correction [m / s].
    reach_ms
        Half width of the range of velocities that is compared [m / s].
    """
    halves, edges = _halves(lines, mask), ccf.pixel_edges(spectrum.wavelength)
    level = np.where(spectrum.good & (spectrum.continuum > 0), spectrum.continuum, 1.0)
    good = spectrum.good & (spectrum.continuum > 0)
    flux = np.where(good, spectrum.flux / level, model_flux)
    grid_ms = np.linspace(-reach_ms, reach_ms, 81)
    box_ms = grid_ms[1] - grid_ms[0]
    seen_ms = doppler.seen_ms(rv_ms + grid_ms, berv_ms)
    parts = [ccf.correlate(np.stack([flux, model_flux, model_slope]), edges, half, seen_ms, box_ms) for half in halves]
    functions = parts[0] + parts[1]
    coefficients = _shift_coefficients(functions[1], functions[2])
    shallow, deep = (ccf.projection(edges, half, seen_ms, box_ms, coefficients) for half in halves)
    weights = shallow + deep
    signal = np.where(good, weights * (flux - model_flux), 0.0)
    leverage = np.where(good, weights * model_slope, 0.0)
    noise, usual = (
        np.where(good, weights**2 * variance / level**2, 0.0).sum(axis=1)
        for variance in (spectrum.variance, spectrum.weighing_variance * np.maximum(model_flux, 0.05))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = signal.sum(axis=1) / leverage.sum(axis=1)
        error = np.sqrt(noise) / leverage.sum(axis=1)
        weight = leverage.sum(axis=1) ** 2 / usual
    able = np.isfinite(shift) & np.isfinite(error) & (error > 0) & np.isfinite(weight)
    weight = np.where(able, weight, 0.0)
    weight *= order_velocities.mean(shift, weight, error, limit=_ORDER_LIMIT)[1]
    # pixels in the unit of the mean over orders: their sums are then the shift itself, and 1
    scale = np.where(able, weight / weight.sum() / np.where(able, leverage.sum(axis=1), 1.0), 0.0)[:, None]
    mean = functions[:2].sum(axis=1) / sum(half.weight.sum() for half in halves)
    dip = ccf.measure_dip(grid_ms, mean[0])
    return Comparison(
        shift_ms=float(np.sum(signal * scale)),
        photon_ms=float(np.sqrt(np.sum((weight * np.where(able, error, 0.0)) ** 2)) / weight.sum()),
        dip=dip,
        model_dip=ccf.measure_dip(grid_ms, mean[1]),
        saturation=_saturation(grid_ms, parts, halves),
        bisector_ms=ccf.bisector_span(grid_ms, mean[0], dip),
        by_order=OrderVelocities(np.where(able, shift, np.nan), np.where(able, error, np.nan), weight / weight.sum()),
        signal=signal * scale,
        leverage=leverage * scale,
    )


def improved(model: StellarModel, found: Comparison, settled: bool) -> StellarModel:
    """Return the next model: its velocity shifted, width, area and saturation of its lines nearer to the spectrum's.

    Parameters
    ----------
    found
        Comparison of the spectrum with the model.
    settled
        Whether only the velocity is to change.

    Notes
    -----
    Width follows broadening one to one, until the step before has measured the ratio. Saturation, the area of deep
    lines over that of shallow ones, depends on strength alone; area on strength and heat (logarithmic derivatives
    of models of dwarfs from G2 to M0: -0.20 to -0.35; 0.55 to 0.76, 0.6 to 1.1). With a fixed thermal motion of 1.8
    km/s instead, blends left 20 to 40 m/s in an M0 dwarf that rotates with 10 to 20 km/s.
    """
    rv_ms = model.rv_ms + float(np.clip(found.shift_ms, -3e3, 3e3))
    if settled:
        return replace(model, rv_ms=rv_ms)
    tried, given = model.broadening_ms**2, found.model_dip.sigma_ms**2
    response = 1.0
    if model.last and abs(tried - model.last[0]) > 1e-3 * tried:
        response = float(np.clip((given - model.last[1]) / (tried - model.last[0]), 0.4, 2.5))
    square = tried + (found.dip.sigma_ms**2 - given) / response
    grown = np.log(found.dip.area_ms / found.model_dip.area_ms)
    stronger = np.clip(-found.saturation / 0.28, -0.4, 0.4) if np.isfinite(found.saturation) else grown / 0.75
    stronger = np.clip(np.log(model.strength) + stronger, *np.log(synthetic.STRENGTHS)) - np.log(model.strength)
    wanted_ms = model.thermal_ms * np.exp(np.clip((grown - 0.67 * stronger) / 1.05, -0.3, 0.3))
    thermal_ms = float(np.clip(wanted_ms, *_THERMAL_MS))
    if not np.isfinite(found.saturation):
        thermal_ms = model.thermal_ms
    if thermal_ms != wanted_ms:
        # heat cannot give the area that is wanted, so strength must
        stronger = np.clip((grown - 1.05 * np.log(thermal_ms / model.thermal_ms)) / 0.75, -1, 1)
    return StellarModel(
        rv_ms=rv_ms,
        broadening_ms=float(np.sqrt(np.clip(square, tried / 4, tried * 4))),
        strength=model.strength * float(np.exp(stronger)),
        fwhm_ms=float(np.clip(found.dip.fwhm_ms, model.fwhm_ms / 2, model.fwhm_ms * 2)),
        thermal_ms=thermal_ms,
        last=(tried, given),
    )


def _halves(lines, mask):
    """Return the shallow and the deep lines, each half of the weight."""
    depth = mask.depth[np.searchsorted(mask.vacuum_angstrom, lines.angstrom)]
    rising = np.argsort(depth, kind="stable")
    share = np.cumsum(lines.weight[rising])
    limit = depth[rising][min(np.searchsorted(share, share[-1] / 2), len(rising) - 1)]
    sides = depth < limit, depth >= limit
    return [ccf.Lines(lines.order[side], lines.angstrom[side], lines.weight[side]) for side in sides]


def _saturation(grid_ms, parts, halves):
    areas = np.full((2, 2), np.nan)
    for i, (part, half) in enumerate(zip(parts, halves)):
        if len(half.order) >= 20:
            areas[i] = [ccf.measure_dip(grid_ms, one.sum(axis=0) / half.weight.sum()).area_ms for one in part[:2]]
    (shallow, shallow_model), (deep, deep_model) = np.log(areas)
    return float(deep - shallow - deep_model + shallow_model)


def _shift_coefficients(function, derivative):
    """Return for each order the combination of points of its CCF that a shift changes, and no offset or scale."""
    points = function - function.mean(axis=1, keepdims=True)
    slope = derivative - derivative.mean(axis=1, keepdims=True)
    square = np.sum(points**2, axis=1, keepdims=True)
    share = np.sum(points * slope, axis=1, keepdims=True) / np.where(square > 0, square, 1.0)
    slope = slope - share * points
    norm = np.linalg.norm(slope, axis=1, keepdims=True)
    return slope / np.where(norm > 0, norm, 1.0)
