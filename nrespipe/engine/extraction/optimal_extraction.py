"""Flat-relative optimal extraction: all fibers of a column are fitted at once."""

import numpy as np
from scipy.ndimage import maximum_filter1d
from scipy.special import chdtrc, chdtri, ndtr

from nrespipe.engine.extraction import line_tilt
from nrespipe.engine.orders import kernel_layout
from nrespipe.frames.arrays import Floats, Integers
from nrespipe.frames.image import Image
from nrespipe.frames.masters import Flat
from nrespipe.frames.quality import Pixel
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.traces import Slant, Traces
from nrespipe.numerics import background_surface, column_fit_kernels, cosmic_ray_kernels, tilt_kernels

#: Least distance of two lit traces that can be told apart [pixel].
_BLENDED = 3.5
#: Relative error of the profile that an outlier must exceed, of lamps and stars: before the tilt of the lines is
#: known, and afterwards.
_UNTILTED, _GUARD = (0.12, 0.02), (0.02, 0.004)
#: Chi-square that a run of 1, 2 ... 8 pixels must save: noise does so once in a thousand million cases.
_RUN_LIMITS = chdtri(np.arange(1, 9), 1e-9)
#: A single column is too bright by so many errors; variance without light that is typical of a column.
_SPIKE, _TYPICAL_FLOOR = 4.0, 500.0
#: Largest number of fits of a column before the outliers are known, and afterwards, when the weights are good from the
#: start and one fit may do.
_FIRST_PASSES, _PASSES, _FEWEST_PASSES = 8, 12, 1
#: The misfit of the profile is measured in every so many columns.
_STRIDE = 8
#: Errors by which a pixel exceeds the flux that the neighboring columns suggest, and the error of that, relative to it.
_REVEALED, _SUGGESTION = 4.0, 0.03
#: Share of a trace that must remain beside a run of outliers; errors by which a neighbor of an outlier is too bright.
_LEAST_SHARE, _BESIDE_OUTLIER = 0.3, 2.5
#: Chi-square of a column that noise exceeds once in twenty cases.
_POOR_FIT = chdtri(round(2 * kernel_layout.HALF_WINDOW), 0.05)
#: A column has a cosmic ray where its flux and its fit together are less likely than this.
_HIDDEN = 1e-6
#: First arguments of the kernels: data, floor, error, bad, shares, first, and light that is known besides.
_Arrays = tuple[Floats, Floats, Floats, Integers, Floats, Integers, Floats]


def optimal(
    image: Image,
    traces: Traces,
    flat: Flat,
    lit: tuple[int, ...],
    lamps: tuple[int, ...],
    slant: Slant | None = None,
    threshold: float = 5.0,
) -> Spectra:
    """Extract the lit fibers of a frame.

    Parameters
    ----------
    traces
        Where the orders lie in this frame.
    lit
        Fibers that carry light.
    lamps
        Those of `lit` that carry a line lamp.
    slant
        Tilt and curvature of the images of lines; None if they are upright.
    threshold
        Pixels further than this many standard deviations from the fitted profile are left out as cosmic rays.

    Returns
    -------
    Spectra
        In electrons, with the variance of the least-squares solution.

    Notes
    -----
    With the profile :math:`P_k(y)` of trace k and the response r of the pixels, the light of all traces of a column is
    the solution of

    .. math:: \\sum_l s_l \\sum_y \\frac{P_k P_l r^2}{V} = \\sum_y \\frac{P_k r (D - E)}{V},
        \\qquad M = \\sum_k s_k P_k r + E, \\quad V = V_0 + M + \\left(\\frac{\\sigma_r}{r} M\\right)^2

    (Horne 1986 PASP 98 609; Zechmeister et al. 2014 A&A 561 A59, who divide by the flat itself). The variance V comes
    from the model of the previous pass, not from the single pixel. E is the light that the tilt of the lines adds:
    that of the neighboring columns, which is known from the previous fit (``tilt_kernels.displaced``), and the wings of
    the other traces. Without the tilt the light above the trace would be taken for that of another wavelength, by an
    amount that depends on the weights and so on the brightness of the star. The worst outlier of each trace is left out
    and the fit repeated until none remains; then runs of pixels of one cosmic ray along the column, and the
    fainter ones beside the outliers, also in the neighboring columns.
    """
    laid = kernel_layout.lay_out(image, traces, flat, lit)
    shares, first = column_fit_kernels.shares_of(laid.response, laid.centers, laid.tables, *laid.grid)
    arrays = (laid.data, laid.floor, laid.error, laid.bad, shares, first)
    of_lamp = np.isin(np.repeat(lit, len(traces.orders))[laid.order], lamps)
    flux = np.full((len(laid.order), len(laid.data)), np.nan)
    # unlike zeros_like this takes no memory until it is written to
    upright = np.zeros(laid.data.shape, laid.data.dtype)
    flux, _, _ = column_fit_kernels.fit(
        *arrays, upright, np.where(of_lamp, *_UNTILTED), 1.2 * threshold, flux, _FIRST_PASSES
    )
    tilt, curvature = (
        laid.sort(values) for values in line_tilt.per_pixel(slant or line_tilt.upright(traces, lit), traces, lit)
    )
    extra = _extra(laid, shares, first, flux, tilt, curvature, flat.profile)
    guard = np.hypot(np.where(of_lamp, *_GUARD), 2 * cosmic_ray_kernels.misfit(*arrays, extra, flux, _STRIDE))
    flux, variance, used = column_fit_kernels.fit(*arrays, extra, guard, threshold, flux, _PASSES, _FEWEST_PASSES)
    # an array of the size of the detector, of which there is to be one at a time
    del extra, upright
    extra = _extra(laid, shares, first, flux, tilt, curvature, flat.profile)
    _reject((*arrays, extra), guard, flux, variance, used, of_lamp)
    flux, variance, used = column_fit_kernels.fit(*arrays, extra, guard, threshold, flux, _PASSES, _FEWEST_PASSES)
    excess, hidden = _unexplained((*arrays, extra), guard, flux, variance, used, of_lamp)
    variance = np.where(hidden, variance + excess**2, variance)
    quality = laid.unsort(_quality(image.mask, laid, used) | np.where(hidden, np.uint8(Pixel.COSMIC), np.uint8(0)))
    rows = [flat.traces.fibers.index(fiber) for fiber in lit]
    blaze, lamp = flat.blaze[rows], None if flat.peak_e_per_s is None else flat.peak_e_per_s[rows]
    quality[blaze <= 0] |= np.uint8(Pixel.DARK)
    rejected = np.argwhere(laid.bad == column_fit_kernels.OUTLIER)[:, ::-1].astype(np.int16)
    return Spectra(lit, traces.orders, laid.unsort(flux), laid.unsort(variance), quality, blaze, rejected, lamp)


def _reject(arrays: _Arrays, guard, flux, variance, used, of_lamp) -> None:
    """Mark, in the bad pixels of the arrays, the cosmic rays that no single pixel shows."""
    excess, error = _spikes(flux, variance, of_lamp)
    # sharp lines of the atmosphere stand out as well, but they fit the profile and are never so high
    poor = cosmic_ray_kernels.chi_square(*arrays, flux, guard)[0] > _POOR_FIT
    poor |= (used < 0.95) | (excess > 0.2 * flux)
    expected = np.where(poor & (excess > _SPIKE * error), flux - excess, np.nan)
    cosmic_ray_kernels.reveal(*arrays, flux, expected, _SUGGESTION, _REVEALED)
    cosmic_ray_kernels.runs(*arrays, flux, guard, _RUN_LIMITS, _LEAST_SHARE)
    cosmic_ray_kernels.grow(*arrays, flux, guard, _BESIDE_OUTLIER)


def _unexplained(arrays: _Arrays, guard, flux, variance, used, of_lamp):
    """Excess of the columns, and which of them neither the profile nor the neighbors explain.

    In those no pixel shows the cosmic ray; the error of their flux is no smaller than the excess.
    """
    excess, error = _spikes(flux, variance, of_lamp)
    chance = _chance(excess, error, *cosmic_ray_kernels.chi_square(*arrays, flux, guard))
    return excess, (chance < _HIDDEN) | ((used < 0.95) & (excess > _SPIKE * error))


def _spikes(flux, variance, of_lamp):
    """Excess of the flux of one column over the sharpest line of the optics, and its error; lamps are left out.

    The prediction from three neighbors on either side is exact for a polynomial of the fifth degree; a line as narrow
    as the line-spread function differs from it by a few percent of its depth.
    """
    excess, error = np.full(flux.shape, np.nan), np.full(flux.shape, np.nan)
    middle = slice(3, flux.shape[1] - 3)
    sides = [
        flux[:, 3 + step :][:, : flux.shape[1] - 6] + flux[:, 3 - step :][:, : flux.shape[1] - 6] for step in (1, 2, 3)
    ]
    excess[:, middle] = flux[:, middle] - (15 * sides[0] - 6 * sides[1] + sides[2]) / 20
    # the neighbors are as noisy as the pixel itself would be without a cosmic ray
    light = np.maximum(flux - np.nan_to_num(np.maximum(excess, 0)), 0)
    clean = variance * (light + _TYPICAL_FLOOR) / (np.maximum(flux, 0) + _TYPICAL_FLOOR)
    error[:, middle] = np.sqrt(clean[:, middle] * (1 + 2 * (15**2 + 6**2 + 1) / 20**2))
    excess[of_lamp] = 0.0
    excess = np.nan_to_num(excess)
    # two columns beside a cosmic ray the prediction is wrong by a third of it
    return np.where(excess > 0.5 * maximum_filter1d(excess, 7, axis=1), excess, 0.0), error


def _chance(excess, error, chi_square, count):
    """Product of the p-values of the spike and of the profile chi-square."""
    chance, far = np.ones(excess.shape), excess > 2 * error
    chance[far] = ndtr(-excess[far] / error[far]) * chdtrc(np.maximum(count[far] - 1, 1), chi_square[far])
    return chance


def _extra(laid, shares, first, flux, tilt, curvature, profile):
    """Light that is no part of the fit of a column: of neighboring columns, and of the wings of other traces."""
    extra = tilt_kernels.displaced(laid.data.shape[1], shares, first, laid.centers, flux, tilt, curvature)
    light = np.ascontiguousarray(flux.T)
    background_surface.add_wings(
        extra, laid.centers, light, np.array(profile.wings), profile.distances[1], laid.grid[-1]
    )
    return extra


def _quality(mask, laid, used, core=3):
    """Collect the flags of the pixels in the core of each trace."""
    n_columns, n_traces = laid.centers.shape
    quality = np.zeros((n_traces, n_columns), np.uint8)
    rows = mask.shape[0]
    column = np.arange(n_columns)
    flipped = mask.T
    for k in range(n_traces):
        center = laid.centers[:, k]
        quality[k, ~np.isfinite(center) | (used[k] < 0.6)] |= np.uint8(Pixel.OUTSIDE)
        place = np.where(np.isfinite(center), np.round(center), 0).astype(int)
        for step in range(-core, core + 1):
            y = np.clip(place + step, 0, rows - 1)
            quality[k] |= flipped[column, y]
            quality[k] |= np.where(
                laid.bad[column, y] == column_fit_kernels.OUTLIER, np.uint8(Pixel.COSMIC), np.uint8(0)
            )
        # the tilt of the lines mixes light of saturated pixels into the columns beside them
        saturated = np.convolve(quality[k] & np.uint8(Pixel.SATURATED) > 0, np.ones(7), "same") > 0
        quality[k, saturated] |= np.uint8(Pixel.BLOOMED)
        for other in range(max(0, k - 2), min(n_traces, k + 3)):
            if other != k:
                near = np.abs(laid.centers[:, other] - center) < _BLENDED
                quality[k, near] |= np.uint8(Pixel.BLENDED)
    return quality
