"""Which line is which."""

import numpy as np

from figures import figure, lamp, style
from nrespipe.engine.wavelength import arc_lines, identify
from nrespipe.engine.wavelength.identify import Projection
from nrespipe.numerics import legendre2d


@figure("arcs")
def start(night):
    """Show how far lines lie from where the optical model predicts them, before and after the blind start.

    Parameters
    ----------
    night : Night
        Simulated frames.

    Returns
    -------
    matplotlib.figure.Figure
    """
    refs, spectrograph = night.references, night.bench.spectrograph
    spectra, known = refs.arc.reference, lamp.of_fiber(refs.arc.lines, 1, used=True)
    peaks = arc_lines.find(spectra, 1)
    found = identify.blindly(peaks, spectra.orders, spectrograph, refs.lamp, 1)
    projection = Projection(spectrograph, refs.lamp, 1)
    before = known.x - _predicted(projection, known)
    design = legendre2d.design(found.terms, *projection.scaled(known.order, known.x))
    result, parts = style.panels(1, 2, 2.8)
    for axes, values, title in (
        (parts[0], before, "against the optical model"),
        (parts[1], before - design @ found.shift, "after the blind start"),
    ):
        dots = axes.scatter(known.x, values, s=1.5, c=known.order, cmap="cividis", rasterized=True)
        style.label(axes, "column [pixel]", "measured − predicted [pixel]", title)
    parts[1].set_ylim(-1.2, 1.2)
    result.colorbar(dots, ax=parts, label="order")
    return result


def _predicted(projection, lines):
    """Columns where the optical model expects lines of known wavelength [pixel]."""
    columns = np.empty(len(lines.x))
    for order in np.unique(lines.order):
        here = lines.order == order
        index, x = projection.lines(order)
        columns[here] = np.interp(lines.vacuum_angstrom[here], projection.lamp.vacuum_angstrom[index], x)
    return columns
