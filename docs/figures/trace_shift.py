"""Moved orders."""

from dataclasses import replace

import numpy as np

from figures import figure, style
from nrespipe.engine.orders import trace_shift
from nrespipe.frames.traces import Traces

#: Shift, stretch at the uppermost row, and turn at the last column [pixel].
_PUT_IN = (
    (-7.5, 0.4, -0.3),
    (-3.2, 0.0, 0.2),
    (-0.8, -0.3, 0.0),
    (0.0, 0.0, 0.0),
    (0.6, 0.2, 0.3),
    (2.9, -0.2, -0.2),
    (7.1, 0.1, 0.1),
)


@figure("star")
def motion(night):
    """Show measured against simulated shifts of the traces.

    Parameters
    ----------
    night : Night
        Simulated frames.

    Returns
    -------
    matplotlib.figure.Figure
    """
    put_in, found, errors = _measured(night)
    result, (shift, rest) = style.panels(1, 2, 2.7)
    shift.axline((0, 0), slope=1, color=style.GREY, lw=0.8)
    shift.plot(put_in[:, 0], found[:, 0], "o", ms=5, color=style.BLUE)
    for k, (name, color, marker) in enumerate(
        (("shift", style.BLUE, "o"), ("stretch", style.VERMILION, "s"), ("turn", style.GREEN, "^"))
    ):
        rest.errorbar(
            put_in[:, 0] + 0.25 * (k - 1),
            1e3 * (found - put_in)[:, k],
            1e3 * errors[:, k],
            fmt=marker,
            color=color,
            ms=4,
            label=name,
        )
    rest.axhline(0, color=style.GREY, lw=0.8)
    rest.legend(loc="upper center", ncols=3)
    rest.margins(y=0.3)
    style.label(shift, "simulated shift [pixel]", "measured shift [pixel]")
    style.label(rest, "simulated shift [pixel]", "measured − simulated [mpx]")
    return result


def _measured(night):
    """Motion of the star against flats whose orders lie elsewhere: put in, found, and its errors."""
    image, refs, lit = night.star_clean, night.references, night.star.raw.lit_fibers
    traces = refs.flat.traces
    v = 2 * np.nan_to_num(traces.centers) / len(image.electrons) - 1
    u = np.linspace(-1, 1, traces.centers.shape[-1])
    mine = [traces.fibers.index(fiber) for fiber in lit]
    seen, rise, result = np.isfinite(traces.centers[mine]), night.star.truth.state.rise_px, []
    for shift, stretch, turn in _PUT_IN:
        distance = shift + stretch * v + turn * u
        away = Traces(traces.fibers, traces.orders, traces.centers - distance)
        moved = trace_shift.measure(image, trace_shift.coarse(image, away, lit), replace(refs.flat, traces=away), lit)[
            1
        ]
        result.append(
            (
                # the shift is that of the typical trace
                (rise + np.median(distance[mine][seen]), stretch, turn),
                (moved.shift_px, moved.stretch_px, moved.turn_px),
                (moved.shift_error_px, moved.stretch_error_px, moved.turn_error_px),
            )
        )
    return np.swapaxes(result, 0, 1)
