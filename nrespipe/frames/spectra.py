"""Extracted spectra and their wavelengths."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nrespipe.frames.arrays import frozen


class FiberSpectra(NamedTuple):
    """The arrays of one fiber of `Spectra`, each of shape (n_orders, n_pixels)."""

    flux: np.ndarray
    variance: np.ndarray
    quality: np.ndarray
    blaze: np.ndarray


@dataclass(frozen=True)
class Spectra:
    """Extracted light of the lit fibers of one frame.

    Attributes
    ----------
    fibers
        Fiber numbers along the first axis.
    orders : shape (n_orders,)
        Diffraction orders along the second axis, increasing.
    flux : shape (n_fibers, n_orders, n_pixels)
        Extracted flux, NaN where there is none [electron].
    variance : shape (n_fibers, n_orders, n_pixels)
        Variance of `flux`, NaN where it is [electron2].
    quality : shape (n_fibers, n_orders, n_pixels)
        Flags of the pixels that were used, bits of ``Pixel``.
    blaze : shape (n_fibers, n_orders, n_pixels)
        Spectrum of the flat lamp, scaled to 1 at the peak of each order; 0 where unknown.
    rejected : shape (n_rejected, 2), or None
        Rows and columns of the pixels that were rejected as cosmic rays; None for a sum of frames.
    lamp_e_per_s : shape (n_fibers, n_orders), or None
        Flux of the flat lamp where `blaze` is 1; spectra divided by both join from order to order [electron / second].
    """

    fibers: tuple[int, ...]
    orders: np.ndarray
    flux: np.ndarray
    variance: np.ndarray
    quality: np.ndarray
    blaze: np.ndarray
    rejected: np.ndarray | None = None
    lamp_e_per_s: np.ndarray | None = None

    def __post_init__(self) -> None:
        shape = (len(self.fibers), len(self.orders), np.shape(self.flux)[-1])
        frozen(self, lamp_e_per_s=shape[:2])
        frozen(self, orders=shape[1:2], flux=shape, variance=shape, quality=shape, blaze=shape, rejected=(None, 2))

    def of(self, fiber: int) -> "FiberSpectra":
        """Return the arrays of one fiber.

        Parameters
        ----------
        fiber
            Fiber number, one of `fibers`.

        Returns
        -------
        FiberSpectra
            Views of the arrays.
        """
        i = self.fibers.index(fiber)
        return FiberSpectra(self.flux[i], self.variance[i], self.quality[i], self.blaze[i])

    def select(self, fiber: int) -> "Spectra":
        """Return the spectra of one fiber alone, without the list of rejected pixels."""
        flux, variance, quality, blaze = (array[None] for array in self.of(fiber))
        lamp = None if self.lamp_e_per_s is None else self.lamp_e_per_s[[self.fibers.index(fiber)]]
        return Spectra((fiber,), self.orders, flux, variance, quality, blaze, lamp_e_per_s=lamp)


@dataclass(frozen=True)
class Stitched:
    """The orders of a star joined to one spectrum, on a grid that is even in the logarithm of the wavelength.

    Attributes
    ----------
    fiber
        Fiber of the star.
    vacuum_angstrom : shape (n,)
        Vacuum wavelength of the middle of each bin, frame of the barycenter [angstrom].
    flux, variance : shape (n,)
        Flux in each bin, without the blaze, NaN where no order covers it: the spectrum of the lamp and the response are
        still in it [electron, electron2].
    normalized, normalized_variance : shape (n,)
        Flux relative to the continuum, and its variance.
    """

    fiber: int
    vacuum_angstrom: np.ndarray
    flux: np.ndarray
    variance: np.ndarray
    normalized: np.ndarray
    normalized_variance: np.ndarray

    def __post_init__(self) -> None:
        n = (len(self.vacuum_angstrom),)
        frozen(self, vacuum_angstrom=n, flux=n, variance=n, normalized=n, normalized_variance=n)
