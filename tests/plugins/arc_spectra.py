"""Extracted arcs whose wavelengths are known: one-dimensional, for tests and benchmarks of the wavelength scale."""

from dataclasses import dataclass

import numpy as np

from nrespipe import doppler
from nrespipe.frames.arrays import Floats, Integers
from nrespipe.frames.quality import Pixel
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.frames.wavelength import LampLines
from nrespipe.instruments import optics


@dataclass(frozen=True)
class ArcTruth:
    """A spectrograph in one state, and the lamp that shines through it.

    Attributes
    ----------
    spectrograph
        Whose optical model is perturbed.
    shift_px : shape (4, 4)
        Legendre coefficients, in x and in m, of how far the light lies from where the model has it [pixel].
    vacuum_angstrom, electrons : shape (n_lines,)
        Lines that shine, and the light of each at the peak of the blaze [electron].
    skew, wings
        Of the line-spread function: share of the light in a displaced, and in a wide component.
    """

    spectrograph: object
    shift_px: np.ndarray
    vacuum_angstrom: np.ndarray
    electrons: np.ndarray
    skew: float = 0.25
    wings: float = 0.06

    def wavelength(
        self, fiber: int, order: np.ndarray, x: np.ndarray, drift_px: tuple[tuple[float, float], ...] = (0.0, 0.0)
    ) -> Floats:
        """Return the true wavelength.

        Parameters
        ----------
        order, x
            Diffraction order and column [pixel], broadcast.
        drift_px
            Shift at the middle and stretch of this exposure [pixel].

        Returns
        -------
        ndarray of float
            Vacuum wavelength [angstrom].
        """
        scaled_x, scaled_m = self._scaled(order, x)
        shift = np.polynomial.legendre.legval2d(scaled_x, scaled_m, self.shift_px)
        shift = shift + drift_px[0] + drift_px[1] * scaled_x
        return optics.wavelength(self.spectrograph, fiber, order, x - shift)

    def _scaled(self, order, x):
        n, first, last = self.spectrograph.detector.columns, self.spectrograph.first_order, self.spectrograph.last_order
        order, x = np.broadcast_arrays(order, x)
        return 2 * x / (n - 1) - 1, (2 * order - first - last) / (last - first)

    def center_offset_px(self, order: np.ndarray, x: np.ndarray) -> Floats:
        """Return where the profile is centered in the sense of a Gaussian fit, relative to the true position.

        Parameters
        ----------
        order, x
            Diffraction order and column [pixel], broadcast.

        Returns
        -------
        ndarray of float
            Zero of the sum of L(u) u exp(-4 ln 2 u2) [pixel].
        """
        _, x = np.broadcast_arrays(order, x)
        nodes = np.linspace(0, self.spectrograph.detector.columns - 1, 33)
        u = np.arange(-30, 30, 0.05)
        offsets = []
        for node in nodes:
            values = self._profile(u, node)
            half = u[values > values.max() / 2]
            width, center = half[-1] - half[0], 0.0
            for _ in range(50):
                weight = np.exp(-4 * np.log(2) * ((u - center) / width) ** 2)
                center += 2 * np.sum(values * weight * (u - center)) / np.sum(values * weight)
            offsets.append(center)
        return np.interp(x, nodes, offsets)

    def _profile(self, u, x):
        """Density of light, integrated over a pixel, of a profile that doubles in width along the order."""
        scaled = 2 * x / (self.spectrograph.detector.columns - 1) - 1
        sigma = (3.9 + 1.45 * scaled + 0.35 * scaled**2) / 2.3548
        total = 0.0
        share = self.skew * (1 + 0.5 * scaled)
        for part, center, width in (
            (1 - share - self.wings, -0.12 * sigma, 0.92 * sigma),
            (share, 0.45 * sigma, 1.08 * sigma),
            (self.wings, 0.3 * sigma, 2.1 * sigma),
        ):
            total = total + part * sum(
                weight * np.exp(-(((u + node / 2 - center) / width) ** 2) / 2) / (width * np.sqrt(2 * np.pi))
                for node, weight in ((-0.7745966692, 5 / 18), (0.0, 8 / 18), (0.7745966692, 5 / 18))
            )
        return total


def truth(
    spectrograph: Spectrograph,
    lamp: LampLines,
    seed: int,
    shift_px: Floats | None = None,
    missing: float = 0.1,
    unlisted: int = 3000,
) -> ArcTruth:
    """Make up a state of a spectrograph and its lamp.

    Parameters
    ----------
    spectrograph
        Whose optical model is perturbed.
    lamp
        Lines that may shine.
    seed
        Of the random numbers.
    shift_px : shape (4, 4)
        As in ``ArcTruth``; random up to 30 px in shift, 10 px in slope where absent.
    missing
        Share of the listed lines that do not shine.
    unlisted
        Lines that shine although they are not listed.
    """
    random = np.random.default_rng(seed)
    if shift_px is None:
        shift_px = np.zeros((4, 4))
        shift_px[0, 0] = random.uniform(-30, 30)
        shift_px[0, 1], shift_px[1, 0] = random.uniform(-10, 10, 2)
        for (a, b), scale in {
            (2, 0): 1,
            (1, 1): 1,
            (0, 2): 1,
            (3, 0): 0.3,
            (2, 1): 0.3,
            (1, 2): 0.3,
            (0, 3): 0.3,
        }.items():
            shift_px[a, b] = scale * random.normal()
    shine = random.uniform(size=len(lamp.intensity)) > missing
    listed = 600 * lamp.intensity[shine] * 10 ** random.normal(0, 0.25, shine.sum())
    listed = np.where((lamp.species[shine] == "Ar") & (lamp.vacuum_angstrom[shine] > 6900), 10 * listed, listed)
    position = lamp.vacuum_angstrom + random.normal(0, 1, len(shine)) * np.minimum(
        lamp.error_angstrom, lamp.vacuum_angstrom * 15 / doppler.C_MS
    )
    forest = np.exp(random.uniform(np.log(3850), np.log(9100), unlisted))
    faint = 600 * 10 ** random.normal(0.2, 0.4, unlisted)
    return ArcTruth(spectrograph, shift_px, np.r_[position[shine], forest], np.r_[listed, faint])


def expose(
    truth: ArcTruth,
    fibers: tuple[int, ...],
    seed: int,
    drift_px: tuple[tuple[float, float], ...] = (0.0, 0.0),
    orders: Integers | None = None,
    read_variance: float = 650.0,
    level: float = 1.0,
    renumber: int = 0,
) -> Spectra:
    """Expose and extract an arc.

    Parameters
    ----------
    truth
        State of the spectrograph and of the lamp.
    fibers
        Fibers that are lit.
    drift_px
        Shift at the middle and stretch [pixel].
    orders
        Diffraction orders; all where absent.
    read_variance
        Variance of an extracted pixel without light [electron2].
    level
        Brightness of the lamp.
    renumber
        By how much the orders are called wrongly.
    """
    random = np.random.default_rng(seed)
    orders = truth.spectrograph.orders if orders is None else np.asarray(orders)
    light = level * np.array([[_order(truth, fiber, order, drift_px) for order in orders] for fiber in fibers])
    variance = light + read_variance
    flux = light + random.normal(size=light.shape) * np.sqrt(variance)
    quality = np.where(light > 3.5e5, Pixel.SATURATED, 0).astype(np.uint8)
    blaze = np.broadcast_to([_blaze(truth, order) for order in orders], light.shape)
    return Spectra(tuple(fibers), orders + renumber, np.minimum(flux, 4e5), variance, quality, blaze)


def _blaze(truth, order):
    n = truth.spectrograph.detector.columns
    wavelength = truth.wavelength(truth.spectrograph.fibers.reference, order, np.arange(n))
    middle = wavelength[n // 2]
    return 0.03 + 0.97 * np.sinc(0.8 * order * (wavelength - middle) / middle) ** 2


def _order(truth, fiber, order, drift_px):
    n = truth.spectrograph.detector.columns
    x = np.arange(-30, n + 30)
    wavelength = truth.wavelength(fiber, order, x, drift_px)
    inside = (truth.vacuum_angstrom > wavelength[0]) & (truth.vacuum_angstrom < wavelength[-1])
    center = np.interp(truth.vacuum_angstrom[inside], wavelength, x)
    pixel = np.rint(center).astype(int)[:, None] + np.arange(-16, 17)
    share = _columns_profile(truth, pixel - center[:, None], center)
    light = np.zeros(n)
    blaze = np.interp(center, np.arange(n), _blaze(truth, order))
    keep = (pixel >= 0) & (pixel < n)
    np.add.at(light, pixel[keep], (truth.electrons[inside] * blaze)[:, None].repeat(33, 1)[keep] * share[keep])
    return light


def _columns_profile(truth, u, center):
    return truth._profile(u, np.clip(center, 0, truth.spectrograph.detector.columns - 1)[:, None])
