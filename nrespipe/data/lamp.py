"""Laboratory lines of the calibration lamp."""

from functools import cache
from importlib.resources import files

import numpy as np

from nrespipe.frames.wavelength import LampLines


def line_lists() -> tuple[str, ...]:
    """Return the names of the line lists of lamps.

    Returns
    -------
    tuple of str
        Names that `lamp_lines` accepts.
    """
    return ("thorium_argon",)


@cache
def lamp_lines(name: str = "thorium_argon") -> LampLines:
    """Return the laboratory lines of a lamp.

    Parameters
    ----------
    name
        One of `line_lists`.

    Returns
    -------
    LampLines
        Vacuum wavelengths from 3750 to 9150 angstrom.

    Raises
    ------
    ValueError
        If there is no such list.

    Notes
    -----
    In the thorium-argon list thorium is on the scale of Redman, Nave & Sansonetti (2014 ApJS 211 4), argon on that
    of Norlen (1973 Phys. Scr. 8 249). The shift by known neighbors (Lovis & Pepe 2007 A&A
    468 1115) in a fit of a single line at a resolving power of 50,000 lowers `use` and raises the error.
    """
    if name not in line_lists():
        raise ValueError(f"no line list {name!r}; known: {', '.join(line_lists())}")
    text = (files(__package__) / f"{name}.csv").read_text(encoding="utf-8")
    rows = [line.split(",") for line in text.splitlines() if not line.startswith("#")][1:]
    wavelength, error, intensity, species, use = zip(*rows)
    return LampLines(
        vacuum_angstrom=np.array(wavelength, float),
        error_angstrom=np.array(error, float),
        intensity=np.array(intensity, float),
        species=np.array(species),
        use=np.array(use, np.uint8),
    )
