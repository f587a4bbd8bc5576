"""Pages of drawings and of text: size, colors, labels and titles."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from nrespipe.frames.arrays import Floats, Integers
from nrespipe.frames.masters import Origin

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Colors of the fibers 0, 1, 2, which color-blind people can distinguish too (Okabe & Ito).
COLORS = ("#0072b2", "#d55e00", "#009e73")
GREY = "#777777"
#: A4, landscape [inch].
SIZE = (11.7, 8.3)
#: Lines of a page of text, and letters of a line.
_LINES, _LETTERS = 46, 135


def color(fiber: int) -> str:
    """Return the color of a fiber, as matplotlib takes it."""
    return COLORS[fiber % len(COLORS)]


def label(axes: "Axes", x: str, y: str, title: str) -> None:
    """Write the labels of the axes and the title of a panel."""
    axes.set(xlabel=x, ylabel=y)
    axes.set_title(title, fontsize=mpl.rcParams["font.size"])
    axes.grid(alpha=0.3)


def title(origin: Origin) -> str:
    """Return the title of the drawing of a master: kind, site, spectrograph, camera, night and number of inputs."""
    n = len(origin.inputs)
    place = f"{origin.site} {origin.instrument} {origin.camera} {origin.day}"
    return f"{origin.kind.capitalize()} of {place}, {n} frame{'s' * (n != 1)}"


def of_text(heading: str, lines: Sequence[str]) -> list[Figure]:
    """Write lines of text on as many pages as they need, at least one.

    Parameters
    ----------
    heading
        Heading of each page.
    lines
        A line without indent is printed bold; long lines are wrapped.
    """
    wrapped = []
    for line in lines:
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        wrapped += textwrap.wrap(line, _LETTERS, subsequent_indent=indent, drop_whitespace=True) or [""]
    return [_text(heading, wrapped[i : i + _LINES]) for i in range(0, max(len(wrapped), 1), _LINES)]


def _text(heading, lines):
    figure = Figure(figsize=SIZE)
    figure.text(0.04, 0.95, heading, va="top", fontsize=13)
    for row, line in enumerate(lines):
        weight = "normal" if line.startswith(" ") else "bold"
        figure.text(0.04, 0.90 - 0.0187 * row, line, va="top", family="monospace", fontsize=8.5, weight=weight)
    return figure


def empty(axes: "Axes", words: str) -> None:
    """Say in the middle of a panel why it is empty."""
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color="0.35", fontsize=9)


def cut(axes: "Axes", x: Floats | Integers, y: Floats, limit: float) -> None:
    """Limit a panel to values between plus and minus a limit, and mark those beyond it by arrows at its edge.

    Parameters
    ----------
    x, y : shape (n,)
        The points that are drawn.
    limit
        Of `y`.
    """
    axes.set_ylim(-limit, limit)
    for beyond, place, mark in ((y > limit, 0.97, "^"), (y < -limit, -0.97, "v")):
        if beyond.any():
            axes.plot(x[beyond], np.full(beyond.sum(), place * limit), mark, ms=4, color="0.3", clip_on=False)


def columns_of_text(
    axes: "Axes", columns: Sequence[Sequence[str]], places: Sequence[float], size: float = 7.0, top: float = 1.0
) -> None:
    """Write columns of text into a panel without axes.

    Parameters
    ----------
    columns
        Lines of each column.
    places
        Left end of each column, in units of the width of the panel.
    size
        Height of the letters [point].
    top
        Top of the first line, in units of the height of the panel.
    """
    axes.set_axis_off()
    for lines, place in zip(columns, places):
        axes.text(
            place, top, "\n".join(lines), transform=axes.transAxes, va="top", fontsize=size, linespacing=1.5,
            parse_math=False,
        )  # fmt: skip
