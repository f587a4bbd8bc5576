"""Stars, line masks, and what is measured of a star in one frame."""

from dataclasses import dataclass, field

import numpy as np

from nrespipe.frames.activity import Index
from nrespipe.frames.arrays import Floats, Integers, frozen
from nrespipe.frames.quality import Quality
from nrespipe.frames.stellartype import StellarType


@dataclass(frozen=True)
class Star:
    """A star as a catalog knows it; None for what is not known.

    Attributes
    ----------
    name
        Name in the catalog, or OBJECTS where the star is in no catalog.
    ra_deg, dec_deg
        ICRS position at `epoch_year` [degree].
    epoch_year
        Julian year of the position.
    pm_ra_mas_yr, pm_dec_mas_yr
        Proper motion, RA **with** cos(dec) [mas / yr].
    parallax_mas
        Parallax [mas].
    rv_kms
        Systemic radial velocity [km / s].
    v_mag, teff_k, logg, metallicity
        Johnson V, effective temperature [kelvin], log surface gravity [cgs], [Fe/H].
    spectral_type
        '' where unknown.
    aliases
        Other names.
    source
        Where the figures come from; ``telescope`` for header coordinates.
    template
        Star whose template is to be used for this one; '' leaves the choice to the program: the star's own, else that
        of the nearest type.
    """

    name: str
    ra_deg: float | None = None
    dec_deg: float | None = None
    epoch_year: float = 2000.0
    pm_ra_mas_yr: float | None = None
    pm_dec_mas_yr: float | None = None
    parallax_mas: float | None = None
    rv_kms: float | None = None
    v_mag: float | None = None
    teff_k: float | None = None
    logg: float | None = None
    metallicity: float | None = None
    spectral_type: str = ""
    aliases: tuple[str, ...] = ()
    source: str = ""
    template: str = ""


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

    def __post_init__(self):
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

    def __post_init__(self):
        n = len(self.start_angstrom)
        frozen(self, start_angstrom=(n,), end_angstrom=(n,))


@dataclass(frozen=True)
class Barycentric:
    """When and from where a star was seen.

    Attributes
    ----------
    midpoint_mjd
        Photon-weighted midpoint of the exposure, UTC [MJD].
    bjd_tdb
        The same at the barycenter [JD, TDB].
    berv_ms
        c * z_b: what the observer's motion adds, v_true = c * ((1 + v_measured / c) * (1 + z_b) - 1) [m / s].
    from_meter
        Whether the exposure meter weighted the midpoint.
    """

    midpoint_mjd: float
    bjd_tdb: float
    berv_ms: float
    from_meter: bool


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
class TemplateVelocity:
    """Radial velocity of a star by a template of its spectrum.

    Attributes
    ----------
    name, fingerprint
        Star of the template, and what tells it from other ones of that star.
    own
        Whether that is the star itself.
    n_spectra
        Number of exposures in the template.
    rv_ms, error_ms
        Barycentric radial velocity, on the zero point of the velocities that the template was made with, and its total
        error [m / s].
    photon_error_ms
        Part of the error that the noise of spectrum and template makes [m / s].
    order_chi2
        Scatter of the orders over what their errors allow, squared, of the orders as far as they count; 1 is expected.
    odd_even_ms, odd_even_error_ms
        Velocity of the odd orders minus that of the even ones, and its error [m / s].
    by_order
        The velocity from each order.
    wavelength_error_ms, drift_error_ms, transfer_error_ms, mismatch_error_ms
        The other parts of the error; the last by what makes parts of the spectrum disagree beyond noise, as the lines
        of another star do [m / s].
    scale_error_ms
        As in ``Velocity`` [m / s].
    consistent
        Whether neighboring parts of the spectrum disagree as independent ones would.
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
        Whose velocity it is.
    mask
        Name of the line mask.
    rv_ms, error_ms
        Barycentric radial velocity and its total error [m / s].
    photon_error_ms, wavelength_error_ms, drift_error_ms
        The parts of the error: noise of the pixels, scale of the wavelengths, drift of the spectrograph; their squares
        add to the total together with that of `transfer_error_ms` [m / s].
    barycentric
        Time and barycentric motion.
    snr
        Median signal-to-noise ratio per pixel, in the orders 85-95.
    fwhm_ms, contrast, bisector_ms
        Of the cross-correlation function: width, depth relative to the continuum, bisector span [m / s, 1, m / s].
    grid_ms : shape (n_velocities,)
        Velocities of the cross-correlation function, barycentric [m / s].
    ccf, ccf_variance : shape (n_orders, n_velocities)
        Cross-correlation function of each order, and its variance; the sum over orders is 1 where no line is. A peak
        fitted to it differs from `rv_ms` by what blends, order ends and the line-spread function do to it.
    orders : shape (n_orders,)
        Diffraction orders.
    by_order
        The velocity from each order.
    order_start_angstrom, order_end_angstrom : shape (n_orders,)
        Wavelengths used, vacuum, observatory frame, NaN where none [angstrom].
    quality
        Doubts.
    mask_error_ms
        What depths, wavelengths and blends of the list of lines add to the error of the absolute velocity; the same in
        every frame of a star, so it is no part of `error_ms` [m / s].
    transfer_error_ms
        Part of the error that comes from the difference of the star's fiber and the reference fiber [m / s].
    scale_error_ms
        What laboratory wavelengths, unseen blends of the lamp and line-spread functions add to the error of the
        absolute velocity; the same in every night of a spectrograph, so it is no part of `error_ms` [m / s].
    template
        The velocity by a template; None where there is none.
    fwhm_error_ms, contrast_error, bisector_error_ms
        Photon errors of the shape of the cross-correlation function; infinite where unknown [m / s, 1, m / s].
    stellar_type
        Temperature and rotation by the spectrum.
    activity
        What the lines say of the activity of the star.
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

    def __post_init__(self):
        n, k = len(self.orders), len(self.grid_ms)
        frozen(self, grid_ms=(k,), ccf=(n, k), ccf_variance=(n, k), orders=(n,))
        frozen(self, order_start_angstrom=(n,), order_end_angstrom=(n,))
        if len(self.by_order.rv_ms) != n:
            raise ValueError(f"Velocity.by_order has {len(self.by_order.rv_ms)} orders, expected {n}")
