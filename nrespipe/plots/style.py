"""What all drawings have in common."""

from typing import TYPE_CHECKING

from nrespipe.frames.masters import Origin

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Colors of the fibers 0, 1, 2, told apart by the color-blind too (Okabe & Ito).
COLORS = ("#0072b2", "#d55e00", "#009e73")
#: A page, A4 across [inch].
PAGE = (11.7, 8.3)


def color(fiber: int) -> str:
    """Return the color of a fiber.

    Returns
    -------
    str
        As matplotlib takes it.
    """
    return COLORS[fiber % len(COLORS)]


def label(axes: "Axes", x: str, y: str, title: str) -> None:
    """Name the axes of a panel and what it shows."""
    axes.set(xlabel=x, ylabel=y)
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)


def of(origin: Origin) -> str:
    """Say which master a drawing shows.

    Parameters
    ----------
    origin
        What it was made of.

    Returns
    -------
    str
        Kind, site, spectrograph, camera, night and number of inputs.
    """
    n = len(origin.inputs)
    place = f"{origin.site} {origin.instrument} {origin.camera} {origin.day}"
    return f"{origin.kind.capitalize()} of {place}, {n} frame{'s' * (n != 1)}"
