"""Summary of a night: its frames, signal-to-noise ratios and velocities of the stars, drift, and sensors."""

import numpy as np
from matplotlib.figure import Figure

from nrespipe.frames.reports import NightReport
from nrespipe.plots import page

_BLUE, _VERMILION, _GREEN = page.COLORS
_ROWS = 48


def pages(report: NightReport) -> list[Figure]:
    """Draw the summary of a night.

    Returns
    -------
    list of matplotlib.figure.Figure
        A page of drawings, then as many pages of text as are needed.
    """
    lines = [f"{kind:10}{state:10}{count:6d}" for kind, state, count in report.counts]
    lines += ["", "masters"] + [f"{name:40}{standing:10}{n:4d}  {said}" for name, standing, n, said in report.masters]
    lines += ["", "not done"] + [f"{name:40}{state:10}{reason}" for name, state, reason in report.unhappy]
    text = [_text(report, lines[i : i + _ROWS]) for i in range(0, len(lines), _ROWS)]
    return [_drawings(report), *text]


def _drawings(report):
    figure = Figure(figsize=page.SIZE, layout="constrained")
    figure.suptitle(f"{report.site} {report.day}")
    light, velocity, drift, sensors = figure.subplots(2, 2).flat
    stars = [star for star in report.stars if star["snr"] is not None]
    known = [star for star in stars if star["v_mag"] is not None]
    seconds = np.array([star["exposure_s"] for star in known])
    scaled = np.array([star["snr"] for star in known]) / np.sqrt(np.maximum(seconds, 1) / 60)
    if known:
        light.semilogy([star["v_mag"] for star in known], scaled, "o", ms=4, color=_BLUE)
    page.label(
        light, "V [mag]", "signal-to-noise per pixel in 60 s", f"signal of {len(known)} of {len(report.stars)} stars"
    )
    measured = [star for star in stars if star["rv_err_ms"] is not None]
    if measured:
        velocity.loglog([s["snr"] for s in measured], [s["rv_err_ms"] for s in measured], "o", ms=4, color=_BLUE)
    page.label(velocity, "signal-to-noise per pixel", "error [m/s]", f"errors of {len(measured)} velocities")
    drifts = [one for one in report.drifts if one["velocity_ms"] is not None]
    hours = [24 * (one["mid_mjd"] % 1) for one in drifts]
    if drifts:
        errors = [one["velocity_err_ms"] for one in drifts]
        drift.errorbar(hours, [one["velocity_ms"] for one in drifts], errors, fmt="o", ms=3, lw=0.8, color=_GREEN)
    page.label(
        drift, "time [h UTC]", "drift [m/s]", f"drift against the master arc, {len(drifts)} of {len(report.drifts)}"
    )
    with_pressure = [one for one in report.drifts if one["pressure_psi"] is not None]
    if with_pressure:
        sensors.plot(
            [24 * (one["mid_mjd"] % 1) for one in with_pressure],
            [one["pressure_psi"] for one in with_pressure],
            ".",
            color=page.GREY,
        )
    with_temperature = [one for one in report.drifts if one["temperature_c"] is not None]
    if with_temperature:
        right = sensors.twinx()
        right.plot(
            [24 * (w["mid_mjd"] % 1) for w in with_temperature],
            [w["temperature_c"] for w in with_temperature],
            "x",
            color=_VERMILION,
        )
        right.set_ylabel("temperature [°C]", color=_VERMILION)
    page.label(sensors, "time [h UTC]", "pressure [PSI]", "sensors of the spectrograph")
    return figure


def _text(report, lines):
    figure = Figure(figsize=page.SIZE)
    joined = "\n".join(line[:150] for line in lines)
    figure.text(0.04, 0.95, f"{report.site} {report.day}", va="top", fontsize=12)
    figure.text(0.04, 0.91, joined, va="top", family="monospace", fontsize=7.5, linespacing=1.35)
    return figure
