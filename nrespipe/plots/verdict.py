"""The quality flags of a frame in words: whether its velocity can be used, and what each flag means for it."""

from typing import NamedTuple

from nrespipe.frames.quality import UNCERTAIN, Quality

#: What each flag means for a user of the products.
CONSEQUENCES = {
    Quality.GAIN_DISAGREES: "the gain differs from that of the table: errors by photon noise follow the measured one",
    Quality.FEW_CALIBRATIONS: "a master has few frames: its noise is larger than usual",
    Quality.NO_METER: "no exposure meter: the time is the middle of the exposure, and the barycentric correction may "
    "be off",
    Quality.NO_CATALOG_STAR: "the star is in no catalog: no proper motion, and the type of the mask is a guess",
    Quality.NO_COORDINATES: "no coordinates: neither barycentric correction nor velocity",
    Quality.NO_DRIFT: "the drift is not corrected: the velocity has the zero point of the arc",
    Quality.LOW_SIGNAL: "too faint: the error of the velocity is not reliable",
    Quality.SATURATED_STAR: "saturated: lines of the brightest orders are too shallow",
    Quality.TRACE_SHIFTED: "the orders have moved by more than a pixel since the flat: look at the profiles",
    Quality.ORDERS_RENUMBERED: "the flat had wrong order numbers, the lamp corrected them: make the flat again",
    Quality.BLENDED_FIBERS: "light of two fibers overlaps in some orders: these pixels are left out",
    Quality.POOR_WAVELENGTHS: "the arc is poor: all velocities of the night may be off",
    Quality.VELOCITY_INCONSISTENT: "the orders disagree: another star, a wrong type, or bad wavelengths",
    Quality.TYPE_GUESSED: "the type of the star was guessed: its absolute velocity may be off by the mask",
    Quality.FIBERS_REVERSED: "the fibers lie in reverse order on the detector: correct the table",
    Quality.NO_VELOCITY: "no line mask matches the spectrum: no velocity",
    Quality.READ_NOISE_DISAGREES: "the read noise differs from its usual value: look at the biases",
    Quality.HEADER_DISAGREES: "header values contradict the frames and were not used",
    Quality.ENGINES_DISAGREE: "mask and template give different velocities: use neither before you know why",
    Quality.YOUNG_TEMPLATE: "the template has few exposures: its velocity is preliminary",
    Quality.OLD_CALIBRATION: "masters of a distant night: the frame is reduced again if those of the night arrive",
    Quality.GAIN_ASSUMED: "the gain is not measured: errors by photon noise are as good as the table",
    Quality.GAIN_CHANGED: "the gain has changed since the nights before: look at the flats",
    Quality.UNREVIEWED_MASTER: "a master needs review: nrespipe masters list names it",
    Quality.LEVEL_JUMPED: "the level of the detector jumped and was corrected",
    Quality.STAR_DISAGREES: "the header names another star than that at its place: check which one was observed",
    Quality.MOTION_IMPLAUSIBLE: "the motion of the star in the header is impossible and was not used",
    Quality.TIME_DISAGREES: "times of the frame differ, most of them decided: check the clock of the camera",
    Quality.TIME_UNCERTAIN: "the time is uncertain: time and barycentric correction may be wrong",
    Quality.SITE_DISAGREES: "the header has another place of the telescope; that of the table was used",
    Quality.NAME_DISAGREES: "header and file name contradict each other: check what was observed",
    Quality.SECOND_STAR: "a second star, or the sky, is in the fiber: it pulls the velocity",
    Quality.CHANGED_FILE: "the raw file is not as it was written: fetch it again from the archive",
    Quality.NOT_DRAWN: "the drawing failed, the products are complete: see the log",
}


class Verdict(NamedTuple):
    """Verdict on a velocity.

    Attributes
    ----------
    usable
        Whether the velocity is part of the series of its star.
    heading
        One sentence.
    reasons
        A sentence for each flag that is set, those that take the velocity out of the series first.
    """

    usable: bool
    heading: str
    reasons: tuple[str, ...]


def of(quality: Quality, reason: str = "") -> Verdict:
    """Return the verdict on a velocity by its quality flags.

    Parameters
    ----------
    quality
        Flags of the velocity, or of the frame.
    reason
        Why the frame was not reduced; '' where it was.
    """
    if reason:
        return Verdict(False, "Not reduced.", (reason,))
    grave = [flag for flag in CONSEQUENCES if flag in quality and flag in UNCERTAIN]
    slight = [flag for flag in CONSEQUENCES if flag in quality and flag not in UNCERTAIN]
    reasons = tuple(f"{flag.name}: {CONSEQUENCES[flag]}" for flag in (*grave, *slight))
    if Quality.NO_VELOCITY in quality or Quality.NO_COORDINATES in quality:
        return Verdict(False, "No velocity. The spectrum can be used.", reasons)
    if grave:
        return Verdict(False, "Do not use the velocity unchecked: series of the star leave it out.", reasons)
    if slight:
        return Verdict(True, "Good: the velocity is part of the series of the star. Read the flags.", reasons)
    return Verdict(True, "Good: no quality flag is set.", ())
