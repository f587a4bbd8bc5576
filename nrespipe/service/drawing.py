"""Drawings of masters for a person."""

from pathlib import Path

from nrespipe.files import masters
from nrespipe.frames.masters import Arc


def draw_master(path, target):
    """Draw the quality of a master.

    Parameters
    ----------
    path : str or Path
        The file of the master.
    target : str or Path
        Where the drawing goes; the suffix tells the form, ``.pdf`` or ``.png``.

    Raises
    ------
    MissingCalibration
        If there is no such master, or if it cannot be read.
    ValueError
        If there is no drawing for its kind.
    """
    # what draws is slow to load, and no other command needs it
    from nrespipe.plots import arc

    master = masters.read(path)
    if not isinstance(master, Arc):
        raise ValueError(
            f"{Path(path).name}: there is a drawing of master arcs alone, and this is a {master.origin.kind}"
        )
    arc.draw(master).savefig(target, dpi=130, metadata=_undated(target))


def _undated(target):
    """The same master makes the same bytes: leave out when it was drawn."""
    return {"CreationDate": None} if Path(target).suffix == ".pdf" else None
