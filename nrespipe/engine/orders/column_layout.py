"""The lit traces of a frame, column by column, as the kernels want them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nrespipe.frames.image import Image
from nrespipe.frames.masters import Flat
from nrespipe.frames.quality import Pixel
from nrespipe.frames.traces import Traces
from nrespipe.numerics import column_model as kernel

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
    shape: tuple
    grid: tuple

    @property
    def pieces(self) -> tuple[Any, ...]:
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
        result = np.empty_like(values)
        result[self.order] = values
        return result.reshape(*self.shape[:2], *values.shape[1:])


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
    n_orders = len(traces.orders)
    chosen = [traces.fibers.index(fiber) for fiber in lit]
    centers = traces.centers[chosen].reshape(len(lit) * n_orders, -1)
    typical = np.array([np.nanmedian(c) if np.isfinite(c).any() else np.inf for c in centers])
    order = np.argsort(typical, kind="stable")
    profile = flat.profile
    tables = profile.values[[flat.traces.fibers.index(fiber) for fiber in lit]]
    tables = tables.reshape(len(lit) * n_orders, *tables.shape[2:])
    unusable = np.uint8(Pixel.BAD | Pixel.SATURATED | Pixel.BLOOMED)
    response = kernel.transposed(profile.response[:, thin])
    return Columns(
        data=kernel.transposed(image.electrons[:, thin]),
        floor=kernel.transposed(image.floor_variance[:, thin]),
        bad=kernel.transposed((image.mask[:, thin] & unusable > 0).view(np.uint8)),
        response=response,
        error=kernel.transposed(profile.response_error[:, thin]) / response,
        centers=np.ascontiguousarray(centers[order][:, thin].T),
        tables=np.ascontiguousarray(tables[order]),
        order=order,
        shape=(len(lit), n_orders, centers.shape[-1]),
        grid=(
            (profile.columns - stride // 2) / stride,
            profile.offsets[0],
            profile.offsets[1] - profile.offsets[0],
            HALF_WINDOW,
        ),
    )
