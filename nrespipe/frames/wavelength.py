"""Wavelength calibration: lamp lines, line-spread function, solution, drift, and the wavelengths of a frame."""

from dataclasses import dataclass

import numpy as np

from nrespipe.frames.arrays import frozen


@dataclass(frozen=True)
class LampLines:
    """Laboratory lines of the thorium-argon lamp.

    Attributes
    ----------
    vacuum_angstrom : shape (n_lines,)
        Vacuum wavelength, increasing [angstrom].
    error_angstrom : shape (n_lines,)
        Error of the wavelength [angstrom].
    intensity : shape (n_lines,)
        Relative intensity; thorium and argon scales differ.
    species : shape (n_lines,)
        ``Th``, ``Ar``, ``Na`` ...
    use : shape (n_lines,)
        2: fixes the zero point, 1: contributes to the shape of the solution, 0: only for identification.
    """

    vacuum_angstrom: np.ndarray
    error_angstrom: np.ndarray
    intensity: np.ndarray
    species: np.ndarray
    use: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.vacuum_angstrom)
        frozen(self, vacuum_angstrom=(n,), error_angstrom=(n,), intensity=(n,), species=(n,), use=(n,))


@dataclass(frozen=True)
class ArcLines:
    """Emission lines measured on the spectra of one or more fibers.

    Attributes
    ----------
    fiber, order : shape (n_lines,)
        Fiber number and diffraction order.
    x, x_error : shape (n_lines,)
        Center along the order, 0 is the middle of the first pixel, and its error. Unresolved blends and errors of the
        profile displace lines by as much as the photon noise does; they are included once the lines are identified,
        from the residuals. A line that is not used may be displaced further, by resolved neighbors [pixel].
    flux : shape (n_lines,)
        Flux of the line [electron].
    fwhm : shape (n_lines,)
        Full width at half maximum [pixel].
    vacuum_angstrom : shape (n_lines,)
        Laboratory wavelength, NaN while not identified [angstrom].
    used : shape (n_lines,)
        Whether the line took part in the solution.
    x_noise : shape (n_lines,), optional
        Error of the center by photon noise alone, which differs from exposure to exposure; `x_error` where absent
        [pixel].
    """

    fiber: np.ndarray
    order: np.ndarray
    x: np.ndarray
    x_error: np.ndarray
    flux: np.ndarray
    fwhm: np.ndarray
    vacuum_angstrom: np.ndarray
    used: np.ndarray
    x_noise: np.ndarray = None  # type: ignore[assignment]  # `x_error` where it is not given

    def __post_init__(self) -> None:
        if self.x_noise is None:
            object.__setattr__(self, "x_noise", self.x_error)
        n = len(self.x)
        frozen(self, fiber=(n,), order=(n,), x=(n,), x_error=(n,), flux=(n,), fwhm=(n,))
        frozen(self, vacuum_angstrom=(n,), used=(n,), x_noise=(n,))


@dataclass(frozen=True)
class LineShape:
    """Line-spread function: how one wavelength spreads along an order.

    Attributes
    ----------
    fibers
        Fiber numbers along the first axes.
    orders : shape (n_orders,)
        Diffraction orders along the second axis of `fwhm`.
    fwhm : shape (n_fibers, n_orders, n_pixels)
        Full width at half maximum [pixel].
    offsets : shape (n_offsets,)
        Evenly spaced distances from the line center in units of the local full width at half maximum.
    columns : shape (n_columns,)
        Columns of `values`; linear in between [pixel].
    values : shape (n_fibers, n_columns, n_offsets)
        Density of flux per unit of `offsets`; integrates to 1. It includes the width of a pixel. Offset 0 is the
        center of a line in the sense of ``ArcLines.x`` and of the wavelength solution.
    """

    fibers: tuple[int, ...]
    orders: np.ndarray
    fwhm: np.ndarray
    offsets: np.ndarray
    columns: np.ndarray
    values: np.ndarray

    def __post_init__(self) -> None:
        f, o, c, k = len(self.fibers), len(self.orders), len(self.columns), len(self.offsets)
        frozen(self, orders=(o,), fwhm=(f, o, None), offsets=(k,), columns=(c,), values=(f, c, k))


@dataclass(frozen=True)
class Solution:
    """Wavelength solution: m * wavelength as a sum of Legendre products in x and m, for each fiber.

    Attributes
    ----------
    fibers
        Fiber numbers along the first axes.
    orders : shape (n_orders,)
        Diffraction orders of the fit.
    n_pixels
        Length of an order; x is mapped from 0..n_pixels-1 to -1..1, m from its extremes likewise.
    degrees : shape (n_terms, 2)
        Legendre degree in x and in m of each term.
    coefficients : shape (n_fibers, n_terms)
        Of m * wavelength [angstrom].
    covariance : shape (n_fibers, n_terms, n_terms)
        Of the coefficients [angstrom2].
    scatter_ms : shape (n_fibers,)
        Robust scatter of the lines about the solution [m / s].
    n_lines : shape (n_fibers,)
        Lines used.
    noise_covariance : shape (n_fibers, n_terms, n_terms), optional
        Part of `covariance` by the photon noise of these arcs; the rest, by laboratory wavelengths, unresolved blends
        and the line-spread function, is the same in every night [angstrom2].
    """

    fibers: tuple[int, ...]
    orders: np.ndarray
    n_pixels: int
    degrees: np.ndarray
    coefficients: np.ndarray
    covariance: np.ndarray
    scatter_ms: np.ndarray
    n_lines: np.ndarray
    noise_covariance: np.ndarray | None = None

    def __post_init__(self) -> None:
        f, t = len(self.fibers), len(self.degrees)
        frozen(
            self,
            orders=(None,),
            degrees=(t, 2),
            coefficients=(f, t),
            covariance=(f, t, t),
            scatter_ms=(f,),
            n_lines=(f,),
            noise_covariance=(f, t, t),
        )

    @property
    def photon_covariance(self) -> np.ndarray:
        """Part of the covariance that the photons make; all of it where that is unknown [angstrom2]."""
        return self.covariance if self.noise_covariance is None else self.noise_covariance


#: Scatter of the drifts of a frame against the arc of its night, until that of the spectrograph is known. The bench is
#: in air at the pressure of the site (12.35 PSI in a raw header), whose refractive index shifts all wavelengths by
#: 80 m/s per hPa, and by 24 m/s for the 0.1 degree to which the room is regulated: so the changes of the pressure
#: within a day, 3 to 4 hPa, dominate [m / s].
DRIFT_SCATTER_MS = 300.0


@dataclass(frozen=True)
class Drift:
    """Drift of the spectrum of the reference fiber since the master arc.

    Attributes
    ----------
    shift_px, shift_error_px
        Shift at the middle of the detector, towards larger x positive [pixel].
    stretch_px, stretch_error_px
        Change of the shift from the middle to the last column [pixel].
    velocity_ms, velocity_error_ms
        The drift as one velocity: mean change of the wavelength of a fixed pixel over all orders; negative where lines
        move to larger x [m / s].
    n_lines
        Number of lines; 0 where the drift could not be measured: then all terms are 0, the errors of shift, stretch and
        velocity are infinite and those of turn and bend 0. No covariance is used then: the errors of wavelengths are
        infinite, and that of a velocity is the scatter of the drifts.
    turn_px, turn_error_px
        Change of the shift from the middle order to the highest [pixel].
    bend_ms, bend_error_ms
        Curvature of the drift along the orders, as the common velocity of all wavelengths that causes it, as by a
        change of the air pressure; the linear part of such a drift is in shift, stretch and turn [m / s].
    covariance : shape (4, 4)
        Of shift, stretch, turn [pixel] and bend [m / s], in this order; diagonal where it is not given.
    """

    shift_px: float
    shift_error_px: float
    stretch_px: float
    stretch_error_px: float
    velocity_ms: float
    velocity_error_ms: float
    n_lines: int
    turn_px: float = 0.0
    turn_error_px: float = 0.0
    bend_ms: float = 0.0
    bend_error_ms: float = 0.0
    covariance: np.ndarray = None  # type: ignore[assignment]  # made of the errors where it is not given

    def __post_init__(self) -> None:
        if self.covariance is None:
            errors = self.shift_error_px, self.stretch_error_px, self.turn_error_px, self.bend_error_ms
            object.__setattr__(self, "covariance", np.diag(np.square(errors)))
        frozen(self, covariance=(4, 4))


@dataclass(frozen=True)
class Wavelengths:
    """Wavelengths of the pixels of a frame, corrected for drift, in the frame of the observatory.

    Attributes
    ----------
    fibers
        Fiber numbers along the first axis.
    orders : shape (n_orders,)
        Diffraction orders along the second axis.
    vacuum_angstrom : shape (n_fibers, n_orders, n_pixels)
        Vacuum wavelength of the middle of the pixel [angstrom].
    error_ms : shape (n_fibers,)
        Error of the common zero point of all pixels of a fiber, without the drift [m / s].
    drift
        Drift that is corrected; its ``n_lines`` is 0 where it could not be measured.
    line_shape
        Line-spread function of the same fibers and orders.
    pixel_error_ms : shape (n_fibers, n_orders, n_pixels), optional
        Error of the wavelength of each pixel by solution, drift and fiber, with their covariances. Errors of near
        pixels are correlated; ``engine.wavelength.wavelength_errors.of_mean`` has the error of a mean [m / s].
    solution
        Solution of the master arc.
    """

    fibers: tuple[int, ...]
    orders: np.ndarray
    vacuum_angstrom: np.ndarray
    error_ms: np.ndarray
    drift: Drift
    line_shape: LineShape
    pixel_error_ms: np.ndarray | None = None
    solution: Solution | None = None

    def __post_init__(self) -> None:
        f = len(self.fibers)
        frozen(self, orders=(None,), vacuum_angstrom=(f, len(self.orders), None), error_ms=(f,))
        frozen(self, pixel_error_ms=np.shape(self.vacuum_angstrom))
