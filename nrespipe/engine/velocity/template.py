"""Templates: spectra of a star at rest, co-added from its exposures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import CubicSpline

from nrespipe import doppler
from nrespipe.engine.spectrum import continuum, line_selection
from nrespipe.engine.spectrum.order_spectra import OrderSpectra
from nrespipe.engine.star import stellar_type
from nrespipe.engine.velocity import array_input_checks, template_fit
from nrespipe.frames.star import Star, is_same_star, name_key, name_keys
from nrespipe.frames.template import LeftOut, Template
from nrespipe.frames.velocity import Tellurics
from nrespipe.numerics import bspline

if TYPE_CHECKING:
    from nrespipe.engine.velocity.template_fit import TemplateFit

_NOBODY = Star("")

#: Pixels by which the knots of an order reach beyond the first exposure, for those seen from another side of the Earth
_BEYOND = 60


@dataclass(frozen=True)
class Exposure:
    """One exposure of a star, from which a template may be made.

    Attributes
    ----------
    spectrum
        Its spectrum.
    numbers : shape (n_orders,)
        Diffraction orders.
    rv_ms, berv_ms
        Barycentric velocity of the star by a line mask, and barycentric correction [m / s].
    name
        File it comes from.
    mjd
        When it was taken, UTC [MJD].
    fiber
        Fiber of the star.
    fwhm : shape (n_orders, n_pixels), or None, optional
        Full width at half maximum of the line-spread function, to place the knots by [pixel].
    """

    spectrum: OrderSpectra
    numbers: np.ndarray
    rv_ms: float
    berv_ms: float
    name: str = ""
    mjd: float = float("nan")
    fiber: int = 0
    fwhm: np.ndarray | None = None


def build(
    exposures: Sequence[Exposure],
    star: Star,
    *,
    site: str = "",
    instrument: str = "",
    tellurics: Tellurics | None = None,
    rounds: int = 3,
    clip: float = 5.0,
    leave_out: bool = False,
) -> Template:
    """Co-add exposures of a star.

    Parameters
    ----------
    exposures
        At least two, of one star.
    site, instrument
        Where they were taken.
    tellurics
        Where the atmosphere absorbs: those pixels do not count.
    rounds
        How often the velocities and the levels of the exposures are fitted anew to the template.
    clip
        Pixels further off than this many errors, of noise and 1 percent of the level, are left out as cosmic rays.
    leave_out
        Whether each exposure is measured with a template of all the others, where there are two others.

    Raises
    ------
    ValueError
        If there are fewer than two exposures, if they share no order, or if one of them cannot be used; the message
        names it.

    Notes
    -----
    In each order a cubic spline is fitted to the pixels of all exposures, each shifted to rest by its own velocity,
    divided by its own smooth level, and weighted with its own variance. The knots lie 0.5 widths of the line-spread
    function apart, and two pixels at least: what is finer is noise. The variance of a knot is the inverse of the weight
    of the pixels around it. The zero point is that of the velocities that come with the exposures.
    """
    stack = _coadded(exposures, tellurics, rounds, clip)
    made = stack.template(exposures, star, site, instrument)
    if not leave_out or len(exposures) < 3:
        return made
    fits = zip(exposures, stack.by_the_others(star))
    left = [LeftOut(e.name, e.fiber, fit.rv_ms, fit.error_ms, fit.order_chi2) for e, fit in fits]
    return replace(made, left_out=tuple(sorted(left, key=lambda one: (one.name, one.fiber))))


def leave_one_out(
    exposures: Sequence[Exposure], star: Star, *, tellurics: Tellurics | None = None, rounds: int = 3, clip: float = 5.0
) -> "list[TemplateFit]":
    """Measure each exposure with a template of all the others.

    Parameters
    ----------
    exposures
        At least three, of one star.
    tellurics
        Where the atmosphere absorbs.
    rounds, clip
        As in `build`.

    Returns
    -------
    list of TemplateFit
        One for each exposure. No noise of it is in its template, so its error is that of both.

    Raises
    ------
    ValueError
        If there are fewer than three exposures.
    """
    if len(exposures) < 3:
        raise ValueError(f"leaving one out needs at least three exposures, not {len(exposures)}")
    return _coadded(exposures, tellurics, rounds, clip).by_the_others(star)


def choose(
    templates: Sequence[Template], star: Star, *, site: str = "", farthest_k: float = 250.0, farthest_logg: float = 0.5
) -> Template | None:
    """Choose the template of a star.

    Parameters
    ----------
    star
        The star whose velocity is measured.
    site
        Where it was observed; templates of that site come first.
    farthest_k, farthest_logg
        Farthest temperature and surface gravity of another star whose template may serve [kelvin, cgs].

    Returns
    -------
    Template or None
        The best template of the star that the catalog names for this one, else of the star itself; else a trusted one
        of the star whose temperature is nearest, if that is near enough; else None.
    """
    named = [
        template for template in templates if star.template and name_key(star.template) in name_keys(template.star)
    ]
    own = named or [template for template in templates if is_same_star(template.star, star)]
    if own:
        return max(own, key=lambda t: (t.trusted, t.site == site, len(t.inputs), t.end_mjd, t.fingerprint))
    wanted_k, near = stellar_type.catalog_temperature(star), []
    for template in templates:
        its_k = stellar_type.catalog_temperature(template.star)
        if not template.trusted or wanted_k is None or its_k is None or abs(its_k - wanted_k) > farthest_k:
            continue
        logg, its_logg = star.logg, template.star.logg
        if logg is None or its_logg is None or abs(logg - its_logg) <= farthest_logg:
            near.append((template.site != site, abs(its_k - wanted_k), template.fingerprint, template))
    return min(near, key=lambda row: row[:3])[3] if near else None


class _Stack:
    """Exposures on common knots."""

    def __init__(self, exposures, tellurics):
        self.exposures, self.tellurics = exposures, tellurics
        self.numbers = np.array(sorted(set.intersection(*(set(map(int, e.numbers)) for e in exposures))))
        if len(self.numbers) == 0:
            raise ValueError("the exposures of the template share no order")
        self.rows = [[int(np.flatnonzero(e.numbers == number)[0]) for number in self.numbers] for e in exposures]
        for number, (e, rows) in enumerate(zip(exposures, self.rows)):
            _check(e, rows, tellurics, e.name or f"number {number}")
        self.rv_ms = np.array([e.rv_ms for e in exposures], float)
        self.knots = [_knots(exposures[0], row, self.rv_ms[0]) for row in self.rows[0]]
        self.places = [CubicSpline(ln_angstrom, np.arange(len(ln_angstrom))) for ln_angstrom in self.knots]
        self.leveled = [e.spectrum for e in exposures]
        # the lines are not known yet
        self.expected = [np.ones(e.spectrum.flux.shape) for e in exposures]
        self.kept = [_clean(e, tellurics) for e in exposures]

    def knot_of_pixels(self, i):
        """Return where the pixels of an exposure lie between the knots."""
        e = self.exposures[i]
        ln_seen = doppler.ln_seen(self.rv_ms[i], e.berv_ms)
        ln_rest = np.log(e.spectrum.wavelength[self.rows[i]]) - ln_seen
        return np.stack([place(row) for place, row in zip(self.places, ln_rest)])

    def add(self) -> None:
        """Gather the equations of all exposures anew."""
        self.equations = []
        for i, spectrum in enumerate(self.leveled):
            rows, u = self.rows[i], self.knot_of_pixels(i)
            kept = self.kept[i][rows] & (spectrum.continuum[rows] > 0)
            level = np.where(kept, spectrum.continuum[rows], 1.0)
            weight = np.where(kept, level**2 / spectrum.noise().at(spectrum.continuum * self.expected[i])[rows], 0.0)
            flux = np.where(kept, spectrum.flux[rows] / level, 0.0)
            self.equations.append(
                [
                    (*bspline.normal_equations(*o, -1.0, 1.0, len(k) + 4), _information(o[0], o[2], len(k)))
                    for o, k in zip(zip(u, flux, weight), self.knots)
                ]
            )

    def spectrum(self, without=None):
        """Return flux and variance at the knots of each order, NaN where there is no exposure."""
        n = max(map(len, self.knots))
        flux, variance = np.full((2, len(self.knots), n), np.nan)
        for o, knots in enumerate(self.knots):
            parts = [e[o] for i, e in enumerate(self.equations) if i != without]
            bands, right, information = (sum(part[k] for part in parts) for k in range(3))
            coefficients = bspline.solve(bands, right)
            typical = np.median(information[information > 0]) if information.any() else np.inf
            known = information > 1e-3 * typical
            values = bspline.evaluate(coefficients, np.arange(len(knots)), -1.0, 1.0)
            flux[o, : len(knots)] = np.where(known, values, np.nan)
            variance[o, : len(knots)] = np.where(
                known, template_fit.AT_KNOT / np.where(known, information, 1.0), np.nan
            )
        return flux, variance

    def template(self, exposures, star, site="", instrument="", without=None):
        """Return the template of all exposures but perhaps one."""
        flux, variance = self.spectrum(without)
        angstrom = np.full(flux.shape, np.nan)
        for row, knots in zip(angstrom, self.knots):
            row[: len(knots)] = np.exp(knots)
        chosen = [e for i, e in enumerate(exposures) if i != without]
        bervs, times = [e.berv_ms for e in chosen], [e.mjd for e in chosen]
        return Template(
            star=star,
            orders=self.numbers,
            vacuum_angstrom=angstrom,
            flux=flux,
            variance=variance,
            rv_ms=float(np.mean([e.rv_ms for e in chosen])),
            site=site,
            instrument=instrument,
            fibers=tuple(sorted({e.fiber for e in chosen})),
            start_mjd=float(min(times)),
            end_mjd=float(max(times)),
            berv_range_ms=float(max(bervs) - min(bervs)),
            inputs=tuple(sorted(e.name for e in chosen)),
        )

    def by_the_others(self, star):
        """Return the fit of each exposure with a template of all the others."""
        return [
            template_fit.fit(
                self.leveled[i], e.numbers, self.template(self.exposures, star, without=i), self.rv_ms[i], e.berv_ms,
                tellurics=self.tellurics,
            )
            for i, e in enumerate(self.exposures)
        ]  # fmt: skip


def _coadded(exposures, tellurics, rounds, clip):
    """Return a stack whose velocities, levels and rejected pixels have converged."""
    if len(exposures) < 2:
        raise ValueError(f"a template needs at least two spectra of its star, there are {len(exposures)}")
    stack = _Stack(exposures, tellurics)
    stack.add()
    for number in range(rounds):
        template = stack.template(exposures, _NOBODY)
        moved = np.zeros((len(exposures), 2))
        for i, e in enumerate(exposures):
            stack.leveled[i], stack.kept[i], stack.expected[i] = _compared(stack, i, template, clip)
            fit = template_fit.fit(
                stack.leveled[i], e.numbers, template, stack.rv_ms[i], e.berv_ms, tellurics=tellurics
            )
            moved[i] = fit.rv_ms - e.rv_ms, fit.error_ms**-2.0
        # the mean of the velocities stays that of the mask
        mean_ms = np.average(moved[:, 0], weights=moved[:, 1])
        before, stack.rv_ms = stack.rv_ms, np.array([e.rv_ms for e in exposures]) + moved[:, 0] - mean_ms
        stack.add()
        if number > 0 and np.all((stack.rv_ms - before) ** 2 * moved[:, 1] < 0.05**2):
            break
    return stack


def _compared(stack, i, template, clip):
    """Return an exposure with the continuum of the template, its clean pixels, and the expected flux."""
    e, spectrum = stack.exposures[i], stack.leveled[i]
    flux, _, noise = template_fit.expected(spectrum, e.numbers, template, stack.rv_ms[i], e.berv_ms)
    able = _clean(e, stack.tellurics) & np.isfinite(flux)
    model = np.where(able, flux, 0.0)
    level = continuum.against_model(spectrum.flux, spectrum.variance, stack.kept[i] & able, model)
    known = np.isfinite(level) & (level > 0)
    level = np.where(known, level, 0.0)
    error = np.sqrt(spectrum.noise().at(level * model) + level**2 * (np.where(able, noise, 0.0) + 1e-4))
    near = np.abs(spectrum.flux - level * model) < clip * error
    # where the template does not cover a pixel it cannot be rejected
    kept = _clean(e, stack.tellurics) & (near | ~np.isfinite(flux))
    return replace(spectrum, continuum=np.where(known, level, spectrum.continuum)), kept, np.where(able, flux, 1.0)


def _check(exposure, rows, tellurics, name) -> None:
    """Refuse an exposure that cannot be part of a template; the message names it and the defect."""
    try:
        array_input_checks.speed_ms(exposure.rv_ms, "rv_ms")
        array_input_checks.speed_ms(exposure.berv_ms, "berv_ms")
        array_input_checks.check_wavelength(exposure.spectrum.wavelength[rows])
    except ValueError as error:
        raise ValueError(f"exposure {name}: {error}") from error
    if not _clean(exposure, tellurics)[rows].any():
        raise ValueError(f"exposure {name}: none of its pixels can be used")


def _clean(exposure, tellurics):
    spectrum = exposure.spectrum
    known = spectrum.good & (spectrum.continuum > 0) & (spectrum.variance > 0) & np.isfinite(spectrum.flux)
    return known & ~line_selection.telluric_pixels(spectrum.wavelength, tellurics)


def _knots(exposure, row, rv_ms):
    """Return the logarithms of the wavelengths of the knots of an order, at rest."""
    wavelength = exposure.spectrum.wavelength[row]
    n = len(wavelength)
    ln_seen = doppler.ln_seen(rv_ms, exposure.berv_ms)
    x = np.arange(-_BEYOND, n + _BEYOND, dtype=float)
    inside = np.log(wavelength) - ln_seen
    ln_angstrom = np.interp(x, np.arange(n), inside)
    ln_angstrom += np.minimum(x, 0) * (inside[20] - inside[0]) / 20
    ln_angstrom += np.maximum(x - n + 1, 0) * (inside[-1] - inside[-21]) / 20
    width = np.full(n, np.nan) if exposure.fwhm is None else exposure.fwhm[row]
    step = np.maximum(np.where(np.isfinite(width), 0.5 * width, 2.0), 2.0)
    knot = np.cumsum(1 / np.interp(x, np.arange(n), step))
    return np.interp(np.arange(np.ceil(knot[0]), knot[-1]), knot, ln_angstrom)


def _information(u, weight, n):
    """Return the weight of the pixels around each knot."""
    inside = (u > 0) & (u < n - 1)
    left = u[inside].astype(np.int64)
    share = u[inside] - left
    right = np.bincount(left + 1, weight[inside] * share, n)
    return np.bincount(left, weight[inside] * (1 - share), n) + right
