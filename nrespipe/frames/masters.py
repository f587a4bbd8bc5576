"""Master calibrations."""

from dataclasses import dataclass

import numpy as np

from nrespipe.frames.arrays import frozen
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.traces import Profile, Slant, Traces
from nrespipe.frames.wavelength import ArcLines, LineShape, Solution


@dataclass(frozen=True)
class Origin:
    """Origin of a master: kind, camera, night and inputs.

    Attributes
    ----------
    kind
        Kind of frame that it was made of.
    site, instrument, camera, day
        As in ``RawFrame``.
    readout_mode
        As in ``RawFrame``, that of all inputs.
    mean_mjd
        Mean of the start times of the inputs, UTC [MJD].
    inputs
        File names of the inputs, sorted.
    quality
        Flags of the master.
    """

    kind: Kind
    site: str
    instrument: str
    camera: str
    day: str
    mean_mjd: float
    inputs: tuple[str, ...]
    quality: Quality = Quality(0)
    readout_mode: str = ""


@dataclass(frozen=True)
class Bias:
    """Master bias: the structure of the bias that the overscan does not show.

    Attributes
    ----------
    origin
        Kind, camera, night and inputs.
    adu : shape (n_rows, n_columns)
        Level relative to the overscan of the row [ADU].
    variance : shape (n_rows, n_columns)
        Variance of `adu` [ADU2].
    read_noise_adu
        Read noise of one exposure, from the differences of the inputs [ADU].
    mask : shape (n_rows, n_columns), optional
        ``Pixel.BAD`` where a pixel is unsteady or its level is far off; by default none is.
    header_read_noise_adu
        Value in the headers of the inputs; None where they have none [ADU].
    """

    origin: Origin
    adu: np.ndarray
    variance: np.ndarray
    read_noise_adu: float
    mask: np.ndarray = None  # type: ignore[assignment]  # zeros where it is not given
    header_read_noise_adu: float | None = None

    def __post_init__(self):
        shape = np.shape(self.adu)
        if self.mask is None:
            object.__setattr__(self, "mask", np.zeros(shape, np.uint8))
        frozen(self, adu=(None, None), variance=shape, mask=shape)


@dataclass(frozen=True)
class Dark:
    """Master dark: the mean dark current.

    Attributes
    ----------
    origin
        Kind, camera, night and inputs.
    adu_per_s : shape (n_rows, n_columns)
        Dark signal [ADU / second].
    variance : shape (n_rows, n_columns)
        Variance of it [ADU2 / second2].
    mask : shape (n_rows, n_columns)
        ``Pixel.BAD`` where a pixel is very hot or unsteady.
    """

    origin: Origin
    adu_per_s: np.ndarray
    variance: np.ndarray
    mask: np.ndarray

    def __post_init__(self):
        shape = np.shape(self.adu_per_s)
        frozen(self, adu_per_s=(None, None), variance=shape, mask=shape)


@dataclass(frozen=True)
class Flat:
    """Master flat: traces, profiles, response, blaze and gain from the flats of a night.

    Attributes
    ----------
    origin
        Kind, camera, night and inputs.
    traces
        Places of the orders on the detector.
    profile
        Profiles across the traces, and the response of the pixels.
    blaze : shape (n_fibers, n_orders, n_pixels)
        Spectrum of the lamp, 1 at the peak of each order; 0 where it is too faint to use.
    gain_e_per_adu, gain_error
        Adopted gain and its error: the running mean of the camera, this night included [electron / ADU].
    mask : shape (n_rows, n_columns)
        ``Pixel.BAD`` where the response of a pixel deviates grossly.
    peak_e_per_s : shape (n_fibers, n_orders), optional
        Flux of the lamp at the peak of each order, where `blaze` is 1 [electron / second / pixel].
    night_gain_e_per_adu, night_gain_error
        Gain by photon transfer of these flats alone, and its error; None where they do not measure it [electron / ADU].
    header_gain_e_per_adu
        Value in the headers of the inputs; None where they have none [electron / ADU].
    """

    origin: Origin
    traces: Traces
    profile: Profile
    blaze: np.ndarray
    gain_e_per_adu: float
    gain_error: float
    mask: np.ndarray
    peak_e_per_s: np.ndarray | None = None
    night_gain_e_per_adu: float | None = None
    night_gain_error: float | None = None
    header_gain_e_per_adu: float | None = None

    def __post_init__(self):
        shape = self.traces.centers.shape
        frozen(self, blaze=shape, mask=(None, None), peak_e_per_s=shape[:2])


@dataclass(frozen=True)
class Arc:
    """Master arc: the wavelength calibration of a night.

    Attributes
    ----------
    origin
        Kind, camera, night and inputs.
    solution
        Wavelength as a function of x and m for each fiber, at the mean state of the night's arcs.
    lines
        Lines that were measured, with their identification.
    line_shape
        Line-spread function.
    slant
        Tilt and curvature of the images of lines against the columns of the detector.
    reference
        Sum of the arcs of the reference fiber, to measure drifts against.
    transfer_error_ms : shape (n_fibers,)
        Error of the zero point of each fiber of the solution relative to the reference fiber [m / s].
    exposure_s : shape (n_fibers,), optional
        Total exposure time of the arcs of each fiber [second].
    """

    origin: Origin
    solution: Solution
    lines: ArcLines
    line_shape: LineShape
    slant: Slant
    reference: Spectra
    transfer_error_ms: np.ndarray
    exposure_s: np.ndarray | None = None

    def __post_init__(self):
        n = len(self.solution.fibers)
        frozen(self, transfer_error_ms=(n,), exposure_s=(n,))
