"""Reports: of one night at a site, and of the cameras of a new site."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nrespipe.frames.masters import Arc, Bias, Dark, Flat
from nrespipe.frames.raw import Kind


@dataclass(frozen=True)
class NightReport:
    """Summary of a night at one site.

    Attributes
    ----------
    site, day
        ``lsc``, ``YYYYMMDD``.
    counts
        Kind, state and number of frames.
    unhappy
        Name, state and reason of every frame that is not done.
    masters
        Name, standing, number of inputs and reasons of every master of the night.
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
    stars: tuple[dict[str, Any], ...]
    drifts: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class FlatLook:
    """One flat compared with the master that was made of it.

    Attributes
    ----------
    filename
        Name of the flat.
    lit
        Fibers that it lights.
    light : shape (n_rows // size, n_columns // size)
        Mean flux of squares of pixels [electron].
    cut : shape (n_rows,)
        Mean flux of the columns in the middle [electron].
    chi2, share : shape (n_lit, n_orders)
        As from ``engine.extraction.profile.misfit``.
    """

    filename: str
    lit: tuple[int, ...]
    light: np.ndarray
    cut: np.ndarray
    chi2: np.ndarray
    share: np.ndarray


@dataclass(frozen=True)
class CameraReport:
    """Report about the first frames of a camera.

    Attributes
    ----------
    name
        Site, spectrograph and camera.
    findings
        Lines of text: each master with its numbers and flags, and each missing master with the reason.
    advice
        Next steps.
    masters
        Masters that may be used.
    looks
        One flat for each set of lit fibers.
    numbering
        Misfit of each numbering of the orders, as from ``engine.orders.trace.numbering_costs``.
    arcs
        Time of each arc [MJD], and offset of its lines from the optical model by fiber [pixel].
    """

    name: str
    findings: tuple[str, ...]
    advice: tuple[str, ...]
    masters: Mapping[Kind, Bias | Dark | Flat | Arc] = field(default_factory=dict)
    looks: tuple[FlatLook, ...] = ()
    numbering: Mapping[int, float] = field(default_factory=dict)
    arcs: tuple[tuple[float, Mapping[int, float]], ...] = ()
