"""How bright neighboring orders are against each other, and mean light of bands that lie on several of them."""

import numpy as np

from nrespipe.frames.arrays import Booleans, Floats

#: Where the blaze is below this share of its peak the lamp tells too little
_FAINTEST = 0.05


def band_weights(
    edges_angstrom: Floats,
    good: Booleans,
    center_angstrom: float,
    width_angstrom: float,
    triangular: bool = False,
    *,
    widest_gap: int = 6,
) -> Floats:
    """Return the weights of pixels whose sum of products with the light is the mean light of a band.

    Parameters
    ----------
    edges_angstrom : shape (n_pixels + 1,)
        Wavelengths of the edges of the pixels, increasing [angstrom].
    good : shape (n_pixels,)
        Pixels to use. In the place of another one stands the straight line between its neighbors.
    center_angstrom, width_angstrom
        Band; of a triangle the full width at half maximum [angstrom].
    triangular
        Whether the weight falls off from the center to both sides.
    widest_gap
        Distance of two good pixels across which a line may be drawn.

    Returns
    -------
    ndarray of float, shape (n_pixels,) or None
        They add to 1; None where the pixels do not cover the band.
    """
    u = (np.asarray(edges_angstrom) - center_angstrom) / width_angstrom
    if triangular:
        inside = np.clip(u, -1, 1)
        below = 0.5 + inside - np.sign(inside) * inside**2 / 2
    else:
        below = np.clip(u + 0.5, 0, 1)
    weights = np.diff(below)
    if below[0] > 0 or below[-1] < 1 or not good.any():
        return None
    bad, kept = np.flatnonzero((weights > 0) & ~good), np.flatnonzero(good)
    if len(bad):
        right = np.searchsorted(kept, bad)
        if right.min() == 0 or right.max() == len(kept):
            return None
        left, right = kept[right - 1], kept[right]
        if np.max(right - left) > widest_gap:
            return None
        share = (bad - left) / (right - left)
        np.add.at(weights, left, weights[bad] * (1 - share))
        np.add.at(weights, right, weights[bad] * share)
        weights[bad] = 0.0
    return weights


def ratio(first: tuple[np.ndarray, ...], second: tuple[np.ndarray, ...]) -> tuple[float, float]:
    """Return how bright an order is against another one where both see the same wavelengths.

    Parameters
    ----------
    first, second : shape (n_pixels,)
        Flux and variance above the blaze, good pixels, wavelength, blaze of either order.

    Returns
    -------
    ln_ratio, error : float
        Natural logarithm of first over second, and its error; NaN and infinite where they share too little light.
    """
    flux, variance, good, wavelength, blaze = first
    flux2, variance2, good2, wavelength2, blaze2 = second
    here = good & (wavelength > wavelength2[0]) & (wavelength < wavelength2[-1])
    place = np.clip(np.searchsorted(wavelength2, wavelength), 1, len(wavelength2) - 1)
    here &= good2[place] & good2[place - 1]
    if here.sum() < 100:
        return float("nan"), float("inf")
    share = (wavelength - wavelength2[place - 1]) / (wavelength2[place] - wavelength2[place - 1])
    other = (1 - share) * flux2[place - 1] + share * flux2[place]
    blazes = blaze**2, blaze2[place] ** 2
    # from the lamp and not from the star: weights that know the noise of a pixel would favor the faint
    weight = np.where(here, blazes[0] * blazes[1] / np.where(here, sum(blazes), 1.0), 0.0)
    one, two = np.sum(weight * flux), np.sum(weight * other)
    one_variance, two_variance = np.sum(weight**2 * variance), np.sum(weight**2 * variance2[place])
    if not (one > 5 * np.sqrt(one_variance) and two > 5 * np.sqrt(two_variance)):
        return float("nan"), float("inf")
    return float(np.log(one / two)), float(np.sqrt(one_variance / one**2 + two_variance / two**2))


def bright_range(wavelength: Floats, blaze: Floats) -> tuple[Floats, Floats]:
    """Return the wavelengths between which the lamp lights each order.

    Parameters
    ----------
    wavelength, blaze : shape (n_orders, n_pixels)
        Wavelengths, increasing [angstrom]; spectrum of the lamp, 1 at the peak.

    Returns
    -------
    start, end : ndarray of float, shape (n_orders,)
        NaN for an order without light [angstrom].
    """
    lit = (blaze > _FAINTEST) & np.isfinite(wavelength)
    some = lit.any(axis=1)
    rows = np.arange(len(lit))
    start = np.where(some, wavelength[rows, lit.argmax(axis=1)], np.nan)
    end = np.where(some, wavelength[rows, lit.shape[1] - 1 - lit[:, ::-1].argmax(axis=1)], np.nan)
    return start, end
