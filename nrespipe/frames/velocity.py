"""Radial velocities: line lists, barycentric corrections, results of a frame, and zero points of nights."""

import math
from dataclasses import dataclass, field

import numpy as np

from nrespipe import doppler
from nrespipe.frames.arrays import Floats, Integers, frozen
from nrespipe.frames.quality import Quality
from nrespipe.frames.star import Index, Star, StellarType


@dataclass(frozen=True)
class LineMask:
    """Absorption lines of one spectral type, at rest.

    Attributes
    ----------
    name
        Spectral type, e.g. ``G2``.
    teff_k
        Effective temperature the list was computed for [kelvin].
    vacuum_angstrom : shape (n_lines,)
        Vacuum rest wavelength, increasing [angstrom].
    depth : shape (n_lines,)
        Central depth below a continuum of 1.
    """

    name: str
    teff_k: float
    vacuum_angstrom: np.ndarray
    depth: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.vacuum_angstrom)
        frozen(self, vacuum_angstrom=(n,), depth=(n,))


@dataclass(frozen=True)
class Tellurics:
    """Wavelength intervals in which the Earth's atmosphere absorbs.

    Attributes
    ----------
    start_angstrom, end_angstrom : shape (n_intervals,)
        Vacuum, observatory frame, increasing [angstrom].
    """

    start_angstrom: np.ndarray
    end_angstrom: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.start_angstrom)
        frozen(self, start_angstrom=(n,), end_angstrom=(n,))


@dataclass(frozen=True)
class Barycentric:
    """Barycentric correction of an exposure: its time and velocity.

    Attributes
    ----------
    midpoint_mjd
        Photon-weighted midpoint of the exposure, UTC [MJD].
    bjd_tdb
        The same at the barycenter [JD, TDB].
    berv_ms
        Barycentric correction c * z_b: v_true = c * ((1 + v_measured / c) * (1 + z_b) - 1) [m / s].
    from_meter
        Whether the midpoint is weighted by the exposure meter.
    perspective_ms
        Change c z of the velocity of the star since the epoch of its position, because its motion across the sky turns
        its direction; the velocities of a series do not contain it [m / s].
    """

    midpoint_mjd: float
    bjd_tdb: float
    berv_ms: float
    from_meter: bool
    perspective_ms: float = 0.0


@dataclass(frozen=True)
class OrderVelocities:
    """The velocity that each order gives alone, with its error and its weight in the mean of the orders.

    Attributes
    ----------
    rv_ms, error_ms : shape (n_orders,)
        Velocity and its photon error; NaN where an order gives none [m / s].
    weight : shape (n_orders,)
        Share of each order in the mean; 0 where an order gives no velocity.
    """

    rv_ms: Floats
    error_ms: Floats
    weight: Floats

    def __post_init__(self) -> None:
        n = len(self.rv_ms)
        frozen(self, rv_ms=(n,), error_ms=(n,), weight=(n,))

    def among(self, n_orders: int, rows: Integers) -> "OrderVelocities":
        """Return the same velocities among all orders of a frame.

        Parameters
        ----------
        n_orders
            Number of orders of the frame.
        rows : shape (n,)
            Index in the frame of each order that is here.
        """
        rv_ms, error_ms, weight = np.full(n_orders, np.nan), np.full(n_orders, np.nan), np.zeros(n_orders)
        rv_ms[rows], error_ms[rows], weight[rows] = self.rv_ms, self.error_ms, self.weight
        return OrderVelocities(rv_ms, error_ms, weight)


@dataclass(frozen=True)
class SecondDip:
    """A second dip in the CCF: of another star, or of the sky, in the same fiber.

    Attributes
    ----------
    rv_ms
        Barycentric velocity [m / s].
    contrast
        Depth relative to the continuum, as the contrast of the star.
    significance
        Depth over its noise.
    """

    rv_ms: float
    contrast: float
    significance: float


@dataclass(frozen=True)
class TemplateVelocity:
    """Radial velocity of a star by a template of its spectrum.

    Attributes
    ----------
    name, fingerprint
        Star of the template, and digits that identify the template.
    own
        Whether that is the measured star itself.
    n_spectra
        Number of exposures in the template.
    rv_ms, error_ms
        Barycentric radial velocity, on the zero point of the velocities that the template was made with, and its total
        error [m / s].
    photon_error_ms
        Part of the error by the noise of spectrum and template [m / s].
    order_chi2
        Reduced chi squared of the velocities of the orders, by their weights; 1 is expected.
    odd_even_ms, odd_even_error_ms
        Velocity of the odd orders minus that of the even ones, and its error [m / s].
    by_order
        The velocity from each order.
    wavelength_error_ms, drift_error_ms, transfer_error_ms, mismatch_error_ms
        Other parts of the error; the last is the disagreement of parts of the spectrum beyond noise, as by the lines
        of another star [m / s].
    scale_error_ms
        As in ``Velocity`` [m / s].
    consistent
        Whether the disagreements of neighboring parts of the spectrum are independent.
    width_change_m2_s2, width_change_error_m2_s2
        Differential line width and its photon error, as ``template_fit.width_change`` gives them [m2 / s2].
    """

    name: str
    fingerprint: str
    own: bool
    n_spectra: int
    rv_ms: float
    photon_error_ms: float
    order_chi2: float
    odd_even_ms: float
    odd_even_error_ms: float
    by_order: OrderVelocities
    error_ms: float = 0.0
    wavelength_error_ms: float = 0.0
    drift_error_ms: float = 0.0
    transfer_error_ms: float = 0.0
    mismatch_error_ms: float = 0.0
    scale_error_ms: float = 0.0
    consistent: bool = True
    width_change_m2_s2: float = float("nan")
    width_change_error_m2_s2: float = float("inf")


@dataclass(frozen=True)
class Velocity:
    """Radial velocity of the star in one fiber.

    Attributes
    ----------
    fiber
        Fiber number.
    star
        The star.
    mask
        Name of the line mask.
    rv_ms, error_ms
        Barycentric radial velocity and its total error [m / s].
    photon_error_ms, wavelength_error_ms, drift_error_ms
        Parts of the error: noise of the pixels, wavelength calibration, drift; their squares and that of
        `transfer_error_ms` add up to that of the total [m / s].
    barycentric
        Time and barycentric correction.
    snr
        Median signal-to-noise ratio per pixel in the orders 85-95.
    fwhm_ms, contrast, bisector_ms
        Width of the CCF, its depth relative to the continuum, and its bisector span [m / s, 1, m / s].
    grid_ms : shape (n_velocities,)
        Barycentric velocities of the CCF [m / s].
    ccf, ccf_variance : shape (n_orders, n_velocities)
        CCF of each order, and its variance; the sum over orders is 1 outside the dip. Blends, order ends and the
        line-spread function make a fit to the dip differ from `rv_ms`.
    orders : shape (n_orders,)
        Diffraction orders.
    by_order
        The velocity from each order.
    order_start_angstrom, order_end_angstrom : shape (n_orders,)
        Range of the wavelengths that were used, vacuum, observatory frame, NaN where none [angstrom].
    quality
        Flags of the velocity.
    mask_error_ms
        Error of the absolute velocity by depths, wavelengths and blends of the line list; the same in every frame of a
        star, and so no part of `error_ms` [m / s].
    transfer_error_ms
        Part of the error by the offset of the fiber from the reference fiber [m / s].
    scale_error_ms
        Error of the absolute velocity by laboratory wavelengths, unresolved blends of the lamp and line-spread
        functions; the same in every night of a spectrograph, and so no part of `error_ms` [m / s].
    template
        Velocity by a template; None where there is none.
    fwhm_error_ms, contrast_error, bisector_error_ms
        Photon errors of the shape of the CCF; infinite where unknown [m / s, 1, m / s].
    stellar_type
        Temperature and rotation measured in the spectrum.
    activity
        Indices of the activity of the star.
    second_dip
        Another star, or the sky, in the same fiber; None where there is none.
    broadening_ms, thermal_ms, line_strength
        Of the model whose lines were fitted, as in ``engine.spectrum.synthetic.at_rest``; NaN where unknown
        [m / s, m / s, 1].
    ccf_model : shape (n_velocities,), optional
        CCF of this model, the sum over all orders; None where there is none.
    """

    fiber: int
    star: Star
    mask: str
    rv_ms: float
    error_ms: float
    photon_error_ms: float
    wavelength_error_ms: float
    drift_error_ms: float
    barycentric: Barycentric
    snr: float
    fwhm_ms: float
    contrast: float
    bisector_ms: float
    grid_ms: np.ndarray
    ccf: np.ndarray
    ccf_variance: np.ndarray
    orders: np.ndarray
    by_order: OrderVelocities
    order_start_angstrom: np.ndarray
    order_end_angstrom: np.ndarray
    quality: Quality = field(default=Quality(0))
    mask_error_ms: float = 0.0
    transfer_error_ms: float = 0.0
    scale_error_ms: float = 0.0
    template: TemplateVelocity | None = None
    fwhm_error_ms: float = float("inf")
    contrast_error: float = float("inf")
    bisector_error_ms: float = float("inf")
    stellar_type: StellarType = StellarType()
    activity: tuple[Index, ...] = ()
    second_dip: SecondDip | None = None
    broadening_ms: float = float("nan")
    thermal_ms: float = float("nan")
    line_strength: float = float("nan")
    ccf_model: np.ndarray | None = None

    @property
    def absolute_error_ms(self) -> float:
        """Error of the velocity as an absolute one: with those of the line mask and of the lamp scale [m / s]."""
        return math.hypot(self.error_ms, self.mask_error_ms, self.scale_error_ms)

    def __post_init__(self) -> None:
        n, k = len(self.orders), len(self.grid_ms)
        frozen(self, grid_ms=(k,), ccf=(n, k), ccf_variance=(n, k), orders=(n,))
        frozen(self, order_start_angstrom=(n,), order_end_angstrom=(n,))
        if len(self.by_order.rv_ms) != n:
            raise ValueError(f"Velocity.by_order has {len(self.by_order.rv_ms)} orders, expected {n}")

    @property
    def rv_at_observation_ms(self) -> float:
        """Barycentric velocity at the time of observation; `rv_ms` is at the epoch of the position [m / s]."""
        return doppler.velocity_ms(doppler.factor(self.rv_ms) * doppler.factor(self.barycentric.perspective_ms))


@dataclass(frozen=True, eq=False)
class ZeroPoints:
    """Common velocity offset of the standard stars of each night, for one fiber.

    Attributes
    ----------
    nights : shape (n_nights,)
        Number of the day of each night, ascending.
    value_ms, error_ms : shape (n_nights,)
        Offset to subtract from the velocities of the night, and its error; NaN where it is unknown. The median over
        the nights with standard stars is zero [m / s].
    n_stars : shape (n_nights,)
        Number of standard stars of the night.
    is_own : shape (n_nights,)
        Whether stars of the night itself measure it; for other nights it is the median of the nights around.
    stars : shape (n_stars,)
        Names of the stars.
    jitter_ms : shape (n_stars,)
        Scatter of each star beyond its errors, which enters its weight [m / s].
    deviation_ms, deviation_error_ms : shape (n_stars, n_nights)
        Velocity of each star minus its mean of the other nights, and its error with the jitter; NaN where the star was
        not observed, or in that night alone [m / s].
    """

    nights: np.ndarray
    value_ms: np.ndarray
    error_ms: np.ndarray
    n_stars: np.ndarray
    is_own: np.ndarray
    stars: np.ndarray
    jitter_ms: np.ndarray
    deviation_ms: np.ndarray
    deviation_error_ms: np.ndarray

    def __post_init__(self) -> None:
        by_night, by_star = (len(self.nights),), (len(self.stars),)
        frozen(self, nights=by_night, value_ms=by_night, error_ms=by_night, n_stars=by_night, is_own=by_night)
        both = by_star + by_night
        frozen(self, stars=by_star, jitter_ms=by_star, deviation_ms=both, deviation_error_ms=both)
