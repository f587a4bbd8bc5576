"""What a star would send if it had no lines."""

import numpy as np
from numpy.polynomial import legendre


def normalise(spectra, *, degree=5):
    """Return spectra relative to the continuum of the star.

    Parameters
    ----------
    spectra : Spectra
        Extracted light.
    degree : int, optional
        Degree of the polynomial that the ratio of star and lamp follows along an order.

    Returns
    -------
    ndarray of float, shape (n_fibers, n_orders, n_pixels)
        Flux over continuum, NaN where a pixel or a whole order gives none.

    Notes
    -----
    The flat lamp takes out the blaze and the response; what remains is smooth, and its upper envelope is the continuum.
    Where lines leave no gap between them (the blue of cool stars) the envelope is a pseudo-continuum.
    """
    result = np.full(spectra.flux.shape, np.nan)
    for i in range(len(spectra.fibers)):
        flux, variance, good = above_blaze(
            *(a[i] for a in (spectra.flux, spectra.variance, spectra.quality, spectra.blaze))
        )
        level = envelope(flux, variance, good, degree=degree)
        np.divide(flux, level, out=result[i], where=good & (level > 0))
    return result


def above_blaze(flux, variance, quality, blaze, *, faintest=0.05):
    """Return a spectrum divided by the blaze, and which of its pixels are to be used.

    Parameters
    ----------
    flux, variance, quality, blaze : ndarray, shape (n_orders, n_pixels)
        As in ``Spectra``.
    faintest : float, optional
        Where the blaze is below this share of its peak a pixel is not used.

    Returns
    -------
    flux, variance : ndarray of float, shape (n_orders, n_pixels)
        Divided by the blaze and its square; 0 and 1 where not to be used.
    good : ndarray of bool, shape (n_orders, n_pixels)
        Whether nothing is known against the pixel.
    """
    good = (quality == 0) & (blaze > faintest) & np.isfinite(flux) & np.isfinite(variance) & (variance > 0)
    blaze = np.where(good, blaze, 1.0)
    return np.where(good, flux / blaze, 0.0), np.where(good, variance / blaze**2, 1.0), good


def envelope(flux, variance, good, *, degree=5, fewest=200, rounds=12):
    """Return a smooth upper envelope of each order.

    Parameters
    ----------
    flux, variance : ndarray of float, shape (n_orders, n_pixels)
        Spectrum without its blaze.
    good : ndarray of bool, shape (n_orders, n_pixels)
        Pixels to use.
    degree : int, optional
        Degree of the polynomial.
    fewest : int, optional
        An order with fewer good pixels has no envelope.
    rounds : int, optional
        How often the pixels below the envelope are put aside.

    Returns
    -------
    ndarray of float, shape (n_orders, n_pixels)
        NaN in an order without one.
    """
    basis = legendre.legvander(np.linspace(-1, 1, flux.shape[1]), degree)
    result = np.full(flux.shape, np.nan)
    for order in np.flatnonzero(good.sum(axis=1) >= fewest):
        y, sigma, kept = flux[order], np.sqrt(variance[order]), good[order]
        for _ in range(rounds):
            level = basis @ weighted_fit(basis, y, 1 / sigma, kept)
            above = y - level
            kept = good[order] & (above > -sigma - 0.005 * np.abs(level)) & (above < 4 * sigma + 0.02 * np.abs(level))
            if kept.sum() < fewest / 4:
                break
        result[order] = level
    return result


def against_model(flux, variance, good, model, *, degree=5, fewest=200, mismatch=0.03):
    """Return the smooth factor by which each order exceeds a model of its lines.

    Parameters
    ----------
    flux, variance, good
        As for `envelope`.
    model : ndarray of float, shape (n_orders, n_pixels)
        Spectrum relative to a continuum of 1.
    degree, fewest : int, optional
        As for `envelope`.
    mismatch : float, optional
        Error of the model relative to the continuum.

    Returns
    -------
    ndarray of float, shape (n_orders, n_pixels)
        NaN in an order with too few pixels. Unlike an envelope it does not care how many lines there are.
    """
    basis = legendre.legvander(np.linspace(-1, 1, flux.shape[1]), degree)
    result = np.full(flux.shape, np.nan)
    usable = good & (model > 0.3)
    for order in np.flatnonzero(usable.sum(axis=1) >= fewest):
        kept, ratio = usable[order], flux[order] / np.maximum(model[order], 0.3)
        floor = mismatch * np.median(ratio[kept])
        weight = model[order] / np.sqrt(variance[order] + floor**2)
        for _ in range(3):
            level = basis @ weighted_fit(basis, ratio, weight, kept)
            kept = usable[order] & (np.abs(ratio - level) * weight < 4)
        result[order] = level
    return result


def weighted_fit(basis, y, weight, kept):
    """Return the coefficients of a weighted least-squares fit.

    Parameters
    ----------
    basis : ndarray of float, shape (n_pixels, n_terms)
        Well-conditioned basis functions.
    y, weight : ndarray of float, shape (n_pixels,)
        Data and the inverse of their errors.
    kept : ndarray of bool, shape (n_pixels,)
        Which pixels take part.

    Returns
    -------
    ndarray of float, shape (n_terms,)
    """
    weighted = basis[kept] * weight[kept, None]
    normal = weighted.T @ weighted
    # a ridge far below any rounding that matters keeps an order with a hole in it solvable
    normal[np.diag_indices_from(normal)] *= 1 + 1e-10
    return np.linalg.solve(normal, weighted.T @ (y[kept] * weight[kept]))
