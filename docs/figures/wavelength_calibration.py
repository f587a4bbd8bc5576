"""Wavelengths."""

import numpy as np

from figures import figure, lamp, style
from nrespipe import doppler
from nrespipe.engine.wavelength import solution
from nrespipe.numerics import leastsquares, legendre2d
from nrespipe.simulator import bench as benches

#: Parts of the lines that are held out in turn.
_FOLDS = 5


@figure("arcs")
def scale(night):
    """Show the residuals of the lines, and the error of the solution over the detector.

    Parameters
    ----------
    night : Night
        Simulated frames.

    Returns
    -------
    matplotlib.figure.Figure
    """
    arc = night.references.arc
    known = lamp.of_fiber(arc.lines, 1, used=True)
    fitted = solution.evaluate(arc.solution, 1, known.order, known.x)
    residual = doppler.C_MS * (known.vacuum_angstrom / fitted - 1)
    result, (lines, errors) = style.panels(1, 2, 2.9, width_ratios=(1, 1.2))
    lines.plot(known.vacuum_angstrom / 10, residual, ".", ms=1.2, color=style.BLUE, rasterized=True)
    lines.axhline(0, color=style.GREY, lw=0.8)
    lines.set(ylim=(-700, 700))
    style.label(lines, "wavelength [nm]", "line − solution [m/s]", "lines of fiber 1")
    x, orders = np.arange(0.0, arc.solution.n_pixels, 32), arc.solution.orders
    found = solution.on_grid(arc.solution, 1, orders, x)
    true = np.array([_true(night, order, x) for order in orders])
    extent = (0, arc.solution.n_pixels, orders[0] - 0.5, orders[-1] + 0.5)
    velocity = doppler.C_MS * (found / true - 1)
    image = errors.imshow(velocity, extent=extent, aspect="auto", cmap="RdBu", vmin=-40, vmax=40)
    result.colorbar(image, ax=errors, label="measured − true [m/s]")
    style.label(errors, "column [pixel]", "order", "error of the solution")
    return result


def _true(night, order, x):
    moved = x + lamp.offset_px(night.bench, 1, order, x)
    return benches.wavelength(night.bench, 1, moved)[order - night.bench.spectrograph.first_order]


@figure("arcs")
def terms(night):
    """Show how well polynomials of growing degree predict lines that they have not seen, and the true wavelengths.

    Parameters
    ----------
    night : Night
        Simulated frames.

    Returns
    -------
    matplotlib.figure.Figure
    """
    arc = night.references.arc
    known = lamp.of_fiber(arc.lines, 1, used=True)
    x, orders = np.arange(0.0, arc.solution.n_pixels, 64), arc.solution.orders
    true = np.array([_true(night, order, x) for order in orders])
    # a line of two orders is held out in both
    group = np.unique(known.vacuum_angstrom, return_inverse=True)[1] % _FOLDS
    found = [_terms(arc.solution, known, group, x, true, legendre2d.degrees(total)) for total in range(4, 12)]
    counts, held, wrong = zip(*found)
    result, axes = style.panels(1, 1, 2.7)
    axes.plot(counts, held, "o-", color=style.BLUE, ms=4, label="bright lines left out of the fit, typical")
    axes.plot(counts, wrong, "s-", color=style.VERMILION, ms=4, label="all pixels, measured − true, rms")
    axes.axvline(len(arc.solution.degrees), color=style.GREY, lw=0.8)
    axes.set(yscale="log")
    axes.legend(loc="upper right")
    style.label(axes, "terms of the polynomial", "error [m/s]", "")
    return result


def _terms(scale, known, group, x, true, degrees):
    """Number of terms, typical residual of held lines, and rms error of the pixels."""
    per_pixel = solution.velocity_per_pixel(scale, 1, known.order, known.x)
    error_ms = known.x_error * per_pixel
    every, target = _design(degrees, scale, known.order, known.x), known.order * known.vacuum_angstrom
    error, rest = target * error_ms / doppler.C_MS, np.zeros(len(target))
    for fold in range(group.max() + 1):
        seen = group != fold
        rest[~seen] = (target - every @ leastsquares.robust(every[seen], target[seen], error[seen])[0])[~seen]
    held = 1.4826 * np.median(np.abs(doppler.C_MS * rest / target)[error_ms < 40])
    coefficients, _, _ = leastsquares.robust(every, target, error)
    orders = scale.orders
    grid = _design(degrees, scale, np.repeat(orders, len(x)), np.tile(x, len(orders)))
    found = (grid @ coefficients).reshape(true.shape) / orders[:, None]
    return len(degrees), held, np.std(doppler.C_MS * (found / true - 1))


def _design(degrees, scale, order, x):
    return legendre2d.design(degrees, *solution.scaled(scale, np.asarray(order, float), x))
