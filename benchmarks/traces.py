"""Orders found in flats of all sites, and followed in frames of stars, against the truth of simulated frames.

Run ``python benchmarks/traces.py [benches a site]``; two benches a site take five minutes.
"""

import sys
import time
from dataclasses import replace

import numpy as np

from nrespipe import instruments
from nrespipe.engine.detector import correction
from nrespipe.engine.extraction import scattered_light
from nrespipe.engine.orders import trace, trace_shift
from nrespipe.frames.raw import Kind, RawFrame, Section
from nrespipe.frames.reduction import References
from nrespipe.frames.traces import Traces
from nrespipe.recipes import bias, dark, flat
from nrespipe.simulator import bench as benches
from nrespipe.simulator import frame as frames
from nrespipe.simulator import stars

_PAIRS = (("tung", "tung", "none"), ("none", "tung", "tung"))
_SCALE = 0.3  # stretch that is put into every second measurement, at the uppermost row [pixel]


def raw_of(bench, scene, seed, state=None):
    """Render a scene; return it as the reader would, and the truth."""
    rendered = frames.render(bench, scene, state or benches.State(), seed=seed)
    sections = Section(4102, 4160, 0, 4096), Section(0, 4096, 0, 4096)
    place = ("lsc", "nres01", "fa09", "20190405", 58578.5 + seed / 1440, scene.exposure_s)
    adu = rendered.adu.astype(np.float32)
    return RawFrame(f"frame{seed}", scene.kind, *place, scene.sources, adu, *sections), rendered.truth


def robust(values):
    """Return 1.4826 times the median absolute deviation of the finite values."""
    values = values[np.isfinite(values)]
    return 1.4826 * np.median(np.abs(values - np.median(values)))


def flats(bench, lamps):
    """Find the orders in two flats of one fiber pair and print what became of them."""
    lit = tuple(fiber for fiber, lamp in enumerate(lamps) if lamp != "none")
    found, seconds = [], []
    for seed in (1, 2):
        raw, truth = raw_of(bench, frames.Scene(Kind.FLAT, lamps, 30.0), seed)
        electrons = bench.spectrograph.detector.gain_e_per_adu * correction.trim(raw)
        began = time.process_time()
        found.append(trace.find(electrons, lit, bench.spectrograph))
        seconds.append(time.process_time() - began)
    first, second = found
    known = first.orders - bench.spectrograph.first_order
    inside = (truth.rows >= 0) & (truth.rows <= bench.spectrograph.detector.rows - 1)
    wanted = inside.mean(axis=2) > 0.05
    offset = np.full(truth.rows.shape, np.nan)
    real = (known >= 0) & (known < len(truth.orders))
    offset[:, known[real]] = first.centers[:, real] - truth.rows[:, known[real]]
    near = np.abs(np.nanmedian(offset, axis=2)) < 1
    false = np.isfinite(first.centers).any(axis=2).sum() - near.sum()
    partial = wanted & ~inside.all(axis=2)
    length = np.isfinite(offset[partial]).sum() / max(inside[partial].sum(), 1)
    same = np.array_equal(first.orders, second.orders)
    repeat = first.centers - second.centers if same else np.array([np.nan])
    repeat = repeat[np.isfinite(repeat)] - np.nanmedian(repeat)
    skew = offset - np.nanmedian(offset, axis=2, keepdims=True)
    print(
        f"{bench.spectrograph.name} {bench.seed:10} {lit}  {near.sum():3} of {wanted.sum():3} {false:5}"
        f" {partial.sum():4} {100 * length:6.1f} {1e3 * robust(repeat):7.2f}"
        f" {1e3 * np.percentile(np.abs(repeat), 99):7.2f} {1e3 * np.nanmedian(first.errors):7.2f}"
        f" {1e3 * np.nanpercentile(first.errors, 99):7.2f} {1e3 * robust(skew):7.1f} {min(seconds):6.2f}"
    )


def masters(bench):
    """Make small masters for the frames that are followed."""
    refs, seed = References(), 100
    scenes = {
        "bias": (bias, [frames.Scene(Kind.BIAS)] * 3),
        "dark": (dark, [frames.Scene(Kind.DARK, exposure_s=900.0)] * 3),
        "flat": (flat, [frames.Scene(Kind.FLAT, lit, 30.0) for lit in _PAIRS for _ in range(3)]),
    }
    for name, (recipe, wanted) in scenes.items():
        inputs = []
        for scene in wanted:
            seed += 1
            inputs.append(raw_of(bench, scene, seed)[0])
        refs = replace(refs, **{name: recipe.combine(inputs, refs, bench.spectrograph)})
    return refs


def stretched(traces, rows):
    """Return traces that say that the flat saw the orders closer together, by the stretch that is put in."""
    v = (traces.centers - (rows - 1) / 2) / (rows / 2)
    return Traces(traces.fibers, traces.orders, traces.centers - _SCALE * v)


def followed(bench, refs, snr, lamp, shift, seed):
    """Follow the orders of a star that were moved, once more with a stretch; print what was found."""
    targets = {0: replace(stars.target("HD102365"), snr=float(snr))}
    scene = frames.Scene(Kind.SCIENCE, ("star", lamp, "none"), 600.0, targets, {0: 0.0})
    raw, _ = raw_of(bench, scene, seed, benches.State(rise_px=shift))
    nres, lit = bench.spectrograph, raw.lit_fibers
    image, _ = correction.correct(raw, refs.bias, refs.dark, nres.detector, refs.flat.gain_e_per_adu)
    began = time.process_time()
    start = trace_shift.coarse(image, refs.flat.traces, lit)
    seconds = time.process_time() - began
    clean = scattered_light.subtract(image, start, refs.flat, lit)
    began = time.process_time()
    _, motion = trace_shift.measure(clean, start, refs.flat, lit)
    seconds += time.process_time() - began
    there = replace(refs.flat, traces=stretched(refs.flat.traces, nres.detector.rows))
    _, other = trace_shift.measure(clean, trace_shift.coarse(image, there.traces, lit), there, lit)
    print(
        f"{snr:4} {lamp:5} {shift:+6.1f} {1e3 * (motion.shift_px - shift):+9.2f} {1e3 * motion.shift_error_px:6.2f}"
        f" {1e3 * motion.stretch_px:+9.2f} {1e3 * (other.stretch_px - _SCALE):+9.2f}"
        f" {1e3 * other.stretch_error_px:6.2f}"
        f" {seconds:6.2f}"
    )


def main(number):
    """Print both tables."""
    print(
        "orders of flats: traces found on the detector, false ones, partial ones and % of their length that is given;"
    )
    print("two flats: robust scatter and 99 % of the difference; median and 99 % of the errors that are claimed;")
    print("scatter about the truth (skewed, so no error) [mpx]")
    print("site         bench fibers       found false part.      %  repeat    99 %   error    99 %   truth    CPU")
    for site in instruments.names():
        for seed in (None, *range(1, number)):
            seed = seed and 10 * int(site[-2:]) + seed
            bench = benches.build(instruments.load(site), seed)
            for lamps in _PAIRS:
                flats(bench, lamps)
    bench = benches.build(instruments.load("nres01"))
    refs = masters(bench)
    print(
        "orders followed: error of the shift and its claim, scale where there is none, error of the scale where it is"
        f" {_SCALE} px, and its claim [mpx]"
    )
    print(" S/N beside  shift     error  claim     scale     error  claim    CPU")
    for seed, (snr, lamp, shift) in enumerate(
        (snr, lamp, shift) for snr in (8, 30, 100) for lamp in ("thar", "none") for shift in (0.0, 0.1, 0.7, 2.0)
    ):
        followed(bench, refs, snr, lamp, shift, 500 + seed)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
