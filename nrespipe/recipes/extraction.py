"""From a raw frame to extracted spectra, for arcs and stars."""

from typing import NamedTuple

from nrespipe.engine.detector import bleeding, correction
from nrespipe.engine.detector.correction import DetectorState
from nrespipe.engine.extraction import line_tilt, optimal_extraction, scattered_light
from nrespipe.engine.orders import trace_shift
from nrespipe.errors import BadFrame, MissingCalibration
from nrespipe.frames.image import Image
from nrespipe.frames.raw import RawFrame
from nrespipe.frames.reduction import References
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.frames.traces import Motion, Slant


class Extraction(NamedTuple):
    """Extracted fibers of a frame, and the properties of the frame that were measured for it.

    Attributes
    ----------
    spectra
        Of the lit fibers.
    motion
        Shift of the traces since the flat.
    slant
        Line tilt and line curvature that were used.
    detector
        Level steps and noise of the exposure.
    """

    spectra: Spectra
    motion: Motion
    slant: Slant
    detector: DetectorState


def extract_frame(raw: RawFrame, refs: References, spectrograph: Spectrograph) -> Extraction:
    """Correct a frame and extract its lit fibers.

    Parameters
    ----------
    raw
        A frame with light in its fibers.
    refs
        With the masters bias, dark and flat; the line tilt is that of the master arc, or, without one, that of the
        lamps of this frame.

    Raises
    ------
    BadFrame
        If the orders are further than eight pixels from those of the flat.
    MissingCalibration
        If there is no master bias or flat, or the flat has no trace of a lit fiber.
    """
    if refs.bias is None or refs.flat is None:
        raise MissingCalibration(f"{raw.filename}: a master bias and a master flat are needed")
    flat = refs.flat
    unknown = [fiber for fiber in raw.lit_fibers if fiber not in flat.traces.fibers]
    if unknown:
        raise MissingCalibration(
            f"{raw.filename}: the master flat of {flat.origin.day} did not light fiber {unknown[0]}"
        )
    image, state = correction.correct(raw, refs.bias, refs.dark, spectrograph.detector, flat.gain_e_per_adu)
    image = Image(image.electrons, image.floor_variance, image.mask | flat.mask, image.exposure_s)
    try:
        traces = trace_shift.coarse(image, flat.traces, raw.lit_fibers)
    except BadFrame as error:
        raise BadFrame(f"{raw.filename}: {error}") from error
    image = bleeding.mark(image, traces, flat, raw.lit_fibers)
    image = scattered_light.subtract(image, traces, flat, raw.lit_fibers)
    traces, motion = trace_shift.measure(image, traces, flat, raw.lit_fibers)
    lamps = tuple(fiber for fiber in raw.lit_fibers if raw.objects[fiber] == "thar")
    slant = refs.arc.slant if refs.arc else line_tilt.measure(image, traces, flat, lamps)
    spectra = optimal_extraction.optimal(image, traces, flat, raw.lit_fibers, lamps, slant)
    return Extraction(spectra, motion, slant, state)
