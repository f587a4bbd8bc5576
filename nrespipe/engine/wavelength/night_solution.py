"""Wavelength solution of a night from its arcs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nrespipe.engine.wavelength import (
    arc_coaddition,
    arc_lines,
    fiber_offset,
    line_spread,
    match_lines,
    order_numbers,
    solution,
    wavelength_errors,
)
from nrespipe.errors import BadFrame
from nrespipe.frames.arrays import Integers
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.frames.wavelength import ArcLines, LampLines, LineShape, Solution


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


def solve(arcs: Sequence[Spectra], spectrograph: Spectrograph, lamp: LampLines) -> Calibration:
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
    stack, levels = arc_coaddition.arcs(arcs)
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
        near, drift = fiber_offset.reference_lines(arcs, levels[i], stack, lines[reference], shape, base)
        lines[fiber] = fiber_offset.without_drift(lines[fiber], drift, base)
        error_ms = wavelength_errors.PROFILES_MS if drift.n_lines else np.inf
        one, zero_ms = fiber_offset.fit(base, lines[fiber], fiber_offset.without_drift(near, drift, base), fiber)
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


def _together(parts):
    names = ("fiber", "order", "x", "x_error", "flux", "fwhm", "vacuum_angstrom", "used", "x_noise")
    return ArcLines(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})
