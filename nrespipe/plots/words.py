"""Pages of words."""

import textwrap
from collections.abc import Sequence

from matplotlib.figure import Figure

from nrespipe.plots import style

_ROWS, _LETTERS = 46, 135


def pages(title: str, lines: Sequence[str]) -> list[Figure]:
    """Write lines on as many pages as they need.

    Parameters
    ----------
    title
        Stands above each page.
    lines
        A line without indent is a heading; long lines are wrapped.

    Returns
    -------
    list of matplotlib.figure.Figure
        One page at least.
    """
    wrapped = []
    for line in lines:
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        wrapped += textwrap.wrap(line, _LETTERS, subsequent_indent=indent, drop_whitespace=True) or [""]
    return [_page(title, wrapped[i : i + _ROWS]) for i in range(0, max(len(wrapped), 1), _ROWS)]


def _page(title, lines):
    figure = Figure(figsize=style.PAGE)
    figure.text(0.04, 0.95, title, va="top", fontsize=13)
    for row, line in enumerate(lines):
        weight = "normal" if line.startswith(" ") else "bold"
        figure.text(0.04, 0.90 - 0.0187 * row, line, va="top", family="monospace", fontsize=8.5, weight=weight)
    return figure
