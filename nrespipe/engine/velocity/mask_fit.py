"""The velocity of a spectrum from its cross-correlation with a line mask, freed of what blends do to it."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from nrespipe.engine.spectrum import ccf, continuum, line_mask, synthetic
from nrespipe.engine.spectrum.spectrum_orders import Orders, resembles
from nrespipe.engine.velocity import mask_fit_state, order_velocities
from nrespipe.frames.velocity import LineMask, Tellurics

if TYPE_CHECKING:
    from nrespipe.engine.spectrum.synthetic import Sampling


#: Errors, or robust scatters of the orders where these are larger, beyond which an order loses weight. The faults of a
#: list make orders disagree in every frame of a star alike, and weights that follow them depend on its brightness: with
#: 4 the velocity of a K5 dwarf at a signal-to-noise ratio of 20 differed by 1.1 m/s from that at 150, with 6 by less
#: than 0.1 m/s
_BEND = 6.0


@dataclass(frozen=True)
class Fit:
    """What `fit` finds.

    Attributes
    ----------
    rv_ms, photon_error_ms, mask_error_ms
        Barycentric velocity, its error by the noise of the pixels, and by all else that makes parts of the spectrum
        disagree: depths and wavelengths of the list, blends, the local wavelength scale [m / s].
    consistent
        Whether neighboring parts of the spectrum disagree as independent ones would, and not as on a bent scale.
    resembles
        Whether the lines of the model are those of the spectrum; where they are not, the velocity is none.
    fwhm_ms, contrast, bisector_ms
        Of the cross-correlation function [m / s, 1, m / s].
    broadening_ms, strength, thermal_ms
        Of the model, as in ``synthetic.at_rest``.
    order_rv_ms, order_error_ms, order_weight : shape (n_orders,)
        Velocity of each order, photon error, share in the mean; NaN, NaN, 0 where there is none.
    used : shape (n_orders, n_pixels)
        Pixels that took part.
    leverage : shape (n_orders, n_pixels)
        Share of each pixel in the velocity; the sum is 1.
    lines
        Lines that took part.
    model : shape (n_orders, n_pixels)
        Model spectrum relative to the continuum.
    orders
        The spectrum with its final continuum.
    """

    rv_ms: float
    photon_error_ms: float
    mask_error_ms: float
    consistent: bool
    resembles: bool
    fwhm_ms: float
    contrast: float
    bisector_ms: float
    broadening_ms: float
    strength: float
    thermal_ms: float
    order_rv_ms: np.ndarray
    order_error_ms: np.ndarray
    order_weight: np.ndarray
    used: np.ndarray
    leverage: np.ndarray
    lines: ccf.Lines
    model: np.ndarray
    orders: Orders


def fit(
    orders: Orders,
    mask: LineMask,
    velocity_ms: float,
    berv_ms: float = 0.0,
    *,
    sampling: "Sampling | None" = None,
    tellurics: Tellurics | None = None,
    window: float = 1.25,
    rounds: int = 12,
    **clear,
) -> Fit:
    """Measure the radial velocity of a spectrum with a line mask.

    Parameters
    ----------
    orders
        The spectrum; its continuum need only be near.
    mask
        All lines of the type of the star, at rest.
    velocity_ms
        First guess, barycentric, to a few km/s; ``line_mask.search`` gives one [m / s].
    berv_ms
        Barycentric correction, as in ``Barycentric`` [m / s].
    sampling
        Line-spread function; without one it counts as part of the broadening of the star.
    tellurics
        Where the atmosphere absorbs.
    window
        Half width of the part of the cross-correlation function that is fitted, in units of its width.
    rounds
        Largest number of iterations.
    **clear
        Passed on to ``line_mask.clear``.

    Raises
    ------
    ValueError
        If no line of the mask falls on usable pixels.

    Notes
    -----
    The cross-correlation function of an order is the weighted mean of its pixels under the lines of the mask as the
    mask moves. Its peak, fitted with any symmetric function, is off by tens of m/s, because lines blend, orders end,
    pixels are coarse and the line-spread function is skewed. So the function that is fitted to it (offset, scale,
    shift; least squares) is the cross-correlation function of a model of this very spectrum: the full list of lines
    with a common strength and broadening, through the line-spread function, on the same pixels, with the same mask.
    The shift is iterated until it vanishes. All of it is linear in the pixels: the shift is ``sum(p (f - m))`` over
    ``sum(p dm/dv)``, which gives the exact photon error ``sqrt(sum(p**2 var))`` over the same, and a pixel that is not
    good is simply left out of both sums. Orders are joined with the inverse square of the error that they have at the
    usual brightness: with that of this frame the mean of orders that differ would depend on how bright it is. An order
    that lies far from all others loses its weight (``order_velocities.mean``).

    The model begins with lines of 10 km/s. In a star that rotates with more than about 50 km/s it can then end as a few
    narrow lines in the noise of a dip that is much wider, hundreds of errors from the truth. Where it does not resemble
    the spectrum in the end, it begins anew with wider lines.
    """
    options = {"sampling": sampling, "tellurics": tellurics, "window": window, "rounds": rounds, **clear}
    found, failure = None, None
    for state in (
        mask_fit_state.State(velocity_ms),
        *(mask_fit_state.wide(velocity_ms, fwhm) for fwhm in (160e3, 80e3, 40e3)),
    ):
        try:
            tried = _settled(orders, mask, state, berv_ms, **options)
        except ValueError as error:
            # lines that are so wide, or have become so, stay clear of the ends of no order
            failure = failure or error
            continue
        if tried.resembles:
            return tried
        found = found or tried
    if found is None:
        raise failure
    return found


def _settled(orders, mask, state, berv_ms, *, sampling, tellurics, window, rounds, **clear):
    """Return what comes of a model that begins in a certain state."""
    edges, velocity_ms = ccf.pixel_edges(orders.wavelength), state.rv_ms
    best = None
    for number in range(rounds):
        model = _model(mask, orders, state, berv_ms, sampling)
        if number > 0:
            orders = _releveled(orders, model[0])
        reach_ms = window * state.fwhm_ms
        lines = line_mask.clear(mask, orders, velocity_ms, 1.1 * reach_ms, tellurics, **clear)
        if len(lines.order) == 0:
            raise ValueError(f"no line of mask {mask.name} falls on usable pixels")
        best = _compare(orders, model, edges, _halves(lines, mask), state.rv_ms, berv_ms, reach_ms)
        settled = abs(best.shift_ms) < max(0.5, 0.05 * best.photon_ms) and best.shapes_agree
        state = mask_fit_state.advanced(state, best, settled)
        if settled and number > 1:
            break
    return _result(state, best, orders, lines, model[0])


def _model(mask, orders, state, berv_ms, sampling):
    """Return the model spectrum and its derivative with respect to the barycentric velocity."""
    start, end = orders.wavelength.min(), orders.wavelength.max()
    rest = synthetic.at_rest(
        mask, start * 0.995, end * 1.005, state.broadening_ms, strength=state.strength, thermal_ms=state.thermal_ms
    )
    seen_ms = doppler.seen_ms(state.rv_ms, berv_ms)
    flux, slope = synthetic.observed(rest, seen_ms, orders.wavelength, sampling)
    return flux, slope / doppler.factor(berv_ms)


def _releveled(orders, model):
    level = continuum.against_model(orders.flux, orders.variance, orders.good, model)
    known = np.isfinite(level) & (level > 0)
    return replace(orders, continuum=np.where(known, level, 0.0), good=orders.good & known)


def _compare(orders, model, edges, halves, rv_ms, berv_ms, reach_ms):
    model, slope = model
    level = np.where(orders.good & (orders.continuum > 0), orders.continuum, 1.0)
    good = orders.good & (orders.continuum > 0)
    flux = np.where(good, orders.flux / level, model)
    grid_ms = np.linspace(-reach_ms, reach_ms, 81)
    box_ms = grid_ms[1] - grid_ms[0]
    seen_ms = doppler.seen_ms(rv_ms + grid_ms, berv_ms)
    parts = [ccf.correlate(np.stack([flux, model, slope]), edges, half, seen_ms, box_ms) for half in halves]
    functions = sum(parts)
    coefficients = _shift_coefficients(functions[1], functions[2])
    weights = sum(ccf.projection(edges, half, seen_ms, box_ms, coefficients) for half in halves)
    signal = np.where(good, weights * (flux - model), 0.0)
    leverage = np.where(good, weights * slope, 0.0)
    noise, usual = (
        np.where(good, weights**2 * variance / level**2, 0.0).sum(axis=1)
        for variance in (orders.variance, orders.weighing_variance * np.maximum(model, 0.05))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = signal.sum(axis=1) / leverage.sum(axis=1)
        error = np.sqrt(noise) / leverage.sum(axis=1)
        weight = leverage.sum(axis=1) ** 2 / usual
    able = np.isfinite(shift) & np.isfinite(error) & (error > 0) & np.isfinite(weight)
    weight = np.where(able, weight, 0.0)
    weight *= order_velocities.mean(shift, weight, error, bend=_BEND)[1]
    # pixels in the unit of the mean over orders: their sums are then the shift itself, and 1
    scale = np.where(able, weight / weight.sum() / np.where(able, leverage.sum(axis=1), 1.0), 0.0)[:, None]
    mean = functions[:2].sum(axis=1) / sum(half.weight.sum() for half in halves)
    peak = ccf.peak(grid_ms, mean[0])
    return mask_fit_state.Comparison(
        shift_ms=float(np.sum(signal * scale)),
        photon_ms=float(np.sqrt(np.sum((weight * np.where(able, error, 0.0)) ** 2)) / weight.sum()),
        peak=peak,
        model_peak=ccf.peak(grid_ms, mean[1]),
        saturation=_saturation(grid_ms, parts, halves),
        bisector_ms=ccf.bisector_span(grid_ms, mean[0], peak),
        order_shift_ms=np.where(able, shift, np.nan),
        order_error_ms=np.where(able, error, np.nan),
        order_weight=weight / weight.sum(),
        signal=signal * scale,
        leverage=leverage * scale,
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
            areas[i] = [mask_fit_state.area(ccf.peak(grid_ms, one.sum(axis=0) / half.weight.sum())) for one in part[:2]]
    (shallow, shallow_model), (deep, deep_model) = np.log(areas)
    return float(deep - shallow - deep_model + shallow_model)


def _shift_coefficients(function, derivative):
    """Return for each order the combination of points that answers to a shift and to no offset or change of scale."""
    points = function - function.mean(axis=1, keepdims=True)
    slope = derivative - derivative.mean(axis=1, keepdims=True)
    square = np.sum(points**2, axis=1, keepdims=True)
    share = np.sum(points * slope, axis=1, keepdims=True) / np.where(square > 0, square, 1.0)
    slope = slope - share * points
    norm = np.linalg.norm(slope, axis=1, keepdims=True)
    return slope / np.where(norm > 0, norm, 1.0)


def _result(state, found, orders, lines, model):
    mask_error_ms, consistent = order_velocities.disagreement(
        found.signal, found.leverage, found.shift_ms, found.photon_ms, orders.wavelength
    )
    return Fit(
        rv_ms=state.rv_ms,
        photon_error_ms=found.photon_ms,
        mask_error_ms=mask_error_ms,
        consistent=consistent,
        resembles=found.alike and resembles(orders, model),
        fwhm_ms=found.peak.fwhm_ms,
        contrast=found.peak.contrast,
        bisector_ms=found.bisector_ms,
        broadening_ms=state.broadening_ms,
        strength=state.strength,
        thermal_ms=state.thermal_ms,
        order_rv_ms=state.rv_ms + found.order_shift_ms - found.shift_ms,
        order_error_ms=found.order_error_ms,
        order_weight=found.order_weight,
        used=found.leverage != 0,
        leverage=found.leverage,
        lines=lines,
        model=model,
        orders=orders,
    )
