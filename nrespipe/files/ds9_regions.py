"""The orders of a flat as a region file, which a viewer such as ds9 lays over a raw frame."""

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from nrespipe.frames.raw import Section
    from nrespipe.frames.traces import Traces

#: Colors of the fibers 0, 1, 2.
_COLORS = ("cyan", "orange", "green")


def text(traces: "Traces", section: "Section", step: int = 128, label_every: int = 1) -> str:
    """Return the traces of a flat as a region file.

    Parameters
    ----------
    section
        Light-sensitive part of the raw image.
    step
        Length of the straight pieces of which a trace is drawn; orders curve by less than a tenth of a pixel within one
        [pixel].
    label_every
        Every so many orders get their number.

    Returns
    -------
    str
        In image coordinates of the raw frame, whose first pixel has its center at (1, 1). Each fiber has a color and a
        tag; the numbers are diffraction orders.
    """
    lines = ["# Region file format: DS9", "global width=1 select=1 edit=0 move=0", "image"]
    columns = np.unique(np.append(np.arange(0, traces.centers.shape[2], step), traces.centers.shape[2] - 1))
    for fiber, rows in zip(traces.fibers, traces.centers[:, :, columns]):
        color = f"color={_COLORS[fiber % len(_COLORS)]} tag={{fiber {fiber}}}"
        for order, row in zip(traces.orders, rows):
            # the center of the first pixel is 0 inside the program and 1 in a region file
            x, y = columns + section.first_column + 1, row + section.first_row + 1
            seen = np.flatnonzero(np.isfinite(y))
            pieces = [(i, j) for i, j in pairwise(seen) if j == i + 1]
            lines += [f"line({x[i]},{y[i]:.2f},{x[j]},{y[j]:.2f}) # line=0 0 {color}" for i, j in pieces]
            if pieces and (order - traces.orders[0]) % label_every == 0:
                middle = seen[len(seen) // 2]
                lines.append(f"# text({x[middle]},{y[middle]:.2f}) text={{{order}}} {color}")
    return "\n".join(lines) + "\n"
