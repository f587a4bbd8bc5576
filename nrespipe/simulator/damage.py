"""Damaged copies of a raw file, as archives and networks make them."""

import shutil
from pathlib import Path

import numpy as np
from astropy.io import fits

from nrespipe.frames.arrays import Integers


def empty(source: Path, target: Path) -> Path:
    """Make a file of no bytes.

    Parameters
    ----------
    source, target
        A sound raw file, and where its damaged copy goes.

    Returns
    -------
    Path
        `target`.
    """
    Path(target).write_bytes(b"")
    return Path(target)


def truncated(source: Path, target: Path, *, share: float = 0.5) -> Path:
    """Cut a file off, as a transfer that broke.

    Parameters
    ----------
    source, target
        A sound raw file, and where its damaged copy goes.
    share
        Share of the bytes that stays.

    Returns
    -------
    Path
        `target`.
    """
    data = Path(source).read_bytes()
    Path(target).write_bytes(data[: int(len(data) * share)])
    return Path(target)


def web_page(source: Path, target: Path) -> Path:
    """Make a file that holds the page of an error instead of data.

    Parameters
    ----------
    source, target
        A sound raw file, and where its damaged copy goes.

    Returns
    -------
    Path
        `target`.
    """
    Path(target).write_text("<!DOCTYPE html>\n<html><body><h1>502 Bad Gateway</h1></body></html>\n")
    return Path(target)


def garbled(source: Path, target: Path, *, seed: int = 0, n_bytes: int = 2000) -> Path:
    """Change random bytes behind the headers.

    Parameters
    ----------
    source, target
        A sound raw file, and where its damaged copy goes.
    n_bytes
        How many are changed.

    Returns
    -------
    Path
        `target`.
    """
    rng = np.random.default_rng(seed)
    data = np.frombuffer(Path(source).read_bytes(), np.uint8).copy()
    where = rng.integers(min(40000, len(data) - 1), len(data), n_bytes)
    data[where] = rng.integers(0, 256, n_bytes, dtype=np.uint8)
    Path(target).write_bytes(data.tobytes())
    return Path(target)


def without_cards(source: Path, target: Path, *keywords: str, extension: str = "SPECTRUM") -> Path:
    """Leave cards out of a header.

    Parameters
    ----------
    source, target
        A sound raw file, and where its damaged copy goes.
    *keywords
        ``OBJECTS`` ...

    Returns
    -------
    Path
        `target`.
    """
    return with_cards(source, target, extension=extension, **dict.fromkeys(keywords))


def with_cards(source: Path, target: Path, *, extension: str = "SPECTRUM", **values: object) -> Path:
    """Change cards of a header.

    Parameters
    ----------
    source, target
        A sound raw file, and where its damaged copy goes.
    **values
        New values by keyword, an underscore standing for a hyphen; None removes the card.

    Returns
    -------
    Path
        `target`.
    """

    def change(units):
        header = units[extension].header
        for name, value in values.items():
            key = name.replace("_", "-")
            if value is None:
                header.remove(key, ignore_missing=True)
            else:
                header[key] = value

    return _changed(source, target, change)


def without_extension(source: Path, target: Path, *names: str) -> Path:
    """Leave extensions out.

    Parameters
    ----------
    source, target
        A sound raw file, and where its damaged copy goes.
    *names
        ``EXPOSURE_METER``, ``TELESCOPE_1``, ...; SPECTRUM too.

    Returns
    -------
    Path
        `target`.
    """

    def change(units):
        for name in names:
            del units[name]

    return _changed(source, target, change)


def with_image(source: Path, target: Path, adu: Integers) -> Path:
    """Put other pixels into a file: another size, all zeros, all saturated.

    Parameters
    ----------
    source, target
        A sound raw file, and where its damaged copy goes.
    adu
        The image [ADU].

    Returns
    -------
    Path
        `target`.
    """

    def change(units):
        header = units["SPECTRUM"].header
        units["SPECTRUM"] = fits.CompImageHDU(
            adu, header, name="SPECTRUM", compression_type="RICE_1", tile_shape=(1,) * (adu.ndim - 1) + adu.shape[-1:]
        )

    return _changed(source, target, change)


def copied(source: Path, target: Path) -> Path:
    """Make a sound copy, for instance under a wrong name.

    Parameters
    ----------
    source, target
        A sound raw file, and where its copy goes.

    Returns
    -------
    Path
        `target`.
    """
    return Path(shutil.copyfile(source, target))


def _changed(source, target, change):
    with fits.open(source) as units:
        # load everything before anything changes, so that untouched parts are copied whole
        for unit in units:
            _ = unit.data
        change(units)
        units.writeto(target, overwrite=True, output_verify="silentfix")
    return Path(target)
