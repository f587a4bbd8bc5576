"""A spectrum in orders, from any spectrograph."""

from dataclasses import dataclass

import numpy as np

from nrespipe.frames.arrays import frozen


@dataclass(frozen=True)
class Orders:
    """A spectrum in orders, from any spectrograph.

    Attributes
    ----------
    flux, variance : ndarray of float, shape (n_orders, n_pixels)
        Spectrum without its blaze, and its variance, in any unit.
    good : ndarray of bool, shape (n_orders, n_pixels)
        Pixels to use.
    wavelength : ndarray of float, shape (n_orders, n_pixels)
        Wavelength of the middle of the pixel, on the scale of the mask, frame of the observer, increasing [angstrom].
    continuum : ndarray of float, shape (n_orders, n_pixels)
        Level that `flux` would have without lines; 0 where unknown.
    """

    flux: np.ndarray
    variance: np.ndarray
    good: np.ndarray
    wavelength: np.ndarray
    continuum: np.ndarray

    def __post_init__(self):
        shape = np.shape(self.flux)
        frozen(self, flux=shape, variance=shape, good=shape, wavelength=shape, continuum=shape)


def smooth_snr2(orders, *, bin_pixels=64):
    """Return the square of the signal-to-noise ratio of each pixel, smoothed over noise and lines.

    Parameters
    ----------
    orders : Orders
        The spectrum.
    bin_pixels : int, optional
        Length of the bins whose medians are joined.

    Returns
    -------
    ndarray of float, shape (n_orders, n_pixels)
        0 where there is no light.
    """
    n_orders, n_pixels = orders.flux.shape
    n_bins = max(n_pixels // bin_pixels, 1)
    ratio = np.where(orders.good, orders.continuum**2 / orders.variance, np.nan)
    ratio = ratio[:, : n_bins * bin_pixels].reshape(n_orders, n_bins, -1)
    counts = np.isfinite(ratio).sum(axis=2)
    sorted_ratio = np.sort(ratio, axis=2)
    middle = np.take_along_axis(sorted_ratio, np.maximum(counts // 2, 0)[:, :, None], axis=2)[:, :, 0]
    middle = np.where(counts > bin_pixels // 4, middle, 0.0)
    centers = (np.arange(n_bins) + 0.5) * bin_pixels - 0.5
    return np.stack([np.interp(np.arange(n_pixels), centers, row) for row in middle])
