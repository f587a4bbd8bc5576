"""How the figures look: no background, grey letters, colors that the color-blind can tell, on white and on black."""

from contextlib import contextmanager
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

#: As far from white as from the black of the dark pages.
GREY = "#7a7a7a"
#: From the palette of Okabe and Ito, the blue a little lighter.
BLUE, VERMILION, GREEN, PURPLE, ORANGE = "#1f83c4", "#d55e00", "#009e73", "#c774a8", "#d99200"
#: Colors of the fibers 0, 1, 2.
FIBERS = BLUE, VERMILION, GREEN

_SETTINGS = {
    "axes.edgecolor": GREY,
    "axes.facecolor": "none",
    "axes.labelcolor": GREY,
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": GREY,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "none",
    "font.size": 8.5,
    "grid.color": GREY,
    "image.cmap": "cividis",
    "image.interpolation": "nearest",
    "image.origin": "lower",
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.labelcolor": GREY,
    "lines.linewidth": 1.2,
    "lines.markersize": 3,
    "savefig.bbox": "tight",
    "savefig.dpi": 130,
    "savefig.facecolor": "none",
    "savefig.pad_inches": 0.02,
    "svg.hashsalt": "nrespipe",
    "text.color": GREY,
    "xtick.color": GREY,
    "xtick.labelsize": 8,
    "ytick.color": GREY,
    "ytick.labelsize": 8,
}
WIDTH = 7.2  # inches: the text of a page


@contextmanager
def applied():
    """Draw and save in this style.

    Yields
    ------
    None
    """
    with matplotlib.rc_context(_SETTINGS):
        yield


def panels(rows=1, columns=1, height=2.6, **options):
    """Return an empty figure as wide as the text.

    Parameters
    ----------
    rows, columns : int, optional
        Panels.
    height : float, optional
        Of the figure [inch].
    **options
        Of ``Figure.subplots``.

    Returns
    -------
    figure : matplotlib.figure.Figure
        The figure.
    axes : matplotlib.axes.Axes or ndarray of them
        Its panels.
    """
    figure = Figure(figsize=(WIDTH, height))
    return figure, figure.subplots(rows, columns, **options)


def label(axes, x, y, title=None):
    """Name the axes of a panel.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        The panel.
    x, y : str
        Quantity and unit.
    title : str, optional
        What the panel shows.
    """
    axes.set(xlabel=x, ylabel=y)
    if title:
        axes.set_title(title)


def save(figure: Figure, path: Path, source: str | None = None) -> None:
    """Write a figure; the same figure gives the same bytes.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    path : Path
        An SVG file.
    source : str, optional
        What the figure was made from, kept in the file.
    """
    figure.savefig(path, metadata={"Date": None, "Creator": None, "Source": source})
