"""How the orders of a frame have moved."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Motion:
    """How the orders of a frame lie against where the flat saw them.

    A trace at row y and column x lies higher by ``middle + scale_px * v + turn_px * u``, where v and u are the
    distances of the row and the column from the middle of the detector in units of half its size.

    Attributes
    ----------
    shift_px, shift_error_px
        Median over all traces, upward positive, and its error; the error is infinite where the frame has too little
        light to tell [pixel].
    scale_px, scale_error_px
        What a stretch about the middle row adds at the uppermost row [pixel].
    turn_px, turn_error_px
        What a turn adds at the last column [pixel].

    Notes
    -----
    A scale or turn that the light of the frame does not determine is 0, and its error infinite.
    """

    shift_px: float
    shift_error_px: float
    scale_px: float = 0.0
    scale_error_px: float = float("inf")
    turn_px: float = 0.0
    turn_error_px: float = float("inf")

    @property
    def farthest_px(self) -> float:
        """No point of a trace lies further than this from where the flat saw it [pixel]."""
        return abs(self.shift_px) + 2 * abs(self.scale_px) + abs(self.turn_px)

    @property
    def measurements(self) -> dict[str, float]:
        """Shift, its error and scale, as the database names them [pixel]."""
        return {
            "trace_shift_px": self.shift_px,
            "trace_shift_error_px": self.shift_error_px,
            "trace_scale_px": self.scale_px,
        }
