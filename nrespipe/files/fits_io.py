"""Open and write FITS files; failures of the disk are told apart from defects of the file."""

import math
import os
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astropy.io import fits
from astropy.io.fits.hdu.compressed._compression import CfitsioException
from astropy.utils.exceptions import AstropyWarning

from nrespipe.errors import BadFrame, Unavailable
from nrespipe.files.atomic_files import md5, open_regular, temporary_path
from nrespipe.frames.quality import Quality

if TYPE_CHECKING:
    from io import BufferedReader

    from astropy.io.fits import HDUList, Header

#: Bytes of a FITS block.
BLOCK = 2880

#: Cards that describe the file and not the observation.
STRUCTURAL = frozenset(
    {"SIMPLE", "XTENSION", "BITPIX", "NAXIS", "EXTEND", "PCOUNT", "GCOUNT", "GROUPS", "BZERO", "BSCALE", "BLANK"}
    | {"TFIELDS", "THEAP", "INHERIT", "EXTNAME", "EXTVER", "EXTLEVEL", "CHECKSUM", "DATASUM", "ZHECKSUM", "ZDATASUM"}
    | {"LONGSTRN", "END"}
)

# What astropy raises on bytes that are not what their header says. Found by cutting and scrambling files; an
# OSError without a number is astropy's own, one with a number is the disk's. A MemoryError is the machine's: sizes
# that no file has are refused by its headers, before anything is allocated.
_DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    CfitsioException,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    fits.VerifyError,
    struct.error,
    zlib.error,
)


#: Largest numbers of axes and of columns that the FITS standard allows; of pixels and of bytes that a part of a file of
#: ours may have.
_MOST_AXES, _MOST_PIXELS, _MOST_BYTES = 999, 2**28, 2**40
_SIZE_CARD = re.compile(rb"(BITPIX|Z?NAXIS\d*|PCOUNT|GCOUNT|TFIELDS) *= +(-?\d{1,20})(?= |/)")
#: Keyword and text of a card
_TEXT_CARD = re.compile(rb"([A-Z0-9_ -]{8})= '((?:[^']|'')*)'")


@contextmanager
def reading(path: str | Path, as_stored: bool = False) -> "Iterator[HDUList]":
    """Open a FITS file to read it; nothing is memory-mapped and nothing stays open.

    Parameters
    ----------
    as_stored
        Whether a packed image is the table of its tiles.

    Yields
    ------
    astropy.io.fits.HDUList
        Its parts are loaded as they are asked for. Do no more in the block than fetch from it: whatever the block
        raises counts as a defect of the file.

    Raises
    ------
    BadFrame
        If the file is no FITS file, or a part that is asked for cannot be read.
    Unavailable
        If the disk does not give the file.
    MemoryError
        If the machine has too little memory for it.
    """
    name = Path(path).name
    try:
        # astropy warns of what the callers test for themselves (truncation, cards that break the standard).
        with open_regular(path) as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            _require_fits(stream.read(BLOCK), name)
            _require_sizes(stream, name)
            stream.seek(0)
            options = {"memmap": False, "lazy_load_hdus": True, "disable_image_compression": as_stored}
            with fits.open(stream, mode="readonly", **options) as hdus:
                yield hdus
    except OSError as error:
        if error.errno is not None:
            raise Unavailable(f"{name}: the disk does not give the file: {error.strerror}") from error
        _require_readable(path)
        raise BadFrame(f"{name}: damaged FITS file: {error}") from error
    except _DAMAGE as error:
        if isinstance(error, CfitsioException) and "insufficient memory" in str(error):
            raise MemoryError(f"{name}: {error}") from error
        _require_readable(path)
        raise BadFrame(f"{name}: damaged FITS file, a part of it makes no sense: {error!r}") from error


def _require_fits(start: bytes, name: str) -> None:
    if not start:
        raise BadFrame(f"{name}: the file is empty")
    if start.startswith(b"SIMPLE  ="):
        return
    if start.lstrip()[:1] == b"<":
        raise BadFrame(f"{name}: not a FITS file but a web page, as a server sends it in place of a file")
    if not start.strip(b"\0"):
        raise BadFrame(f"{name}: not a FITS file: it begins with empty bytes")
    raise BadFrame(f"{name}: not a FITS file")


def _require_sizes(stream: "BufferedReader", name: str) -> None:
    """Refuse a file whose headers ask for a size that no file has: astropy would allocate it, or count up to it."""
    place = 0
    while sizes := _sizes(stream, place):
        for keyword in ("NAXIS", "ZNAXIS", "TFIELDS"):
            if sizes.get(keyword, 0) > _MOST_AXES:
                raise BadFrame(f"{name}: {keyword} is {sizes[keyword]}; expected at most {_MOST_AXES}")
        packed = _axes(sizes, "ZNAXIS")
        if math.prod(packed) > _MOST_PIXELS:
            raise BadFrame(f"{name}: its header claims an image of {' x '.join(map(str, packed))} pixels")
        # of a primary part with random groups the first axis is 0
        length = math.prod(n for n in _axes(sizes, "NAXIS") if n) if sizes.get("NAXIS") else 0
        n_bytes = abs(sizes.get("BITPIX", 0)) // 8 * sizes.get("GCOUNT", 1) * (sizes.get("PCOUNT", 0) + length)
        if n_bytes > _MOST_BYTES:
            raise BadFrame(f"{name}: its header claims a part of {n_bytes} bytes")
        if n_bytes < 0:
            return
        place = stream.tell() + -(-n_bytes // BLOCK) * BLOCK


def _sizes(stream: "BufferedReader", place: int) -> dict[str, int]:
    """Return the cards of a header that give sizes, and go to its end; none where there is no header."""
    found: dict[str, int] = {}
    stream.seek(place)
    while len(block := stream.read(BLOCK)) == BLOCK:
        cards = [block[i : i + 80] for i in range(0, BLOCK, 80)]
        for card in cards:
            # the first of several cards counts, as for astropy
            if match := _SIZE_CARD.match(card):
                found.setdefault(match[1].decode(), int(match[2]))
        if any(card.rstrip() == b"END" for card in cards):
            return found
    return {}


def _axes(sizes: dict[str, int], keyword: str) -> list[int]:
    return [sizes.get(f"{keyword}{i}", 0) for i in range(1, sizes.get(keyword, 0) + 1)]


def _require_readable(path: str | Path) -> None:
    """Check that the disk gives every byte of a file: numpy takes a read that fails for the end of the file."""
    try:
        md5(path)
    except OSError as error:
        raise Unavailable(f"{Path(path).name}: the disk does not give the file: {error.strerror}") from error


def require_whole(hdus: "HDUList", path: str | Path) -> None:
    """Check that a file has the length that its headers give.

    Raises
    ------
    BadFrame
        If it is shorter, or if a part of it has no readable header.
    """
    size = os.stat(path).st_size
    places = [hdus.fileinfo(i) for i in range(len(hdus))]
    end = max(place["datLoc"] + place["datSpan"] for place in places)
    if size < end:
        raise BadFrame(f"{Path(path).name}: truncated: {size} bytes; expected {end} by its headers")
    if size > end:
        with open(path, "rb") as stream:
            stream.seek(end)
            if stream.read(8) == b"XTENSION":
                raise BadFrame(f"{Path(path).name}: truncated or damaged in the header of its part {len(hdus)}")


def checksum_flags(path: str | Path) -> Quality:
    """Return ``CHANGED_FILE`` if DATASUM of a part of a file is not that of its data.

    Parameters
    ----------
    path
        FITS file.

    Raises
    ------
    BadFrame, Unavailable
        As `reading`.

    Notes
    -----
    The data are those in the file, packed or not. CHECKSUM, which includes the header, proves nothing: archives and
    observers change headers.
    """
    with reading(path, as_stored=True) as hdus:
        wrong = any(hdu.verify_datasum() == 0 for hdu in hdus)
    return Quality.CHANGED_FILE if wrong else Quality(0)


def cards(header: "Header") -> dict[str, tuple[Any, str]]:
    """Return the cards of a header as plain values.

    Parameters
    ----------
    header
        Header; its cards may break the standard.

    Returns
    -------
    dict
        Value and comment by keyword, in order; the lines of COMMENT, HISTORY and blank cards are joined by newlines.
        None for a card without a value; the text of the card where its value cannot be read.
    """
    found: dict[str, tuple[Any, str]] = {}
    for card in header.cards:
        try:
            keyword, value, comment = card.keyword, card.value, card.comment
        except (fits.VerifyError, ValueError):
            # astropy mends a card by making its text the value.
            card.verify("silentfix")
            keyword, value, comment = card.keyword, card.value, card.comment
        if isinstance(value, fits.card.Undefined):
            value = None
        if keyword in ("COMMENT", "HISTORY", "") and keyword in found:
            value = f"{found[keyword][0]}\n{value}"
        found[keyword] = (value, comment)
    return found


def cards_of_part(hdus: "HDUList", number: int, path: str | Path) -> dict[str, tuple[Any, str]]:
    """Return the cards of a part of a file, with its texts in UTF-8, which the standard forbids and observers write.

    Parameters
    ----------
    hdus
        The open file.
    number
        Of the part, from 0.

    Returns
    -------
    dict
        As `cards`.
    """
    found = cards(hdus[number].header)
    # astropy gives a question mark for every byte that is not ASCII
    if any(isinstance(value, str) and "?" in value for value, _ in found.values()):
        place = hdus.fileinfo(number)
        with open(path, "rb") as stream:
            stream.seek(place["hdrLoc"])
            block = stream.read(place["datLoc"] - place["hdrLoc"])
        for start in range(0, len(block), 80):
            match = _TEXT_CARD.match(block[start : start + 80])
            keyword = match[1].decode().strip() if match else ""
            if match and not match[2].isascii() and keyword in found:
                words = match[2].decode("utf-8", "replace").replace("''", "'").rstrip()
                found[keyword] = (words, found[keyword][1])
    return found


def write(hdus: "HDUList", path: str | Path, still_mine: Callable[[], bool] | None = None) -> None:
    """Write a FITS file so that nobody ever sees a part of it.

    Parameters
    ----------
    path
        Where; its directory is made. A file of that name is replaced.
    still_mine
        As for `write_together`.

    Raises
    ------
    Unavailable
        As `write_together` does.
    """
    write_together([(hdus, path)], still_mine)


def write_together(
    files: "Sequence[tuple[HDUList | bytes, str | Path]]", still_mine: Callable[[], bool] | None = None
) -> None:
    """Write files together: no reader sees a part of one, or some of them long before the others.

    Parameters
    ----------
    files
        What to write, FITS or bytes, and where: directories are made, and files of these names are replaced, when all
        are written.
    still_mine
        Called just before the files take their places; returns whether this process still owns the work. A process that
        was frozen for long, or is too slow, was taken for dead: another has done its work by then.

    Raises
    ------
    Unavailable
        If the disk does not take a file, or another process owns the work by now; then no file was replaced.
    """
    written: list[tuple[Path, Path]] = []
    try:
        for content, path in files:
            path = Path(path)
            with _taking(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                written.append((temporary_path(path), path))
                with open(written[-1][0], "wb") as stream:
                    if isinstance(content, bytes):
                        stream.write(content)
                    else:
                        content.writeto(stream, output_verify="exception", checksum=False)
                    stream.flush()
                    os.fsync(stream.fileno())
        if still_mine is not None and not still_mine():
            names = ", ".join(path.name for _, path in written)
            raise Unavailable(f"{names}: another process does this work by now; nothing was replaced")
        for partial, path in written:
            with _taking(path):
                os.replace(partial, path)
    finally:
        for partial, _ in written:
            with suppress(OSError):
                partial.unlink(missing_ok=True)


@contextmanager
def _taking(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(f"{path.name}: the disk does not take the file: {error.strerror or error}") from error
