"""Extracted arcs as plain arrays, summed over a box, without variance and flags: the adversary of ``extracted_arcs``.

The two share no model of the bench, the lamp, the profile or the noise, so that a solution which works on both does not
work because solver and simulator make the same assumptions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import erf

from nrespipe.frames.arrays import Floats
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.frames.wavelength import LampLines
from nrespipe.instruments import optics

#: Parts of the profile of a line: share, offset and width in units of its standard deviation.
_PARTS = ((0.80, -0.10, 0.95), (0.17, 0.50, 1.10), (0.03, 0.0, 2.5))
#: Scatter of the Legendre coefficients, by total degree, of the offset from the optical model [pixel].
_BENDS = {2: 1.5, 3: 0.5, 4: 0.2, 5: 0.1, 6: 0.05}
_FOREST = 60


@dataclass(frozen=True)
class BoxTruth:
    """True wavelengths of a fiber.

    Attributes
    ----------
    spectrograph
        Its optical model is perturbed.
    fiber
        Fiber number.
    shift_px : shape (7, 7)
        Legendre coefficients, in x and in m, of the offset of the light from the optical model [pixel].
    """

    spectrograph: Spectrograph
    fiber: int
    shift_px: np.ndarray

    def wavelength(self, order: np.ndarray, x: np.ndarray) -> Floats:
        """Return the true wavelength.

        Parameters
        ----------
        order, x
            Diffraction order and column [pixel], broadcast.

        Returns
        -------
        ndarray of float
            Vacuum wavelength [angstrom].
        """
        order, x = np.broadcast_arrays(np.asarray(order, float), np.asarray(x, float))
        first, last = self.spectrograph.first_order, self.spectrograph.last_order
        at = 2 * x / (self.spectrograph.detector.columns - 1) - 1, (2 * order - first - last) / (last - first)
        return optics.wavelength(
            self.spectrograph, self.fiber, order, x - np.polynomial.legendre.legval2d(*at, self.shift_px)
        )


def truth(
    spectrograph: Spectrograph,
    seed: int,
    fiber: int = 1,
    plane_px: tuple[tuple[float, float, float], ...] | None = None,
    bend: float = 1.0,
) -> BoxTruth:
    """Return random true wavelengths of a fiber.

    Parameters
    ----------
    spectrograph
        Its optical model is perturbed.
    seed
        Of the random numbers.
    plane_px
        Shift, slope with x and slope with order, which a turn of the detector makes; where absent up to 30, 10 and
        11 px (0.3 degree) [pixel].
    bend
        Scale of what is no plane.
    """
    random = np.random.default_rng([seed, 1])
    shift_px = np.zeros((7, 7))
    for a in range(7):
        for b in range(7 - a):
            shift_px[a, b] = bend * _BENDS.get(a + b, 0.0) * random.normal()
    plane = random.uniform(-1, 1, 3) * (30, 10, 11) if plane_px is None else plane_px
    shift_px[0, 0], shift_px[1, 0], shift_px[0, 1] = plane
    return BoxTruth(spectrograph, fiber, shift_px)


def thorium(lamp: LampLines, seed: int, level: float = 1.0, missing: float = 0.2) -> tuple[Floats, Floats]:
    """Return the lines of a lamp with random fluxes, some of them missing.

    Parameters
    ----------
    lamp
        Lines that may shine.
    seed
        Of the random numbers.
    level
        Brightness of the lamp.
    missing
        Share of the lines that do not shine.

    Returns
    -------
    vacuum_angstrom, electrons : ndarray of float, shape (n_lines,)
    """
    random = np.random.default_rng([seed, 2])
    shine = random.uniform(size=len(lamp.intensity)) > missing
    electrons = 900 * level * lamp.intensity[shine] * 10 ** random.normal(0, 0.35, shine.sum())
    return lamp.vacuum_angstrom[shine], np.minimum(electrons, 2e7)


def draw(
    bench: BoxTruth,
    orders: Sequence[int],
    lines: tuple[tuple[np.ndarray, np.ndarray], ...],
    seed: int,
    n_pixels: int = 4096,
    fwhm_px: tuple[float, ...] = (2.85, 3.2, 3.6, 4.4, 5.8),
    noise: float = 33.0,
) -> Floats:
    """Draw an extracted arc.

    Parameters
    ----------
    bench
        Where the light falls.
    orders
        Diffraction order of each row.
    lines
        Vacuum wavelengths and light of the lines [angstrom, electron].
    seed
        Of the noise and of the faint lines that no list has.
    n_pixels
        Length of a row; it is centered on the detector.
    fwhm_px
        Widths of the lines, evenly spaced along the row [pixel].
    noise
        Of a pixel without light; correlated with its neighbor [electron].

    Returns
    -------
    ndarray of float, shape (n_orders, n_pixels)
        Light [electron].
    """
    random = np.random.default_rng([seed, 3])
    columns = np.arange(-30, n_pixels + 30) - first_column(bench, n_pixels)
    light = np.zeros((len(orders), n_pixels))
    for row, order in zip(light, orders):
        wavelength = bench.wavelength(order, columns)
        inside = (lines[0] > wavelength[0]) & (lines[0] < wavelength[-1])
        center = np.interp(lines[0][inside], wavelength, np.arange(-30.0, n_pixels + 30))
        center = np.append(center, random.uniform(0, n_pixels, _FOREST))
        electrons = np.append(lines[1][inside], 10 ** random.normal(2.0, 0.4, _FOREST))
        electrons *= np.sinc(1.0 * (center / n_pixels - 0.5)) ** 2
        _add(row, center, electrons, np.interp(center, np.linspace(0, n_pixels, len(fwhm_px)), fwhm_px) / 2.3548)
    grain = random.normal(size=light.shape)
    grain = noise * (grain + 0.3 * np.roll(grain, 1, axis=1)) / np.hypot(1, 0.3)
    return random.poisson(light) + grain


def first_column(bench: BoxTruth, n_pixels: int) -> float:
    """Return the index of the pixel of a row that is column 0 of the detector.

    Parameters
    ----------
    n_pixels
        Length of a row.

    Returns
    -------
    float
        Index, a half where the lengths differ by an odd number [pixel].
    """
    return (n_pixels - bench.spectrograph.detector.columns) / 2


def _add(row, center, electrons, sigma) -> None:
    """Add lines, integrated over the pixels, to a row."""
    pixel = np.rint(center).astype(int)[:, None] + np.arange(-25, 26)
    profile = np.zeros(pixel.shape)
    for share, offset, width in _PARTS:
        middle, scale = (center + offset * sigma)[:, None], np.sqrt(2) * width * sigma[:, None]
        profile += share * 0.5 * (erf((pixel + 0.5 - middle) / scale) - erf((pixel - 0.5 - middle) / scale))
    there = (pixel >= 0) & (pixel < len(row))
    np.add.at(row, pixel[there], (electrons[:, None] * profile)[there])
