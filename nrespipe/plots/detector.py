"""Structure of master biases and darks."""

import numpy as np
from matplotlib.figure import Figure

from nrespipe.frames.arrays import Floats
from nrespipe.frames.masters import Bias, Dark
from nrespipe.frames.quality import Pixel
from nrespipe.plots import page

_SQUARE = 32


def draw(bias: Bias | None = None, dark: Dark | None = None) -> Figure:
    """Draw a master bias, a master dark, or both.

    Returns
    -------
    matplotlib.figure.Figure
        For each a map of the medians of squares of pixels, the medians of columns and rows, and a histogram of the
        pixels.
    """
    shown = []
    if bias is not None:
        words = f"read noise {bias.read_noise_adu:.2f} ADU"
        shown.append((bias.origin, bias.adu, bias.mask, "ADU", words))
    if dark is not None:
        # in an hour, a dark current that matters is as large as the read noise
        shown.append((dark.origin, 3600 * dark.adu_per_s, dark.mask, "ADU in an hour", "all pixels"))
    figure = Figure(figsize=page.SIZE, layout="constrained")
    for axes, (origin, values, mask, unit, words) in zip(figure.subplots(len(shown), 3, squeeze=False), shown):
        bad = mask & np.uint8(Pixel.BAD) > 0
        _map(figure, axes[0], values, unit)
        axes[0].set_title(f"{page.title(origin)}\nmedians of squares of {_SQUARE} pixels", fontsize=10)
        _profiles(axes[1], values, unit)
        _histogram(axes[2], values, bad, unit)
        axes[2].set_title(f"{words}; {bad.mean():.3%} bad", fontsize=10)
    return figure


def squares(image: Floats, size: int) -> Floats:
    """Return the medians of squares of an image.

    Parameters
    ----------
    image : shape (n_rows, n_columns)
        The image.
    size
        Side of a square; rows and columns that fill none are left out [pixel].

    Returns
    -------
    ndarray of float, shape (n_rows // size, n_columns // size)
    """
    rows, columns = (n // size for n in image.shape)
    parts = np.asarray(image)[: rows * size, : columns * size].reshape(rows, size, columns, size)
    return np.median(parts, axis=(1, 3))


def _map(figure, axes, values, unit):
    size = max(1, min(_SQUARE, min(values.shape) // 4))
    medians = squares(values, size)
    low, high = np.percentile(medians, [1, 99])
    extent = (-0.5, values.shape[1] - 0.5, -0.5, values.shape[0] - 0.5)
    shown = axes.imshow(medians, origin="lower", extent=extent, vmin=low, vmax=high, cmap="cividis", aspect="equal")
    figure.colorbar(shown, ax=axes, label=unit, shrink=0.8)
    axes.set(xlabel="column [pixel]", ylabel="row [pixel]")


def _profiles(axes, values, unit):
    for axis, color, name in ((1, page.COLORS[1], "of each row"), (0, page.COLORS[0], "of each column")):
        axes.plot(np.median(values, axis=axis), lw=0.6, color=color, label=name)
    low, high = np.percentile(np.concatenate([np.median(values, axis=axis) for axis in (0, 1)]), [0.5, 99.5])
    margin = 0.5 * max(high - low, 1e-9)
    axes.set_ylim(low - margin, high + margin)
    axes.legend(fontsize=8)
    page.label(axes, "column or row [pixel]", unit, "medians")


def _histogram(axes, values, bad, unit):
    middle, low, high = (float(level) for level in np.percentile(values, [50, 0.01, 99.97]))
    low, high = (middle + 1.3 * min(low - middle, -1e-9), middle + 1.3 * max(high - middle, 1e-9))
    edges = np.linspace(low, high, 121)
    for chosen, color, name in ((~bad, page.COLORS[0], "good"), (bad, page.COLORS[1], "bad")):
        axes.hist(np.clip(values[chosen], edges[0], edges[-1]), edges, histtype="step", color=color, label=name)
    axes.set_yscale("log")
    axes.legend(fontsize=8)
    page.label(axes, unit, "pixels", "")
