"""The velocity of a spectrum from its cross-correlation with a line mask, corrected for blends."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from nrespipe.engine.spectrum import ccf, continuum, line_selection
from nrespipe.engine.spectrum.order_spectra import OrderSpectra, resembles
from nrespipe.engine.velocity import order_velocities, stellar_model
from nrespipe.engine.velocity.stellar_model import StellarModel
from nrespipe.frames.arrays import Booleans, Floats
from nrespipe.frames.velocity import LineMask, OrderVelocities, Tellurics

if TYPE_CHECKING:
    from nrespipe.engine.spectrum.synthetic import Sampling


@dataclass(frozen=True)
class Fit:
    """The velocity of a spectrum by a line mask, and the model that it was measured with.

    Attributes
    ----------
    rv_ms, photon_error_ms, mask_error_ms
        Barycentric velocity; its error by the noise of the pixels; and by all else that makes parts of the spectrum
        disagree: depths and wavelengths of the list, blends, the local wavelength scale [m / s].
    consistent
        Whether neighboring parts of the spectrum disagree as independent ones would, and not as on a distorted scale.
    resembles
        Whether the lines of the model are those of the spectrum; if not, the velocity means nothing.
    fwhm_ms, contrast, bisector_ms
        Of the CCF [m / s, 1, m / s].
    broadening_ms, strength, thermal_ms
        Of the model, as in ``synthetic.at_rest``.
    by_order
        The velocity from each order.
    leverage : shape (n_orders, n_pixels)
        Share of each pixel in the velocity; the sum is 1.
    lines
        Lines of the mask that were used.
    model : shape (n_orders, n_pixels)
        Model spectrum relative to the continuum.
    spectrum
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
    by_order: OrderVelocities
    leverage: Floats
    lines: ccf.Lines
    model: Floats
    spectrum: OrderSpectra

    @property
    def used(self) -> Booleans:
        """Shape (n_orders, n_pixels): whether a pixel has a share in the velocity."""
        return self.leverage != 0


def fit(
    spectrum: OrderSpectra,
    mask: LineMask,
    velocity_ms: float,
    berv_ms: float = 0.0,
    *,
    sampling: "Sampling | None" = None,
    tellurics: Tellurics | None = None,
    half_width: float = 1.25,
    rounds: int = 12,
    motion_ms: float = line_selection.MOTION_MS,
) -> Fit:
    """Measure the radial velocity of a spectrum with a line mask.

    Parameters
    ----------
    spectrum
        The spectrum; its continuum need only be near.
    mask
        All lines of the type of the star, at rest.
    velocity_ms
        First guess, barycentric, to a few km/s; ``line_selection.search_velocity`` gives one [m / s].
    berv_ms
        Barycentric correction, as in ``Barycentric`` [m / s].
    sampling
        Line-spread function; without one it counts as part of the broadening of the star.
    tellurics
        Where the atmosphere absorbs.
    half_width
        Half width of the fitted part of the CCF, in units of the width of its dip.
    rounds
        Largest number of iterations.
    motion_ms
        Largest motion of the observer: every frame of a star uses the same lines [m / s].

    Raises
    ------
    ValueError
        If no line of the mask falls on usable pixels.

    Notes
    -----
    The CCF of an order is the weighted mean of its pixels under the lines of the mask as the mask moves. Its dip,
    fitted with any symmetric function, is off by tens of m/s, because lines blend, orders end, pixels are coarse and
    the line-spread function is skewed. So the CCF of a model of this very spectrum is fitted to it (offset, scale,
    shift; least squares): the full list of lines with a common strength and broadening, through the line-spread
    function, on the same pixels, with the same mask. The shift is iterated until it vanishes. All of it is linear in
    the pixels: the shift is ``sum(p (f - m))`` over ``sum(p dm/dv)``, which gives the exact photon error
    ``sqrt(sum(p**2 var))`` over the same, and a pixel that is not good is simply left out of both sums. Orders are
    averaged with the inverse square of the error that they have at the usual brightness: with that of this frame the
    mean of orders that differ would depend on how bright it is. An order that lies far from all others loses its weight
    (``order_velocities.mean``).

    The first model has lines of 10 km/s. In a star that rotates with more than about 50 km/s it can then end as a few
    narrow lines in the noise of a dip that is much wider, hundreds of errors from the truth. Where it does not resemble
    the spectrum in the end, the fit begins anew with wider lines.
    """
    options = {
        "sampling": sampling,
        "tellurics": tellurics,
        "half_width": half_width,
        "rounds": rounds,
        "motion_ms": motion_ms,
    }
    wider = (stellar_model.wide(velocity_ms, fwhm) for fwhm in (160e3, 80e3, 40e3))
    found, failures = None, []
    for model in (StellarModel(velocity_ms), *wider):
        try:
            tried = _settled(spectrum, mask, model, berv_ms, **options)
        except ValueError as error:
            # lines that are so wide, or have become so, stay clear of the ends of no order
            failures.append(error)
            continue
        if tried.resembles:
            return tried
        found = found or tried
    if found is None:
        raise failures[0]
    return found


def _settled(spectrum, mask, model, berv_ms, *, sampling, tellurics, half_width, rounds, motion_ms):
    """Return the fit that a first model leads to."""
    velocity_ms = model.rv_ms
    for number in range(rounds):
        flux, slope = stellar_model.expected(model, mask, spectrum, berv_ms, sampling)
        if number > 0:
            spectrum = _releveled(spectrum, flux)
        reach_ms = half_width * model.fwhm_ms
        lines = line_selection.clear_lines(mask, spectrum, velocity_ms, 1.1 * reach_ms, tellurics, motion_ms=motion_ms)
        if len(lines.order) == 0:
            raise ValueError(f"no line of mask {mask.name} falls on usable pixels")
        compared = stellar_model.compare(spectrum, flux, slope, lines, mask, model.rv_ms, berv_ms, reach_ms)
        settled = abs(compared.shift_ms) < max(0.5, 0.05 * compared.photon_ms) and compared.shapes_agree
        model = stellar_model.improved(model, compared, settled)
        if settled and number > 1:
            break
    return _result(model, compared, spectrum, lines, flux)


def _releveled(spectrum, model):
    level = continuum.against_model(spectrum.flux, spectrum.variance, spectrum.good, model)
    known = np.isfinite(level) & (level > 0)
    return replace(spectrum, continuum=np.where(known, level, 0.0), good=spectrum.good & known)


def _result(model, compared, spectrum, lines, flux):
    mask_error_ms, consistent = order_velocities.disagreement(
        compared.signal, compared.leverage, compared.shift_ms, compared.photon_ms, spectrum.wavelength
    )
    shifts = compared.by_order
    return Fit(
        rv_ms=model.rv_ms,
        photon_error_ms=compared.photon_ms,
        mask_error_ms=mask_error_ms,
        consistent=consistent,
        resembles=compared.shapes_are_near and resembles(spectrum, flux),
        fwhm_ms=compared.dip.fwhm_ms,
        contrast=compared.dip.contrast,
        bisector_ms=compared.bisector_ms,
        broadening_ms=model.broadening_ms,
        strength=model.strength,
        thermal_ms=model.thermal_ms,
        by_order=replace(shifts, rv_ms=model.rv_ms + shifts.rv_ms - compared.shift_ms),
        leverage=compared.leverage,
        lines=lines,
        model=flux,
        spectrum=spectrum,
    )
