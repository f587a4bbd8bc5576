"""Spectra of a star read back from a level 2 product."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nrespipe.errors import BadFrame
from nrespipe.files import fits_io
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.wavelength import Drift, LineShape, Wavelengths

if TYPE_CHECKING:
    from astropy.io.fits import HDUList


@dataclass(frozen=True)
class Observed:
    """One fiber of a level 2 product.

    Attributes
    ----------
    spectra
        Of this fiber alone.
    wavelengths
        Of the same pixels; the product does not keep the line-spread function nor the errors.
    berv_ms
        Barycentric correction [m / s].
    midpoint_mjd
        Photon-weighted midpoint, UTC [MJD].
    """

    spectra: Spectra
    wavelengths: Wavelengths
    berv_ms: float
    midpoint_mjd: float


def read(path: str | Path, fiber: int) -> Observed:
    """Read the spectrum of one fiber from a level 2 product.

    Parameters
    ----------
    fiber
        Fiber of the star.

    Raises
    ------
    BadFrame
        If the file is damaged, or has no spectrum of this fiber with a barycentric correction.
    Unavailable
        If the disk does not give the file.
    """
    with fits_io.reading(path) as hdus:
        fits_io.require_whole(hdus, path)
        seen: Observed = _observed(hdus, fiber, Path(path).name)
    return seen


def _observed(hdus: "HDUList", fiber: int, name: str) -> Observed:
    fluxes = [hdu for hdu in hdus if hdu.name.startswith("TRACE") and hdu.name.endswith("_FLUX")]
    flux = next((hdu for hdu in fluxes if hdu.header.get("FIBER") == fiber), None)
    if flux is None or "BERV" not in flux.header:
        raise BadFrame(f"{name}: has no spectrum of fiber {fiber} with a barycentric correction")
    trace = flux.name.removesuffix("_FLUX")
    orders = np.asarray(hdus["ORDER_TABLE"].data["ECHELLE_ORDER"], np.int64)
    array = lambda part, dtype: np.asarray(hdus[f"{trace}_{part}"].data, dtype)[None]  # noqa: E731
    spectra = Spectra(
        (fiber,), orders, array("FLUX", np.float64), array("VAR", np.float64), array("QUALITY", np.uint8),
        array("BLAZE", np.float64),
    )  # fmt: skip
    angstrom = array("WAVE", np.float64)
    unknown = LineShape((fiber,), orders, np.full(angstrom.shape, np.nan), np.zeros(1), np.zeros(1), np.ones((1, 1, 1)))
    still = Drift(0.0, np.inf, 0.0, np.inf, 0.0, np.inf, 0)
    wavelengths = Wavelengths((fiber,), orders, angstrom, np.full(1, np.inf), still, unknown)
    return Observed(spectra, wavelengths, 1e3 * float(flux.header["BERV"]), float(flux.header["MJD-MID"]))
