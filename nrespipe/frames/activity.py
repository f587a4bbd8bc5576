"""What the lines of a star say about its chromosphere and its surface."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Index:
    """One number that follows the activity of a star.

    Attributes
    ----------
    name
        ``s_index``, ``h_alpha`` ...
    value, error
        The number and its error, NaN and infinite where it could not be measured.
    unit
        '' for a pure number.
    reason
        Why it could not be measured; '' where it could.
    """

    name: str
    value: float = float("nan")
    error: float = float("inf")
    unit: str = ""
    reason: str = ""
