"""What lights the fibers of an exposure, and what is true of the image it makes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from nrespipe.frames.arrays import frozen
from nrespipe.frames.raw import Kind
from nrespipe.simulator.bench import State
from nrespipe.simulator.lamps import SATURATED_LINES, SEED
from nrespipe.simulator.stars import Target


@dataclass(frozen=True)
class Scene:
    """What lights the fibers during one exposure.

    Attributes
    ----------
    kind
        What the frame is.
    sources
        By fiber: ``none``, ``thar``, ``tung`` or ``star``; empty for bias and dark.
    exposure_s
        Exposure time [second].
    targets
        The stars, by fiber.
    berv_ms
        Photon-weighted barycentric correction of each star [m / s].
    airmass
        Of the telluric lines.
    lamp
        Light of the lamp relative to an arc of 600 s or to a usual flat.
    lamp_seed
        Which thorium-argon lamp it is, as in ``lamps.thorium_argon``.
    saturated_lines
        How many of its lines saturate in an arc of 600 s, 18 to 400, as in ``lamps.thorium_argon``.
    """

    kind: Kind
    sources: tuple[str, ...] = ()
    exposure_s: float = 0.0
    targets: Mapping[int, Target] = field(default_factory=dict)
    berv_ms: Mapping[int, float] = field(default_factory=dict)
    airmass: float = 1.2
    lamp: float = 1.0
    lamp_seed: int = SEED
    saturated_lines: int = SATURATED_LINES


@dataclass(frozen=True)
class Switches:
    """What may be left out of an image, for tests of one thing at a time.

    Attributes
    ----------
    photon_noise, read_noise, cosmics, scatter, fixed_pattern, response
        ``fixed_pattern`` stands for bias structure and dark current, ``response`` for the pixels' own sensitivity.
    """

    photon_noise: bool = True
    read_noise: bool = True
    cosmics: bool = True
    scatter: bool = True
    fixed_pattern: bool = True
    response: bool = True


@dataclass(frozen=True)
class Truth:
    """What is true of an image.

    Attributes
    ----------
    fibers
        Lit fibers, along the first axes.
    orders : shape (n_orders,)
        Diffraction orders.
    wavelength : shape (n_fibers, n_orders, n_columns)
        Vacuum wavelength that is centered on the middle of each pixel [angstrom].
    flux : shape (n_fibers, n_orders, n_columns)
        Noise-free light summed across the trace, whether or not the trace is on the detector [electron].
    rows : shape (n_fibers, n_orders, n_columns)
        Row of the trace, also off the detector [pixel].
    background : shape (64, 64)
        Scattered light, mean over square cells of the detector [electron / pixel].
    cosmics : shape (n_hits, 3)
        Row, column and charge of each pixel that a cosmic ray hit [pixel, pixel, electron].
    state
        Of the bench.
    gain_e_per_adu, read_noise_e, level_adu
        True gain and read noise, and the bias level [electron / ADU, electron, ADU].
    """

    fibers: tuple[int, ...]
    orders: np.ndarray
    wavelength: np.ndarray
    flux: np.ndarray
    rows: np.ndarray
    background: np.ndarray
    cosmics: np.ndarray
    state: State
    gain_e_per_adu: float
    read_noise_e: float
    level_adu: float

    def __post_init__(self):
        shape = (len(self.fibers), len(self.orders), None)
        frozen(self, wavelength=shape, flux=shape, rows=shape, background=(None, None), cosmics=(None, 3))


@dataclass(frozen=True)
class Rendered:
    """A raw image and its truth.

    Attributes
    ----------
    adu : shape (n_rows + 12, n_columns + 64)
        Raw image, with its overscan and spare rows [ADU].
    electrons : shape (n_rows, n_columns)
        The light alone, without noise, response, dark or cosmic rays: traces and scattered light [electron].
    truth
    """

    adu: np.ndarray
    electrons: np.ndarray
    truth: Truth

    def __post_init__(self):
        frozen(self, adu=(None, None), electrons=(None, None))
