"""Drift."""

import numpy as np

from figures import figure, lamp, style
from nrespipe.engine.wavelength import arc_lines, drift, line_spread
from nrespipe.simulator import bench as benches


@figure("arcs", "star")
def lines(night):
    """Show the drift of the lamp lines between arc and star: measured, fitted and true.

    Parameters
    ----------
    night : Night
        Simulated frames.

    Returns
    -------
    matplotlib.figure.Figure
    """
    arc, moved, state = night.references.arc, night.star_wavelengths.drift, night.star.truth.state
    known = lamp.of_fiber(arc.lines, 1, used=True)
    shape = line_spread.select(arc.line_shape, (1,), night.star_spectra.orders)
    now = arc_lines.find(night.star_spectra, 1, shape)
    x, difference, error = _pairs(known, now)
    result, (points, binned) = style.panels(1, 2, 2.7)
    column = np.linspace(0, 4095, 33)
    terms = drift.terms(arc.solution, 1, float(np.median(known.order)), column)
    fitted = terms @ [moved.shift_px, moved.stretch_px, moved.turn_px, moved.bend_ms]
    true = lamp.true_columns(night.bench, known, state) - lamp.true_columns(night.bench, known)
    points.plot(x, 1e3 * difference, ".", ms=1.5, color=style.GREY, rasterized=True)
    places = np.digitize(x, np.linspace(0, 4096, 17))
    mean = np.array([_mean(difference[places == k], error[places == k]) for k in range(1, 17)])
    middle = (np.arange(16) + 0.5) * 256
    binned.errorbar(
        middle, 1e3 * mean[:, 0], 1e3 * mean[:, 1], fmt="o", ms=4, color=style.GREEN, zorder=3, label="mean of lines"
    )
    for axes in (points, binned):
        axes.plot(known.x, 1e3 * true, ".", ms=1, color=style.VERMILION, rasterized=True, label="truth")
        axes.plot(column, 1e3 * fitted, color=style.BLUE, label="fit, middle order")
        style.label(axes, "column [pixel]", "star − arc [mpx]")
    points.set(ylim=(-300, 500))
    binned.legend(loc="upper left")
    points.set_title("single lines")
    true_ms = benches.drift_ms(night.bench, state)
    measured = f"{moved.velocity_ms:.1f} ± {moved.velocity_error_ms:.1f} m/s"
    binned.set_title(f"measured {measured}, true {true_ms:.1f} m/s".replace("-", "−"))
    return result


def _pairs(known, now):
    """Columns of lines that both have, what they differ by, and the error of that."""
    found = []
    for order in np.unique(known.order):
        ours, theirs = np.flatnonzero(known.order == order), np.flatnonzero((now.order == order) & now.used)
        if len(theirs) == 0:
            continue
        nearest = theirs[np.argmin(np.abs(now.x[theirs] - known.x[ours, np.newaxis]), axis=1)]
        close = np.abs(now.x[nearest] - known.x[ours]) < 1
        ours, nearest = ours[close], nearest[close]
        error = np.hypot(known.x_noise[ours], now.x_noise[nearest])
        found.append((known.x[ours], now.x[nearest] - known.x[ours], error))
    return (np.concatenate(parts) for parts in zip(*found))


def _mean(values, errors, limit=4.0):
    near = np.abs(values - np.median(values)) < limit * np.hypot(errors, 0.01)
    weight = 1 / errors[near] ** 2
    return np.sum(weight * values[near]) / weight.sum(), 1 / np.sqrt(weight.sum())
