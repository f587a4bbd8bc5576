"""Frames of a night that differ from the others, by the numbers that were measured on each."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

#: A majority is more than half of at least so many.
_FEWEST = 3


def find(values: ArrayLike, limit: float, message: str) -> list[str]:
    """Return why frames differ from the majority.

    Parameters
    ----------
    values : shape (n_frames,)
        The same number of each frame; NaN where it was not measured.
    limit
        A frame is an outlier if it lies further than this from the median, and most others lie nearer.
    message
        Reason against an outlier; ``{value}`` and ``{usual}`` stand for its number and the median.

    Returns
    -------
    list of str
        The reason for each frame; '' for a frame that agrees with the others, and where there is no majority.
    """
    numbers = np.asarray(values, float)
    known = np.isfinite(numbers)
    if known.sum() < _FEWEST:
        return [""] * len(numbers)
    usual = float(np.median(numbers[known]))
    far = known & (np.abs(numbers - usual) > limit)
    if 2 * far.sum() >= known.sum():
        return [""] * len(numbers)
    return [message.format(value=value, usual=usual) if is_far else "" for value, is_far in zip(numbers, far)]


def by_objects(objects: Sequence[str], test: Callable[..., Any], *columns: Sequence[float]) -> list[str]:
    """Apply a test to the frames of each setting of the lamps by itself.

    Parameters
    ----------
    objects
        OBJECTS of each frame: the lamp or star in each fiber.
    test
        Takes the values of some frames, one sequence for each of `columns`, and returns the reasons against them.
    *columns
        Numbers of all frames.

    Returns
    -------
    list of str
        The reason against each frame, as `test` returns it.
    """
    reasons = [""] * len(objects)
    for group in sorted(set(objects)):
        members = [i for i, name in enumerate(objects) if name == group]
        for i, reason in zip(members, test(*([column[i] for i in members] for column in columns))):
            reasons[i] = reason
    return reasons
