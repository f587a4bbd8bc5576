"""Any file of the program read as what it is: raw frame, master, template, product."""

from pathlib import Path

from nrespipe.files import fits_io, master_files, template_files
from nrespipe.files.products import product_reader
from nrespipe.files.raw import raw_file
from nrespipe.frames.masters import Arc, Bias, Dark, Flat
from nrespipe.frames.raw import RawFrame
from nrespipe.frames.reduction import Reduction
from nrespipe.frames.template import Template


def read(path: str | Path) -> RawFrame | Bias | Dark | Flat | Arc | Template | Reduction:
    """Read a raw frame, a master, a template or a product of a science frame.

    Parameters
    ----------
    path
        The file, compressed or not; its headers say what it is.

    Returns
    -------
    RawFrame, Bias, Dark, Flat, Arc, Template or Reduction
        A product of level 2 is a ``Reduction`` with spectra and wavelengths, one of level 4 a ``Reduction`` with
        velocities.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    Skipped
        If it is a raw frame of another camera or kind.
    BadFrame
        If it is damaged.
    MissingCalibration
        If it is a damaged master or template.
    Unavailable
        If the disk does not give it.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    with fits_io.reading(path) as hdus:
        header = hdus[0].header
        is_product, is_combined = "DATALVL" in header, "NCOMBINE" in header
        is_template = header.get("OBSTYPE") == "TEMPLATE"
    if is_product:
        return product_reader.read(path)
    if is_template:
        return template_files.read(path)
    return master_files.read(path) if is_combined else raw_file.read(path)
