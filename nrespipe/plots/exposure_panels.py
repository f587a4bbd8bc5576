"""Panels of an exposure: its raw image, light between the orders, exposure meter, drift, trace shift, masters."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nrespipe.engine.velocity import barycenter
from nrespipe.engine.wavelength import drift as drifts
from nrespipe.frames.arrays import Floats, Integers
from nrespipe.frames.masters import Arc
from nrespipe.frames.raw import RawFrame
from nrespipe.frames.reports import MasterUse
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.spectrograph import Fibers
from nrespipe.frames.traces import Traces
from nrespipe.frames.velocity import Barycentric
from nrespipe.frames.wavelength import Drift
from nrespipe.plots import page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

#: Side of the squares of pixels of which each is a pixel of the drawing.
_SQUARE = 4
#: Darkest grey of the light, so that rejected pixels and orders stand out, and the color of rejected pixels.
_DARKEST = 0.6
_REJECTED = (0.45, 0.0, 0.0)
#: Level below which the scale of the light between the orders is linear, and logarithmic above [ADU].
_LINEAR_ADU = 10.0
#: Half width of the columns whose median is a cut [pixel].
_COLUMNS = 8
_SECONDS = 86400.0
#: Shift of the traces beyond which a frame is flagged [pixel].
_MOST_SHIFT_PX = 1.0


def draw_image(
    axes: "Axes", raw: RawFrame, traces: Traces | None, rejected: Integers | None, shift_px: float = 0.0
) -> None:
    """Draw the raw image, in its right half with the orders, and the rejected pixels.

    Parameters
    ----------
    traces
        Orders of the master flat; None where there is none.
    rejected : shape (n_rejected, 2)
        Rows and columns of the pixels that were rejected as cosmic rays; None where unknown.
    shift_px
        Shift of the traces since the flat [pixel].
    """
    light = raw.adu[raw.data_section.slices]
    rows, columns = light.shape
    small = _brightest(light)
    low, high = (float(level) for level in np.percentile(small, [2, 99.5]))
    grey = np.arcsinh(np.clip((small - low) / max(0.05 * (high - low), 1.0), 0, None))
    top = np.arcsinh((high - low) / max(0.05 * (high - low), 1.0))
    shown = np.repeat(1 - _DARKEST * np.clip(grey / max(top, 1e-9), 0, 1)[..., None], 3, axis=2)
    if rejected is not None and len(rejected):
        place = np.minimum(rejected // _SQUARE, np.array(small.shape) - 1)
        shown[place[:, 0], place[:, 1]] = _REJECTED
    extent = (-0.5, columns - 0.5, -0.5, rows - 0.5)
    pixels = np.round(255 * shown).astype(np.uint8)
    axes.imshow(pixels, origin="lower", extent=extent, aspect="auto", interpolation="none")
    if traces is not None:
        _draw_orders(axes, traces, raw.lit_fibers, shift_px)
    axes.set(xlim=(0, 1.055 * columns), ylim=(0, rows))
    told = "" if rejected is None or not len(rejected) else f"; dark: {len(rejected)} rejected pixels"
    fibers = ", ".join(f"{fiber} {raw.objects[fiber]}" for fiber in raw.lit_fibers)
    page.label(axes, "column [pixel]", "row [pixel]", f"raw image, fibers {fibers}{told}")
    axes.grid(False)


def _brightest(image: Floats) -> Floats:
    """Return the largest of the means of the rows of squares of pixels: an order is narrower than a square."""
    rows, columns = (n // _SQUARE for n in image.shape)
    parts = image[: rows * _SQUARE, : columns * _SQUARE].reshape(rows, _SQUARE, columns, _SQUARE)
    return parts.mean(axis=3).max(axis=1)


def _draw_orders(axes: "Axes", traces: Traces, lit: Sequence[int], shift_px: float) -> None:
    columns = traces.centers.shape[2]
    x = np.unique(np.linspace(columns // 2, columns - 1, 17).astype(int))
    for fiber, centers in zip(traces.fibers, traces.centers):
        if fiber in lit:
            joined = np.concatenate([centers[:, x], np.full((len(centers), 1), np.nan)], axis=1)
            axes.plot(np.tile(np.append(x, np.nan), len(centers)), joined.ravel() + shift_px, lw=0.35,
                      color=page.color(fiber))  # fmt: skip
    for order, row in zip(traces.orders, traces.centers[0, :, -1]):
        if np.isfinite(row) and order % 10 == 0:
            axes.text(1.01 * columns, row, str(order), fontsize=6.5, va="center")


def gap_levels(raw: RawFrame, traces: Traces, column: int) -> tuple[Floats, Floats]:
    """Return the light between neighboring orders at a column.

    Parameters
    ----------
    traces
        Orders of all fibers.
    column
        Of the light-sensitive part.

    Returns
    -------
    row, level : ndarray of float, shape (n_gaps,)
        Middle between the lit fibers of two orders, and there the level that a fifth of the rows are below, of medians
        over near columns, above the overscan [pixel, ADU].
    """
    cut = _cut(raw, column)
    lit = [i for i, fiber in enumerate(traces.fibers) if fiber in raw.lit_fibers]
    centers = traces.centers[lit][:, :, min(column, traces.centers.shape[2] - 1)]
    centers = centers[:, np.isfinite(centers).all(axis=0)]
    if centers.size == 0:
        return np.zeros(0), np.zeros(0)
    low, high = centers.max(axis=0)[:-1], centers.min(axis=0)[1:]
    parts = [cut[max(int(a), 0) : max(int(b), 0)] for a, b in zip(low, high)]
    kept = np.array([len(part) >= 5 for part in parts], bool)
    levels = [float(np.percentile(part, 20)) for part in parts if len(part) >= 5]
    return ((low + high) / 2)[kept], np.array(levels)


def _cut(raw: RawFrame, column: int) -> Floats:
    """Return the medians of the rows over some columns, above the overscan [ADU]."""
    light, zero = raw.adu[raw.data_section.slices], float(np.median(raw.adu[raw.bias_section.slices]))
    return np.median(light[:, max(column - _COLUMNS, 0) : column + _COLUMNS + 1], axis=1) - zero


def draw_background(axes: "Axes", raw: RawFrame, traces: Traces | None) -> None:
    """Draw cuts across the orders at three columns, and the light between the orders."""
    columns = raw.data_section.end_column - raw.data_section.first_column
    cut = _cut(raw, columns // 2)
    axes.plot(cut, lw=0.25, color="0.65", label="cut at the middle column")
    highest = max(float(cut.max()), 100.0)
    if traces is not None:
        for share, mark, color in ((1 / 8, "v", page.COLORS[1]), (1 / 2, "o", "black"), (7 / 8, "^", page.COLORS[0])):
            row, level = gap_levels(raw, traces, int(share * columns))
            axes.plot(row, level, mark, ms=2.5, color=color, label=f"between orders, column {int(share * columns)}")
    axes.set_yscale("symlog", linthresh=_LINEAR_ADU, linscale=1.5)
    axes.set(xlim=(0, len(cut)), ylim=(-2 * _LINEAR_ADU, 30 * highest))
    axes.legend(fontsize=6, ncols=2, loc="upper center")
    page.label(axes, "row [pixel]", "above the overscan [ADU]", "light between the orders")


def draw_meter(axes: "Axes", raw: RawFrame, fibers: Fibers | None, barycentric: "Mapping[int, Barycentric]") -> None:
    """Draw the exposure meter of each star, with the middle of the exposure and the photon-weighted midpoint."""
    page.label(axes, "time since the shutter opened [s]", "rate / its maximum", "exposure meter, midpoints")
    drawn = False
    for fiber, dash in zip(raw.star_fibers, ("-", "--")):
        rates = None if fibers is None else barycenter.meter_rates(raw, fiber, fibers)
        if rates is not None:
            begin, end, rate = rates
            scale = max(float(np.nanmax(rate)), 1e-9)
            name = f"fiber {fiber}"
            axes.plot((begin + end) / 2, rate / scale, dash, lw=0.8, color=page.color(fiber), label=name)
            drawn = True
        if fiber in barycentric and np.isfinite(barycentric[fiber].midpoint_mjd):
            seconds = (barycentric[fiber].midpoint_mjd - raw.start_mjd) * _SECONDS
            weighted = barycentric[fiber].from_meter
            name = f"weighted: {seconds:.1f} s" if weighted else f"not weighted: {seconds:.1f} s"
            axes.axvline(seconds, lw=1.1, ls=dash, color=page.color(fiber), label=name)
    axes.axvline(raw.exposure_s / 2, lw=0.8, ls=":", color="black", label=f"middle: {raw.exposure_s / 2:.1f} s")
    axes.axvspan(0, raw.exposure_s, color="0.93", lw=0, zorder=0)
    axes.set_xlim(-0.05 * raw.exposure_s - 1, 1.05 * raw.exposure_s + 1)
    axes.set_ylim(-0.05, 1.6)
    if not drawn:
        axes.text(0.5, 0.4, "no exposure meter", transform=axes.transAxes, ha="center", color="0.35")
    axes.legend(fontsize=6, loc="upper center", ncols=2)


def draw_drift(axes: "Axes", spectra: Spectra, arc: Arc, drift: Drift) -> None:
    """Draw what the fitted drift leaves in each order of the lamp."""
    orders, residual_ms, error_ms = drifts.by_order(spectra, arc, drift)
    if not len(orders):
        page.label(axes, "order", "residual [m/s]", "drift since the master arc: not measured")
        page.empty(axes, "no lamp in the reference fiber, or too faint")
        return
    axes.errorbar(orders, residual_ms, error_ms, fmt="o", ms=2.5, lw=0.6, color="black")
    axes.axhline(0, lw=0.6, color="0.5")
    page.cut(axes, orders, residual_ms, 1.3 * max(4 * float(np.median(error_ms)),
                                                  float(np.percentile(np.abs(residual_ms), 95))))  # fmt: skip
    chi2 = float(np.sum((residual_ms / error_ms) ** 2) / max(len(orders) - 4, 1))
    told = f"drift {drift.velocity_ms:.2f} \u00b1 {drift.velocity_error_ms:.2f} m/s, {drift.n_lines} lines"
    page.label(axes, "order", "residual [m/s]", f"{told}; residuals of orders, reduced chi squared {chi2:.1f}")


def draw_trace_shift(axes: "Axes", measurements: "Mapping[str, float]", n_rows: int) -> None:
    """Draw the shift of the traces since the flat from the lowest to the highest row, with the limit of the flag.

    Parameters
    ----------
    measurements
        Of the reduction: ``trace_shift_px``, ``trace_shift_error_px``, ``trace_scale_px``.
    """
    shift, error, stretch = (
        measurements.get(name, np.nan) for name in ("trace_shift_px", "trace_shift_error_px", "trace_scale_px")
    )
    if shift is None or not np.isfinite(shift):
        page.label(axes, "row [pixel]", "shift [pixel]", "shift of the traces since the flat")
        page.empty(axes, "not measured")
        return
    stretch = stretch if stretch is not None and np.isfinite(stretch) else 0.0
    rows = np.array([0, n_rows - 1])
    line = shift + stretch * np.array([-1.0, 1.0])
    axes.plot(rows, line, lw=1.2, color="black")
    known = error is not None and np.isfinite(error)
    if known:
        axes.fill_between(rows, line - error, line + error, color="0.8", lw=0)
    for sign in (-1, 1):
        axes.axhline(sign * _MOST_SHIFT_PX, lw=0.8, ls="--", color=page.COLORS[1])
    axes.axhline(0, lw=0.5, color="0.5")
    axes.set(xlim=(0, n_rows), ylim=(-1.2 * max(1, np.abs(line).max()), 1.2 * max(1, np.abs(line).max())))
    spread = f" \u00b1 {error:.4f}" if known else ""
    page.label(axes, "row [pixel]", "shift [pixel]", f"traces moved {shift:.3f}{spread} pixel")


def draw_masters(axes: "Axes", masters: Sequence[MasterUse]) -> None:
    """Write the masters that a frame was reduced with, the age of each, and its flags."""
    if not masters:
        axes.set_axis_off()
        page.empty(axes, "no masters")
        return
    ages = [f"{one.age_days:+.1f} d" if np.isfinite(one.age_days) else "age unknown" for one in masters]
    flags = [", ".join(one.quality.names()) or "no flags" for one in masters]
    page.columns_of_text(
        axes,
        (
            ["masters", *(one.name.removesuffix(".fits.fz") for one in masters)],
            ["frame - master", *ages],
            ["standing: flags", *(f"{one.standing}: {said}"[:70] for one, said in zip(masters, flags))],
        ),
        (0.0, 0.42, 0.58),
        size=6.5,
    )
