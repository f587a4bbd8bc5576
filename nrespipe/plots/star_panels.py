"""Panels of the velocity of a star: CCF, signal and velocity of the orders, numbers, earlier velocities."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import LineCollection

from nrespipe.frames.arrays import Floats
from nrespipe.frames.reports import EarlierVelocities
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.velocity import Velocity
from nrespipe.frames.wavelength import Drift
from nrespipe.plots import page

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Share of an order in the CCF below which it is not drawn alone.
_FAINT = 0.003
#: Julian date of the modified one's zero.
_MJD_ZERO = 2400000.5
#: Least half width of the velocities of orders that are drawn, in units of their typical error.
_WIDE = 4.0


def draw_ccf(upper: "Axes", lower: "Axes", velocity: Velocity) -> None:
    """Draw the CCF of a star with that of the fitted model, those of the orders in grey, and the residual.

    Parameters
    ----------
    upper, lower
        Panels of the CCF and of the residual, with the same velocities.
    """
    page.label(upper, "", "CCF", "CCF; grey: single orders, scaled")
    page.label(lower, "velocity [km/s]", "residual [%]", "")
    if not np.isfinite(velocity.rv_ms):
        page.empty(upper, "no CCF")
        return
    grid_kms, total = velocity.grid_ms / 1e3, velocity.ccf.sum(axis=0)
    level = velocity.ccf.max(axis=1)
    # each order alone, at the level of the sum outside the dip
    rows = velocity.ccf[level > _FAINT]
    scaled = rows * (np.percentile(total, 95) / np.percentile(rows, 95, axis=1, keepdims=True))
    curves = np.stack(np.broadcast_arrays(grid_kms, scaled), axis=2)
    upper.add_collection(LineCollection([*curves], lw=0.25, colors="0.75", zorder=1))
    upper.plot(grid_kms, total, ".", ms=2.5, color="black", label="all orders", zorder=3)
    upper.axvline(velocity.rv_ms / 1e3, lw=0.7, ls="--", color=page.COLORS[0], label="velocity")
    upper.set(xlim=(grid_kms[0], grid_kms[-1]), ylim=_around(total, 0.35))
    lower.axhline(0, lw=0.5, color="0.5")
    model = velocity.ccf_model
    if model is None:
        return
    upper.plot(grid_kms, model, lw=0.9, color=page.COLORS[1], label="model", zorder=2)
    upper.legend(fontsize=6, loc="lower right", framealpha=1)
    error = np.sqrt(velocity.ccf_variance.sum(axis=0))
    lower.errorbar(grid_kms, 100 * (total - model), 100 * error, fmt=".", ms=2, lw=0.5, color="black")


def _around(values: Floats, share: float) -> tuple[float, float]:
    low, high = float(np.min(values)), float(np.max(values))
    margin = share * (high - low) or 1.0
    return low - margin, high + margin


def signal_by_order(spectra: Spectra, fiber: int) -> Floats:
    """Return the median signal-to-noise ratio per pixel of each order, NaN where it has no flux."""
    flux, variance, quality, _ = spectra.of(fiber)
    good = (quality == 0) & np.isfinite(flux) & (variance > 0)
    ratio = np.where(good, flux / np.sqrt(np.where(good, variance, 1.0)), np.nan)
    some = good.sum(axis=1) > 10
    signal = np.full(len(spectra.orders), np.nan)
    signal[some] = np.nanmedian(ratio[some], axis=1)
    return signal


def draw_signal(axes: "Axes", spectra: Spectra, fiber: int, velocity: Velocity | None) -> None:
    """Draw the signal-to-noise ratio of each order, with those marked that carry the velocity."""
    signal = signal_by_order(spectra, fiber)
    used = np.zeros(len(signal), bool) if velocity is None else velocity.by_order.weight > 0
    axes.plot(spectra.orders, signal, "-", lw=0.4, color="0.6")
    axes.plot(spectra.orders[~used], signal[~used], "o", ms=3, mfc="white", mew=0.7, color="0.4", label="not used")
    axes.plot(spectra.orders[used], signal[used], "o", ms=3, color=page.COLORS[0], label="in the velocity")
    if np.isfinite(signal).any():
        axes.set_ylim(min(0.0, float(np.nanmin(signal))), 1.15 * max(float(np.nanmax(signal)), 1.0))
    axes.legend(fontsize=6, loc="lower center")
    page.label(axes, "order (blue to the right)", "S/N per pixel", "signal-to-noise ratio by order")


def draw_order_velocities(axes: "Axes", velocity: Velocity) -> None:
    """Draw the velocity of each order with its error, relative to that of all; shades are weights."""
    by_order = velocity.by_order
    known = np.isfinite(by_order.rv_ms) & np.isfinite(by_order.error_ms)
    if not known.any() or not np.isfinite(velocity.rv_ms):
        page.label(axes, "order", "velocity [m/s]", "velocity by order")
        page.empty(axes, "no velocity")
        return
    orders, error = velocity.orders[known], by_order.error_ms[known]
    off, weight = by_order.rv_ms[known] - velocity.rv_ms, by_order.weight[known]
    used = weight > 0
    chi2 = float(np.sum((off[used] / error[used]) ** 2) / max(used.sum() - 1, 1)) if used.any() else np.nan
    for chosen, color, face in ((~used, "0.5", "white"), (used, page.COLORS[0], page.COLORS[0])):
        axes.errorbar(orders[chosen], off[chosen], error[chosen], fmt="o", ms=2.5, lw=0.6, color=color, mfc=face)
    axes.axhline(0, lw=0.6, color="0.4")
    spread = np.percentile(np.abs(off[used]), 85) if used.any() else 0.0
    limit = 1.3 * max(_WIDE * float(np.median(error)), float(spread))
    page.cut(axes, orders, off, limit)
    title = f"velocity by order, reduced chi squared {chi2:.1f}"
    page.label(axes, "order (blue to the right)", "order - all [m/s]", title)


def number_lines(velocity: Velocity, drift: Drift | None) -> list[tuple[str, str]]:
    """Return names and values of what was measured for a star."""
    v, kind = velocity, velocity.stellar_type
    absolute_ms = float(np.hypot(v.mask_error_ms, v.scale_error_ms))
    lines = [
        ("velocity", _value(v.rv_ms, v.error_ms, "m/s", 2)),
        ("  photon noise", _error(v.photon_error_ms)),
        ("  wavelengths", _error(v.wavelength_error_ms)),
        ("  drift", _error(v.drift_error_ms)),
        ("  fiber to fiber", _error(v.transfer_error_ms)),
        ("absolute error", f"{_error(absolute_ms)} apart"),
        (f"  mask {v.mask}, lamp", f"{_error(v.mask_error_ms)}, {_error(v.scale_error_ms)}"),
    ]
    if v.template is not None:
        lines.append((f"by template {v.template.name}"[:24], _value(v.template.rv_ms, v.template.error_ms, "m/s", 2)))
    known = drift is not None and drift.n_lines > 0
    lines += [
        ("BERV", f"{v.barycentric.berv_ms:.2f} m/s, added"),
        ("BJD (TDB)", f"{v.barycentric.bjd_tdb:.6f}"),
        ("drift", _value(drift.velocity_ms, drift.velocity_error_ms, "m/s", 2) if known and drift else "not measured"),
        ("S/N per pixel", f"{v.snr:.1f}, orders 85-95"),
        ("Teff", _value(kind.teff_k, kind.teff_error_k, "K", 0)),
        ("v sin i", _rotation(kind.vsini_ms, kind.vsini_error_ms)),
        ("FWHM", _value(v.fwhm_ms, v.fwhm_error_ms, "m/s", 0)),
        ("contrast", _value(100 * v.contrast, 100 * v.contrast_error, "%", 2)),
        ("bisector span", _value(v.bisector_ms, v.bisector_error_ms, "m/s", 1)),
    ]
    names = {"s_index": "S index", "h_alpha": "H alpha index", "na_d": "Na D index"}
    for index in v.activity:
        if index.name in names:
            lines.append((names[index.name], _value(index.value, index.error, index.unit, 4)))
    return lines


def _value(value: float, error: float, unit: str, digits: int) -> str:
    if not np.isfinite(value):
        return "not measured"
    spread = f" \u00b1 {error:.{digits}f}" if np.isfinite(error) else ""
    return f"{value:.{digits}f}{spread} {unit}".rstrip()


def _error(error_ms: float) -> str:
    return f"\u00b1 {error_ms:.2f} m/s" if np.isfinite(error_ms) else "unknown"


def _rotation(vsini_ms: float, error_ms: float) -> str:
    if vsini_ms == 0 and np.isfinite(error_ms):
        return f"below {error_ms / 1e3:.1f} km/s"
    return _value(vsini_ms / 1e3, error_ms / 1e3, "km/s", 1)


def draw_numbers(axes: "Axes", velocity: Velocity, drift: Drift | None) -> None:
    """Write what was measured for a star: velocity, its errors, time, type, shape of the CCF, activity."""
    names, values = zip(*number_lines(velocity, drift))
    page.columns_of_text(axes, (names, values), (0.0, 0.44), size=7.0)


def draw_earlier(axes: "Axes", velocity: Velocity, earlier: EarlierVelocities | None) -> None:
    """Draw a velocity among those of the nights before, against their median.

    Parameters
    ----------
    earlier
        Of the same star; None where there are none.
    """
    page.label(axes, "BJD (TDB) - 2400000.5 [day]", "velocity [m/s]", f"velocity of {velocity.star.name} so far")
    if not np.isfinite(velocity.rv_ms) or not np.isfinite(velocity.barycentric.bjd_tdb):
        page.empty(axes, "no velocity")
        return
    middle = velocity.rv_ms
    if earlier is None or not len(earlier.rv_ms):
        axes.set_xlim(velocity.barycentric.bjd_tdb - _MJD_ZERO - 5, velocity.barycentric.bjd_tdb - _MJD_ZERO + 5)
        axes.text(0.03, 0.06, "no velocity of an earlier night", transform=axes.transAxes, fontsize=7)
    else:
        certain = ~earlier.uncertain
        middle = float(np.median(earlier.rv_ms[certain] if certain.any() else earlier.rv_ms))
        marks = (
            (certain & earlier.same_fiber, "o", "0.2", "same fiber"),
            (certain & ~earlier.same_fiber, "^", "0.55", "other fiber or site"),
            (earlier.uncertain, "x", "0.7", "flagged"),
        )
        for chosen, mark, color, name in marks:
            if chosen.any():
                one = earlier.bjd_tdb[chosen] - _MJD_ZERO, earlier.rv_ms[chosen] - middle, earlier.error_ms[chosen]
                axes.errorbar(*one, fmt=mark, ms=3, lw=0.6, color=color, label=f"{name}, {chosen.sum()}")
        page.cut(axes, *_of_all(earlier, velocity, middle))
    now = velocity.barycentric.bjd_tdb - _MJD_ZERO, velocity.rv_ms - middle
    axes.errorbar(*now, velocity.error_ms, fmt="D", ms=5, lw=1, color=page.COLORS[1], label="this frame")
    axes.axhline(0, lw=0.6, color="0.5")
    axes.set_ylabel(f"velocity - {middle:.1f} [m/s]")
    axes.ticklabel_format(axis="x", useOffset=False)
    axes.legend(fontsize=5.5, ncols=2, loc="upper left")


def _of_all(earlier, velocity, middle):
    """Return times, offsets and the limit within which nine of ten velocities lie, and this one."""
    off = earlier.rv_ms - middle
    limit = max(float(np.percentile(np.abs(off), 90)), abs(velocity.rv_ms - middle), 3 * velocity.error_ms, 1.0)
    return earlier.bjd_tdb - _MJD_ZERO, off, 1.8 * limit
