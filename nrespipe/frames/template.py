"""The spectrum of a star at rest, free of most noise."""

import hashlib
from dataclasses import dataclass

import numpy as np

from nrespipe.frames.arrays import frozen
from nrespipe.frames.star import Star


@dataclass(frozen=True)
class LeftOut:
    """Velocity of one exposure of a template, by a template of all the others.

    Attributes
    ----------
    name
        File of the exposure.
    fiber
        Fiber of the star.
    rv_ms, error_ms
        Barycentric velocity, and its error by the noise of both spectra and by the disagreement of their parts beyond
        that noise [m / s].
    order_chi2
        Scatter of the orders over what their errors allow, squared.
    """

    name: str
    fiber: int
    rv_ms: float
    error_ms: float
    order_chi2: float


@dataclass(frozen=True, eq=False)
class Template:
    """The spectrum of a star at rest, made of many exposures of it.

    Attributes
    ----------
    star
        Whose spectrum it is; its temperature, surface gravity and metallicity decide for which other stars it is used.
    orders : shape (n_orders,)
        Diffraction orders, increasing.
    vacuum_angstrom : shape (n_orders, n_knots)
        Wavelength of the knots at rest, increasing; NaN beyond the last one of an order [angstrom].
    flux : shape (n_orders, n_knots)
        Relative to a continuum of about 1; NaN where no exposure has data. A cubic spline joins the knots.
    variance : shape (n_orders, n_knots)
        Variance of `flux`, NaN where it is.
    rv_ms
        Barycentric velocity of the star, mean of the exposures, by the line mask [m / s].
    site, instrument
        Place of the observations; '' for several.
    fibers
        Fibers of the observations.
    start_mjd, end_mjd
        Times of the first and of the last exposure, UTC [MJD].
    berv_range_ms
        Difference of the largest and the smallest barycentric correction [m / s].
    inputs
        Names of the exposures, sorted.
    left_out
        Velocity of each exposure by a template of the others; empty where they were not measured.
    """

    star: Star
    orders: np.ndarray
    vacuum_angstrom: np.ndarray
    flux: np.ndarray
    variance: np.ndarray
    rv_ms: float
    site: str = ""
    instrument: str = ""
    fibers: tuple[int, ...] = ()
    start_mjd: float = float("nan")
    end_mjd: float = float("nan")
    berv_range_ms: float = 0.0
    inputs: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    def __post_init__(self) -> None:
        shape = (len(self.orders), np.shape(self.flux)[-1])
        frozen(self, orders=shape[:1], vacuum_angstrom=shape, flux=shape, variance=shape)

    @property
    def trusted(self) -> bool:
        """Whether it has enough exposures, with enough motion of the Earth between them, for low noise.

        With fewer, the noise of the template pulls every velocity towards the pixels of the exposures.
        """
        return len(self.inputs) >= 8 and self.berv_range_ms >= 3000.0

    @property
    def fingerprint(self) -> str:
        """12 hexadecimal digits that change with any number of the spectrum."""
        digest = hashlib.sha256()
        for array in (self.orders, self.vacuum_angstrom, self.flux, self.variance):
            digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()[:12]
