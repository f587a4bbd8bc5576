"""The figures of the manual: every function that is marked with `figure` makes one, from simulated light.

Each takes a ``Night`` of raw frames, masters and truth, or nothing, and returns a ``matplotlib.figure.Figure``. What it
shows, it asks of the public functions of the engine. The figures are drawn by ``scripts/figures.sh`` and kept in
``drawn/``, with the fingerprints of the code that drew them; the build of the manual draws none.
"""

import importlib
import pkgutil

_MARKED = {}


def figure(*light):
    """Mark a function as one that makes a figure.

    Parameters
    ----------
    *light : str
        Names in ``figures.simulated.LIGHT``: the frames that it shows; none if it needs no night.

    Returns
    -------
    callable
        The decorator.
    """

    def mark(function):
        name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
        _MARKED[name] = (function, light)
        return function

    return mark


def every():
    """Find all figures.

    Returns
    -------
    dict of str to (callable, tuple of str)
        By name, module and function: what makes the figure, and the light that it shows.
    """
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    return dict(sorted(_MARKED.items()))
