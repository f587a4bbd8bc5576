"""The pixels of a raw file, read in parts when they are used: a stack of many frames is never in memory as a whole."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits
from numpy.typing import DTypeLike, NDArray

from nrespipe.errors import BadFrame
from nrespipe.files import fits_io
from nrespipe.frames.arrays import Floats

if TYPE_CHECKING:
    from astropy.io.fits import HDUList, ImageHDU


@dataclass(frozen=True)
class StoredPixels:
    """An image that stays in its file; indexed with two slices it gives that part of it.

    Attributes
    ----------
    path
        Raw file, fpacked or not.
    shape
        Rows and columns.

    Notes
    -----
    Every access opens the file anew, which takes 4 ms, and unpacks the rows that are asked for alone: fpack keeps each
    row of an image by itself. So any number of frames can be open at once.
    """

    path: Path
    shape: tuple[int, int]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, place: tuple[slice, slice]) -> Floats:
        rows, columns = place
        first, end, _ = rows.indices(self.shape[0])
        with fits_io.reading(self.path) as hdus:
            hdu = spectrum(hdus)
            found = hdu.section[(0,) * (len(hdu.shape) - 2) + (slice(first, end), slice(None))]
        if found.shape != (end - first, self.shape[1]):
            raise BadFrame(f"{self.path.name}: its image changed its size while it was in use")
        return np.ascontiguousarray(found[:: rows.step or 1, columns], dtype=np.float32)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:, :].astype(dtype or np.float32, copy=False)


def spectrum(hdus: "HDUList") -> "ImageHDU":
    """Return the part of a raw file with the spectrum.

    Returns
    -------
    astropy.io.fits.PrimaryHDU, ImageHDU or CompImageHDU
        Found by its name, else the first image, else the first part.
    """
    images = []
    for hdu in hdus:
        if isinstance(hdu, (fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU)):
            if hdu.name == "SPECTRUM" and hdu.shape:
                return hdu
            if hdu.shape and not hdu.name.startswith(("TELESCOPE", "AGU")):
                images.append(hdu)
    return images[0] if images else hdus[0]
