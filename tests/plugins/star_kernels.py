"""Compiled loops that make one-dimensional spectra of stars, in a module of their own for the sake of numba's cache."""

import numpy as np
from numba import njit


@njit(cache=True)
def absorb(log_flux, places, depths, product):
    """Add lines of 2.5 km/s: in proportion to the shape in optical depth, or in depth where they are a product."""
    for place, depth in zip(places, depths):
        for i in range(max(0, int(place) - 110), min(len(log_flux), int(place) + 110)):
            shape = np.exp(-0.5 * ((i - place) / 25.0) ** 2)
            log_flux[i] += np.log1p(-depth * shape) if product else np.log1p(-depth) * shape


@njit(cache=True)
def spread(flux, rest, places, weights, offsets, fwhm):
    """Add the light of every offset, each linear between the samples of the light at rest."""
    n_orders, n = places.shape
    for order in range(n_orders):
        for column in range(n):
            for k in range(len(offsets)):
                x = min(max(column - offsets[k] * fwhm[column], 0.0), n - 1.001)
                left = int(x)
                place = places[order, left] + (x - left) * (places[order, left + 1] - places[order, left])
                below = int(place)
                place -= below
                flux[order, column] += weights[k, column] * ((1 - place) * rest[below] + place * rest[below + 1])
