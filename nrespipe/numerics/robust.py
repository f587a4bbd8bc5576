"""Estimates that a few wild values cannot spoil."""

import numpy as np

from nrespipe.frames.arrays import Floats


def spread(values: Floats, clip: float = 4.0, rounds: int = 6) -> float:
    """Standard deviation of the bulk of a sample.

    Parameters
    ----------
    values
        Sample; values that are not finite are ignored.
    clip
        Values further than this many standard deviations from the mean are left out.
    rounds
        Largest number of rounds of clipping.

    Returns
    -------
    float
        Standard deviation about the mean of what is kept; nan for an empty sample.

    Notes
    -----
    The first bounds come from quartiles. Unlike the median absolute deviation the result is not stepped by the whole
    counts of a digital detector.
    """
    values = np.asarray(values, float).ravel()
    values = values[np.isfinite(values)]
    if values.size == 0:
        return float("nan")
    lowest, low, center, high, highest = np.percentile(values, (2, 25, 50, 75, 98))
    # the quartiles of whole counts may coincide
    deviation = (high - low) / 1.349 or (highest - lowest) / 4.11
    for _ in range(rounds):
        kept = values[np.abs(values - center) <= clip * deviation]
        if kept.size == 0:
            break
        center, previous, deviation = kept.mean(), deviation, kept.std()
        if abs(deviation - previous) < 1e-4 * previous:
            break
    return float(deviation)
