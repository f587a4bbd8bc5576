"""The velocity of a spectrum by least squares of all its orders against a template."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import legendre
from scipy.interpolate import CubicSpline

from nrespipe import doppler
from nrespipe.engine.spectrum import line_selection
from nrespipe.engine.velocity import order_velocities
from nrespipe.frames.arrays import Booleans, Floats, Integers
from nrespipe.frames.template import Template
from nrespipe.frames.velocity import OrderVelocities, Tellurics

if TYPE_CHECKING:
    from nrespipe.engine.spectrum.order_spectra import OrderSpectra


#: Variance of a cubic spline at a knot over the inverse of the weight of the points around it, where they lie densely
AT_KNOT = 1.2035


@dataclass(frozen=True)
class TemplateFit:
    """The velocity of a spectrum by a template.

    Attributes
    ----------
    rv_ms, photon_error_ms
        Barycentric velocity, and its error by the noise of the spectrum and of the template [m / s].
    mismatch_ms
        Its error by all else that makes parts of the spectrum disagree: the lines of another star, noise that the
        template does not know of, defects of an order [m / s].
    consistent
        Whether neighboring parts of the spectrum disagree as independent ones would.
    by_order
        The velocity from each order.
    order_chi2
        Scatter of the orders about the velocity over what their errors allow, squared, of the orders as far as they
        count in it; 1 is expected.
    odd_even_ms, odd_even_error_ms
        Velocity of the odd orders minus that of the even ones, and its error [m / s].
    used : shape (n_orders, n_pixels)
        Pixels that took part.
    leverage : shape (n_orders, n_pixels)
        Share of each pixel in the velocity; the sum is 1.
    """

    rv_ms: float
    photon_error_ms: float
    mismatch_ms: float
    consistent: bool
    by_order: OrderVelocities
    order_chi2: float
    odd_even_ms: float
    odd_even_error_ms: float
    used: Booleans
    leverage: Floats

    @property
    def error_ms(self) -> float:
        """Error of the velocity by noise and mismatch [m / s]."""
        return float(np.hypot(self.photon_error_ms, self.mismatch_ms))


def fit(
    spectrum: "OrderSpectra",
    numbers: Integers,
    template: Template,
    velocity_ms: float,
    berv_ms: float = 0.0,
    *,
    tellurics: Tellurics | None = None,
    degree: int = 3,
    clip: float = 5.0,
    motion_ms: float = line_selection.MOTION_MS,
) -> TemplateFit:
    """Measure the radial velocity of a spectrum with a template.

    Parameters
    ----------
    spectrum
        The spectrum; its continuum need only be near.
    numbers : shape (n_orders,)
        Diffraction orders, to find those of the template by.
    template
        Of the same star, or of one like it.
    velocity_ms
        First guess, barycentric, to half the width of a line [m / s].
    berv_ms
        Barycentric correction, as in ``Barycentric`` [m / s].
    tellurics
        Where the atmosphere absorbs.
    degree
        Degree of the polynomial by which the level of an order may differ from that of the template.
    clip
        Pixels further off than this many errors, of noise and 1 percent of the level, are left out.
    motion_ms
        Largest motion of the observer: every frame of a star uses the same pixels [m / s].

    Raises
    ------
    ValueError
        If no pixel of the spectrum falls on the template.

    Notes
    -----
    The model of order *o* is ``p_o(x) T_o(ln wavelength - ln(1 + v / c))`` with one *v* for all orders and a polynomial
    *p* for each (Anglada-Escude & Butler 2012, ApJS 200, 15; Zechmeister et al. 2018, A&A 609, A12). It is linear but
    for *v*, which is iterated; eliminating the polynomials leaves one equation for each order, whose sum gives *v* and
    its error. Orders that disagree with the others lose their weight in the sum (``order_velocities.mean``), and by how
    much parts of the spectrum disagree then is an error of its own (``order_velocities.disagreement``). The noise of
    the template counts as noise of the pixels, whose own is that of the light that the template expects on them. The
    pixels are chosen by their wavelength in the frame of the barycenter, so that they are the same in every frame of a
    star.
    """
    able = (
        line_selection.clear_pixels(spectrum.wavelength, berv_ms, velocity_ms, tellurics, motion_ms=motion_ms)
        & spectrum.good
    )
    able &= (spectrum.continuum > 0) & (spectrum.variance > 0) & np.isfinite(spectrum.flux)
    light = _Light(spectrum, numbers, template, berv_ms)
    kept, rv_ms = able, velocity_ms
    for number in range(12):
        flux, slope, noise = light.model(rv_ms)
        used = kept & np.isfinite(flux)
        if not used.any():
            raise ValueError(f"no usable pixel falls on the template of {template.star.name}")
        solved = _solve(light, used, flux, slope, noise, degree)
        rv_ms += float(np.clip(solved.shift_ms, -2e3, 2e3))
        if number >= 1:
            near = np.abs(solved.residual) < clip * np.sqrt(solved.variance + (0.01 * light.level) ** 2)
            kept, before = able & near, kept
            if abs(solved.shift_ms) < 0.02 * solved.error_ms and np.array_equal(kept, before):
                break
    return _result(rv_ms, solved, spectrum, numbers)


def expected(
    spectrum: "OrderSpectra", numbers: Integers, template: Template, rv_ms: float, berv_ms: float = 0.0
) -> tuple[Floats, Floats, Floats]:
    """Return the spectrum that is expected from a template.

    Parameters
    ----------
    spectrum, numbers, template
        As in `fit`.
    rv_ms
        Barycentric velocity of the star [m / s].
    berv_ms
        Barycentric correction [m / s].

    Returns
    -------
    flux : ndarray of float, shape (n_orders, n_pixels)
        Relative to the continuum, NaN where the template does not cover it.
    slope : ndarray of float, shape (n_orders, n_pixels)
        Derivative of it with respect to the velocity [1 / (m / s)].
    variance : ndarray of float, shape (n_orders, n_pixels)
        That of independent pixels which carry as much noise into a velocity as the template does.
    """
    return _Light(spectrum, numbers, template, berv_ms).model(rv_ms)


def width_change(
    spectrum: "OrderSpectra",
    numbers: Integers,
    template: Template,
    measured: TemplateFit,
    berv_ms: float = 0.0,
    *,
    degree: int = 3,
    step_ms: float = 200.0,
) -> tuple[float, float]:
    """Measure the differential line width of a spectrum.

    Parameters
    ----------
    spectrum, numbers, template
        As in `fit`.
    measured
        From `fit`: the velocity, and the pixels that were used.
    berv_ms
        Barycentric correction [m / s].
    degree
        Degree of the polynomial by which the level of an order may differ from that of the template.
    step_ms
        Step by which the second derivative of the template is taken [m / s].

    Returns
    -------
    value_m2_s2, error_m2_s2 : float
        Half of the increase of the variance of the lines, and its photon error; NaN and infinite where no order
        can be used [m2 / s2].

    Notes
    -----
    A line that widens by a little changes by ``sigma d(sigma) T''`` with the second derivative of the template with
    respect to the velocity (Zechmeister et al. 2018, A&A 609, A12); that is fitted to the residuals, with the level and
    the velocity of each order free. The noise of the template makes it look less curved than it is, so that a change
    comes out too small by the share that this noise has in the curvature.
    """
    flux, slope, noise = expected(spectrum, numbers, template, measured.rv_ms, berv_ms)
    after, before = (
        expected(spectrum, numbers, template, measured.rv_ms + step, berv_ms)[1] for step in (step_ms, -step_ms)
    )
    curvature = (after - before) / (2 * step_ms)
    used = measured.used & np.isfinite(curvature)
    level = np.where(used, spectrum.continuum, 0.0)
    flux, slope, curvature, noise = (np.where(used, a, 0.0) for a in (flux, slope, curvature, noise))
    weight = np.where(used, 1 / np.where(used, spectrum.noise().at(level * flux) + level**2 * noise, 1.0), 0.0)
    basis = legendre.legvander(np.linspace(-1, 1, used.shape[1]), degree)
    signal = information = 0.0
    for o in np.flatnonzero(used.sum(axis=1) > 10 * (degree + 3)):
        # a shift of 10 km/s is of the size of the level
        columns = np.column_stack([basis * (flux[o] * level[o])[:, None], 1e4 * level[o] * slope[o]])
        data = np.where(used[o], spectrum.flux[o], 0.0)
        terms = least_squares(columns, data, weight[o])
        moving = (basis @ terms[:-1]) * level[o] * curvature[o]
        pure = moving - columns @ least_squares(columns, moving, weight[o])
        signal += weight[o] @ (pure * (data - columns @ terms))
        information += weight[o] @ pure**2
    if not information > 0:
        return float("nan"), float("inf")
    return float(signal / information), float(information**-0.5)


class _Light:
    """A spectrum and the splines of its template."""

    def __init__(self, spectrum, numbers, template, berv_ms):
        self.spectrum, self.berv_ms = spectrum, berv_ms
        self.level = np.maximum(spectrum.continuum, 0)
        self.rest = [_splines(template).get(int(number)) for number in numbers]
        self.noise = spectrum.noise()

    def model(self, rv_ms):
        """Return template, its slope with velocity, and its variance per pixel; NaN beyond it."""
        shape = self.spectrum.wavelength.shape
        flux, slope, noise = np.full((3, *shape), np.nan)
        ln_seen = doppler.ln_seen(rv_ms, self.berv_ms)
        for i, splines in enumerate(self.rest):
            if splines is None:
                continue
            place, light, variance, first, last = splines
            ln_rest = np.log(self.spectrum.wavelength[i]) - ln_seen
            inside = (ln_rest > first) & (ln_rest < last)
            if inside.sum() < 2:
                continue
            u = place(ln_rest[inside])
            noise[i, inside] = np.interp(u, np.arange(len(variance)), variance) / (AT_KNOT * np.gradient(u))
            flux[i, inside] = np.where(np.isfinite(noise[i, inside]), light(u), np.nan)
            slope[i, inside] = -light(u, 1) * place(ln_rest[inside], 1) / (doppler.C_MS + rv_ms)
        return flux, slope, noise


@lru_cache(maxsize=4)
def _splines(template):
    """Return the splines of each order of a template, by its number."""
    rows = zip(template.vacuum_angstrom, template.flux, template.variance)
    return {int(number): _spline(*row) for number, row in zip(template.orders, rows)}


def _spline(angstrom, flux, variance):
    """Return splines of one order of a template, knot of a wavelength and flux at a knot; and their range."""
    known = np.isfinite(flux) & np.isfinite(variance)
    n = int(np.isfinite(angstrom).sum())
    if known.sum() < 20:
        return None
    knots = np.arange(n)
    # a hole, and the end, disturb a spline a few knots away
    edge = np.convolve(~known[:n], np.ones(9), mode="same") > 0
    ln_angstrom = np.log(angstrom[:n])
    filled = np.interp(knots, knots[known[:n]], flux[:n][known[:n]])
    inside = np.flatnonzero(~edge)
    if len(inside) == 0:
        return None
    first, last = ln_angstrom[inside[0]], ln_angstrom[inside[-1]]
    return (
        CubicSpline(ln_angstrom, knots), CubicSpline(knots, filled), np.where(edge, np.nan, variance[:n]), first, last
    )  # fmt: skip


@dataclass(frozen=True)
class _Solved:
    shift_ms: float
    error_ms: float
    order_shift_ms: np.ndarray
    information: np.ndarray
    share: np.ndarray
    residual: np.ndarray
    variance: np.ndarray
    used: np.ndarray
    signal: np.ndarray
    leverage: np.ndarray


def _solve(light, used, flux, slope, noise, degree):
    """Solve for one step of the velocity, and for a polynomial in each order."""
    n_orders, n_pixels = used.shape
    basis = legendre.legvander(np.linspace(-1, 1, n_pixels), degree)
    flux, slope = np.where(used, flux, 0.0), np.where(used, slope, 0.0)
    variance = light.noise.at(light.level * flux) + light.level**2 * np.where(used, noise, 0.0)
    weight = np.where(used, 1 / variance, 0.0)
    data = np.where(used, light.spectrum.flux, 0.0)
    shift, information = np.zeros(n_orders), np.zeros(n_orders)
    residual, signal, leverage = np.zeros((3, *used.shape))
    for o in np.flatnonzero(used.sum(axis=1) > 10 * (degree + 2)):
        # in the unit of the level all columns are of one size
        columns = basis * (flux[o] * light.level[o])[:, None]
        terms = least_squares(columns, data[o], weight[o])
        moving = (basis @ terms) * light.level[o] * slope[o]
        pure = moving - columns @ least_squares(columns, moving, weight[o])
        residual[o] = data[o] - columns @ terms
        information[o] = weight[o] @ pure**2
        signal[o], leverage[o] = weight[o] * pure * residual[o], weight[o] * pure * moving
        shift[o] = signal[o].sum() / information[o] if information[o] > 0 else 0.0
    mean, share = order_velocities.mean(shift, information, 1 / np.sqrt(np.where(information > 0, information, 1.0)))
    total = share @ information
    return _Solved(
        shift_ms=mean,
        error_ms=float(np.sqrt(share**2 @ information) / total),
        order_shift_ms=shift,
        information=information,
        share=share,
        residual=residual,
        variance=variance,
        used=used,
        signal=signal * share[:, None] / total,
        leverage=leverage * share[:, None] / total,
    )


def least_squares(columns: Floats, values: Floats, weight: Floats) -> Floats:
    """Return the coefficients of a weighted least-squares fit.

    Parameters
    ----------
    columns : shape (n, n_columns)
        Functions to add up, all of about one size.
    values, weight : shape (n,)
        What to fit, and the inverse variances.

    Returns
    -------
    ndarray of float, shape (n_columns,)
    """
    normal = columns.T @ (weight[:, None] * columns)
    ridge = 1e-12 * np.trace(normal) * np.eye(len(normal))
    return np.linalg.solve(normal + ridge, columns.T @ (weight * values))


def _result(rv_ms, solved, spectrum, numbers):
    able = solved.information > 0
    information = np.where(able, solved.information, 1.0)
    off, weight = solved.order_shift_ms - solved.shift_ms, np.where(able, solved.share * information, 0.0)
    sides = [able & (np.asarray(numbers) % 2 == parity) for parity in (1, 0)]
    means = [np.sum(weight[s] * off[s]) / weight[s].sum() if s.any() else np.nan for s in sides]
    errors = [np.sum(solved.share[s] * weight[s]) / weight[s].sum() ** 2 if s.any() else np.nan for s in sides]
    used = solved.used & able[:, None]
    by_blocks_ms, consistent = order_velocities.disagreement(
        solved.signal, solved.leverage, solved.shift_ms, solved.error_ms, spectrum.wavelength
    )
    # blocks of wavelength show the errors that neighboring orders share, orders those of a whole order
    part = weight / weight.sum()
    by_orders = np.sum((part * off) ** 2) / max(1 - np.sum(part**2), 1e-9) - solved.error_ms**2
    return TemplateFit(
        rv_ms=rv_ms,
        photon_error_ms=solved.error_ms,
        mismatch_ms=float(np.sqrt(max(by_blocks_ms**2, by_orders))),
        consistent=consistent,
        by_order=OrderVelocities(
            np.where(able, rv_ms + off, np.nan), np.where(able, 1 / np.sqrt(information), np.nan), part
        ),
        order_chi2=float(np.sum(weight * off**2) / max(solved.share.sum() - 1, 1)),
        odd_even_ms=float(means[0] - means[1]),
        odd_even_error_ms=float(np.sqrt(errors[0] + errors[1])),
        used=used,
        leverage=solved.leverage,
    )
