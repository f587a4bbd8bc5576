"""Files of raw frames: read one as a ``RawFrame``, or only its identity."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nrespipe.errors import BadFrame
from nrespipe.files import fits_io
from nrespipe.files.raw import identity, lazy_pixels, other_extensions
from nrespipe.files.raw.card_values import Cards, number, positive, section, text, value
from nrespipe.frames.arrays import Floats
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import ExposureMeter, RawFrame, Section, Telescope

if TYPE_CHECKING:
    from astropy.io.fits import HDUList, ImageHDU

    from nrespipe.files.raw.identity import Identity


def read_identity(path: str | Path) -> "Identity":
    """Return the identity of a raw frame, from its name, its headers and its length alone (some milliseconds).

    Parameters
    ----------
    path
        Raw frame, fpacked or not.

    Raises
    ------
    Skipped, BadFrame, Unavailable
        As `read`, without the defects that only the pixels show.
    """
    identity.require_raw_name(path)
    with fits_io.reading(path) as hdus:
        header = _header(hdus, lazy_pixels.spectrum(hdus), path)
        fits_io.require_whole(hdus, path)
        others = _others(hdus, path)
    return identity.of(path, header, *others)


def read(path: str | Path, whole: bool = True) -> RawFrame:
    """Read a raw frame.

    Parameters
    ----------
    path
        Raw frame, fpacked or not. It is never changed.
    whole
        False leaves the pixels in the file, to be read in parts when they are used, so that any number of frames can be
        stacked. They are not checked here; a part that is too damaged to be read raises `BadFrame` then.

    Raises
    ------
    Skipped
        If the file is not ours to reduce: a guider or experimental frame, a frame of another camera or of the
        detector's own software, or one that is already reduced.
    BadFrame
        If it can never be reduced; the message names the defect.
    Unavailable
        If the disk does not give the file.
    """
    identity.require_raw_name(path)
    name = Path(path).name
    with fits_io.reading(path) as hdus:
        spectrum = lazy_pixels.spectrum(hdus)
        header = _header(hdus, spectrum, path)
        fits_io.require_whole(hdus, path)
        meter, telescopes = _others(hdus, path)
        _require_image(spectrum, name)
        shape = (int(spectrum.shape[-2]), int(spectrum.shape[-1]))
        image = spectrum.data if whole else None
    checksums = fits_io.checksum_flags(path) if whole else Quality(0)
    frame = identity.of(path, header, meter, telescopes)
    data_section, bias_section = _sections(header, shape, name)
    # the recipes index an image with two slices, whichever of the two it is
    adu: Any = lazy_pixels.StoredPixels(Path(path), shape)
    if image is not None:
        adu = np.ascontiguousarray(image.reshape(shape), dtype=np.float32)
        _require_signal(adu[data_section.slices], name)
    quality = frame.quality | _section_flags(header, shape) | checksums
    return RawFrame(
        **{**vars(frame), "quality": quality},
        adu=adu,
        bias_section=bias_section,
        data_section=data_section,
        **_detector_values(header),
        meter=meter,
        telescopes=telescopes,
        header=header,
    )


def _others(hdus: "HDUList", path: str | Path) -> tuple[ExposureMeter | None, tuple[Telescope | None, ...]]:
    """Return the exposure meter and the telescopes."""
    telescopes = (other_extensions.telescope(cards) for cards in other_extensions.telescope_headers(hdus, path))
    return other_extensions.meter(other_extensions.meter_columns(hdus)), tuple(telescopes)


def _header(hdus: "HDUList", spectrum: "ImageHDU", path: str | Path) -> Cards:
    """Return the cards of the spectrum, after those that only the primary part has."""
    number = next(i for i, hdu in enumerate(hdus) if hdu is spectrum)
    own = fits_io.cards_of_part(hdus, number, path)
    return own if number == 0 else fits_io.cards_of_part(hdus, 0, path) | own


def _require_image(spectrum: "ImageHDU", name: str) -> None:
    shape = tuple(n for n in spectrum.shape)
    if len(shape) < 2 or any(n != 1 for n in shape[:-2]) or min(shape[-2:]) < 2:
        raise BadFrame(f"{name}: no image in it" if not shape else f"{name}: its image has the axes {shape}")


def _sections(header: Cards, shape: tuple[int, int], name: str) -> tuple[Section, Section]:
    """Return the data section, which must lie inside the image, and an overscan beside it."""
    rows, columns = shape
    data = section(value(header, "DATASEC")) or section(value(header, "TRIMSEC"))
    if data is None:
        raise BadFrame(f"{name}: neither DATASEC nor TRIMSEC gives the light-sensitive part")
    if data.end_column > columns or data.end_row > rows:
        raise BadFrame(
            f"{name}: the image has {columns} x {rows} pixels, DATASEC is {data.end_column} x {data.end_row}"
        )
    _refuse_transposed(header, shape, name)
    claimed = section(value(header, "BIASSEC"))
    first = data.end_column
    if claimed and max(claimed.first_column, first) < min(claimed.end_column, columns):
        return data, Section(max(claimed.first_column, first), min(claimed.end_column, columns), *_rows(data))
    if columns - first < 8:
        raise BadFrame(f"{name}: no overscan: BIASSEC is {value(header, 'BIASSEC')!r}, the image ends at {columns}")
    # The first columns after the light still have some of it: a real BIASSEC leaves out six.
    return data, Section(first + 6, columns, *_rows(data))


def _refuse_transposed(header: Cards, shape: tuple[int, int], name: str) -> None:
    """Raise BadFrame if rows and columns of an image have changed places: nothing tells which way it was turned."""
    whole = section(value(header, "DETSIZE"))
    rows, columns = shape
    if whole and rows != columns and (whole.end_column, whole.end_row) == (rows, columns):
        raise BadFrame(f"{name}: the image is transposed: {columns} x {rows} pixels, DETSIZE is {rows} x {columns}")


def _section_flags(header: Cards, shape: tuple[int, int]) -> Quality:
    """Return a flag if BIASSEC is not in the image."""
    claimed = section(value(header, "BIASSEC"))
    given = text(value(header, "BIASSEC"))
    is_inside = claimed is not None and claimed.end_column <= shape[1] and claimed.end_row <= shape[0]
    return Quality.HEADER_DISAGREES if given and not is_inside else Quality(0)


def _rows(data: Section) -> tuple[int, int]:
    return data.first_row, data.end_row


def _require_signal(adu: Floats, name: str) -> None:
    lowest, highest = adu.min(axis=1), adu.max(axis=1)
    if not np.isfinite(lowest + highest).all():
        raise BadFrame(f"{name}: the image has pixels that are not numbers")
    if lowest.min() == highest.max():
        raise BadFrame(f"{name}: every pixel has the value {highest.max():g}")
    # Read noise alone makes the pixels of a row differ: a row of one value was never read out.
    empty = int((lowest == highest).sum())
    if empty > 0.02 * len(adu):
        raise BadFrame(f"{name}: {empty} of {len(adu)} rows hold a single value: the read-out is not complete")


def _detector_values(header: Cards) -> dict[str, Any]:
    """Return the header values of the detector and its surroundings."""
    return {
        "header_gain_e_per_adu": positive(value(header, "GAIN")),
        "header_read_noise_e": positive(value(header, "RDNOISE")),
        "saturation_adu": number(value(header, "SATURATE")),
        "max_linear_adu": number(value(header, "MAXLIN")),
        "pressure_psi": number(value(header, "NRESPRES")),
        "temperature_c": number(value(header, "NRESTEMP")),
    }
