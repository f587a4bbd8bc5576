"""Checks the arrays and velocities that a caller hands over: plain or masked arrays, lists, quantities with a unit."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nrespipe.frames.arrays import Floats
from nrespipe.frames.velocity import LineMask


def plain(values: ArrayLike, unit: str | None = None) -> Floats:
    """Return numbers as a plain array of floats.

    Parameters
    ----------
    values
        Numbers, as a masked array or with an astropy unit if need be.
    unit
        Unit to which values with a unit are converted; without it they stay as they are.

    Returns
    -------
    ndarray of float
        NaN in the place of masked values.

    Raises
    ------
    ValueError
        If the values have a unit of another kind.
    """
    if hasattr(values, "to_value"):
        values = values.to_value(unit)
    numbers: Any = np.ma.asarray(values).astype(float)
    return numbers.filled(np.nan)


def speed_ms(value: Any, name: str) -> float:
    """Return a velocity as a plain number.

    Parameters
    ----------
    value
        A number in m/s, or a quantity with a unit of velocity.
    name
        Its name, for the message.

    Returns
    -------
    float
        [m / s].

    Raises
    ------
    ValueError
        If it is not finite, or no velocity.
    """
    number = np.nan if value is None else float(value.to_value("m/s") if hasattr(value, "to_value") else value)
    if not np.isfinite(number):
        raise ValueError(f"{name} is {value}, a number in m/s is needed")
    return number


def check_wavelength(wavelength: Floats) -> None:
    """Refuse wavelengths that do not increase; the message names the order and the pixel.

    Parameters
    ----------
    wavelength : shape (n_orders, n_pixels)
        Of the middle of each pixel [angstrom].

    Raises
    ------
    ValueError
        If a pixel has none, or if they do not increase along an order.
    """
    if not wavelength.size:
        raise ValueError("there are no pixels")
    for order, row in enumerate(wavelength):
        if not np.all(np.isfinite(row)):
            pixel = np.flatnonzero(~np.isfinite(row))[0]
            raise ValueError(
                f"order {order}: pixel {pixel} has no wavelength; give every pixel one, and NaN as flux to those "
                "that are not to be used"
            )
        if not np.all(np.diff(row) > 0):
            pixel = np.flatnonzero(np.diff(row) <= 0)[0] + 1
            raise ValueError(
                f"wavelengths must increase along every order: those of order {order} fall at pixel {pixel}"
            )


def check_lines(mask: LineMask) -> None:
    """Refuse an object that is no list of lines.

    Raises
    ------
    ValueError
        If it is something else, or its lines do not increase in wavelength.
    """
    if not hasattr(mask, "vacuum_angstrom") or not hasattr(mask, "depth"):
        raise ValueError(f"{mask!r:.60} is no LineMask: take one, as nrespipe.data.stellar_lines('G2')")
    if not (np.all(np.diff(mask.vacuum_angstrom) >= 0) and np.all(np.isfinite(mask.depth))):
        raise ValueError(f"the lines of mask {mask.name} must increase in wavelength, and no depth may be NaN")


def check_depths(mask: LineMask) -> None:
    """Refuse weights of lines that are no depths.

    Raises
    ------
    ValueError
        If a weight is negative or greater than 1: a model of the lines cannot be made from it.
    """
    check_lines(mask)
    low, high = (float(end(mask.depth)) for end in (np.min, np.max)) if len(mask.depth) else (0.0, 0.0)
    if low < 0 or high > 1:
        raise ValueError(
            f"the weights of mask {mask.name} run from {low:.3g} to {high:.3g}, so they are no depths below a "
            "continuum of 1, which the model of the lines needs; velocity_of_arrays.gaussian takes any weights"
        )
