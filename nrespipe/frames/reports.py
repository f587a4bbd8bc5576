"""Reports: of one night at a site, and of the cameras of a new site."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from nrespipe.frames.masters import Arc, Bias, Dark, Flat
from nrespipe.frames.raw import Kind


@dataclass(frozen=True)
class NightReport:
    """What the summary of a night tells.

    Attributes
    ----------
    site, day
        ``lsc``, ``YYYYMMDD``.
    counts
        Kind of frame, state, number.
    unhappy
        Name, state and reason of every frame that is not done.
    masters
        Name, standing, number of inputs of every master of the night, and what was said of it.
    stars
        For every star of every frame: filename, fiber, object, v_mag (None where unknown), exposure_s, snr, rv_ms,
        rv_err_ms (None where not measured), quality (list of words).
    drifts
        For every frame: mid_mjd, velocity_ms, velocity_err_ms, pressure_psi, temperature_c; None where not measured.
    """

    site: str
    day: str
    counts: tuple[tuple[str, str, int], ...]
    unhappy: tuple[tuple[str, str, str], ...]
    masters: tuple[tuple[str, str, int, str], ...]
    stars: tuple[dict, ...]
    drifts: tuple[dict, ...]


@dataclass(frozen=True)
class FlatLook:
    """One flat, looked at with the master that was made of it.

    Attributes
    ----------
    filename
        Which.
    lit
        Fibers that it lights.
    light : shape (n_rows // size, n_columns // size)
        Mean light of squares of pixels [electron].
    cut : shape (n_rows,)
        Mean light of the columns in the middle [electron].
    chi2, share : shape (n_lit, n_orders)
        As from ``engine.misfit.by_order``.
    """

    filename: str
    lit: tuple[int, ...]
    light: np.ndarray
    cut: np.ndarray
    chi2: np.ndarray
    share: np.ndarray


@dataclass(frozen=True)
class CameraReport:
    """What was found on one camera.

    Attributes
    ----------
    name
        Site, spectrograph and camera.
    told
        For a person: each master with what it shows and what speaks against it, what is missing and why.
    advice
        What to do next.
    masters
        The masters that may be used.
    looks
        A flat of each set of lit fibers.
    numbering
        How badly each numbering of the orders fits, as from ``engine.pattern.costs``.
    arcs
        Of each arc its time [MJD] and by fiber how far its lines lie from the optical model [pixel].
    """

    name: str
    told: tuple[str, ...]
    advice: tuple[str, ...]
    masters: Mapping[Kind, Bias | Dark | Flat | Arc] = field(default_factory=dict)
    looks: tuple[FlatLook, ...] = ()
    numbering: Mapping[int, float] = field(default_factory=dict)
    arcs: tuple[tuple[float, Mapping[int, float]], ...] = ()
