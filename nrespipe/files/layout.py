"""Paths of all files: raw frames, masters, products, templates, summaries.

Raw frames::

    {raw_root}/{site}/{instrument}/{day}/raw/lscnrs01-fa09-20190405-0021-e00.fits.fz

Masters and products::

    {output}/{site}/{instrument}/{day}/masters/bias_lsc_nres01_fa09_20190405.fits.fz
    {output}/{site}/{instrument}/{day}/processed/lscnrs01-fa09-20190405-0021-e91-L2.fits.fz

Templates of stars::

    {output}/{site}/templates/template_HD10700_lsc_0123456789ab.fits

Images of masters, unpacked for all processes of a machine::

    {output}/.unpacked/0123456789abcdef0123456789abcdef/PROFILE_RESPONSE.npy

Raw frames that were fetched from the archive::

    {output}/{site}/{instrument}/{day}/fetched/lscnrs01-fa09-20190405-0021-e00.fits.fz

Mark of an output directory, an empty file::

    {output}/.nrespipe
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from nrespipe.errors import Skipped
from nrespipe.files.raw.identity import Identity, parse_name, require_raw_name, stem

if TYPE_CHECKING:
    from nrespipe.database.tables import Master
    from nrespipe.frames.masters import Origin
    from nrespipe.frames.raw import RawFrame

_MARKER = ".nrespipe"
#: Read-out mode that names of masters leave out: that of all cameras, by the header of a real frame of 2019-04-05.
_USUAL_MODE = "lco2_500kHz_1amp_DRH_B"


def raw_directory(raw_root: str | Path, site: str, instrument: str, day: str) -> Path:
    """Return the directory of the raw frames of a night.

    Parameters
    ----------
    raw_root
        Root of the raw archive.
    site, instrument, day
        ``lsc``, ``nres01``, ``YYYYMMDD``.
    """
    return Path(raw_root) / site / instrument / day / "raw"


def raw_frames(directory: str | Path) -> list[Path]:
    """List the frames to reduce in a directory of raw frames, by their names alone.

    Parameters
    ----------
    directory
        It need not exist.

    Returns
    -------
    list of Path
        In the order of their running numbers. Of a frame that is there packed and unpacked, the packed one.
    """
    found = {}
    directory = Path(directory)
    for path in sorted(directory.iterdir()) if directory.is_dir() else []:
        if _is_raw(path):
            found[stem(path)] = path
    return sorted(found.values(), key=lambda path: (_running_number(path), path.name))


def _is_raw(path: Path) -> bool:
    try:
        require_raw_name(path)
    except Skipped:
        return False
    return True


def _running_number(path: Path) -> int:
    words = stem(path).split("-")
    return int(words[-2]) if len(words) > 1 and words[-2].isdecimal() else 0


def instruments(output: str | Path) -> Path:
    """Return the directory of the tables of spectrographs that the program did not come with.

    Returns
    -------
    Path
        ``{output}/instruments``; it need not exist.
    """
    return Path(output) / "instruments"


def master_name(origin: "Origin | Master") -> str:
    """Return the file name of a master.

    Parameters
    ----------
    origin
        Kind, place and night of the master.

    Returns
    -------
    str
        Such as ``bias_lsc_nres01_fa09_20190405.fits.fz``; a read-out mode that is not the usual one follows the night.
    """
    mode = "" if origin.readout_mode in ("", _USUAL_MODE) else "_" + re.sub(r"\W|_", "-", origin.readout_mode)
    return f"{origin.kind}_{origin.site}_{origin.instrument}_{origin.camera}_{origin.day}{mode}.fits.fz"


def master_path(output: str | Path, origin: "Origin | Master") -> Path:
    """Return the path of a master.

    Parameters
    ----------
    origin
        Kind, place and night of the master.
    """
    return _night(output, origin) / "masters" / master_name(origin)


def template_path(output: str | Path, site: str, star: str, fingerprint: str) -> Path:
    """Return the path of the template of a star.

    Parameters
    ----------
    site
        Where the star was seen.
    fingerprint
        Hash of the template: its file is never replaced by another template.
    """
    word = "".join(letter if letter.isalnum() or letter in "+-" else "_" for letter in star)
    return Path(output) / site / "templates" / f"template_{word}_{site}_{fingerprint}.fits"


def summary_path(output: str | Path, site: str, day: str, suffix: str) -> Path:
    """Return the path of the summary of a night.

    Parameters
    ----------
    site, day
        ``lsc``, ``YYYYMMDD``.
    suffix
        ``.html``, ``.pdf``, or ``.sent`` for the mark of one that an earlier version has written.
    """
    return Path(output) / site / "summaries" / f"summary_{site}_{day}{suffix}"


def start_path(output: str | Path, site: str) -> Path:
    """Return the path of the report of the start of a site.

    Parameters
    ----------
    site
        ``lsc`` ...
    """
    return Path(output) / site / "summaries" / f"start_{site}.pdf"


def reduced_stem(filename: str) -> str:
    """Return the base name of the products of a raw frame.

    Parameters
    ----------
    filename
        Base name of the raw frame, which ends in its level of reduction, 00.

    Returns
    -------
    str
        The same with level 91.
    """
    return filename.removesuffix("00") + "91"


def product_path(output: str | Path, frame: "RawFrame | Identity", suffix: str, fiber: int | None = None) -> Path:
    """Return the path of a product of a raw frame.

    Parameters
    ----------
    suffix
        What follows the base name: ``-L2.fits.fz``, ``-L4.fits.fz``, ``.pdf``.
    fiber
        Fiber of the star, for a frame of several.
    """
    star = "" if fiber is None else f"-fiber{fiber}"
    return _night(output, frame) / "processed" / f"{reduced_stem(frame.filename)}{star}{suffix}"


def is_product(path: str, level: str, fiber: int) -> bool:
    """Return whether a file is the product of a level of the star in a fiber, by its name.

    Parameters
    ----------
    path
        A product of the frame of the star.
    level
        ``L2``, ``L4`` ...
    """
    name = path.rpartition("/")[2]
    return name.endswith(f"-{level}.fits.fz") and ("-fiber" not in name or f"-fiber{fiber}-" in name)


def fetched_path(output: str | Path, name: str) -> Path:
    """Return the path of a raw frame that was fetched from the archive, by the night in its name.

    Parameters
    ----------
    name
        Name of the file; one that names no night is stored next to the sites.
    """
    place = parse_name(name)
    return Path(output, *(place[key] for key in ("site", "instrument", "day") if place), "fetched", name)


def unpacked_path(output: str | Path, checksum: str) -> Path:
    """Return the directory of the unpacked images of a master, which may be removed at any time.

    Parameters
    ----------
    checksum
        Of the file of the master.
    """
    return Path(output, ".unpacked", checksum)


def _night(output: str | Path, what: "Origin | RawFrame | Identity | Master") -> Path:
    return Path(output) / what.site / what.instrument / what.day


def make_output(output: Path) -> None:
    """Make an output directory, and the empty file by which `output_around` knows it."""
    output.mkdir(parents=True, exist_ok=True)
    if not (marker := output / _MARKER).exists():
        marker.touch()


def output_around(folder: Path) -> Path | None:
    """Return the output directory that a directory is, or lies in; None where there is none.

    Parameters
    ----------
    folder
        Absolute. An empty directory counts as an output directory.
    """
    if not any(folder.iterdir()):
        return folder
    return next((one for one in (folder, *folder.parents) if (one / _MARKER).is_file()), None)


class OutputRefused(ValueError):
    """The output directory is among raw files."""


def require_apart(output: Path, raw_root: Path) -> None:
    """Check that nothing would be written into a directory of raw files.

    Parameters
    ----------
    raw_root
        Directory below which the raw files lie.

    Raises
    ------
    OutputRefused
        If `output` is, or lies in, a directory named ``raw`` or one that holds raw files and is `raw_root` or below it.
    """
    output, raw_root = output.resolve(), raw_root.resolve()
    for folder in (output, *output.parents):
        among = folder == raw_root or raw_root in folder.parents
        if folder.name == "raw" or (
            among and folder.is_dir() and any(has_raw_name(entry.name) for entry in folder.iterdir())
        ):
            raise OutputRefused(f"{output} lies in {folder}, which holds raw files: choose another output directory")


def has_raw_name(name: str) -> bool:
    """Return whether a file is a raw frame by its name alone."""
    return name.isascii() and not name.startswith(".") and name.endswith(("00.fits", "00.fits.fz"))
