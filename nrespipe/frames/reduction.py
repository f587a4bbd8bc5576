"""Reduction of one raw frame: the masters and tables that it needs, and its results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nrespipe.frames.masters import Arc, Bias, Dark, Flat
from nrespipe.frames.quality import Quality
from nrespipe.frames.spectra import Spectra, Stitched
from nrespipe.frames.star import Star
from nrespipe.frames.template import Template
from nrespipe.frames.velocity import Barycentric, LineMask, Tellurics, Velocity
from nrespipe.frames.wavelength import DRIFT_SCATTER_MS, LampLines, Wavelengths


@dataclass(frozen=True)
class References:
    """Masters and tables that a recipe needs; None or empty where it does not.

    Attributes
    ----------
    bias, dark, flat, arc
        Masters.
    previous
        For a new master: the last good one of its kind and camera; None for the first.
    stars
        Catalog entry of the star in a fiber, by fiber.
    masks
        Line masks by spectral type; without any, no velocity is measured.
    spare_masks
        Further line masks, for stars that none of `masks` fits.
    lamp
        Laboratory lines.
    tellurics
        Wavelength intervals in which the atmosphere absorbs.
    templates
        Template for the star in a fiber, by fiber.
    drift_scatter_ms
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
    spare_masks: Sequence[LineMask] = ()
    lamp: LampLines | None = None
    tellurics: Tellurics | None = None
    templates: Mapping[int, Template] = field(default_factory=dict)
    drift_scatter_ms: float = DRIFT_SCATTER_MS


@dataclass(frozen=True)
class Reduction:
    """Result of the ``reduce`` of every recipe.

    Attributes
    ----------
    quality
        Flags of the frame.
    measurements
        Numbers for the database, by name with unit (``level_adu``, ``read_noise_e``, ``trace_shift_px``).
    spectra
        None for a frame that has none (bias, dark).
    wavelengths
        None for a frame whose recipe measures none.
    barycentric
        Barycentric correction by star fiber.
    velocities
        One for each star fiber whose velocity could be measured.
    stitched
        Spectrum of joined orders by star fiber, for stars with a barycentric correction.
    """

    quality: Quality = Quality(0)
    measurements: Mapping[str, float] = field(default_factory=dict)
    spectra: Spectra | None = None
    wavelengths: Wavelengths | None = None
    barycentric: Mapping[int, Barycentric] = field(default_factory=dict)
    velocities: tuple[Velocity, ...] = ()
    stitched: Mapping[int, Stitched] = field(default_factory=dict)
