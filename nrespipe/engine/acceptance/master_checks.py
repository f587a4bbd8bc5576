"""Compares a new master with the last good one of its camera, or checks a first one by itself."""

import numpy as np

from nrespipe import doppler
from nrespipe.engine.wavelength import diagnostics, solution
from nrespipe.frames.judgement import Finding, Judgement
from nrespipe.frames.masters import Arc, Bias, Dark, Flat
from nrespipe.frames.quality import Pixel, Quality
from nrespipe.frames.raw import Kind
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.numerics.robust_statistics import spread

#: Side of the squares over which structure is compared: noise of the pixels averages out [pixel].
_SQUARE = 64
#: A lamp that gives less than this share of its light, or as much more, is flagged: lamps vary by some percent
#: from night to night. At a fifth a fiber is cut, a filter in the way or the lamp at its end, and the errors of what
#: is calibrated with it more than double.
_DIMMED, _DARK = 0.7, 0.2
#: Length of the orders to which the limit of the number of lines applies; shorter ones have fewer [pixel].
_WIDE = 4096
#: Limit of a difference from the table of the spectrograph, which is a guess until there are frames: alone it
#: never makes a master need review. It is finite because the database keeps it.
_NEVER = 1e6


def judge(
    new: Bias | Dark | Flat | Arc, last: Bias | Dark | Flat | Arc | None, spectrograph: Spectrograph
) -> Judgement:
    """Judge whether a master may be used.

    Parameters
    ----------
    last
        The last good one of the same kind and camera; None for the first.
    spectrograph
        Its table has the values that are expected of a first one.

    Returns
    -------
    Judgement
        Findings about the master itself, and about its differences from the last one.
    """
    check, compare = {
        Kind.BIAS: (_check_bias, _compare_biases),
        Kind.DARK: (_check_dark, _compare_darks),
        Kind.FLAT: (_check_flat, _compare_flats),
        Kind.ARC: (_check_arc, _compare_arcs),
    }[new.origin.kind]
    findings = check(new, spectrograph)
    if last is not None:
        findings += compare(new, last)
    return Judgement(tuple(findings))


def _read_noise_finding(new, table):
    known = table.read_noise_e / table.gain_e_per_adu
    words = _with_nominal(f"read noise {new.read_noise_adu:.1f} ADU", new.header_read_noise_adu, known, ".1f")
    return _nominal_difference("read_noise_share", new.read_noise_adu, new.header_read_noise_adu, known, 0.25, words)


def _gain_finding(new, table):
    words = f"gain {new.gain_e_per_adu:.3f} +- {new.gain_error:.3f} electron / ADU"
    if Quality.GAIN_ASSUMED in new.origin.quality:
        words += " (no flat tells it)"
    words = _with_nominal(words, new.header_gain_e_per_adu, table.gain_e_per_adu, ".2f")
    return _nominal_difference(
        "gain_share", new.gain_e_per_adu, new.header_gain_e_per_adu, table.gain_e_per_adu, 0.1, words
    )


def _nominal_difference(name, measured, header, table, usual, words):
    """Return the finding of a measured number, from that of header and table from which it differs most."""
    shares = [measured / known - 1 for known in (header, table) if known]
    return Finding(name, max(shares, key=abs), usual, _NEVER, words)


def _with_nominal(words, header, table, digits):
    by_header = "the header does not say" if header is None else f"the header says {header:{digits}}"
    return f"{words}, {by_header}, the table {table:{digits}}"


def _check_bias(new, spectrograph):
    return [
        _read_noise_finding(new, spectrograph.detector),
        Finding("bad_share", _share(new.mask), 0.01, 0.1, "{value:.1%} of the pixels are bad", useless=0.5),
    ]


def _compare_biases(new, last):
    noise = last.read_noise_adu
    change = new.adu - last.adu
    level = float(np.median(change))
    return [
        Finding("level_adu", level, 0.5 * noise, 5 * noise, "its level has changed by {value:+.2f} ADU"),
        Finding(
            "structure_adu", _structure(change), 0.3 * noise, 3 * noise, "its structure has changed by {value:.2f} ADU"
        ),
        Finding("noise_change", new.read_noise_adu / noise - 1, 0.1, 0.5, "the read noise has changed by {value:+.0%}"),
    ]


def _check_dark(new, spectrograph):
    # charge of the longest usual exposure against the linear range
    rate = float(np.median(new.adu_per_s))
    worst = 0.01 * spectrograph.detector.max_linear_adu / 900
    return [
        Finding(
            "rate_adu_per_s", rate, 0.1 * worst, worst, "half of the pixels gain more than {value:.3f} ADU a second"
        ),
        Finding("bad_share", _share(new.mask), 0.01, 0.1, "{value:.1%} of the pixels are hot or unsteady", useless=0.5),
    ]


def _compare_darks(new, last):
    change = new.adu_per_s - last.adu_per_s
    rate = float(np.median(change))
    # two and thirty ADU in a quarter of an hour
    return [
        Finding("rate_change", rate, 2 / 900, 30 / 900, "the dark current has changed by {value:+.4f} ADU a second"),
        Finding(
            "structure_change",
            _structure(change),
            2 / 900,
            30 / 900,
            "its structure has changed by {value:.4f} ADU a second",
        ),
        Finding(
            "bad_change",
            _share(new.mask) - _share(last.mask),
            2e-3,
            0.05,
            "{value:+.2%} more pixels are hot or unsteady",
        ),
    ]


def _check_flat(new, spectrograph):
    missing = len(np.setdiff1d(spectrograph.orders, new.traces.orders))
    dark = float(np.mean(new.blaze <= 0))
    return [
        Finding("orders_missing", float(missing), 0, 5, "{value:.0f} orders were not found"),
        _gain_finding(new, spectrograph.detector),
        Finding("dark_share", dark, 0.1, 0.4, "{value:.0%} of the spectrum has too little light", useless=0.9),
        Finding("bad_share", _share(new.mask), 0.01, 0.1, "{value:.1%} of the pixels respond badly", useless=0.5),
    ]


def _compare_flats(new, last):
    fibers = sorted(set(new.traces.fibers) & set(last.traces.fibers))
    lost = sorted(set(last.traces.fibers) - set(new.traces.fibers))
    findings = [_fibers_lost(lost, "light")]
    orders, rows, before = np.intersect1d(new.traces.orders, last.traces.orders, return_indices=True)
    gone = len(last.traces.orders) - len(orders)
    findings.append(Finding("orders_lost", float(gone), 0, 3, "{value:.0f} orders of the last flat were not found"))
    if not fibers or len(orders) == 0:
        return findings
    new_rows, old_rows = (
        np.array([traces.centers[traces.fibers.index(fiber)][chosen] for fiber in fibers])
        for traces, chosen in ((new.traces, rows), (last.traces, before))
    )
    moved = new_rows - old_rows
    shift = float(np.nanmedian(moved))
    lamp, lamp_before = (
        np.array([flat.blaze[flat.traces.fibers.index(fiber)][chosen] for fiber in fibers])
        for flat, chosen in ((new, rows), (last, before))
    )
    bright = (lamp > 0.1) & (lamp_before > 0.1)
    blaze = spread(lamp[bright] / lamp_before[bright]) if bright.any() else np.nan
    width = float(np.median(_widths(new, fibers) / _widths(last, fibers))) - 1
    return [
        *findings,
        Finding("shift_px", shift, 0.3, 2.0, "the orders have moved by {value:+.2f} px"),
        Finding("warp_px", spread(moved - shift), 0.05, 0.5, "the orders have bent by {value:.2f} px"),
        Finding("width_change", width, 0.05, 0.25, "the width of the orders has changed by {value:+.0%}"),
        Finding("blaze_change", blaze, 0.05, 0.3, "the color of the lamp has changed by {value:.0%}"),
        _gain_change(new, last),
        *_flat_flux(new, last, fibers, rows, before),
    ]


def _gain_change(new, last):
    """Return the finding of a change of the gain, of the gain of this night's flats where they measure it."""
    now = new.night_gain_e_per_adu or new.gain_e_per_adu
    error = new.night_gain_error or new.gain_error
    # a difference within the error of the night is no change
    usual = max(0.01, 4 * np.hypot(error, last.gain_error) / last.gain_e_per_adu)
    words = f"the gain has changed from {last.gain_e_per_adu:.3f} to {now:.3f} electron / ADU ({{value:+.1%}})"
    return Finding("gain_change", now / last.gain_e_per_adu - 1, usual, max(0.2, usual), words)


def _flat_flux(new, last, fibers, rows, before):
    """Return the findings of the flux of the lamp at the blaze peaks of each fiber, by the orders of both flats."""
    if new.peak_e_per_s is None or last.peak_e_per_s is None:
        return []
    pairs = [
        (new.peak_e_per_s[new.traces.fibers.index(f), rows], last.peak_e_per_s[last.traces.fibers.index(f), before])
        for f in fibers
    ]
    return [_flux_change(fiber, now, then) for fiber, (now, then) in zip(fibers, pairs)]


def _flux_change(fiber, now, then):
    """Return the finding of the flux in one fiber relative to the last master, the median over orders or lines."""
    lit = (now > 0) & (then > 0)
    factor = float(np.median(now[lit] / then[lit])) if lit.any() else np.nan
    words = f"the lamp gives fiber {fiber} {factor:.2f} times the light of the last one"
    return Finding(f"light_fiber{fiber}_dex", float(np.log10(factor)), -np.log10(_DIMMED), -np.log10(_DARK), words)


def _check_arc(new, spectrograph):
    fewest = float(np.min(new.solution.n_lines) / len(new.solution.orders) * (_WIDE / spectrograph.detector.columns))
    # a fiber shows some fifty usable lines an order of a wide detector
    return [
        Finding("lines_missing", max(0.0, 25 - fewest), 0, 20, "{value:.0f} lines an order fewer than 25 were used"),
        Finding("scatter_ms", float(np.max(new.solution.scatter_ms)), 150, 400, "the lines scatter by {value:.0f} m/s"),
        Finding(
            "transfer_ms",
            float(np.max(new.transfer_error_ms)),
            5,
            100,
            "a fiber's zero point is known to {value:.1f} m/s",
        ),
    ]


def _compare_arcs(new, last):
    fibers = sorted(set(new.solution.fibers) & set(last.solution.fibers))
    lost = sorted(set(last.solution.fibers) - set(new.solution.fibers))
    findings = [_fibers_lost(lost, "lamp")]
    orders = np.intersect1d(new.solution.orders, last.solution.orders)
    if not fibers or len(orders) == 0:
        return findings
    x = np.linspace(0, new.solution.n_pixels - 1.0, 33)
    ratio = [
        solution.on_grid(new.solution, f, orders, x) / solution.on_grid(last.solution, f, orders, x) for f in fibers
    ]
    change_ms = doppler.velocity_ms(np.array(ratio))
    zero_ms = np.median(change_ms, axis=(1, 2))
    apart_ms = float(np.ptp(zero_ms))
    bent_ms = spread(change_ms - zero_ms[:, None, None])
    # a pressure of some hectopascal moves the lines by some hundred meters per second
    return [
        *findings,
        Finding("zero_ms", float(np.median(zero_ms)), 500, 5000, "the wavelengths have moved by {value:+.0f} m/s"),
        Finding("apart_ms", apart_ms, 20, 200, "the fibers have moved apart by {value:.0f} m/s"),
        Finding("bent_ms", bent_ms, 100, 500, "the wavelengths have bent by {value:.0f} m/s"),
        *_lamp_difference(new, last),
        *_arc_flux(new, last, fibers),
    ]


def _lamp_difference(new, last):
    """Return the findings of a change that the lines of the lamp do not show: one of the solutions is wrong then."""
    if new.line_shape is None or last.line_shape is None:
        return []
    found = diagnostics.night_to_night(new, last)
    if not found["lines"]:
        return []
    off, bent = found["offset_ms"], found["shape_ms"]
    return [
        Finding("offset_ms", off, 10, 100, "the wavelengths lie {value:+.1f} m/s from where the lamp has moved them"),
        Finding("shape_ms", bent, 60, 300, "the wavelengths have bent by {value:.0f} m/s beside what the lamp shows"),
    ]


def _arc_flux(new, last, fibers):
    """Return the findings of the flux of the lines in each fiber, by the lines that both arcs use."""
    if new.exposure_s is None or last.exposure_s is None:
        return []
    return [_flux_change(fiber, *_shared(_rates(new, fiber), _rates(last, fiber))) for fiber in fibers]


def _rates(arc, fiber):
    """Return the flux of the used lines of a fiber by order and wavelength [electron / second]."""
    lines, seconds = arc.lines, arc.exposure_s[arc.solution.fibers.index(fiber)]
    used = lines.used & (lines.fiber == fiber) & np.isfinite(lines.vacuum_angstrom)
    return dict(zip(zip(lines.order[used], lines.vacuum_angstrom[used]), lines.flux[used] / seconds))


def _shared(new, last):
    """Return the values of the keys that two mappings share, in the order of the first."""
    keys = [key for key in new if key in last]
    return np.array([new[key] for key in keys]), np.array([last[key] for key in keys])


def _fibers_lost(lost, what):
    words = f"fibers {lost} have no {what} any more" if lost else f"every fiber still has its {what}"
    return Finding("fibers_lost", float(len(lost)), 0, 2, words)


def _share(mask):
    return float(np.mean(mask & np.uint8(Pixel.BAD) > 0))


def _structure(change):
    """Return the robust scatter of the medians of square blocks of an image."""
    rows, columns = (n // _SQUARE * _SQUARE for n in change.shape)
    squares = change[:rows, :columns].reshape(rows // _SQUARE, _SQUARE, columns // _SQUARE, _SQUARE)
    return spread(np.median(squares[:, ::4, :, ::4], axis=(1, 3)))


def _widths(flat, fibers):
    """Return the standard deviation of the profiles of some fibers, in the middle of the detector [pixel]."""
    values = flat.profile.values[
        [flat.traces.fibers.index(fiber) for fiber in fibers], :, flat.profile.values.shape[2] // 2
    ]
    share = np.clip(values, 0, None)
    share = share / np.maximum(share.sum(axis=-1, keepdims=True), 1e-9)
    mean = share @ flat.profile.offsets
    return np.median(np.sqrt(np.maximum(share @ flat.profile.offsets**2 - mean**2, 1e-9)), axis=1)
