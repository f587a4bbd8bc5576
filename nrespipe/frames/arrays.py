"""Types of arrays, and the check of the arrays of a dataclass."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Arrays of numbers of any precision. Docstrings give shape and unit.
Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]
Booleans = NDArray[np.bool_]


def frozen(instance: object, **shapes: tuple[int | None, ...]) -> None:
    """Make the arrays of a frozen dataclass read-only and check their shapes.

    Parameters
    ----------
    instance
        A dataclass, in its ``__post_init__``.
    **shapes
        Name of a field and the shape its array must have; None for any length.

    Raises
    ------
    ValueError
        If an array has another shape; the message names the class and the field.
    """
    for name, shape in shapes.items():
        array = getattr(instance, name)
        if array is None:
            continue
        array = np.asarray(array)
        if len(array.shape) != len(shape) or any(n is not None and n != m for n, m in zip(shape, array.shape)):
            raise ValueError(f"{type(instance).__name__}.{name} has shape {array.shape}, expected {shape}")
        view = array.view()
        view.flags.writeable = False
        object.__setattr__(instance, name, view)
