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
    """

    fibers: tuple[int, ...]
    orders: np.ndarray
    flux: np.ndarray
    variance: np.ndarray
    quality: np.ndarray
    blaze: np.ndarray
    rejected: np.ndarray | None = None

    def __post_init__(self) -> None:
        shape = (len(self.fibers), len(self.orders), np.shape(self.flux)[-1])
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
        return Spectra((fiber,), self.orders, flux, variance, quality, blaze)
