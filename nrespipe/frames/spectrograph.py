"""Description of a spectrograph: detector, fibers, optical model, site and cameras."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nrespipe.frames.arrays import Integers, frozen
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import RawFrame, Telescope

#: Farthest telescope of a site from the position in the table of its spectrograph [metre].
_SAME_SITE_M = 100.0
#: Length of a degree of a great circle of the Earth [metre].
_DEGREE_M = 111.2e3


@dataclass(frozen=True)
class Detector:
    """The detector of a spectrograph.

    Attributes
    ----------
    columns, rows
        Size of the light-sensitive part.
    pixel_mm
        Pitch [millimetre].
    gain_e_per_adu, read_noise_e
        Nominal values, for frames that do not measure them [electron / ADU, electron].
    saturation_adu, max_linear_adu
        Nominal values, where the header has none [ADU].
    bad_columns
        Columns of the light-sensitive part without information of their own, negative from the end.
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
    star
        Fibers that may carry a star, one a telescope, in the order of the telescopes.
    reference
        The fiber of the reference lamp.
    upward
        All fibers in the order in which they cross the detector upward (increasing row).
    """

    star: tuple[int, ...]
    reference: int
    upward: tuple[int, ...]

    @property
    def by_telescope(self) -> tuple[int, ...]:
        """All fibers but that of the lamp, in the order of the telescopes, also of those that feed none today."""
        return tuple(sorted(fiber for fiber in self.upward if fiber != self.reference))


class Place(NamedTuple):
    """Geodetic position, east positive [degree, degree, metre]."""

    longitude_deg: float
    latitude_deg: float
    height_m: float

    def apart_m(self, other: "Place") -> float:
        """Return the distance of two places, NaN where one is unknown [metre]."""
        east = (self.longitude_deg - other.longitude_deg + 180) % 360 - 180
        east_m = east * np.cos(np.radians(self.latitude_deg)) * _DEGREE_M
        north_m = (self.latitude_deg - other.latitude_deg) * _DEGREE_M
        return float(np.sqrt(east_m**2 + north_m**2 + (self.height_m - other.height_m) ** 2))


@dataclass(frozen=True)
class Optics:
    """Optical model of the échelle, and the empirical polynomial added to it.

    Attributes
    ----------
    groove_spacing_um, incidence_deg, focal_length_mm
        Grating and camera.
    y0_mm, gas_refractivity
        Zero of the cross dispersion; n - 1 of the gas.
    prism_apex_deg, prism_center_um, rotation_deg
        Prism apex angle, wavelength of zero deviation, rotation of the detector.
    sellmeier_b, sellmeier_c
        Of the prism glass.
    polynomial_nm
        Fifteen Legendre coefficients [nm] in the order (a, b) of ``instruments.POLYNOMIAL_TERMS``.
    fiber_shifts
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
    name, site
        ``nres01``, ``lsc``.
    time_zone
        IANA name of the site's zone.
    restart_hour_utc
        Hour at which the site's robot begins a new night [UTC].
    longitude_deg, latitude_deg, height_m
        Geodetic position, east positive [degree, degree, metre].
    detector
    fibers
    first_order, last_order
        Lowest and highest diffraction order on the detector.
    order_rows : shape (n_coefficients,)
        Typical row of the order with index i = m - first_order at the middle column, a polynomial in i: the pattern
        that numbers the orders. Shift and scale are free, so it fits every spectrograph of the design [pixel].
    optics
    line_list
        Name of the line list of the reference lamp, in ``data``.
    cameras
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

    def __post_init__(self) -> None:
        frozen(self, order_rows=(None,))

    @property
    def orders(self) -> Integers:
        """All diffraction orders, increasing."""
        return np.arange(self.first_order, self.last_order + 1)

    def telescope(self, raw: RawFrame, fiber: int) -> tuple[int, Telescope]:
        """Return the telescope that feeds a fiber in a frame.

        Returns
        -------
        number : int
            1 or 2; 0 for a fiber that no telescope feeds.
        telescope : Telescope
            Its header; empty where it is absent.
        """
        fed = self.fibers.by_telescope
        number = fed.index(fiber) + 1 if fiber in fed else 0
        known = raw.telescopes[number - 1] if 0 < number <= len(raw.telescopes) else None
        return number, known or Telescope()

    def place(self, raw: RawFrame, fiber: int) -> Place:
        """Return the place of the telescope that feeds a fiber, as the header has it if that is at the spectrograph.

        The table is right where the two differ: a header has a wrong sign, another site, or other units.
        """
        table = Place(self.longitude_deg, self.latitude_deg, self.height_m)
        own = self.telescope(raw, fiber)[1]
        if own.longitude_deg is None or own.latitude_deg is None or own.height_m is None:
            return table
        given = Place(own.longitude_deg, own.latitude_deg, own.height_m)
        return table if table.apart_m(given) > _SAME_SITE_M else given

    def place_flags(self, raw: RawFrame) -> Quality:
        """Return ``SITE_DISAGREES`` if the telescope of a star is not at the spectrograph by its header."""
        table = Place(self.longitude_deg, self.latitude_deg, self.height_m)
        for fiber in raw.star_fibers:
            own = self.telescope(raw, fiber)[1]
            parts = zip((own.longitude_deg, own.latitude_deg, own.height_m), table)
            # a value that is missing contradicts nothing
            given = Place(*(there if here is None else here for here, there in parts))
            if table.apart_m(given) > _SAME_SITE_M:
                return Quality.SITE_DISAGREES
        return Quality(0)
