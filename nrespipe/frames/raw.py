"""Raw frames: pixels, time, place, lit fibers and header values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from nrespipe.frames.arrays import frozen
from nrespipe.frames.quality import Quality


class Kind(StrEnum):
    """Kind of a frame; it decides the recipe."""

    BIAS = "bias"
    DARK = "dark"
    FLAT = "flat"
    ARC = "arc"
    SCIENCE = "science"


@dataclass(frozen=True)
class Section:
    """A rectangle of the raw image, zero-based and half open.

    Attributes
    ----------
    first_column, end_column, first_row, end_row
        Columns ``first_column <= x < end_column`` and rows likewise.
    """

    first_column: int
    end_column: int
    first_row: int
    end_row: int

    def __post_init__(self) -> None:
        if not (0 <= self.first_column < self.end_column and 0 <= self.first_row < self.end_row):
            raise ValueError(f"empty or negative section {self}")

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, to index an image with."""
        return slice(self.first_row, self.end_row), slice(self.first_column, self.end_column)


@dataclass(frozen=True)
class ExposureMeter:
    """Samples of the exposure meter.

    Attributes
    ----------
    start_mjd : shape (n_samples,)
        Start of each sample, UTC [MJD].
    exposure_s : shape (n_samples,)
        Length of each sample [second].
    counts : shape (n_samples, 3)
        Counts in the columns FIB0COUNTS, FIB1COUNTS, FIB2COUNTS, as in the file [ADU].
    """

    start_mjd: np.ndarray
    exposure_s: np.ndarray
    counts: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.start_mjd)
        frozen(self, start_mjd=(n,), exposure_s=(n,), counts=(n, 3))


@dataclass(frozen=True)
class Telescope:
    """Header values of one telescope; None where a value is absent, blank, 'N/A' or 'NaN'.

    Attributes
    ----------
    longitude_deg, latitude_deg, height_m
        Geodetic position, east positive [degree, degree, metre].
    ra_deg, dec_deg
        Position to which the telescope pointed, ICRS [degree].
    catalog_ra_deg, catalog_dec_deg
        CAT-RA, CAT-DEC: the requested position, ICRS [degree].
    catalog_epoch_year
        CAT-EPOC: Julian year of the requested position; None means 2000.
    pm_ra_mas_yr, pm_dec_mas_yr
        Proper motion in the header, RA **without** cos(dec) [mas / yr].
    parallax_mas
        Parallax [mas].
    object_name
        OBJECT, '' where absent.
    """

    longitude_deg: float | None = None
    latitude_deg: float | None = None
    height_m: float | None = None
    ra_deg: float | None = None
    dec_deg: float | None = None
    catalog_ra_deg: float | None = None
    catalog_dec_deg: float | None = None
    catalog_epoch_year: float | None = None
    pm_ra_mas_yr: float | None = None
    pm_dec_mas_yr: float | None = None
    parallax_mas: float | None = None
    object_name: str = ""


@dataclass(frozen=True)
class RawFrame:
    """One raw composite data product.

    Attributes
    ----------
    filename
        Base name without ``.fits`` or ``.fits.fz``, e.g. ``lscnrs01-fa09-20190405-0021-e00``.
    kind
        Kind of the frame.
    site, instrument, camera
        Lower case: ``lsc``, ``nres01``, ``fa09``.
    day
        DAY-OBS, the local night, ``YYYYMMDD``.
    start_mjd
        Shutter open, UTC [MJD].
    exposure_s
        Exposure time [second].
    objects
        Sources in fibers 0, 1, 2: ``none``, ``thar``, ``tung`` or the name of a star. Empty for bias and dark.
    adu : shape (n_raw_rows, n_raw_columns)
        The whole image with its overscan [ADU]. Frames of a stack may have an object with a `shape` instead, which
        returns a part of the image when it is indexed with two slices.
    bias_section, data_section
        Overscan and light-sensitive part.
    binning
        CCDSUM, e.g. ``1 1``.
    readout_mode
        CONFMODE, '' where absent.
    header_gain_e_per_adu, header_read_noise_e
        GAIN and RDNOISE of the header [electron / ADU, electron].
    saturation_adu, max_linear_adu
        SATURATE and MAXLIN of the header, unchecked [ADU].
    pressure_psi, temperature_c
        NRESPRES, NRESTEMP of the spectrograph [PSI, degree Celsius].
    meter
        None where the table is absent or empty.
    telescopes
        TELESCOPE_1 and TELESCOPE_2; None for an absent one.
    header
        Value and comment of every card of the primary header, in order, to be copied into the products.
    quality
        Flags of facts in header, file name and exposure meter that contradict each other.
    """

    filename: str
    kind: Kind
    site: str
    instrument: str
    camera: str
    day: str
    start_mjd: float
    exposure_s: float
    objects: tuple[str, ...]
    adu: np.ndarray
    bias_section: Section
    data_section: Section
    binning: str = "1 1"
    readout_mode: str = ""
    header_gain_e_per_adu: float | None = None
    header_read_noise_e: float | None = None
    saturation_adu: float | None = None
    max_linear_adu: float | None = None
    pressure_psi: float | None = None
    temperature_c: float | None = None
    meter: ExposureMeter | None = None
    telescopes: tuple[Telescope | None, ...] = (None, None)
    header: Mapping[str, tuple[Any, str]] = field(default_factory=dict)
    quality: Quality = Quality(0)

    def __post_init__(self) -> None:
        if isinstance(self.adu, np.ndarray):
            frozen(self, adu=(None, None))
        rows, columns = self.adu.shape
        for section in (self.bias_section, self.data_section):
            if section.end_row > rows or section.end_column > columns:
                raise ValueError(f"{self.filename}: {section} lies outside the image of {columns} x {rows} pixels")

    @property
    def lit_fibers(self) -> tuple[int, ...]:
        """Fibers with a lamp or a star."""
        return tuple(fiber for fiber, name in enumerate(self.objects) if name != "none")

    @property
    def star_fibers(self) -> tuple[int, ...]:
        """Fibers with a star."""
        return tuple(fiber for fiber in self.lit_fibers if self.objects[fiber] not in ("thar", "tung"))
