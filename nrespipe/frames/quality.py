"""Doubt, as bits: per pixel and per frame. Zero means that nothing is known against it."""

from enum import IntFlag


class Pixel(IntFlag):
    """Why a pixel of an image or of a spectrum is not to be trusted; eight bits, 0 is good."""

    BAD = 1  #: dead, hot or copied detector pixel
    SATURATED = 2  #: at or above the saturation level
    NONLINEAR = 4  #: above the level to which the detector is linear
    COSMIC = 8  #: hit by a cosmic ray
    OUTSIDE = 16  #: the trace has left the detector, or too little of it remains
    DARK = 32  #: the lamp flat has too little light here to calibrate the pixel
    BLENDED = 64  #: a trace of another lit fiber lies too close to tell the two apart
    BLOOMED = 128  #: charge of saturated pixels may have spilled here, along the column of the detector


class Quality(IntFlag):
    """Doubts about a whole frame; every bit labels a product, none hides it."""

    GAIN_DISAGREES = 1 << 0  #: the gain that the flats show is not that of the table
    FEW_CALIBRATIONS = 1 << 1  #: a master was made of fewer frames than it should be
    NO_METER = 1 << 2  #: no usable exposure-meter series: the midpoint is the geometric one
    NO_CATALOG_STAR = 1 << 3  #: the star is in no catalog: coordinates from the telescope, no proper motion
    NO_COORDINATES = 1 << 4  #: no coordinates at all: no barycentric correction, no velocity
    NO_DRIFT = 1 << 5  #: the reference fiber gave no drift: the arc's zero point stands
    LOW_SIGNAL = 1 << 6  #: signal-to-noise per pixel below the limit at which errors are trusted
    SATURATED_STAR = 1 << 7  #: part of the stellar spectrum is saturated
    TRACE_SHIFTED = 1 << 8  #: the orders lie more than a pixel from where the flat saw them
    ORDERS_RENUMBERED = 1 << 9  #: the lamp lines contradict the order numbers of the trace
    BLENDED_FIBERS = 1 << 10  #: some orders of two lit fibers overlap
    POOR_WAVELENGTHS = 1 << 11  #: the lamp lines scatter more than the solution allows
    VELOCITY_INCONSISTENT = 1 << 12  #: orders disagree about the velocity by more than their errors
    TYPE_GUESSED = 1 << 13  #: the spectral type came from the masks, not from a catalog
    FIBERS_REVERSED = 1 << 14  #: the fibers cross the detector in the opposite order to the spectrograph's table
    NO_VELOCITY = 1 << 15  #: no mask finds the lines of a star in the spectrum, or resembles them
    READ_NOISE_DISAGREES = 1 << 16  #: noise of the biases against the table, or of a frame against the biases
    HEADER_DISAGREES = 1 << 17  #: gain, read noise or limits in the header contradict the frames or make no sense
    ENGINES_DISAGREE = 1 << 18  #: the velocities by line mask and by template differ by more than their errors
    YOUNG_TEMPLATE = 1 << 19  #: the template has fewer exposures, or less motion of the Earth, than can be trusted
    OLD_CALIBRATION = 1 << 20  #: it waited for masters in vain and was reduced with one that is far away
    GAIN_ASSUMED = 1 << 21  #: no flat tells the gain: it is that of the header or of the table
    GAIN_CHANGED = 1 << 22  #: the gain is not the one that the camera had on the nights before
    UNREVIEWED_MASTER = 1 << 23  #: a master that it was reduced with needs review, or was made with one that does
    LEVEL_JUMPED = 1 << 24  #: a part of the detector has another level against the overscan than it should have

    def names(self) -> list[str]:
        """Return the names of the bits that are set, in the order of the bits.

        Returns
        -------
        list of str
            Lower-case words, for a person or a table.
        """
        return [name.lower() for name, bit in Quality.__members__.items() if bit in self]
