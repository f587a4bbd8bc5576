"""Reports: of one frame, of one night at a site, and of the cameras of a new site."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nrespipe.frames.arrays import frozen
from nrespipe.frames.masters import Arc, Bias, Dark, Flat
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind, RawFrame
from nrespipe.frames.reduction import Reduction
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.frames.velocity import Velocity


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


@dataclass(frozen=True)
class MasterUse:
    """A master that a frame was reduced with.

    Attributes
    ----------
    kind, name
        What it calibrates, and the name of its file.
    age_days
        Time of the frame less the mean time of its inputs [day]; NaN where unknown.
    standing
        Whether it is accepted, flagged or to be reviewed.
    quality
        Its flags.
    """

    kind: Kind
    name: str
    age_days: float
    standing: str
    quality: Quality


@dataclass(frozen=True)
class EarlierVelocities:
    """Velocities of a star in the nights before a frame.

    Attributes
    ----------
    bjd_tdb, rv_ms, error_ms : shape (n,)
        Time, velocity and its error [JD, m / s, m / s].
    uncertain : shape (n,)
        Whether a flag takes the velocity out of the series of the star.
    same_fiber : shape (n,)
        Whether it was measured with the fiber and spectrograph of the frame: others have another zero point.
    """

    bjd_tdb: np.ndarray
    rv_ms: np.ndarray
    error_ms: np.ndarray
    uncertain: np.ndarray
    same_fiber: np.ndarray

    def __post_init__(self) -> None:
        n = (len(self.bjd_tdb),)
        frozen(self, bjd_tdb=n, rv_ms=n, error_ms=n, uncertain=n, same_fiber=n)


@dataclass(frozen=True)
class FrameReport:
    """All that the drawing of a science frame shows.

    Attributes
    ----------
    raw, reduction
        The frame and its reduction; None where it was not reduced.
    spectrograph
        Its spectrograph; None where no table describes it.
    flat, arc
        Masters that it was reduced with; None where there is none.
    masters
        All masters that it was reduced with.
    earlier
        Earlier velocities of the star in a fiber.
    airmass
        At the start; None where the header has none.
    program, version
        Proposal of the observation, and version of the program that reduced it; '' where unknown.
    reason
        Why the frame was not reduced, '' where it was.
    """

    raw: RawFrame
    reduction: Reduction | None
    spectrograph: Spectrograph | None
    flat: Flat | None = None
    arc: Arc | None = None
    masters: tuple[MasterUse, ...] = ()
    earlier: Mapping[int, EarlierVelocities] = field(default_factory=dict)
    airmass: float | None = None
    program: str = ""
    version: str = ""
    reason: str = ""

    @property
    def velocities(self) -> Mapping[int, Velocity]:
        """Velocities by fiber."""
        return {one.fiber: one for one in self.reduction.velocities} if self.reduction else {}
