"""The model spectrum that a velocity was fitted with, made again from the numbers that the velocity keeps."""

from dataclasses import dataclass, replace

import numpy as np

from nrespipe.engine.spectrum import continuum
from nrespipe.engine.velocity import measurement, stellar_model
from nrespipe.engine.velocity.stellar_model import StellarModel
from nrespipe.frames.arrays import Integers, frozen
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.velocity import LineMask, Velocity
from nrespipe.frames.wavelength import LineShape, Wavelengths


@dataclass(frozen=True)
class FittedModel:
    """Orders of a star relative to the continuum, with the model of its lines.

    Attributes
    ----------
    orders : shape (n_orders,)
        Diffraction orders.
    vacuum_angstrom : shape (n_orders, n_pixels)
        Vacuum, observatory frame [angstrom].
    flux, error : shape (n_orders, n_pixels)
        Relative to the continuum, NaN where a pixel is not to be used.
    model : shape (n_orders, n_pixels)
        Relative to the continuum.
    """

    orders: np.ndarray
    vacuum_angstrom: np.ndarray
    flux: np.ndarray
    error: np.ndarray
    model: np.ndarray

    def __post_init__(self) -> None:
        shape = np.shape(self.flux)
        frozen(self, orders=shape[:1], vacuum_angstrom=shape, flux=shape, error=shape, model=shape)


def of_orders(
    spectra: Spectra,
    wavelengths: Wavelengths,
    line_shape: LineShape,
    velocity: Velocity,
    mask: LineMask,
    orders: Integers,
) -> FittedModel | None:
    """Return some orders of a star with the model that its velocity was fitted with.

    Parameters
    ----------
    wavelengths
        Of the same fibers, orders and pixels.
    line_shape
        Line-spread function of the fiber, as in the master arc.
    velocity
        Of the star; its model is that of the line mask.
    mask
        The line mask of that name.
    orders : shape (n_orders,)
        Diffraction orders that are wanted; those that carry no velocity are left out.

    Returns
    -------
    FittedModel or None
        None where the star has no velocity, or none of the orders carries one.
    """
    if not np.isfinite([velocity.rv_ms, velocity.broadening_ms, velocity.thermal_ms, velocity.line_strength]).all():
        return None
    chosen = np.isin(spectra.orders, orders)
    some = Spectra(
        spectra.fibers, spectra.orders[chosen],
        *(array[:, chosen] for array in (spectra.flux, spectra.variance, spectra.quality, spectra.blaze)),
    )  # fmt: skip
    known = replace(
        wavelengths, orders=some.orders, vacuum_angstrom=wavelengths.vacuum_angstrom[:, chosen], pixel_error_ms=None
    )
    spectrum, kept = measurement.prepared(some, known, velocity.fiber)
    if not len(kept):
        return None
    star = StellarModel(
        velocity.rv_ms, velocity.broadening_ms, velocity.line_strength, thermal_ms=velocity.thermal_ms
    )  # fmt: skip
    sampling = measurement.line_sampling(line_shape, velocity.fiber, kept)
    model, _ = stellar_model.expected(star, mask, spectrum, velocity.barycentric.berv_ms, sampling)
    level = continuum.against_model(spectrum.flux, spectrum.variance, spectrum.good, model)
    good = spectrum.good & np.isfinite(level) & (level > 0)
    level = np.where(good, level, 1.0)
    flux = np.where(good, spectrum.flux / level, np.nan)
    return FittedModel(
        kept, spectrum.wavelength, flux, np.where(good, np.sqrt(spectrum.variance) / level, np.nan), model
    )  # fmt: skip
