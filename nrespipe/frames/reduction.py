"""What became of one raw frame."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from nrespipe.frames.quality import Quality
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.velocity import Barycentric, Velocity
from nrespipe.frames.wavelength import Wavelengths


@dataclass(frozen=True)
class Reduction:
    """The value of every recipe's ``reduce``.

    Attributes
    ----------
    quality
        Doubts about the frame as a whole.
    measurements
        Numbers worth keeping in the database, by name with unit (``level_adu``, ``read_noise_e``, ``trace_shift_px``).
    spectra
        None for a frame that has none (bias, dark).
    wavelengths
        None for a frame whose recipe measures none.
    barycentric
        By star fiber.
    velocities
        One for each star fiber whose velocity could be measured.
    """

    quality: Quality = Quality(0)
    measurements: Mapping[str, float] = field(default_factory=dict)
    spectra: Spectra | None = None
    wavelengths: Wavelengths | None = None
    barycentric: Mapping[int, Barycentric] = field(default_factory=dict)
    velocities: tuple[Velocity, ...] = ()
