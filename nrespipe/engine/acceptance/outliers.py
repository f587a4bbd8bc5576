"""Which frames of a night do not belong with the others, by what was measured on each."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

#: A majority is more than half of at least so many.
_FEWEST = 3


def find(values: Sequence[float], limit: float, says: str) -> list[str]:
    """Find the frames that differ from the majority.

    Parameters
    ----------
    values
        The same number of each frame; NaN where it was not measured.
    limit
        A frame that lies further than this from the median is odd, if most others lie nearer.
    says
        What that means; ``{value}`` and ``{usual}`` stand for its number and the median.

    Returns
    -------
    list of str
        For each frame the reason, '' where it belongs with the others or nobody can tell.
    """
    values = np.asarray(values, float)
    known = np.isfinite(values)
    if known.sum() < _FEWEST:
        return [""] * len(values)
    usual = float(np.median(values[known]))
    far = known & (np.abs(values - usual) > limit)
    if 2 * far.sum() >= known.sum():
        return [""] * len(values)
    return [says.format(value=value, usual=usual) if is_far else "" for value, is_far in zip(values, far)]


def by_objects(lit: Sequence[str], test: Callable[..., Any], *columns: Sequence[float]) -> list[str]:
    """Apply a test to the frames of each set of lit fibers by itself.

    Parameters
    ----------
    lit
        What lights the fibers of each frame.
    test
        Takes the values of some frames, one sequence for each of `columns`, and returns the reasons against them.
    *columns
        Numbers of all frames.

    Returns
    -------
    list of str
        The reasons against each frame, as `test` gives them.
    """
    reasons = [""] * len(lit)
    for group in sorted(set(lit)):
        members = [i for i, name in enumerate(lit) if name == group]
        for i, reason in zip(members, test(*([column[i] for i in members] for column in columns))):
            reasons[i] = reason
    return reasons
