"""Pages of a science frame: velocity, lines of the star, exposure; two pages for each star, one for the exposure."""

import textwrap
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from nrespipe.frames.quality import Quality
from nrespipe.frames.reports import FrameReport
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.wavelength import Wavelengths
from nrespipe.plots import exposure_panels, page, spectral_regions, star_panels, verdict

if TYPE_CHECKING:
    from matplotlib.gridspec import GridSpec

_MJD_ZERO = datetime(1858, 11, 17)
#: Small letters for pages with many panels; a hyphen for the minus, which every reader of text in a PDF finds.
_STYLE: dict[Any, Any] = {
    "font.size": 7.5, "axes.linewidth": 0.6, "axes.unicode_minus": False,
    "xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.labelsize": 7, "ytick.labelsize": 7,
    "axes.labelpad": 2, "axes.titley": 1.0, "axes.titlepad": 4, "path.simplify_threshold": 0.3,
}  # fmt: skip
#: Lines of the verdict, and letters of a line.
_LINES, _LETTERS = 4, 190


def pages(report: FrameReport) -> list[Figure]:
    """Draw the pages of a science frame.

    Returns
    -------
    list of matplotlib.figure.Figure
        For each star its velocity and its lines; then the exposure. The exposure alone of a frame that was not reduced.

    Notes
    -----
    They are drawn in the style of `style`, which the one who saves them has to set too.
    """
    with style():
        drawn = []
        reduction = report.reduction
        if reduction and reduction.spectra and reduction.wavelengths:
            for fiber in report.raw.star_fibers:
                drawn.append(_velocity_page(report, reduction.spectra, reduction.wavelengths, fiber))
                drawn.append(_lines_page(report, reduction.spectra, reduction.wavelengths, fiber))
        drawn.append(_exposure_page(report))
        for number, figure in enumerate(drawn, 1):
            foot = f"{report.raw.filename}, page {number} of {len(drawn)}"
            figure.text(0.985, 0.012, foot, ha="right", fontsize=6.5, color="0.35")
        return drawn


def style() -> AbstractContextManager[None]:
    """Return the context in which pages are drawn and saved: sizes of letters and lines."""
    return mpl.rc_context(_STYLE)


def _figure(report: FrameReport, heading: str, quality: Quality) -> Figure:
    """Return a page with its header and the verdict."""
    figure = Figure(figsize=page.SIZE)
    raw = report.raw
    figure.text(0.03, 0.965, heading, va="center", fontsize=13, weight="bold", parse_math=False)
    figure.text(0.985, 0.965, raw.filename, va="center", ha="right", fontsize=10, parse_math=False)
    start = (_MJD_ZERO + timedelta(days=raw.start_mjd)).isoformat(sep=" ", timespec="seconds")
    airmass = "unknown" if report.airmass is None else f"{report.airmass:.2f}"
    told = (
        f"{raw.site} {raw.instrument} {raw.camera}", f"night {raw.day}", f"{start} UTC", f"{raw.exposure_s:.0f} s",
        f"airmass {airmass}", f"program {report.program or 'unknown'}", f"nrespipe {report.version or 'unknown'}",
    )  # fmt: skip
    figure.text(0.03, 0.938, "   ".join(told), va="center", fontsize=8, parse_math=False)
    found = verdict.of(quality, report.reason)
    lines = [line for reason in found.reasons for line in textwrap.wrap(reason, _LETTERS, subsequent_indent="    ")]
    if len(lines) > _LINES:
        lines = [*lines[: _LINES - 1], f"and {len(lines) - _LINES + 1} more lines: nrespipe why {raw.filename}"]
    mark = page.COLORS[0] if found.usable else page.COLORS[1]
    figure.text(
        0.03, 0.917, found.heading, va="center", fontsize=9.5, weight="bold", color=mark, parse_math=False
    )  # fmt: skip
    figure.text(0.03, 0.904, "\n".join(lines), va="top", fontsize=7, linespacing=1.25, parse_math=False)
    return figure


def _heading(report: FrameReport, fiber: int) -> str:
    velocity = report.velocities.get(fiber)
    name = velocity.star.name if velocity else report.raw.objects[fiber]
    return f"{name}, fiber {fiber}"


def _quality(report: FrameReport, fiber: int) -> Quality:
    velocity = report.velocities.get(fiber)
    if velocity is not None:
        return velocity.quality
    return report.reduction.quality if report.reduction else Quality(0)


def _grid(figure: Figure, rows: int, columns: int, **where: object) -> "GridSpec":
    return figure.add_gridspec(rows, columns, left=0.05, right=0.975, **where)


def _velocity_page(report: FrameReport, spectra: Spectra, wavelengths: Wavelengths, fiber: int) -> Figure:
    """Draw the first page of a star: its velocity."""
    figure = _figure(report, _heading(report, fiber), _quality(report, fiber))
    velocity = report.velocities.get(fiber)
    top = _grid(figure, 2, 1, top=0.825, bottom=0.535, height_ratios=[3, 1], hspace=0.1)
    model, residual = (figure.add_subplot(top[i, 0]) for i in range(2))
    below = _grid(figure, 1, 4, top=0.455, bottom=0.065, width_ratios=[1, 1, 1.05, 0.95], wspace=0.24)
    ccf = below[0, 0].subgridspec(2, 1, height_ratios=[3, 1], hspace=0.08)
    upper, lower = figure.add_subplot(ccf[0, 0]), figure.add_subplot(ccf[1, 0])
    signal, orders, numbers = (figure.add_subplot(below[0, i]) for i in (1, 2, 3))
    star_panels.draw_signal(signal, spectra, fiber, velocity)
    if velocity is None:
        for axes in (model, residual, upper, lower, orders, numbers):
            axes.set_axis_off()
        page.empty(model, "no velocity was measured: the star has no coordinates, or velocities are switched off")
        return figure
    if report.arc is not None:
        spectral_regions.draw_fitted(
            model, residual, spectral_regions.MG_B, spectra, wavelengths,
            report.arc.line_shape, velocity,
        )  # fmt: skip
    star_panels.draw_ccf(upper, lower, velocity)
    lower.set_xlim(upper.get_xlim())
    for axes in (model, upper):
        axes.tick_params(labelbottom=False)
    star_panels.draw_order_velocities(orders, velocity)
    star_panels.draw_numbers(numbers, velocity, wavelengths.drift)
    return figure


def _lines_page(report: FrameReport, spectra: Spectra, wavelengths: Wavelengths, fiber: int) -> Figure:
    """Draw the second page of a star: lines that people look at."""
    figure = _figure(report, _heading(report, fiber), _quality(report, fiber))
    grid = _grid(figure, 3, 2, top=0.815, bottom=0.075, hspace=0.42, wspace=0.12)
    for i, region in enumerate(spectral_regions.REGIONS):
        axes = figure.add_subplot(grid[i // 2, i % 2])
        spectral_regions.draw(axes, region, spectra, wavelengths, fiber, report.velocities.get(fiber))
    told = (
        "Dotted: lines. Grey: the atmosphere absorbs. Bars at the bottom: bands of the activity indices, lines "
        "(orange) and references (blue); those outside of the panels are not shown."
    )
    figure.text(0.05, 0.012, told, fontsize=6.5, color="0.35")
    return figure


def _exposure_page(report: FrameReport) -> Figure:
    """Draw the last page: the exposure."""
    raw, reduction = report.raw, report.reduction
    quality = reduction.quality if reduction else Quality(0)
    for velocity in report.velocities.values():
        quality |= velocity.quality
    stars = " and ".join(raw.objects[fiber] for fiber in raw.star_fibers)
    figure = _figure(report, f"{stars or 'no star'}: the exposure", quality)
    left = figure.add_gridspec(
        2, 1, left=0.05, right=0.475, top=0.815, bottom=0.06, height_ratios=[2.3, 1], hspace=0.2
    )  # fmt: skip
    right = figure.add_gridspec(4, 2, left=0.53, right=0.975, top=0.815, bottom=0.06, hspace=0.55, wspace=0.25,
                                height_ratios=[1, 1, 1, 0.62])  # fmt: skip
    spectra = reduction.spectra if reduction else None
    traces = report.flat.traces if report.flat else None
    measured = reduction.measurements if reduction else {}
    shift = measured.get("trace_shift_px", 0.0)
    exposure_panels.draw_image(
        figure.add_subplot(left[0, 0]), raw, traces, spectra.rejected if spectra else None,
        float(shift) if shift is not None and np.isfinite(shift) else 0.0,
    )  # fmt: skip
    exposure_panels.draw_background(figure.add_subplot(left[1, 0]), raw, traces)
    fibers = report.spectrograph.fibers if report.spectrograph else None
    barycentric = reduction.barycentric if reduction else {}
    exposure_panels.draw_meter(figure.add_subplot(right[0, 0]), raw, fibers, barycentric)
    exposure_panels.draw_trace_shift(
        figure.add_subplot(right[0, 1]), measured, raw.data_section.end_row - raw.data_section.first_row
    )
    if reduction and spectra and reduction.wavelengths and report.arc:
        exposure_panels.draw_drift(
            figure.add_subplot(right[1, :]), spectra, report.arc, reduction.wavelengths.drift
        )  # fmt: skip
    velocities = [report.velocities[fiber] for fiber in sorted(report.velocities)]
    for i, velocity in enumerate(velocities[:2]):
        place = right[2, :] if len(velocities) == 1 else right[2, i]
        star_panels.draw_earlier(figure.add_subplot(place), velocity, report.earlier.get(velocity.fiber))
    exposure_panels.draw_masters(figure.add_subplot(right[3, :]), report.masters)
    return figure
