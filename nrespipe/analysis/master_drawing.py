"""Drawings of masters, and their orders as regions to overlay on a raw frame."""

from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from nrespipe.analysis import master_list
from nrespipe.errors import BadFrame, Skipped, Unavailable
from nrespipe.files import ds9_regions, master_files
from nrespipe.files.raw import raw_file
from nrespipe.frames.masters import Arc, Bias, Dark, Flat
from nrespipe.frames.raw import Kind, Section

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from sqlalchemy.orm import Session

    from nrespipe.database.tables import Master


def draw_master(session: "Session", name: str, output: Path, target: str | Path) -> list[Path]:
    """Draw a master.

    Parameters
    ----------
    name
        The master; its file name, the directory and the extension do not matter.
    output
        Output directory, which contains the masters.
    target
        File of the drawing; its suffix selects the form, ``.pdf`` or ``.png``.

    Returns
    -------
    list of Path
        What was written: one file, or for an image of a master with several pages one for each.

    Raises
    ------
    LookupError
        If there is no such master, or no file of it.
    MissingCalibration
        If it cannot be read.
    """
    master = master_files.read(output / master_list.find(session, name).path)
    return save(_pages(master), target, Path(name).name)


def _pages(master: Bias | Dark | Flat | Arc) -> "list[Figure]":
    # matplotlib is slow to load, and no other command needs it
    from nrespipe.plots import arc, detector, flat, resolution

    if isinstance(master, Arc):
        return [arc.draw(master), resolution.draw(master)]
    if isinstance(master, Flat):
        return [flat.draw(master)]
    return [detector.draw(dark=master) if isinstance(master, Dark) else detector.draw(bias=master)]


def save(pages: "list[Figure]", target: str | Path, title: str) -> list[Path]:
    """Write drawings to a file; the same drawings always give the same bytes.

    Parameters
    ----------
    target
        File; ``.pdf`` takes all pages, further pages of images get ``-2`` and so on in their names.

    Returns
    -------
    list of Path
        What was written.
    """
    target = Path(target)
    if target.suffix == ".pdf":
        save_pdf(pages, target, title)
        return [target]
    paths = [target, *(target.with_stem(f"{target.stem}-{i}") for i in range(2, len(pages) + 1))]
    for path, page in zip(paths, pages, strict=True):
        page.savefig(path, dpi=130)
    return paths


def save_pdf(pages: "list[Figure]", target: "Path | IO[bytes]", title: str) -> None:
    """Write drawings as a PDF; the same drawings always give the same bytes, as the time of drawing is left out."""
    from matplotlib.backends.backend_pdf import PdfPages

    with PdfPages(target, metadata={"CreationDate": None, "Title": title}) as pdf:
        for page in pages:
            pdf.savefig(page, dpi=130)


def outline(session: "Session", name: str, output: Path) -> str:
    """Return the orders of a master flat as a region file for its raw frames.

    Parameters
    ----------
    output
        Output directory, which contains the masters.

    Returns
    -------
    str
        In image coordinates of the raw frames.

    Raises
    ------
    LookupError
        If there is no such master flat, or no file of it.
    MissingCalibration
        If it cannot be read.
    """
    row = master_list.find(session, name)
    master = master_files.read(output / row.path) if row.kind is Kind.FLAT else None
    if not isinstance(master, Flat):
        raise LookupError(f"{Path(name).name} is a master {row.kind}; only a flat has the positions of the orders")
    return ds9_regions.text(master.traces, _section(row, master))


def _section(row: "Master", master: Flat) -> Section:
    """Return the light-sensitive part of the raw frames of a flat, by one that can be read; or their corner."""
    for frame in row.inputs:
        with suppress(Skipped, BadFrame, Unavailable, OSError):
            return raw_file.read(frame.path, whole=False).data_section
    rows, columns = master.mask.shape
    return Section(0, columns, 0, rows)
