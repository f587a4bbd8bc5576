"""Orders on the detector: where they lie, how they have moved, and how their light spreads across them."""

from dataclasses import dataclass

import numpy as np

from nrespipe.frames.arrays import frozen


@dataclass(frozen=True)
class Traces:
    """Centers of the orders of every fiber that the flats lit.

    Attributes
    ----------
    fibers
        Fiber numbers along the first axis.
    orders : shape (n_orders,)
        Diffraction orders along the second axis, increasing (upward on the detector).
    centers : shape (n_fibers, n_orders, n_pixels)
        Row of the center of the flux, 0 is the middle of the lowest row; NaN off the detector [pixel].
    errors : shape (n_fibers, n_orders, n_pixels), optional
        Errors of the centers by noise and by the scatter of the flat about smooth orders; those of near centers are
        correlated [pixel].
    """

    fibers: tuple[int, ...]
    orders: np.ndarray
    centers: np.ndarray
    errors: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = len(self.orders)
        frozen(self, orders=(n,), centers=(len(self.fibers), n, None), errors=np.shape(self.centers))


# compared by identity, so that what follows from one can be kept
@dataclass(frozen=True, eq=False)
class Profile:
    """Cross-dispersion profile of each trace as a function of distance from its center.

    Attributes
    ----------
    offsets : shape (n_offsets,)
        Evenly spaced distances from the center, upward positive [pixel].
    columns : shape (n_chunks,)
        Column of the middle of each chunk of the detector; the profile is linear in between.
    values : shape (n_fibers, n_orders, n_chunks, n_offsets)
        Fraction of the flux of a column in a pixel whose middle lies at the offset; a sum over the pixels of
        the window, together with the wings beyond it, is 1.
    distances : shape (n_distances,)
        Evenly spaced distances from the center, from 0 [pixel].
    wings : shape (2, n_distances)
        Fraction of the flux in a pixel at that distance below a trace, and above it, the same for all traces; 0 within
        the range of `values`.
    response : shape (n_rows, n_columns)
        Sensitivity of each pixel relative to its surroundings; 1 where the flats do not measure it.
    response_error : shape (n_rows, n_columns)
        Error of `response`; where the flats do not measure it, the scatter of the response over the detector.
    """

    offsets: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    distances: np.ndarray
    wings: np.ndarray
    response: np.ndarray
    response_error: np.ndarray

    def __post_init__(self) -> None:
        n, k = len(self.columns), len(self.offsets)
        frozen(self, offsets=(k,), columns=(n,), values=(None, None, n, k), response=(None, None))
        frozen(self, distances=(None,), wings=(2, len(self.distances)), response_error=self.response.shape)


@dataclass(frozen=True)
class Slant:
    """Tilt and curvature of the images of lines against the columns of the detector.

    Attributes
    ----------
    fibers
        Fiber numbers along the first axis.
    orders
        Diffraction orders that are mapped to -1 and 1.
    n_pixels
        Length of an order; x is mapped from 0..n_pixels-1 to -1..1.
    degrees : shape (n_terms, 2)
        Legendre degrees in x and m of each term.
    lean, bend : shape (n_fibers, n_terms)
        Coefficients of the tilt and of the curvature. Light at the distance u above its trace lies ``lean * u + bend *
        (u**2 - q)`` columns to the right of the light at the center, q being the mean square of u [pixel / pixel,
        pixel / pixel2].
    """

    fibers: tuple[int, ...]
    orders: tuple[int, int]
    n_pixels: int
    degrees: np.ndarray
    lean: np.ndarray
    bend: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.degrees)
        frozen(self, degrees=(n, 2), lean=(len(self.fibers), n), bend=(len(self.fibers), n))


@dataclass(frozen=True)
class Motion:
    """Shift of the traces of a frame against those of the master flat.

    A trace at row y and column x lies higher by ``s + stretch_px * v + turn_px * u``, where v and u are the distances
    of the row and the column from the middle of the detector in units of half its size, and s is the shift there.
    The median of this sum over all points of the traces is `shift_px`.

    Attributes
    ----------
    shift_px, shift_error_px
        Median over all traces, upward positive, and its error; the error is infinite where the frame has too little
        flux [pixel].
    stretch_px, stretch_error_px
        Further shift of the uppermost row by a stretch about the middle row [pixel].
    turn_px, turn_error_px
        Further shift of the last column by a rotation [pixel].

    Notes
    -----
    A stretch or turn that the frame does not determine is 0, and its error infinite.
    """

    shift_px: float
    shift_error_px: float
    stretch_px: float = 0.0
    stretch_error_px: float = float("inf")
    turn_px: float = 0.0
    turn_error_px: float = float("inf")

    @property
    def farthest_px(self) -> float:
        """Upper limit of the shift of any point of a trace [pixel]."""
        return abs(self.shift_px) + 2 * abs(self.stretch_px) + abs(self.turn_px)

    @property
    def shift_and_stretch(self) -> dict[str, float]:
        """Shift, its error and stretch under their names in the database [pixel]."""
        return {
            "trace_shift_px": self.shift_px,
            "trace_shift_error_px": self.shift_error_px,
            "trace_scale_px": self.stretch_px,
        }
