"""The summary of a night on paper: what was taken, how much light the stars gave, and how the spectrograph moved."""

import numpy as np
from matplotlib.figure import Figure

from nrespipe.frames.reports import NightReport

_BLUE, _VERMILION, _GREEN, _GREY = "#0072b2", "#d55e00", "#009e73", "#777777"
_ROWS = 48


def pages(report: NightReport) -> list[Figure]:
    """Draw the summary of a night.

    Returns
    -------
    list of matplotlib.figure.Figure
        A page of drawings, then as many pages of words as are needed.
    """
    lines = [f"{kind:10}{state:10}{count:6d}" for kind, state, count in report.counts]
    lines += ["", "masters"] + [f"{name:40}{standing:10}{n:4d}  {said}" for name, standing, n, said in report.masters]
    lines += ["", "not done"] + [f"{name:40}{state:10}{reason}" for name, state, reason in report.unhappy]
    words = [_words(report, lines[i : i + _ROWS]) for i in range(0, len(lines), _ROWS)]
    return [_drawings(report), *words]


def _drawings(report):
    figure = Figure(figsize=(11.7, 8.3), layout="constrained")
    figure.suptitle(f"{report.site} {report.day}")
    light, velocity, drift, sensors = figure.subplots(2, 2).flat
    stars = [star for star in report.stars if star["snr"] is not None]
    known = [star for star in stars if star["v_mag"] is not None]
    seconds = np.array([star["exposure_s"] for star in known])
    scaled = np.array([star["snr"] for star in known]) / np.sqrt(np.maximum(seconds, 1) / 60)
    if known:
        light.semilogy([star["v_mag"] for star in known], scaled, "o", ms=4, color=_BLUE)
    _label(light, "V [mag]", "signal-to-noise per pixel in 60 s", f"light of {len(known)} of {len(report.stars)} stars")
    measured = [star for star in stars if star["rv_err_ms"] is not None]
    if measured:
        velocity.loglog([s["snr"] for s in measured], [s["rv_err_ms"] for s in measured], "o", ms=4, color=_BLUE)
    _label(velocity, "signal-to-noise per pixel", "error [m/s]", f"errors of {len(measured)} velocities")
    moved = [one for one in report.drifts if one["velocity_ms"] is not None]
    hours = [24 * (one["mid_mjd"] % 1) for one in moved]
    if moved:
        errors = [one["velocity_err_ms"] for one in moved]
        drift.errorbar(hours, [one["velocity_ms"] for one in moved], errors, fmt="o", ms=3, lw=0.8, color=_GREEN)
    _label(drift, "time [h UTC]", "drift [m/s]", f"drift against the master arc, {len(moved)} of {len(report.drifts)}")
    felt = [one for one in report.drifts if one["pressure_psi"] is not None]
    if felt:
        sensors.plot(
            [24 * (one["mid_mjd"] % 1) for one in felt], [one["pressure_psi"] for one in felt], ".", color=_GREY
        )
    warm = [one for one in report.drifts if one["temperature_c"] is not None]
    if warm:
        beside = sensors.twinx()
        beside.plot([24 * (w["mid_mjd"] % 1) for w in warm], [w["temperature_c"] for w in warm], "x", color=_VERMILION)
        beside.set_ylabel("temperature [°C]", color=_VERMILION)
    _label(sensors, "time [h UTC]", "pressure [PSI]", "sensors of the spectrograph")
    return figure


def _label(axes, x, y, title):
    axes.set(xlabel=x, ylabel=y)
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)


def _words(report, lines):
    figure = Figure(figsize=(11.7, 8.3))
    text = "\n".join(line[:150] for line in lines)
    figure.text(0.04, 0.95, f"{report.site} {report.day}", va="top", fontsize=12)
    figure.text(0.04, 0.91, text, va="top", family="monospace", fontsize=7.5, linespacing=1.35)
    return figure
