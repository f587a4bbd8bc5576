"""The lit traces of a frame, column by column, as the kernels want them."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from nrespipe.frames.arrays import Floats, Integers
from nrespipe.frames.image import Image
from nrespipe.frames.masters import Flat
from nrespipe.frames.quality import Pixel
from nrespipe.frames.traces import Profile, Traces
from nrespipe.numerics import column_fit_kernels

#: Half width of the window across an order [pixel].
HALF_WINDOW = 8.5


@dataclass(frozen=True)
class Columns:
    """Columns of a frame laid out in memory, with its traces sorted by row.

    Attributes
    ----------
    data, floor, bad, response : shape (n_columns, n_rows)
        Light, variance without its photon noise, whether a pixel must not be used, sensitivity of the pixels.
    error : shape (n_columns, n_rows)
        Error of the response, relative to it: the light that is expected of a pixel has its response in it.
    centers : shape (n_columns, n_traces)
        Rows of the traces, their medians increasing along the second axis; NaN where there is none. Fibers 0 and 2 of
        neighboring orders cross at some columns, which the kernels allow for: they pair each trace with the next three
        [pixel].
    tables : shape (n_traces, n_chunks, n_offsets)
        Profiles of the traces.
    order : shape (n_traces,)
        Place of each sorted trace among those of the frame, fiber by fiber.
    shape
        Numbers of fibers, orders and columns of the frame.
    thin
        Which columns of the frame they are.
    grid
        Middles of the chunks of the profiles among these columns, first offset and spacing of the tables, half width of
        the window [pixel].
    """

    data: np.ndarray
    floor: np.ndarray
    bad: np.ndarray
    response: np.ndarray
    error: np.ndarray
    centers: np.ndarray
    tables: np.ndarray
    order: np.ndarray
    shape: tuple[int, int, int]
    thin: slice
    grid: tuple[Floats, float, float, float]

    @property
    def pieces(self) -> tuple[Floats, Floats, Integers, Floats, Floats, Floats, Floats, float, float, float]:
        """The first arguments of many kernels: the arrays, then the grid of the profiles."""
        return (self.data, self.floor, self.bad, self.response, self.centers, self.tables, *self.grid)

    def sort(self, values: np.ndarray) -> np.ndarray:
        """Put values of the fibers and orders into the order of the traces by row.

        Parameters
        ----------
        values : shape (n_fibers, n_orders, ...)
            Of the frame.

        Returns
        -------
        ndarray, shape (n_traces, ...)
        """
        return np.ascontiguousarray(values.reshape(len(self.order), *values.shape[2:])[self.order])

    def unsort(self, values: np.ndarray) -> np.ndarray:
        """Put values of the sorted traces back into the order of fibers and orders.

        Parameters
        ----------
        values : shape (n_traces, ...)
            Of the sorted traces.

        Returns
        -------
        ndarray, shape (n_fibers, n_orders, ...)
        """
        return unsort(values, self.order, self.shape[:2])

    def moved(self, traces: Traces, lit: tuple[int, ...]) -> "Columns":
        """Return the same pixels with the traces at other rows.

        Parameters
        ----------
        traces
            Where the same orders lie.
        lit
            The same fibers.

        Returns
        -------
        Columns
            Its `bad` is a copy, which kernels may mark pixels in.
        """
        centers, order = sorted_rows(traces, lit, self.thin)
        tables = self.tables if np.array_equal(order, self.order) else self.tables[np.argsort(self.order)][order]
        return replace(self, bad=self.bad.copy(), centers=centers, tables=tables, order=order)


def sorted_rows(traces: Traces, fibers: tuple[int, ...], columns: slice = slice(None)) -> tuple[Floats, Integers]:
    """Return the rows of the traces of some fibers, sorted by their medians.

    Parameters
    ----------
    traces
        Where the orders lie.
    fibers
        Which of its fibers.
    columns
        At which columns; all by default.

    Returns
    -------
    centers : ndarray of float, shape (n_columns, n_traces)
        Rows of the sorted traces; NaN where there is none [pixel].
    order : ndarray of int, shape (n_traces,)
        Place of each sorted trace among those of `fibers`, fiber by fiber.
    """
    centers = traces.centers[[traces.fibers.index(fiber) for fiber in fibers]]
    centers = centers.reshape(-1, centers.shape[-1])
    typical = np.array([np.nanmedian(c) if np.isfinite(c).any() else np.inf for c in centers])
    order = np.argsort(typical, kind="stable")
    return np.ascontiguousarray(centers[order][:, columns].T), order


def unsort(values: np.ndarray, order: Integers, lead: tuple[int, ...]) -> np.ndarray:
    """Put values of sorted traces back into the order of fibers and orders.

    Parameters
    ----------
    values : shape (n_traces, ...)
        Of the sorted traces.
    order
        From `sorted_rows`.
    lead
        Numbers of fibers and orders.

    Returns
    -------
    ndarray, shape (n_fibers, n_orders, ...)
    """
    result = np.empty_like(values)
    result[order] = values
    return result.reshape(*lead, *values.shape[1:])


def lay_out(image: Image, traces: Traces, flat: Flat, lit: tuple[int, ...], stride: int = 1) -> Columns:
    """Sort the traces of the lit fibers by row and lay the columns of the image out in memory.

    Parameters
    ----------
    traces
        Where the orders lie in this frame.
    lit
        Fibers that carry light.
    stride
        Every `stride`-th column is taken.

    Returns
    -------
    Columns
        Copies: kernels may mark pixels in them.
    """
    thin = slice(stride // 2, None, stride)
    centers, order = sorted_rows(traces, lit, thin)
    profile = flat.profile
    tables = profile.values[[flat.traces.fibers.index(fiber) for fiber in lit]]
    tables = tables.reshape(-1, *tables.shape[2:])
    unusable = np.uint8(Pixel.BAD | Pixel.SATURATED | Pixel.BLOOMED)
    response, error = (np.ascontiguousarray(values[thin]) for values in _sensitivity(profile))
    return Columns(
        data=column_fit_kernels.transposed(image.electrons[:, thin]),
        floor=column_fit_kernels.transposed(image.floor_variance[:, thin]),
        bad=column_fit_kernels.transposed((image.mask[:, thin] & unusable > 0).view(np.uint8)),
        response=response,
        error=error,
        centers=centers,
        tables=np.ascontiguousarray(tables[order]),
        order=order,
        shape=(len(lit), len(traces.orders), traces.centers.shape[-1]),
        thin=thin,
        grid=(
            (profile.columns - stride // 2) / stride,
            profile.offsets[0],
            profile.offsets[1] - profile.offsets[0],
            HALF_WINDOW,
        ),
    )


# all frames of a night have the same
@lru_cache(maxsize=1)
def _sensitivity(profile: Profile) -> tuple[Floats, Floats]:
    """Return the response of the pixels and its relative error, shape (n_columns, n_rows)."""
    response = column_fit_kernels.transposed(profile.response)
    return response, column_fit_kernels.transposed(profile.response_error) / response
