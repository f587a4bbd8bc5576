"""Wavelength calibration: the solution of a night from its arcs, and the wavelengths of each frame."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nrespipe.engine.wavelength import (
    arc_lines,
    coadd,
    drift,
    fiber_offset,
    line_spread,
    match_lines,
    order_numbers,
    solution,
    wavelength_errors,
)
from nrespipe.errors import BadFrame, MissingCalibration
from nrespipe.frames.arrays import Floats, Integers
from nrespipe.frames.masters import Arc
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.frames.wavelength import ArcLines, Drift, LampLines, LineShape, Solution, Wavelengths

#: Error of the zero point of the line-spread function of a fiber, and of the difference of two (measured) [m / s].
_PROFILE_MS, _PROFILES_MS = 1.0, 0.8


@dataclass(frozen=True)
class Calibration:
    """Wavelength calibration of a night: the contents of ``Arc`` without its origin.

    Attributes
    ----------
    solution
        Of all lit fibers, in the mean state of the arcs of the reference fiber.
    lines
        All measured lines, in that state.
    line_shape
        Line-spread functions of the fibers.
    reference
        Sum of the arcs of the reference fiber.
    transfer_error_ms : shape (n_fibers,)
        Error of the zero point of each fiber relative to the reference fiber [m / s].
    renumbered
        Number that was added to the order numbers of the arcs.
    """

    solution: Solution
    lines: ArcLines
    line_shape: LineShape
    reference: Spectra
    transfer_error_ms: np.ndarray
    renumbered: int

    @property
    def orders(self) -> Integers:
        """True diffraction orders of the rows of the arcs."""
        return self.solution.orders


def night(arcs: Sequence[Spectra], spectrograph: Spectrograph, lamp: LampLines) -> Calibration:
    """Find the wavelength solution of a night from its arcs, without an earlier one.

    Parameters
    ----------
    arcs
        Extracted arcs; every lit fiber shows the lamp. The order numbers may all be wrong by the same number.
    spectrograph
        Optical model to start from.

    Raises
    ------
    BadFrame
        If no reliable solution is found; the message lists the attempts.

    Notes
    -----
    The arcs are added up fiber by fiber. The lines of the reference fiber are identified and give its solution. The
    solutions of the other fibers follow from the lines that they have in common with it in the same exposures, so that
    drifts between the exposures of different pairs of fibers cancel. Wavelengths refer to the center of a line in the
    sense of ``line_spread.measure``.
    """
    reference = spectrograph.fibers.reference
    if not any(reference in arc.fibers for arc in arcs):
        raise BadFrame(f"no arc lights the reference fiber {reference}: there is no wavelength scale to find")
    stack, levels = coadd.arcs(arcs)
    stack, starts, renumbered = order_numbers.of_arc(stack, spectrograph, lamp)
    arcs = [replace(arc, orders=stack.orders) for arc in arcs]
    shape = line_spread.join([arc_lines.line_shape(stack, fiber) for fiber in stack.fibers])
    singles, lines = {}, {}
    for fiber in stack.fibers:
        found = arc_lines.find(stack, fiber, shape)
        singles[fiber], lines[fiber] = match_lines.solve(found, stack.orders, spectrograph, lamp, starts[fiber], fiber)
    base, solutions, errors_ms = singles[reference], [], []
    for i, fiber in enumerate(stack.fibers):
        if fiber == reference:
            solutions.append(base)
            errors_ms.append(0.0)
            continue
        near, moved = fiber_offset.reference_lines(arcs, levels[i], stack, lines[reference], shape, base)
        lines[fiber] = fiber_offset.without_drift(lines[fiber], moved, base)
        error_ms = _PROFILES_MS if moved.n_lines else np.inf
        one, zero_ms = fiber_offset.fit(base, lines[fiber], fiber_offset.without_drift(near, moved, base), fiber)
        solutions.append(fiber_offset.with_zero_error(replace(one, scatter_ms=singles[fiber].scatter_ms), error_ms))
        errors_ms.append(float(np.hypot(zero_ms, error_ms)))
    return Calibration(
        solution=solution.join(solutions),
        lines=_together(list(lines.values())),
        line_shape=shape,
        reference=stack.select(reference),
        transfer_error_ms=np.array(errors_ms),
        renumbered=renumbered,
    )


def frame(spectra: Spectra, arc: Arc, moved: Drift) -> Wavelengths:
    """Return the wavelengths of the pixels of a frame.

    Parameters
    ----------
    spectra
        The frame, with the orders that ``order_numbers.of_frame`` returns.
    moved
        Drift of the frame from the arc; the same in pixels for all fibers.

    Returns
    -------
    Wavelengths
        Of all fibers of the frame; rows beyond the orders of the arc are NaN.

    Raises
    ------
    MissingCalibration
        If the arc has no solution for one of the fibers.
    """
    unknown = [fiber for fiber in spectra.fibers if fiber not in arc.solution.fibers]
    if unknown:
        raise MissingCalibration(f"the master arc has no wavelengths for fiber {unknown[0]}: no arc lit it")
    orders = spectra.orders
    known = np.isin(orders, arc.solution.orders)
    wavelength = np.full(spectra.flux.shape, np.nan)
    error_ms = np.full(spectra.flux.shape, np.nan, np.float32)
    for i, fiber in enumerate(spectra.fibers):
        wavelength[i, known] = _drifted(arc.solution, fiber, orders[known], moved)
        error_ms[i, known] = wavelength_errors.per_pixel(arc.solution, moved, fiber, orders[known])
    places = [arc.solution.fibers.index(fiber) for fiber in spectra.fibers]
    return Wavelengths(
        fibers=spectra.fibers,
        orders=orders,
        vacuum_angstrom=wavelength,
        error_ms=np.hypot(arc.transfer_error_ms[places], zero_error_ms(arc)),
        drift=moved,
        line_shape=line_spread.select(arc.line_shape, spectra.fibers, orders),
        pixel_error_ms=error_ms,
        solution=arc.solution,
    )


def zero_error_ms(arc: Arc) -> float:
    """Return the error of the zero point of the wavelengths of a master arc.

    Returns
    -------
    float
        Of the reference fiber, by lines, laboratory and line-spread function, which defines the center of a line;
        without the common asymmetry of star and lamp [m / s].
    """
    return float(np.hypot(solution.zero_error_ms(arc.solution, arc.lines, arc.reference.fibers[0]), _PROFILE_MS))


def mean_error_ms(wavelengths: Wavelengths, fiber: int, weight: Floats) -> tuple[float, float, float]:
    """Return the error of a mean over many pixels of a frame, such as the velocity of a star.

    Parameters
    ----------
    wavelengths
        As `frame` returns them.
    weight : shape (n_orders, n_pixels)
        Weight of each pixel in the mean; 0 where the wavelength is unknown.

    Returns
    -------
    night_ms, common_ms, drift_ms : float
        Error by the photon noise of the arcs of the night; error by laboratory wavelengths, unresolved blends and
        line-spread functions, which is the same in every night; and error by the drift, infinite where that is
        unknown [m / s].

    Notes
    -----
    The errors of near pixels, and those of the terms of the drift, are correlated: the covariances are propagated
    through the weights.
    """
    if wavelengths.solution is None:
        raise ValueError("the wavelengths have no solution, and so no covariance")
    known = np.isin(wavelengths.orders, wavelengths.solution.orders)
    night_ms, common_ms, drift_ms = wavelength_errors.of_mean(
        wavelengths.solution, wavelengths.drift, fiber, wavelengths.orders[known], np.asarray(weight)[known]
    )
    return night_ms, float(np.hypot(common_ms, _PROFILE_MS)), drift_ms


def transfer_noise_ms(arc: Arc, fiber: int) -> float:
    """Return the part of the transfer error of a fiber by the photon noise of the arcs.

    Returns
    -------
    float
        The rest of ``transfer_error_ms``, by the line-spread functions, is the same in every night [m / s].
    """
    total_ms = arc.transfer_error_ms[arc.solution.fibers.index(fiber)]
    return float(np.sqrt(max(total_ms**2 - _PROFILES_MS**2, 0.0)))


def _drifted(scale, fiber, orders, moved):
    """Wavelengths of all pixels of some orders after a drift."""
    columns = np.arange(scale.n_pixels, dtype=float)
    wavelength = solution.on_grid(scale, fiber, orders, drift.undo(moved, columns, scale.n_pixels))
    nodes = np.linspace(0, scale.n_pixels - 1, 129)
    bent = drift.terms(scale, fiber, orders[:, None], nodes)[..., 2:] @ [moved.turn, moved.pressure_ms]
    further = np.array([np.interp(columns, nodes, one) for one in bent])
    return wavelength - further * np.gradient(wavelength, axis=1)


def _together(parts):
    names = ("fiber", "order", "x", "x_error", "flux", "fwhm", "vacuum_angstrom", "used", "x_noise")
    return ArcLines(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})
