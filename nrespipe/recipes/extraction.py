"""From a raw frame to extracted spectra, for arcs and stars."""

from nrespipe.engine.detector import bleeding, correction
from nrespipe.engine.extraction import line_tilt, optimal_extraction, scattered_light
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
        With the masters bias, dark and flat; the line tilt is that of the master arc, or, without one, that of the
        lamps of this frame.

    Returns
    -------
    spectra : Spectra
        Of the lit fibers.
    motion : Motion
        Shift of the traces since the flat.
    tilt : Slant
        Line tilt and line curvature that were used.

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
    tilt = refs.arc.slant if refs.arc else line_tilt.measure(image, traces, flat, lamps)
    return optimal_extraction.optimal(image, traces, flat, raw.lit_fibers, tilt, lamps), motion, tilt
