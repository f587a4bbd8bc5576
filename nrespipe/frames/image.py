"""A detector image in electrons."""

from dataclasses import dataclass

import numpy as np

from nrespipe.frames.arrays import frozen


@dataclass(frozen=True)
class Image:
    """Bias- and dark-corrected pixels.

    Attributes
    ----------
    electrons : shape (n_rows, n_columns)
        Collected charge [electron].
    floor_variance : shape (n_rows, n_columns)
        Variance without the photon noise of the spectra: read noise, dark current, and the errors of the master bias,
        dark and scattered light [electron2]. The photon noise is added from a model of the flux in the column, not
        from the single pixel.
    mask : shape (n_rows, n_columns)
        Flags, bits of ``Pixel``.
    exposure_s
        Exposure time [second].
    """

    electrons: np.ndarray
    floor_variance: np.ndarray
    mask: np.ndarray
    exposure_s: float

    def __post_init__(self):
        shape = np.shape(self.electrons)
        frozen(self, electrons=(None, None), floor_variance=shape, mask=shape)
