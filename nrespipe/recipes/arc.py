"""Arcs, frames of the thorium-argon lamp in two fibers: the wavelength scale of a night."""

from collections.abc import Mapping, Sequence

import numpy as np

from nrespipe.engine.acceptance import frame_outliers
from nrespipe.engine.detector import header_checks
from nrespipe.engine.extraction import line_tilt
from nrespipe.engine.wavelength import identify, night_solution
from nrespipe.errors import BadFrame, MissingCalibration
from nrespipe.frames.masters import Arc
from nrespipe.frames.quality import Pixel, Quality
from nrespipe.frames.raw import Kind, RawFrame
from nrespipe.frames.reduction import Reduction, References
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.recipes.extraction import extract_frame
from nrespipe.recipes.origin import origin_of

NEEDS = (Kind.BIAS, Kind.DARK, Kind.FLAT)
MINIMUM, USUAL = 1, 4
#: The bench of another night is another one.
LOOKBACK_DAYS = 0
#: A lamp that burns shows more bright pixels in an order than this, even at a thirtieth of its usual light; one that is
#: off shows none.
_BRIGHT_PIXELS = 4
#: Arcs of a night whose orders lie further apart were not taken with the same bench [pixel].
_MOVED_PX = 0.5
#: Arcs of a night whose lines lie further apart along the orders were not taken with the same bench, and their sum has
#: skewed lines; pressure and temperature move them by some tenths [pixel].
_SHIFTED_PX = 1.0
#: An arc that has fewer or more bright pixels than the others by more than this factor is an outlier.
_FACTOR = 3.0
#: Scatter of the lines of a solution above which it is flagged [m / s].
_POOR_MS = 300.0


def reduce(raw: RawFrame, refs: References, spectrograph: Spectrograph) -> Reduction:
    """Check an arc.

    Parameters
    ----------
    refs
        With the masters bias, dark and flat.

    Returns
    -------
    Reduction
        With its spectra and the measurements of its trace shift, ``bright_pixels_per_order``, ``saturated`` and, for
        each lit fiber, the shift of its lines from the optical model, as ``lines_fiber1_px``.

    Raises
    ------
    BadFrame
        If the lamp was off.
    MissingCalibration
        If there is no master bias or flat, or the flat has no trace of a lit fiber.
    """
    if refs.bias is None or refs.flat is None or refs.lamp is None:
        raise MissingCalibration(f"{raw.filename}: an arc needs a master bias, a master flat and lamp lines")
    spectra, motion, _, detector = extract_frame(raw, refs, spectrograph)
    with np.errstate(invalid="ignore"):
        bright = np.sum(spectra.flux > 20 * np.sqrt(spectra.variance), axis=2)
    typical = float(np.median(bright, axis=1).min())
    if typical < _BRIGHT_PIXELS:
        raise BadFrame(
            f"{raw.filename}: the lamp was off or faint: the typical order has {typical:.0f} bright pixels, "
            f"not even {_BRIGHT_PIXELS}"
        )
    saturated = float(np.mean(spectra.quality & np.uint8(Pixel.SATURATED) > 0))
    quality = header_checks.flags(
        raw, spectrograph.detector, refs.bias.read_noise_adu, refs.flat.gain_e_per_adu, detector.overscan_noise_adu
    )
    if any(detector.steps):
        quality |= Quality.LEVEL_JUMPED
    if motion.farthest_px > 1:
        quality |= Quality.TRACE_SHIFTED
    shifts = {
        f"lines_fiber{fiber}_px": identify.shift_from_model(spectra, fiber, spectrograph, refs.lamp)
        for fiber in spectra.fibers
    }
    measurements = {**motion.shift_and_stretch, "bright_pixels_per_order": typical, "saturated": saturated, **shifts}
    return Reduction(quality=quality, measurements=measurements, spectra=spectra)


def outlier_frames(objects: Sequence[str], measured: Sequence[Mapping[str, float]]) -> list[str]:
    """Return why arcs of a night differ from the others.

    Parameters
    ----------
    objects
        OBJECTS of each: the lamp in each fiber.
    measured
        Measurements of each.

    Returns
    -------
    list of str
        The reason for each frame; '' for a frame that agrees with the others.
    """
    bright = np.array([each.get("bright_pixels_per_order", np.nan) for each in measured])
    shifts = [each.get("trace_shift_px", np.nan) for each in measured]
    dim = frame_outliers.by_objects(objects, _dim, np.log10(np.maximum(bright, 0.1)))
    message = "its orders lie {value:+.2f} px from those of the flat, those of the other arcs {usual:+.2f} px"
    shifted = frame_outliers.by_objects(objects, lambda values: frame_outliers.find(values, _MOVED_PX, message), shifts)
    return [one or other or third for one, other, third in zip(dim, shifted, _shifted_lines(measured))]


def combine(frames: Sequence[RawFrame], refs: References, spectrograph: Spectrograph) -> Arc:
    """Find the wavelength scale of a night.

    Parameters
    ----------
    frames
        Checked arcs of one camera, of one or more fiber pairs.
    refs
        With the masters bias, dark and flat, and the lamp lines.
    spectrograph
        Optical model to start from.

    Returns
    -------
    Arc
        Of all fibers that the arcs lit.

    Raises
    ------
    BadFrame
        If no trustworthy solution is found.
    MissingCalibration
        If there are no lamp lines.
    """
    if refs.lamp is None:
        raise MissingCalibration("a master arc needs lamp lines")
    arcs, _, slants, _ = zip(*(extract_frame(raw, refs, spectrograph) for raw in frames))
    found = night_solution.solve(arcs, spectrograph, refs.lamp)
    quality = Quality.FEW_CALIBRATIONS if len(arcs) < USUAL else Quality(0)
    if found.renumbered:
        quality |= Quality.ORDERS_RENUMBERED
    if found.solution.scatter_ms.max() > _POOR_MS:
        quality |= Quality.POOR_WAVELENGTHS
    return Arc(
        origin=origin_of(Kind.ARC, frames, quality),
        solution=found.solution,
        lines=found.lines,
        line_shape=found.line_shape,
        slant=line_tilt.mean(slants),
        reference=found.reference,
        transfer_error_ms=found.transfer_error_ms,
        exposure_s=np.array(
            [sum(raw.exposure_s for raw in frames if fiber in raw.lit_fibers) for fiber in found.solution.fibers]
        ),
    )


def _shifted_lines(measured):
    """Return the reasons against arcs whose lines are shifted along the orders, in any fiber."""
    reasons = [""] * len(measured)
    for name in sorted({name for each in measured for name in each if name.startswith("lines_fiber")}):
        fiber = name.removeprefix("lines_").removesuffix("_px").replace("fiber", "fiber ")
        message = (
            f"the lines of {fiber} lie {{value:+.2f}} px from the optical model, "
            f"those of the other arcs {{usual:+.2f}} px"
        )
        found = frame_outliers.find([each.get(name, np.nan) for each in measured], _SHIFTED_PX, message)
        reasons = [one or other for one, other in zip(reasons, found)]
    return reasons


def _dim(brightness):
    message = "its orders have 10^{value:.1f} bright pixels, those of the other arcs 10^{usual:.1f}"
    return frame_outliers.find(brightness, np.log10(_FACTOR), message)
