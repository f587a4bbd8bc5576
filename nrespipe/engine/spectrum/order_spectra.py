"""A spectrum in orders, from any spectrograph."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nrespipe.engine.spectrum import continuum
from nrespipe.frames.arrays import Booleans, Floats, frozen

if TYPE_CHECKING:
    from nrespipe.engine.spectrum.continuum import Noise


@dataclass(frozen=True)
class OrderSpectra:
    """A spectrum in orders, from any spectrograph.

    Attributes
    ----------
    flux, variance : shape (n_orders, n_pixels)
        Spectrum without its blaze, and its variance, in any unit.
    good : shape (n_orders, n_pixels)
        Pixels to use.
    wavelength : shape (n_orders, n_pixels)
        Wavelength of the middle of the pixel, on the scale of the mask, frame of the observer, increasing [angstrom].
    continuum : shape (n_orders, n_pixels)
        Level that `flux` would have without lines; 0 where unknown.
    usual_variance : shape (n_orders, n_pixels), optional
        Variance of the continuum, up to a factor, at a brightness at which stars are usually seen. Weights are made
        from it, so that a faint spectrum of a star is weighted as a bright one. Without it `variance` takes its place.
    """

    flux: np.ndarray
    variance: np.ndarray
    good: np.ndarray
    wavelength: np.ndarray
    continuum: np.ndarray
    usual_variance: np.ndarray | None = None

    def __post_init__(self):
        shape = np.shape(self.flux)
        frozen(self, flux=shape, variance=shape, good=shape, wavelength=shape, continuum=shape, usual_variance=shape)

    @property
    def weighing_variance(self) -> Floats:
        """Shape (n_orders, n_pixels): `usual_variance`, or `variance` where that is not given."""
        return self.variance if self.usual_variance is None else self.usual_variance

    def noise(self) -> "Noise":
        """Return how the variance of the pixels depends on the flux that is expected on them."""
        return continuum.noise(self.flux, self.variance, self.good)

    def relative(self, model: Floats) -> tuple[Floats, Floats]:
        """Return flux and variance relative to the continuum.

        Parameters
        ----------
        model : shape (n_orders, n_pixels)
            Takes the place of the flux of pixels that are not to be used, relative to the continuum.

        Returns
        -------
        flux, variance : ndarray of float, shape (n_orders, n_pixels)
            The variance is 0 where the model stands in.
        """
        good = self.good & (self.continuum > 0)
        level = np.where(good, self.continuum, 1.0)
        return np.where(good, self.flux / level, model), np.where(good, self.variance / level**2, 0.0)


def smooth_snr2(spectrum: OrderSpectra, *, bin_pixels: int = 64) -> Floats:
    """Return the square of the signal-to-noise ratio of each pixel, smoothed over noise and lines.

    It is that of the usual brightness, up to a factor, where the orders have a usual variance.

    Parameters
    ----------
    bin_pixels
        Length of the bins whose medians are joined.

    Returns
    -------
    ndarray of float, shape (n_orders, n_pixels)
        0 where there is no flux.
    """
    n_orders, n_pixels = spectrum.flux.shape
    n_bins = max(n_pixels // bin_pixels, 1)
    ratio = np.where(spectrum.good, spectrum.continuum**2 / spectrum.weighing_variance, np.nan)
    ratio = ratio[:, : n_bins * bin_pixels].reshape(n_orders, n_bins, -1)
    counts = np.isfinite(ratio).sum(axis=2)
    sorted_ratio = np.sort(ratio, axis=2)
    middle = np.take_along_axis(sorted_ratio, np.maximum(counts // 2, 0)[:, :, None], axis=2)[:, :, 0]
    middle = np.where(counts > bin_pixels // 4, middle, 0.0)
    centers = (np.arange(n_bins) + 0.5) * bin_pixels - 0.5
    return np.stack([np.interp(np.arange(n_pixels), centers, row) for row in middle])


def line_depth(spectrum: OrderSpectra, model: Floats, used: Booleans | None = None) -> tuple[float, float]:
    """Return how deep the lines of a spectrum are, relative to those of a model.

    Parameters
    ----------
    model : shape (n_orders, n_pixels)
        Expected flux relative to the continuum.
    used : shape (n_orders, n_pixels)
        Pixels that count; those that are good if not given.

    Returns
    -------
    depth, error : float
        Regression of the flux on the model, each less its mean in the order, and its photon error: 1 where they have
        the same lines, 0 where the spectrum has none there; NaN and infinite where the model has none.
    """
    used = spectrum.good & (spectrum.continuum > 0) if used is None else used
    level, model = np.where(used, spectrum.continuum, 1.0), np.where(used, model, 0.0)
    weight = np.where(used, level**2 / spectrum.noise().at(level), 0.0)
    total = np.maximum(weight.sum(axis=1, keepdims=True), 1e-300)
    light, model = (
        values - np.sum(weight * values, axis=1, keepdims=True) / total
        for values in (np.where(used, spectrum.flux, 0.0) / level, model)
    )
    square = np.sum(weight * model**2)
    return (float(np.sum(weight * model * light) / square), float(square**-0.5)) if square > 0 else (np.nan, np.inf)


def resembles(spectrum: OrderSpectra, model: Floats, used: Booleans | None = None) -> bool:
    """Return whether a spectrum has the lines of a model.

    They must stand out of the noise, and be at least half and at most four times as deep: the Sun and GJ 581 in spectra
    of HARPS have lines 1.2 to 2.3 times as deep as models by lists from F2 to M0.

    Parameters
    ----------
    spectrum, model, used
        As in `line_depth`.
    """
    depth, error = line_depth(spectrum, model, used)
    return bool(0.5 < depth < 4.0 and depth > 8 * error)
