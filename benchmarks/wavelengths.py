"""Wavelengths against the truth of simulated arcs: solution, line-spread function, drift, fibers, errors.

Run ``python benchmarks/wavelengths.py``: extracted arcs of the bench, without a detector between, with lines that no
list knows, blends, saturation, sodium, and lines whose width doubles along the order. ``--frames`` takes frames
instead, with all that a detector does. ``--shared NIGHTS`` tells how the errors of solution and drift go together, as
they share the photons of the arcs, over so many nights of one arc and of four.
"""

import argparse
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/plugins"))

import extracted_arcs
import extraction
import numpy as np

from nrespipe import data, doppler, instruments
from nrespipe.engine.wavelength import (
    arc_lines,
    diagnostics,
    drift,
    frame_wavelengths,
    line_spread,
    night_solution,
    solution,
    wavelength_errors,
)
from nrespipe.frames.masters import Arc
from nrespipe.frames.raw import Kind
from nrespipe.recipes.extraction import extract_frame
from nrespipe.simulator import bench as benches
from nrespipe.simulator import frame as frames
from nrespipe.simulator import lamps, stars
from nrespipe.simulator.bench import State

_X = np.arange(16, 4096, 32.0)
_PAIRS = (0, 1), (1, 2)
#: Drifts of the science frames.
_MOVES = (
    State(), State(shift_px=0.1), State(shift_px=0.3), State(shift_px=-0.8), State(stretch_px=0.05),
    State(velocity_ms=150.0), State(velocity_ms=-400.0), State(300.0, -0.15, 0.03), State(-100.0, 0.05, -0.02),
    State(40.0, 2.6, 0.01),
)  # fmt: skip
#: Nights over which the pulls of what is one number a night are taken.
_NIGHTS = 16
_ROWS = []


def told(what, value, low=None, high=None, unit="m/s", why=""):
    """Print a figure, its target, and whether it is met."""
    verdict = ""
    if high is not None:
        met = low <= value <= high
        verdict = f"  target {low:g} ... {high:g}: " + ("met" if met else f"missed {why}")
        _ROWS.append((what, met))
    print(f"  {what:62} {value:8.2f} {unit:5}{verdict}", flush=True)


def mean_state(states):
    """Return the state between some."""
    names = "velocity_ms", "shift_px", "stretch_px"
    return State(**{name: float(np.mean([getattr(state, name) for state in states])) for name in names})


def night(bench, seed, states, **lamp):
    """Return the arcs of a night, the pairs of fibers in turn."""
    return [
        extracted_arcs.expose(bench, _PAIRS[i % 2], state, seed=1000 * seed + i, **lamp)
        for i, state in enumerate(states)
    ]


def walk(seed, n=8):
    """Return the states of a usual night."""
    noise = np.random.default_rng([seed, 3]).standard_normal((n, 3))
    return [State(*row) for row in noise * (30, 0.02, 0.007)]


def errors_ms(bench, scale, state, fiber):
    """Error of a solution over order and column [m / s]."""
    found = solution.on_grid(scale, fiber, scale.orders, _X)
    return doppler.C_MS * (found / extracted_arcs.wavelength(bench, fiber, _X, state) - 1)


def arc_of(found):
    """Return a calibration as a master arc."""
    names = {field.name for field in fields(Arc)} & {field.name for field in fields(found)}
    return Arc(origin=None, slant=None, **{name: getattr(found, name) for name in names})


def of_pixels(bench, found, state):
    """Print the errors of zero point and pixels."""
    print("\nwavelengths of a night of 8 arcs against the truth, asymmetry of the lines set aside")
    for fiber in found.solution.fibers:
        error = errors_ms(bench, found.solution, state, fiber)
        told(f"fiber {fiber}: zero point", error.mean(), -5, 5)
        shape = error - error.mean()
        told(f"fiber {fiber}: pixels, rms, orders 77-96, middle half", shape[25:45, 32:96].std(), 0, 10)
        told(f"fiber {fiber}: pixels, rms, orders 67-101", shape[15:50].std(), 0, 25)
        told(f"fiber {fiber}: pixels, rms, orders 107-118", shape[55:].std(), 0, 40)
        told(f"fiber {fiber}: pixels, rms, orders 52-58", shape[:7].std())
    table = diagnostics.overlaps(found.solution, found.lines)
    known = table["error_ms"] < 60
    told("one line in two orders: difference, mean", float(np.mean(table["difference_ms"][known])))
    told(
        "one line in two orders: difference, typical", 1.4826 * float(np.median(np.abs(table["difference_ms"][known])))
    )


def of_nights():
    """Print what the errors of zero points, fibers and pixels are worth, over spectrographs and nights."""
    print(f"\npulls over {_NIGHTS} nights of the four spectrographs, each with another lamp")
    zeros, fibers, pixels, shapes, claims, seconds = [], [], [], [], [], []
    for seed in range(_NIGHTS):
        bench = benches.build(instruments.load(f"nres0{1 + seed % 4}"), seed=50 + seed)
        states = walk(20 + seed, 4)
        arcs = night(bench, 40 + seed, states, lamp_seed=1 + seed)
        began = time.process_time()
        found = night_solution.solve(arcs, bench.spectrograph, data.lamp_lines())
        seconds.append((time.process_time() - began) / 3)
        state = mean_state(states)
        error = {fiber: errors_ms(bench, found.solution, state, fiber) for fiber in (0, 1, 2)}
        claimed = wavelength_errors.zero_point_ms(arc_of(found))
        zeros.append(error[1].mean() / claimed)
        claims.append((claimed, *found.transfer_error_ms[[0, 2]]))
        for fiber, transfer_ms in ((0, found.transfer_error_ms[0]), (2, found.transfer_error_ms[2])):
            fibers.append(np.mean((error[fiber] - error[1])[:, 12:-12]) / transfer_ms)
        shapes.append((error[1].mean(), error[1][15:50].std(), error[1][:7].std()))
        slopes = solution.slopes_ms(found.solution, 1, found.solution.orders[:, None], _X)
        sigma = np.sqrt(np.einsum("...i,ij,...j->...", slopes, found.solution.covariance[1], slopes))
        pixels.append((error[1] / sigma)[2:-2, 6:-6])
    for what, values in zip(("zero points", "pixels, orders 67-101", "pixels, orders 52-58"), zip(*shapes)):
        told(f"fiber 1: {what}, rms", _rms(values))
    told("claimed error of a zero point", np.mean([c[0] for c in claims]))
    told("claimed error of the transfer between fibers", np.mean([c[1:] for c in claims]))
    told("pulls of zero points, rms", _rms(zeros), 0.75, 1.25, "")
    told("pulls of the transfer between fibers, rms", _rms(fibers), 0.75, 1.25, "")
    told("pulls of pixels, rms", _rms(pixels), 0.75, 1.25, "")
    told("CPU of arc to solution, a fiber", float(np.median(seconds)), 0, 6, "s")


def of_lines(bench, found, state):
    """Print how well profile and centers of lines are known."""
    print("\nlines: reduced chi-square of the profile by peak, and centers of two exposures of one state")
    arcs = [extracted_arcs.expose(bench, (1,), state, seed=seed) for seed in (7001, 7002)]
    shape, lines = line_spread.select(found.line_shape, (1,), found.orders), []
    for arc in arcs:
        flux, variance, weight = arc_lines.without_background(arc, 1)
        row, fits = arc_lines.fit(flux, variance, weight, arc.orders, 1, shape)
        clean = arc_lines.undisturbed(arc, 1, row, fits)
        lines.append((row[clean], fits[clean]))
    row, fits = lines[0]
    peak, chi2 = 0.94 * fits[:, 0] / fits[:, 2], fits[:, 6] / np.maximum(fits[:, 7] - 3, 1)
    for low, high, target in ((1e3, 5e3, None), (5e3, 2e4, 2.0), (2e4, 1e6, 12.0)):
        chosen = (peak > low) & (peak < high)
        told(f"peaks of {low:g} to {high:g} electron: median", np.median(chi2[chosen]), 0, target, "")
    pulls, bright = [], []
    for r, line in zip(*lines[0]):
        here = np.flatnonzero((lines[1][0] == r) & (np.abs(lines[1][1][:, 1] - line[1]) < 0.8))
        if len(here) == 1:
            other = lines[1][1][here[0]]
            pulls.append((line[1] - other[1]) / np.hypot(line[4], other[4]))
            bright.append(line[0])
    pulls, bright = np.array(pulls), np.array(bright)
    for low, high in ((0, 3e3), (3e3, 3e4), (3e4, 1e7)):
        chosen = (bright > low) & (bright < high)
        told(f"pulls of centers, lines of {low:g} to {high:g} electron", _spread(pulls[chosen]), 0.75, 1.25, "")
    used = (found.lines.fiber == 1) & found.lines.used
    wrong = (found.lines.x - true_columns(bench, state, found.lines))[used]
    error, light = found.lines.x_error[used], found.lines.flux[used]
    told("centers against the truth: pulls of all used lines", _spread(wrong / error), 0.75, 1.25, "")
    for low, high in ((0, 3e3), (3e3, 3e4), (3e4, 1e7)):
        chosen = (light > low) & (light < high)
        told(f"    lines of {low:g} to {high:g} electron", _spread((wrong / error)[chosen]), 0.75, 1.25, "")


def true_columns(bench, state, lines):
    """Return where the identified lines of fiber 1 truly lie, NaN for all others [pixel]."""
    emitted, _, listed = lamps.thorium_argon()
    table, true = data.lamp_lines().vacuum_angstrom, emitted[listed]
    columns = np.arange(0.0, 4096, 8)
    grid = extracted_arcs.wavelength(bench, 1, columns, state)
    found = np.full(len(lines.x), np.nan)
    for k in np.flatnonzero((lines.fiber == 1) & np.isfinite(lines.vacuum_angstrom)):
        one = true[np.argmin(np.abs(table - lines.vacuum_angstrom[k]))]
        found[k] = np.interp(one, grid[lines.order[k] - bench.spectrograph.first_order], columns)
    return found


def of_frames(arc, moved, states, reference, bench, fiber=1):
    """Print the error of what the drift does to the wavelengths of each frame; return the seconds it took."""
    means, pulls, seconds = [], [], []
    for spectra, state in zip(moved, states):
        began = time.process_time()
        found = drift.measure(spectra, arc)
        wavelengths = frame_wavelengths.compute(spectra, arc, found)
        seconds.append(time.process_time() - began)
        ratio = extracted_arcs.wavelength(bench, fiber, _X, state) / extracted_arcs.wavelength(
            bench, fiber, _X, reference
        )
        now = wavelengths.vacuum_angstrom[wavelengths.fibers.index(fiber)][:, _X.astype(int)]
        error = doppler.C_MS * (now / solution.on_grid(arc.solution, fiber, wavelengths.orders, _X) / ratio - 1)
        weight, shares = _star(wavelengths.orders)
        star = float(np.sum(error * weight))
        *_, claimed = wavelength_errors.of_mean(wavelengths, fiber, shares)
        means.append(star)
        pulls.append(star / claimed)
        name = f"{state.velocity_ms:+.0f} m/s, {state.shift_px:+.2f} px, {state.stretch_px:+.2f} px of stretch"
        told(f"pressure {name} +- {claimed:.2f}: star", star, -1.5, 1.5)
        told("    pixels, rms", float(np.std(error)))
    told("drift, rms over the frames", _rms(means), 0, 1.5)
    told("pulls of the drift, rms", _rms(pulls), 0.75, 1.25, "")
    told("CPU of drift and wavelengths, a frame", float(np.median(seconds)), 0, 1.5, "s")


def _star(orders):
    """Where the velocity of a cool star comes from, at the columns of the check and at all."""
    weigh = lambda x: np.exp(-0.5 * ((x - 2048) / 900) ** 2) * np.exp(-0.5 * ((orders - 97) / 12.0) ** 2)[:, None]  # noqa: E731
    return weigh(_X) / weigh(_X).sum(), weigh(np.arange(4096.0))


def of_damage(bench, states, arcs, found, state):
    """Print what missing and saturated lines, and a drift between the arcs, do to the zero point."""
    print("\nzero point of fiber 1 against that of the whole list and the usual lamp")
    lamp, base = data.lamp_lines(), errors_ms(bench, found.solution, state, 1).mean()
    kept = np.random.default_rng(5).uniform(size=len(lamp.use)) > 0.4
    fewer = replace(lamp, **{field.name: getattr(lamp, field.name)[kept] for field in fields(lamp)})
    again = night_solution.solve(arcs, bench.spectrograph, fewer)
    told("two fifths of the list missing", errors_ms(bench, again.solution, state, 1).mean() - base, -5, 5)
    again = night_solution.solve(night(bench, 9, states, lamp=5.0), bench.spectrograph, lamp)
    told("lamp five times as bright, saturated", errors_ms(bench, again.solution, state, 1).mean() - base, -5, 5)
    for velocity_ms in (100.0, 1000.0):
        steady = [State(velocity_ms=velocity_ms * (i + 0.5) / 8) for i in range(8)]
        # one pair of fibers after the other, so that all of the drift lies between them
        drifted = [extracted_arcs.expose(bench, _PAIRS[i // 4], one, seed=8000 + i) for i, one in enumerate(steady)]
        again = night_solution.solve(drifted, bench.spectrograph, lamp)
        error = {f: errors_ms(bench, again.solution, mean_state(steady), f).mean() for f in (0, 1, 2)}
        for fiber in (0, 2):
            what = f"drift of {velocity_ms:.0f} m/s during the arcs: fiber {fiber} against 1"
            told(what, error[fiber] - error[1], -1.5, 1.5, why="(their sum is blurred)")


def of_shared_photons(bench, nights, n_arcs):
    """Print the scatter of a star's zero point by solution and drift, night by night, and how they are correlated.

    The bench stands still and the lamp is one, so that only the photons of arcs and frames differ.
    """
    state, rows = State(), {1: [], 0: []}
    weight, shares = _star(bench.spectrograph.orders)
    for night_number in range(nights):
        seed = 5000 + 100 * night_number
        arcs = [extracted_arcs.expose(bench, (0, 1), state, seed=seed + i) for i in range(n_arcs)]
        found = night_solution.solve(arcs, bench.spectrograph, data.lamp_lines())
        frame = extracted_arcs.expose(bench, (0, 1), state, seed=seed + 50, lamp=0.7)
        wavelengths = frame_wavelengths.compute(frame, arc_of(found), drift.measure(frame, arc_of(found)))
        for fiber, lines in rows.items():
            now = wavelengths.vacuum_angstrom[wavelengths.fibers.index(fiber)][:, _X.astype(int)]
            total = doppler.C_MS * np.sum(weight * (now / extracted_arcs.wavelength(bench, fiber, _X, state) - 1))
            scale = np.sum(weight * errors_ms(bench, found.solution, state, fiber))
            night_ms, _, drift_ms = wavelength_errors.of_mean(wavelengths, fiber, shares)
            lines.append((scale, total - scale, total, night_ms, drift_ms, np.hypot(night_ms, drift_ms)))
    for fiber, lines in rows.items():
        values = np.array(lines)
        scatter, claimed = values[:, :3].std(axis=0, ddof=1), values[:, 3:].mean(axis=0)
        correlation = np.corrcoef(values[:, 0], values[:, 1])[0, 1]
        parts = zip(("solution", "drift", "both"), scatter, claimed)
        words = ", ".join(f"{name} {got:.2f} ({claim:.2f})" for name, got, claim in parts)
        print(
            f"{n_arcs} arcs, fiber {fiber}: scatter (error) of {words} m/s; correlation {correlation:+.2f}", flush=True
        )


def of_detector(bench):
    """Print the same for frames that a detector has seen."""
    print("\nframes with detector: masters of 3 flats a pair and 4 arcs")
    refs = extraction.masters(bench, (3, 3))
    still = State()
    for fiber in refs.arc.solution.fibers:
        error = errors_ms(bench, refs.arc.solution, still, fiber)
        told(f"fiber {fiber}: zero point", error.mean(), -5, 5)
        told(f"fiber {fiber}: pixels, rms, orders 67-101", (error - error.mean())[15:50].std(), 0, 25)
    target = replace(stars.target("HD102365"), snr=100.0)
    scene = frames.Scene(Kind.SCIENCE, ("star", "thar", "none"), 600.0, {0: target}, {0: 0.0}, lamp=0.7)
    states, spectra = _MOVES[:8], []
    for i, state in enumerate(states):
        raw, _ = extraction.raw_of(bench, scene, 700 + i, state=state)
        spectra.append(extract_frame(raw, refs, bench.spectrograph)[0])
    of_frames(refs.arc, spectra, states, still, bench)


def _rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


def _spread(values):
    return float((np.percentile(values, 84.134) - np.percentile(values, 15.866)) / 2)


def main():
    """Print all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", action="store_true", help="frames with all that a detector does instead")
    parser.add_argument("--shared", type=int, metavar="NIGHTS", help="only solution and drift together")
    chosen, bench = parser.parse_args(), benches.build(instruments.load("nres01"))
    if chosen.shared:
        for n_arcs in (1, 4):
            of_shared_photons(bench, chosen.shared, n_arcs)
        return
    if chosen.frames:
        of_detector(bench)
    else:
        of_spectra(bench)
    print(f"\n{sum(met for _, met in _ROWS)} of {len(_ROWS)} targets met")
    for what, met in _ROWS:
        if not met:
            print(f"  missed: {what}")


def of_spectra(bench):
    """Print all that needs no detector."""
    states = walk(5)
    arcs, state = night(bench, 1, states), mean_state(states)
    night_solution.solve([arcs[0]], bench.spectrograph, data.lamp_lines())  # compiles the kernels
    began = time.process_time()
    found = night_solution.solve(arcs, bench.spectrograph, data.lamp_lines())
    print(f"8 arcs to wavelengths of 3 fibers: {time.process_time() - began:.1f} s CPU")
    of_pixels(bench, found, state)
    of_lines(bench, found, state)
    print("\ndrift: error of a star's zero point, relative to the night")
    moves = _MOVES * 2
    moved = [extracted_arcs.expose(bench, (0, 1), one, seed=600 + i, lamp=0.7) for i, one in enumerate(moves)]
    of_frames(arc_of(found), moved, moves, state, bench)
    of_damage(bench, states, arcs, found, state)
    of_nights()


if __name__ == "__main__":
    main()
