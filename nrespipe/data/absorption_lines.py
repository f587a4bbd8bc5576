"""Absorption lines of stars, and wavelength intervals that the atmosphere absorbs."""

from functools import cache
from importlib.resources import files

import numpy as np

from nrespipe.frames.arrays import Floats
from nrespipe.frames.velocity import LineMask, Tellurics

#: Effective temperature of a dwarf of each spectral type with a line list [kelvin] (Pecaut & Mamajek 2013, ApJS 208, 9)
_TEFF_K = {"F5": 6550.0, "G2": 5770.0, "K2": 5040.0, "K5": 4440.0, "M0": 3870.0}

#: For velocities alone. F2: the published list is called F5; its depths are those of a hotter star, and it lacks many
#: lines. M3: measured on stars
_SPARE_K = {"F2": 6820.0, "M3": 3410.0}

#: Types of the lists that measure velocities only
SPARE_TYPES = tuple(_SPARE_K)


def stellar_types() -> tuple[str, ...]:
    """Return the spectral types that have a line list.

    Returns
    -------
    tuple of str
        Hottest first.
    """
    return tuple(sorted(_TEFF_K, key=_TEFF_K.__getitem__, reverse=True))


@cache
def stellar_lines(name: str) -> LineMask:
    """Return the absorption lines of a dwarf star.

    Parameters
    ----------
    name
        Spectral type, one of `stellar_types`; or F2 or M3, for the velocities of hotter and cooler stars.

    Returns
    -------
    LineMask
        Every line of the list, 3700-9200 angstrom (M3: 3980-7840).

    Raises
    ------
    KeyError
        If there is no list for the type.

    Notes
    -----
    Wavelengths and depths are computed ones from VALD (Ryabchikova et al. 2015, Phys. Scr. 90, 054005): depths are
    those of the undisturbed photosphere, before rotation and before any spectrograph, and lines blend. The list F5 has
    the lines of G2, with depths extrapolated from K2 and G2, because the published list F5 lacks many lines; that one
    is F2 here. M3 is the mask of the ESPRESSO pipeline, which was measured on stars: its wavelengths contain their
    gravity and convection, so that velocities are on the scale of published ones, and its depths follow from the
    contrasts of the mask.
    """
    known = _TEFF_K | _SPARE_K
    if name not in known:
        raise KeyError(f"no stellar lines for type {name!r}; known: {', '.join(stellar_types())}")
    vacuum_angstrom, depth = _columns(f"stellar_{name}.csv")
    return LineMask(name=name, teff_k=known[name], vacuum_angstrom=vacuum_angstrom, depth=depth)


@cache
def tellurics() -> Tellurics:
    """Return the intervals in which the atmosphere absorbs.

    Returns
    -------
    Tellurics
        5000-9000 angstrom, in the frame of the observatory; most of the water bands above 8400 are missing.
    """
    start_angstrom, end_angstrom = _columns("tellurics.csv")
    return Tellurics(start_angstrom=start_angstrom, end_angstrom=end_angstrom)


def _columns(filename: str) -> Floats:
    text = (files(__package__) / filename).read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if not line.startswith("#")][1:]
    return np.array([row.split(",") for row in rows], dtype=float).T
