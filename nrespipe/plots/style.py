"""What all drawings have in common."""

#: Colors of the fibers 0, 1, 2, told apart by the color-blind too (Okabe & Ito).
COLORS = ("#0072b2", "#d55e00", "#009e73")
#: A page, A4 across [inch].
PAGE = (11.7, 8.3)


def color(fiber):
    """Return the color of a fiber.

    Parameters
    ----------
    fiber : int
        Fiber number.

    Returns
    -------
    str
        As matplotlib takes it.
    """
    return COLORS[fiber % len(COLORS)]


def label(axes, x, y, title):
    """Name the axes of a panel and what it shows.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        The panel.
    x, y, title : str
        Words.
    """
    axes.set(xlabel=x, ylabel=y)
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)


def of(origin):
    """Say which master a drawing shows.

    Parameters
    ----------
    origin : Origin
        What it was made of.

    Returns
    -------
    str
        Kind, site, spectrograph, camera, night and number of inputs.
    """
    n = len(origin.inputs)
    place = f"{origin.site} {origin.instrument} {origin.camera} {origin.day}"
    return f"{origin.kind.capitalize()} of {place}, {n} frame{'s' * (n != 1)}"
