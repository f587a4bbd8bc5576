"""Where the orders lie on the detector, and how their light spreads across them."""

from dataclasses import dataclass

import numpy as np

from nrespipe.frames.arrays import frozen


@dataclass(frozen=True)
class Traces:
    """Centers of the orders of every fiber that the flats lit.

    Attributes
    ----------
    fibers : tuple of int
        Fiber numbers along the first axis.
    orders : ndarray of int, shape (n_orders,)
        Diffraction orders along the second axis, increasing (upward on the detector).
    centers : ndarray of float, shape (n_fibers, n_orders, n_pixels)
        Row of the center of light, 0 is the middle of the lowest row; NaN where the trace is off the detector [pixel].
    """

    fibers: tuple[int, ...]
    orders: np.ndarray
    centers: np.ndarray

    def __post_init__(self):
        n = len(self.orders)
        frozen(self, orders=(n,), centers=(len(self.fibers), n, None))


@dataclass(frozen=True)
class Profile:
    """Cross-dispersion profile of each trace as a function of distance from its center.

    Attributes
    ----------
    offsets : ndarray of float, shape (n_offsets,)
        Evenly spaced distances from the center, upward positive [pixel].
    columns : ndarray of float, shape (n_chunks,)
        Column of the middle of each chunk of the detector; the profile is linear in between.
    values : ndarray of float32, shape (n_fibers, n_orders, n_chunks, n_offsets)
        Share of the light of a column that falls into a pixel whose middle lies at the offset; a sum over pixels is 1.
    response : ndarray of float32, shape (n_rows, n_columns)
        Sensitivity of each pixel relative to its surroundings; 1 where the flats say nothing.
    response_error : ndarray of float32, shape (n_rows, n_columns)
        Error of `response`; where the flats say nothing it is the scatter of the response over the detector.
    """

    offsets: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    response: np.ndarray
    response_error: np.ndarray

    def __post_init__(self):
        n, k = len(self.columns), len(self.offsets)
        frozen(self, offsets=(k,), columns=(n,), values=(None, None, n, k), response=(None, None))
        frozen(self, response_error=self.response.shape)
