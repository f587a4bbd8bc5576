"""The part that arcs and stars have in common: from a raw frame to extracted spectra."""

from nrespipe.engine.detector import bleeding, correction
from nrespipe.engine.extraction import line_tilt, optimal, scattered_light
from nrespipe.engine.orders import trace_shift
from nrespipe.errors import BadFrame, MissingCalibration
from nrespipe.frames.image import Image
from nrespipe.frames.raw import RawFrame
from nrespipe.frames.reduction import References
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.frames.traces import Motion, Slant


def extract_frame(raw: RawFrame, refs: References, spectrograph: Spectrograph) -> tuple[Spectra, Motion, Slant]:
    """Correct a frame and extract its lit fibers.

    Parameters
    ----------
    raw
        A frame with light in its fibers.
    refs
        With the masters bias, dark and flat; the slant of the lines is that of the master arc, or, without one, that of
        the frame's own lamps.

    Returns
    -------
    spectra : Spectra
        Of the lit fibers.
    motion : Motion
        How the orders lie against where the flat saw them.
    leaning : Slant
        How the images of lines lean and bend, as it was used.

    Raises
    ------
    BadFrame
        If the orders are not where the flat saw them, nor within eight pixels.
    MissingCalibration
        If the master flat does not know one of the lit fibers.
    """
    flat = refs.flat
    unknown = [fiber for fiber in raw.lit_fibers if fiber not in flat.traces.fibers]
    if unknown:
        raise MissingCalibration(
            f"{raw.filename}: the master flat of {flat.origin.day} did not light fiber {unknown[0]}"
        )
    image = correction.correct(raw, refs.bias, refs.dark, spectrograph.detector, flat.gain_e_per_adu)
    image = Image(image.electrons, image.floor_variance, image.mask | flat.mask, image.exposure_s)
    try:
        traces = trace_shift.coarse(image, flat.traces, raw.lit_fibers)
    except BadFrame as error:
        raise BadFrame(f"{raw.filename}: {error}") from error
    image = bleeding.mark(image, traces, flat, raw.lit_fibers)
    image = scattered_light.subtract(image, traces, flat, raw.lit_fibers)
    traces, motion = trace_shift.measure(image, traces, flat, raw.lit_fibers)
    lamps = tuple(fiber for fiber in raw.lit_fibers if raw.objects[fiber] == "thar")
    leaning = refs.arc.slant if refs.arc else line_tilt.measure(image, traces, flat, lamps)
    return optimal.optimal(image, traces, flat, raw.lit_fibers, leaning, lamps), motion, leaning
