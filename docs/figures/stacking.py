"""Stacking like frames."""

import numpy as np

from figures import figure, style
from nrespipe.engine.detector import correction, stacking
from nrespipe.simulator import detector as simulated


@figure("biases")
def biases(night):
    """Show the errors of a stack in units of their estimates, pixels with cosmic rays, and the effect of smoothing.

    Parameters
    ----------
    night : Night
        Simulated frames.

    Returns
    -------
    matplotlib.figure.Figure
    """
    values = np.array([correction.trim(raw) for raw in night.biases])
    noise = night.references.bias.read_noise_adu
    mean, variance, rejected, _ = stacking.mean(
        values, lambda frame, rows: frame[rows], values.shape[1:], np.float32(noise**2)
    )
    true = _true(night, len(mean))
    result, (pulls, hits, smooth) = style.panels(1, 3, 2.7, width_ratios=(1, 1, 1.3))
    _pulls(pulls, ((mean - true) / np.sqrt(variance))[:, :-1])
    _hits(hits, values, mean, rejected, 5 * noise)
    _smooth(smooth, mean, night.references.bias.adu, true)
    return result


def _true(night, rows):
    """Structure of the bias above the overscan of its row."""
    bias = simulated.pattern(night.bench.seed).bias_adu[:rows]
    return bias[:, :4096] - bias[:, 4120:].mean(axis=1, keepdims=True)


def _pulls(axes, pulls):
    edges = np.linspace(-5, 5, 61)
    middle = (edges[1:] + edges[:-1]) / 2
    axes.stairs(np.histogram(pulls, edges, density=True)[0], edges, color=style.BLUE, label="stack of five")
    axes.plot(middle, np.exp(-(middle**2) / 2) / np.sqrt(2 * np.pi), "--", color=style.VERMILION, label="unit Gaussian")
    axes.set(yscale="log", ylim=(1e-6, 30))
    axes.legend(loc="upper right")
    style.label(axes, "(stack − truth) / error", "density", "errors of the stack")


def _hits(axes, values, mean, rejected, limit, shown=8):
    y, x = np.nonzero((rejected == 1) & (values.mean(axis=0) > mean))
    y, x = (place[:: len(y) // shown][:shown] for place in (y, x))
    number = np.arange(1, shown + 1)
    middle = np.median(values[:, y, x], axis=0)
    out = np.abs(values[:, y, x] - middle) > limit
    where = np.broadcast_to(number, out.shape)
    axes.errorbar(number, middle, limit, fmt="none", color=style.GREEN, lw=5, alpha=0.35, label="allowed")
    axes.plot(where[~out], values[:, y, x][~out], ".", color=style.BLUE, label="kept")
    axes.plot(where[out], values[:, y, x][out], "x", ms=5, color=style.VERMILION, label="rejected")
    axes.plot(number, values[:, y, x].mean(axis=0), "_", ms=9, color=style.GREY, label="plain mean")
    axes.set_yscale("symlog", linthresh=30)
    axes.set(ylim=(-25, 1e5), xticks=number)
    axes.legend(loc="upper center", ncols=2, columnspacing=0.8, handletextpad=0.3)
    style.label(axes, "pixel with a cosmic ray", "values in the five frames [ADU]", "cosmic rays")


def _smooth(axes, mean, settled, true, row=200, columns=slice(0, 300)):
    x = np.arange(columns.start, columns.stop)
    axes.plot(x, mean[row, columns], ".", ms=2, color=style.GREY, label="mean of five")
    axes.plot(x, settled[row, columns], color=style.BLUE, label="master")
    axes.plot(x, true[row, columns], color=style.VERMILION, lw=0.7, label="truth")
    axes.set(ylim=(-2, 10))
    axes.legend(loc="upper right", ncols=3, columnspacing=0.8, handlelength=1.2, markerscale=2)
    style.label(axes, "column [pixel]", "bias − overscan [ADU]", f"row {row}")
