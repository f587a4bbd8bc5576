"""Synthetic spectra of a list of absorption lines, as a spectrograph sees them, without noise."""

from dataclasses import dataclass

import numpy as np
from numba import njit

from nrespipe import doppler
from nrespipe.frames.arrays import Floats, frozen
from nrespipe.frames.velocity import LineMask
from nrespipe.numerics.robust_statistics import interval_of

#: Least and greatest strength of the lines relative to the list
STRENGTHS = (0.3, 4.0)
#: A line is followed out to this many standard deviations
_REACH = 4.0
#: Standard deviation of the motions of large eddies at most [m / s]
_EDDIES_MS = 2500.0
_LIMB_DARKENING = 0.6
#: Standard deviation of the rotation profile with that limb darkening, in units of v sin i
_ROTATION_DEVIATION = 0.4743


@dataclass(frozen=True)
class RestSpectrum:
    """A normalised spectrum at rest, on a grid even in the logarithm of the wavelength.

    Attributes
    ----------
    ln_start, ln_step
        Natural logarithm of the first vacuum wavelength in angstrom, and its step.
    flux : shape (n_points,)
        Relative to a continuum of 1.
    slope : shape (n_points,)
        Derivative of `flux` with respect to the logarithm of the wavelength.
    """

    ln_start: float
    ln_step: float
    flux: np.ndarray
    slope: np.ndarray

    def __post_init__(self):
        n = len(self.flux)
        frozen(self, flux=(n,), slope=(n,))


@dataclass(frozen=True)
class Sampling:
    """How a spectrograph spreads one wavelength over its pixels.

    Attributes
    ----------
    fwhm : shape (n_orders, n_pixels)
        Full width at half maximum of the line-spread function [pixel].
    offsets : shape (n_offsets,)
        Evenly spaced distances from the line center in units of `fwhm`.
    kernels : shape (n_columns, n_offsets)
        Line-spread function at `columns`, width of the pixel included; need not be normalised.
    columns : shape (n_columns,)
        The columns, increasing; linear in between, constant beyond [pixel].
    """

    fwhm: np.ndarray
    offsets: np.ndarray
    kernels: np.ndarray
    columns: np.ndarray

    def __post_init__(self):
        k, c = len(self.offsets), len(self.columns)
        frozen(self, fwhm=(None, None), offsets=(k,), kernels=(c, k), columns=(c,))


def at_rest(
    mask: LineMask,
    start_angstrom: float,
    end_angstrom: float,
    broadening_ms: float,
    *,
    strength: float = 1.0,
    thermal_ms: float = 1800.0,
    step_ms: float = 400.0,
) -> RestSpectrum:
    """Return the spectrum of a star with a list of lines.

    Parameters
    ----------
    start_angstrom, end_angstrom
        Range of the spectrum, vacuum [angstrom].
    broadening_ms
        Standard deviation of the total broadening of the lines of the star [m / s].
    strength
        Factor on the optical depth of every line.
    thermal_ms
        Standard deviation of the motions of the atoms and of small eddies, part of the broadening [m / s].
    step_ms
        Step of the grid [m / s].

    Notes
    -----
    ``exp(-sum tau_l g(v - v_l))`` with Gaussian ``g`` and ``tau_l = -strength ln(1 - depth_l)``, so that a lone line of
    strength 1 has its listed depth, then convolved with the broadening of the whole disk. Of the broadening, up
    to `thermal_ms` are heat and small eddies, which widen a saturated line; up to 2.5 km/s large eddies, a Gaussian
    again; what remains is rotation (Gray 2005, *The Observation and Analysis of Stellar Photospheres*, eq. 18.14, limb
    darkening 0.6). At 10 km/s of rotation a Gaussian instead of it doubles the errors that blends leave.
    """
    step = step_ms / doppler.C_MS
    n = int(np.log(end_angstrom / start_angstrom) / step) + 1
    ln_start = np.log(start_angstrom)
    tau = -strength * np.log1p(-np.minimum(mask.depth, 0.995))
    positions = (np.log(mask.vacuum_angstrom) - ln_start) / step
    narrow_ms, kernel = _broadening(broadening_ms, thermal_ms, step_ms)
    flux = np.exp(-_optical_depth(n, positions, tau, max(narrow_ms / step_ms, 0.5)))
    if len(kernel) > 1:
        # mode "same" gives the longer of the two, and a short spectrum may be shorter than the kernel
        flux = 1 - np.convolve(1 - flux, kernel)[len(kernel) // 2 : len(kernel) // 2 + n]
    return RestSpectrum(ln_start=ln_start, ln_step=step, flux=flux, slope=np.gradient(flux, step))


def observed(
    rest: RestSpectrum, velocity_ms: float, wavelength: Floats, sampling: Sampling | None = None
) -> tuple[Floats, Floats]:
    """Return a spectrum as the pixels of a spectrograph see it.

    Parameters
    ----------
    rest
        Spectrum of the star at rest.
    velocity_ms
        Radial velocity relative to the observer: ``wavelength = rest * (1 + v / c)`` [m / s].
    wavelength : shape (n_orders, n_pixels)
        Vacuum wavelength of the middle of each pixel, in the frame of the observer [angstrom].
    sampling
        Line-spread function; None for one that is infinitely sharp.

    Returns
    -------
    flux : ndarray of float, shape (n_orders, n_pixels)
        Relative to a continuum of 1.
    slope : ndarray of float, shape (n_orders, n_pixels)
        Derivative of `flux` with respect to the velocity [1 / (m / s)].
    """
    if sampling is None:
        sampling = Sampling(np.zeros(wavelength.shape), np.zeros(1), np.ones((1, 1)), np.zeros(1))
    kernels = sampling.kernels / sampling.kernels.sum(axis=1, keepdims=True)
    ln_rest = np.log(wavelength) - np.log1p(velocity_ms / doppler.C_MS)
    grid = (ln_rest - rest.ln_start) / rest.ln_step
    columns = np.asarray(sampling.columns, dtype=float)
    flux, slope = _convolve(rest.flux, rest.slope, grid, sampling.fwhm, sampling.offsets, kernels, columns)
    return flux, -slope / (doppler.C_MS + velocity_ms)


def _broadening(broadening_ms, thermal_ms, step_ms):
    """Return the broadening of the single line, and the kernel of the rest on a grid of `step_ms`."""
    narrow_ms = min(broadening_ms, thermal_ms)
    eddies_ms = np.sqrt(min(max(broadening_ms**2 - narrow_ms**2, 0.0), _EDDIES_MS**2))
    rotation_ms = np.sqrt(max(broadening_ms**2 - narrow_ms**2 - eddies_ms**2, 0.0)) / _ROTATION_DEVIATION
    reach = int(np.ceil((_REACH * eddies_ms + rotation_ms) / step_ms)) + 1
    offsets = np.arange(-reach, reach + 1)
    kernel = np.where(offsets == 0, 1.0, 0.0)
    if eddies_ms > 0.1 * step_ms:
        kernel = np.exp(-0.5 * (offsets * step_ms / eddies_ms) ** 2)
    if rotation_ms > 0.5 * step_ms:
        kernel = np.convolve(kernel, _rotation(offsets, rotation_ms / step_ms), mode="same")
    return narrow_ms, kernel / kernel.sum()


def _rotation(offsets, width):
    """Return the rotation profile of half width `width`, averaged over each step."""
    fine = (offsets[:, None] + (np.arange(10) + 0.5) / 10 - 0.5) / width
    inside = np.clip(1 - fine**2, 0, None)
    limb = _LIMB_DARKENING
    return np.sum(2 * (1 - limb) * np.sqrt(inside) + np.pi * limb / 2 * inside, axis=1)


def at_bound(strength: float) -> bool:
    """Return whether the strength of the lines of a model is at a bound of its range.

    The star is unlike the list then: its lines are weaker or stronger than the model can make them.

    Parameters
    ----------
    strength
        As in `at_rest`.
    """
    return not 1.01 * STRENGTHS[0] < strength < 0.99 * STRENGTHS[1]


@njit(cache=True)
def _optical_depth(n, positions, tau, sigma):
    total = np.zeros(n)
    reach = _REACH * sigma
    for line in range(len(positions)):
        center = positions[line]
        for i in range(max(0, int(np.ceil(center - reach))), min(n - 1, int(np.floor(center + reach))) + 1):
            total[i] += tau[line] * np.exp(-0.5 * ((i - center) / sigma) ** 2)
    return total


@njit(cache=True)
def _convolve(flux, slope, grid, fwhm, offsets, kernels, columns):
    n_orders, n_pixels = grid.shape
    kernel = _kernel_of_each_pixel(n_pixels, kernels, columns)
    out_flux, out_slope = np.empty((n_orders, n_pixels)), np.empty((n_orders, n_pixels))
    last = len(flux) - 2
    # unsigned indices, as in numerics/column_fit_kernels
    for order in range(np.uint64(n_orders)):
        for pixel in range(np.uint64(n_pixels)):
            sum_flux = sum_slope = 0.0
            for k in range(np.uint64(len(offsets))):
                # light that belongs to column x - u arrives at x
                x = pixel - offsets[k] * fwhm[order, pixel]
                left = min(max(int(x), 0), n_pixels - 2)
                i = np.uint64(left)
                place = grid[order, i] + (x - left) * (grid[order, i + np.uint64(1)] - grid[order, i])
                first = min(max(int(place), 0), last)
                part = min(max(place - first, 0.0), 1.0)
                j, next_j = np.uint64(first), np.uint64(first + 1)
                sum_flux += kernel[pixel, k] * (flux[j] + part * (flux[next_j] - flux[j]))
                sum_slope += kernel[pixel, k] * (slope[j] + part * (slope[next_j] - slope[j]))
            out_flux[order, pixel], out_slope[order, pixel] = sum_flux, sum_slope
    return out_flux, out_slope


@njit(cache=True)
def _kernel_of_each_pixel(n_pixels, kernels, columns):
    kernel = np.empty((n_pixels, kernels.shape[1]))
    for pixel in range(n_pixels):
        c = interval_of(columns, float(pixel))
        share = 0.0
        if len(columns) > 1:
            share = min(max((pixel - columns[c]) / (columns[c + 1] - columns[c]), 0.0), 1.0)
        right = min(c + 1, len(columns) - 1)
        for k in range(kernels.shape[1]):
            kernel[pixel, k] = (1 - share) * kernels[c, k] + share * kernels[right, k]
    return kernel
