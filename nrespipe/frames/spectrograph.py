"""A spectrograph as its table describes it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nrespipe.frames.arrays import frozen


@dataclass(frozen=True)
class Detector:
    """The detector of a spectrograph.

    Attributes
    ----------
    columns, rows : int
        Size of the light-sensitive part.
    pixel_mm : float
        Pitch [millimetre].
    gain_e_per_adu, read_noise_e : float
        Where the frames themselves do not tell [electron / ADU, electron].
    saturation_adu, max_linear_adu : float
        Where the header does not tell [ADU].
    bad_columns : tuple of int
        Columns of the light-sensitive part that carry no information of their own, negative from the end.
    """

    columns: int
    rows: int
    pixel_mm: float
    gain_e_per_adu: float
    read_noise_e: float
    saturation_adu: float
    max_linear_adu: float
    bad_columns: tuple[int, ...]


@dataclass(frozen=True)
class Fibers:
    """The fibers of a spectrograph.

    Attributes
    ----------
    star : tuple of int
        Fibers that may carry a star, one a telescope, in the order of the telescopes.
    reference : int
        The fiber of the reference lamp.
    upward : tuple of int
        All fibers in the order in which they cross the detector upward (increasing row).
    """

    star: tuple[int, ...]
    reference: int
    upward: tuple[int, ...]


@dataclass(frozen=True)
class Optics:
    """Optical model of the échelle, and the empirical polynomial on top of it (FACTS of the instrument, eqs. there).

    Attributes
    ----------
    groove_spacing_um, incidence_deg, focal_length_mm : float
        Grating and camera.
    y0_mm, gas_refractivity : float
        Zero of the cross dispersion; n - 1 of the gas.
    prism_apex_deg, prism_center_um, rotation_deg : float
        Prism apex angle, wavelength of zero deviation, rotation of the detector.
    sellmeier_b, sellmeier_c : tuple of float
        Of the prism glass.
    polynomial_nm : tuple of float
        Fifteen Legendre coefficients [nm] in the order (a, b) of `polynomial_terms`.
    fiber_shifts : mapping of int to tuple of float
        Ten coefficients of the shift of a fiber along x against the reference fiber [pixel].
    """

    groove_spacing_um: float
    incidence_deg: float
    focal_length_mm: float
    y0_mm: float
    gas_refractivity: float
    prism_apex_deg: float
    prism_center_um: float
    rotation_deg: float
    sellmeier_b: tuple[float, float, float]
    sellmeier_c: tuple[float, float, float]
    polynomial_nm: tuple[float, ...]
    fiber_shifts: Mapping[int, tuple[float, ...]]


@dataclass(frozen=True)
class Spectrograph:
    """One spectrograph.

    Attributes
    ----------
    name, site : str
        ``nres01``, ``lsc``.
    time_zone : str
        IANA name of the site's zone.
    restart_hour_utc : int
        Hour at which the site's robot begins a new night [UTC].
    longitude_deg, latitude_deg, height_m : float
        Geodetic position, east positive [degree, degree, metre].
    detector : Detector
    fibers : Fibers
    first_order, last_order : int
        Lowest and highest diffraction order on the detector.
    order_rows : ndarray of float, shape (n_coefficients,)
        Typical row of the order with index i = m - first_order at the middle column, a polynomial in i: the pattern
        by which orders are numbered. Shift and scale are free, so it serves every spectrograph of the design [pixel].
    optics : Optics
    line_list : str
        Name of the line list of the reference lamp, in ``data``.
    cameras : tuple of str
        Cameras it has had.
    """

    name: str
    site: str
    time_zone: str
    restart_hour_utc: int
    longitude_deg: float
    latitude_deg: float
    height_m: float
    detector: Detector
    fibers: Fibers
    first_order: int
    last_order: int
    order_rows: np.ndarray
    optics: Optics
    line_list: str
    cameras: tuple[str, ...]

    def __post_init__(self):
        frozen(self, order_rows=(None,))

    @property
    def orders(self):
        """ndarray of int: all diffraction orders, increasing."""
        return np.arange(self.first_order, self.last_order + 1)
