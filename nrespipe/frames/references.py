"""What stands beside a raw frame when it is reduced."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from nrespipe.frames.masters import Arc, Bias, Dark, Flat
from nrespipe.frames.template import Template
from nrespipe.frames.velocity import LineMask, Star, Tellurics
from nrespipe.frames.wavelength import DRIFT_SCATTER_MS, LampLines


@dataclass(frozen=True)
class References:
    """Masters and tables that a recipe may need; None or empty where it does not.

    Attributes
    ----------
    bias, dark, flat, arc : Bias, Dark, Flat, Arc or None
        Masters.
    previous : Bias, Dark, Flat, Arc or None
        Where a master is made: the last good one of its kind and camera; None for the first.
    stars : mapping of int to Star
        What the catalog knows of the star in a fiber; no entry where it knows nothing.
    masks : mapping of str to LineMask
        Line masks by spectral type; without any, no velocity is measured.
    lamp : LampLines or None
        Laboratory lines.
    tellurics : Tellurics or None
        Where the atmosphere absorbs.
    templates : mapping of int to Template
        Template for the star in a fiber; no entry where there is none.
    drift_scatter_ms : float
        Scatter of the drifts of this spectrograph against the arc of their night: the error of the zero point of a
        frame whose own drift cannot be measured [m / s].
    """

    bias: Bias | None = None
    dark: Dark | None = None
    flat: Flat | None = None
    arc: Arc | None = None
    previous: Bias | Dark | Flat | Arc | None = None
    stars: Mapping[int, Star] = field(default_factory=dict)
    masks: Mapping[str, LineMask] = field(default_factory=dict)
    lamp: LampLines | None = None
    tellurics: Tellurics | None = None
    templates: Mapping[int, Template] = field(default_factory=dict)
    drift_scatter_ms: float = DRIFT_SCATTER_MS
