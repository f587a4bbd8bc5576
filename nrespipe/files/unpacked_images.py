"""Unpacked copies of the images of masters, mapped into memory: all processes of a machine share them."""

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nrespipe.files.atomic_files import replacing

if TYPE_CHECKING:
    from astropy.io.fits import ImageHDU

#: An image of fewer bytes is read from the master itself.
_LEAST_BYTES = 1 << 20
#: Images whose columns are contiguous in their copy, as the extraction reads them.
_BY_COLUMNS = frozenset({"PROFILE_RESPONSE", "PROFILE_RESPONSE_ERROR"})
#: Directories that are kept: two nights of every spectrograph [number], and all that were used lately [second].
_KEPT, _RECENT_S = 32, 3600.0


def pixels(directory: Path, hdu: "ImageHDU") -> NDArray[Any]:
    """Return the pixels of an image of a master, mapped from its copy; it is written where there is none.

    Parameters
    ----------
    directory
        Of the copies of this very file: its checksum is in the name.
    hdu
        The image in the master. It is unpacked only if there is no copy of it.

    Returns
    -------
    ndarray
        In the byte order of the machine, read-only if it is mapped. Where the disk takes no copy it is in the memory of
        this process alone.
    """
    path = directory / f"{hdu.name}.npy"
    if (found := _mapped(path, hdu.shape)) is not None:
        return found
    array = np.asarray(hdu.data)
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    if array.nbytes < _LEAST_BYTES:
        return array
    # a full or read-only disk costs memory, and no frame
    with suppress(OSError), replacing(path) as written, open(written, "wb") as stream:
        np.save(stream, np.asfortranarray(array) if hdu.name in _BY_COLUMNS else array, allow_pickle=False)
    return array if (found := _mapped(path, hdu.shape)) is None else found


def remove_old(directory: Path) -> None:
    """Note that the copies of a master are in use, and remove those of masters that were not used for long.

    Parameters
    ----------
    directory
        Of the copies of one master, among those of the others. A process that has an image mapped keeps it.
    """
    with suppress(OSError):
        os.utime(directory)
        found = sorted(((one.stat().st_mtime, one) for one in directory.parent.iterdir()), reverse=True)
        for last_used, one in found[_KEPT:]:
            if time.time() - last_used > _RECENT_S:
                shutil.rmtree(one, ignore_errors=True)


def _mapped(path: Path, shape: tuple[int, ...]) -> NDArray[Any] | None:
    try:
        found: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        # none yet, or a damaged one
        return None
    return found if found.shape == shape else None
