"""The blaze: what the flat lamp looks like along each order."""

import numpy as np
from scipy.ndimage import median_filter


def normalise(flux, variance, faintest=0.01, least_snr=8.0):
    """Scale the spectrum of the lamp to 1 at the peak of each order.

    Parameters
    ----------
    flux, variance : ndarray of float, shape (n_fibers, n_orders, n_pixels)
        Extracted lamp and its variance [electron, electron2].
    faintest : float, optional
        Below this share of the peak the blaze is set to 0.
    least_snr : float, optional
        Below this signal-to-noise ratio per pixel it is set to 0.

    Returns
    -------
    ndarray of float, shape (n_fibers, n_orders, n_pixels)
        Blaze, with the pixel-to-pixel response still in it; 0 where the lamp is too faint to calibrate with.
    """
    light = np.nan_to_num(flux)
    peak = np.percentile(median_filter(light, (1, 1, 25)), 99, axis=-1, keepdims=True)
    shape = np.where(peak > 0, light / np.where(peak > 0, peak, 1), 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        clear = (flux / np.sqrt(variance) > least_snr) & (shape > faintest)
    return np.where(clear, shape, 0.0)
