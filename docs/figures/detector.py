"""From counts to electrons."""

import numpy as np

from figures import figure, style
from nrespipe.engine.detector import correction


@figure("biases", "star")
def levels(night):
    """Show the bias level of the rows, its residuals after the correction, and a cut across the orders.

    Parameters
    ----------
    night : Night
        Simulated frames.

    Returns
    -------
    matplotlib.figure.Figure
    """
    result, (overscan, rows, cut) = style.panels(1, 3, 2.7, width_ratios=(1, 1, 1.2))
    _overscan(overscan, night.biases[2])
    _rows(rows, night.biases[2], night.references.bias)
    _cut(cut, night.star_image)
    return result


def _overscan(axes, raw):
    level = correction.overscan(raw).level
    axes.plot(raw.adu[raw.bias_section.slices].mean(axis=1), ".", ms=2, color=style.GREY, label="mean of the row")
    axes.plot(level, color=style.BLUE, label="level")
    axes.set(ylim=(level.min() - 1.2, level.max() + 2))
    axes.legend(loc="upper right")
    style.label(axes, "row [pixel]", "overscan [ADU]", "overscan of a bias")


def _rows(axes, raw, master):
    before = raw.adu[raw.data_section.slices].mean(axis=1)
    after = (correction.trim(raw) - master.adu[: len(before)]).mean(axis=1)
    axes.plot(before - before.mean(), color=style.VERMILION, lw=0.9, label="raw, minus its mean")
    axes.plot(after, color=style.BLUE, lw=0.9, label="corrected")
    axes.set(ylim=(-1, 1.9))
    axes.legend(loc="upper right", handlelength=1)
    style.label(axes, "row [pixel]", "mean of the row [ADU]", "rows of a bias")


def _cut(axes, image, column=1400, rows=slice(1500, 1620)):
    light = image.electrons[rows, column]
    noise = np.sqrt(image.floor_variance[rows, column])
    place = np.arange(rows.start, rows.stop)
    axes.fill_between(place, -noise, noise, color=style.GREEN, alpha=0.3, lw=0, step="mid", label="noise floor")
    axes.step(place, light, where="mid", color=style.BLUE, lw=0.9, label="corrected frame")
    axes.set_yscale("symlog", linthresh=30)
    axes.set(ylim=(-20, 1e5))
    axes.legend(loc="upper right", ncols=2, columnspacing=0.8)
    style.label(axes, "row [pixel]", "charge [electron]", f"a star, column {column}")
