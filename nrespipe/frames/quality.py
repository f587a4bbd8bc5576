"""Quality flags of pixels and of frames, as bits; zero means that no flag is set."""

from enum import IntFlag


class Pixel(IntFlag):
    """Quality flags of a pixel of an image or of a spectrum: eight bits, 0 is good."""

    BAD = 1  #: dead or hot pixel of the detector, or a copy of another pixel
    SATURATED = 2  #: at or above the saturation level
    NONLINEAR = 4  #: above the level to which the detector is linear
    COSMIC = 8  #: cosmic ray
    OUTSIDE = 16  #: the trace lies beyond the edge of the detector, or most of it does
    DARK = 32  #: the flat has too little flux to calibrate the pixel
    BLENDED = 64  #: the trace of another lit fiber is too close to separate the two
    BLOOMED = 128  #: charge of saturated pixels in the same column may have spilled into the pixel


class Quality(IntFlag):
    """Quality flags of a frame; they mark its products, and no flag withholds a product."""

    GAIN_DISAGREES = 1 << 0  #: the gain measured in the flats differs from that of the table
    FEW_CALIBRATIONS = 1 << 1  #: a master was made of fewer frames than usual
    NO_METER = 1 << 2  #: no usable exposure meter: the midpoint is the middle of the exposure
    NO_CATALOG_STAR = 1 << 3  #: the catalogs lack the star: coordinates of the telescope, no proper motion
    NO_COORDINATES = 1 << 4  #: no coordinates, or no star: neither barycentric correction nor velocity
    NO_DRIFT = 1 << 5  #: the drift could not be measured: the zero point is that of the master arc
    LOW_SIGNAL = 1 << 6  #: signal-to-noise ratio per pixel below the limit for reliable errors
    SATURATED_STAR = 1 << 7  #: part of the stellar spectrum is saturated
    TRACE_SHIFTED = 1 << 8  #: the traces lie more than a pixel from those of the master flat
    ORDERS_RENUMBERED = 1 << 9  #: the lamp lines corrected the order numbers of the master flat
    BLENDED_FIBERS = 1 << 10  #: some orders of two lit fibers overlap
    POOR_WAVELENGTHS = 1 << 11  #: the lamp lines scatter too much about the wavelength solution
    VELOCITY_INCONSISTENT = 1 << 12  #: the velocities of the orders differ by more than their errors
    TYPE_GUESSED = 1 << 13  #: the spectral type follows from the masks, not from a catalog
    FIBERS_REVERSED = 1 << 14  #: the fibers lie on the detector in the reverse sequence of the table
    NO_VELOCITY = 1 << 15  #: no line mask matches the spectrum
    READ_NOISE_DISAGREES = 1 << 16  #: read noise of the biases differs from the table, or of a frame from the biases
    HEADER_DISAGREES = 1 << 17  #: gain, read noise or limits in the header contradict the frames or are impossible
    ENGINES_DISAGREE = 1 << 18  #: the velocities by line mask and by template differ by more than their errors
    YOUNG_TEMPLATE = 1 << 19  #: the template has too few exposures, or too little motion of the Earth between them
    OLD_CALIBRATION = 1 << 20  #: no master of the night arrived in time; a master of a distant night was used
    GAIN_ASSUMED = 1 << 21  #: no flat measures the gain: it is that of the header or of the table
    GAIN_CHANGED = 1 << 22  #: the gain differs from that of the camera on the nights before
    UNREVIEWED_MASTER = 1 << 23  #: a master that was used needs review, or was made with one that does
    LEVEL_JUMPED = 1 << 24  #: the level of a part of the detector against the overscan jumped
    STAR_DISAGREES = 1 << 25  #: name and place in the header are those of different stars: the star at the place counts
    MOTION_IMPLAUSIBLE = 1 << 26  #: proper motion, parallax or epoch in the header are impossible, and were not used
    TIME_DISAGREES = 1 << 27  #: times in the header, file name and exposure meter differ: most of them decided
    TIME_UNCERTAIN = 1 << 28  #: these times differ, or have too few digits, and nothing decides between them
    SITE_DISAGREES = 1 << 29  #: the header has another place of the telescope than the table, which was used
    NAME_DISAGREES = 1 << 30  #: kind, site, spectrograph or camera differ between header and file name; experimental
    SECOND_STAR = 1 << 31  #: a second dip in the cross-correlation function: another star, or the sky, in the fiber
    CHANGED_FILE = 1 << 32  #: data of the raw file are not those of its DATASUM: damaged, or changed by somebody
    NOT_DRAWN = 1 << 33  #: the drawing of the frame failed: it has no PDF, and the log says why

    def names(self) -> list[str]:
        """Return the lower-case names of the flags that are set, in the order of the bits."""
        return [name.lower() for name, bit in Quality.__members__.items() if bit in self]


#: Flags that take a velocity out of a series unless they are accepted: its error, or its star, is uncertain.
UNCERTAIN = (
    Quality.NO_VELOCITY | Quality.NO_COORDINATES | Quality.NO_DRIFT | Quality.LOW_SIGNAL | Quality.SATURATED_STAR
    | Quality.ORDERS_RENUMBERED | Quality.POOR_WAVELENGTHS | Quality.VELOCITY_INCONSISTENT | Quality.ENGINES_DISAGREE
    | Quality.STAR_DISAGREES | Quality.TIME_UNCERTAIN | Quality.NAME_DISAGREES | Quality.SECOND_STAR
)  # fmt: skip
