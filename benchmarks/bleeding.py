"""What charge that saturated lines of the lamp spill does to spectra: one line a frame and fiber, against the truth.

Run ``python benchmarks/bleeding.py``; masters are made first, which takes two minutes. ``--unmarked`` takes the frames
as they were before such charge was flagged.
"""

import argparse
import time
from dataclasses import replace

import numpy as np
from extraction import EXPOSURE_S, RISE_PX, masters, raw_of

from nrespipe import instruments
from nrespipe.engine.detector import bleeding
from nrespipe.engine.extraction import optimal_extraction
from nrespipe.engine.wavelength import drift
from nrespipe.frames.quality import Pixel
from nrespipe.frames.raw import Kind
from nrespipe.recipes.extraction import extract_frame
from nrespipe.simulator import bench as benches
from nrespipe.simulator import detector, stars
from nrespipe.simulator import frame as frames

_NAMES = ("charge", "flagged", "> 1", "> 2", "pull", "width", "> 6")


def scenes():
    """Yield a name and a scene: arcs and stars beside the lamp, with few and with many saturated lines."""
    for lines in (22, 200):
        yield f"arc, {lines} lines", frames.Scene(Kind.ARC, ("thar", "thar", "none"), 600.0, saturated_lines=lines)
    target = replace(stars.target("HD102365"), snr=60.0)
    sources = ("star", "thar", "none")
    for lines in (22, 200):
        lit = {"lamp": 0.7, "saturated_lines": lines}
        yield f"star, {lines} lines", frames.Scene(Kind.SCIENCE, sources, EXPOSURE_S, {0: target}, {0: 0.0}, **lit)
    alone = ("star", "none", "none")
    yield "star, no lamp", frames.Scene(Kind.SCIENCE, alone, EXPOSURE_S, {0: target}, {0: 0.0})
    bright = replace(target, snr=1100.0)
    yield "star, S/N 1100", frames.Scene(Kind.SCIENCE, sources, EXPOSURE_S, {0: bright}, {0: 0.0}, lamp=0.7)


def spilled(bench, rendered):
    """Charge that was spilled into nine rows of every trace, shape of the flux [electron]."""
    before = rendered.electrons * detector.pattern(bench.seed).response
    after = before.copy()
    detector.bloom(after, detector.FULL_WELL_E)
    rows = np.round(rendered.truth.rows).astype(int)
    column = np.arange(rows.shape[-1])
    inside = lambda y: np.clip(y, 0, len(after) - 1)  # noqa: E731
    return sum((after - before)[inside(rows + step), column] for step in range(-4, 5))


def timed(module, name, spent):
    """Let a function of a module count the CPU time of its last call."""
    function = getattr(module, name)

    def counted(*args, **options):
        began = time.process_time()
        result = function(*args, **options)
        spent[name] = time.process_time() - began
        return result

    setattr(module, name, counted)


def told(truth, spectra, charge, place):
    """Numbers of one fiber, as `_NAMES` has them."""
    flux, variance, quality, _ = spectra.of(truth.fibers[place])
    light, rows = truth.flux[place], truth.rows[place]
    error = np.sqrt(np.maximum(light, 0) + 9 * truth.read_noise_e**2)
    there = (rows > 5) & (rows < rows.max() - 5)
    good = quality == 0
    pulls = ((flux - light) / np.sqrt(variance))[good]
    yield np.mean(charge[place][there] > 0.5 * error[there])
    yield np.mean(quality[there] & np.uint8(Pixel.BLOOMED) > 0)
    for limit in (1, 2):
        yield np.count_nonzero(good & there & (charge[place] > limit * error))
    if len(pulls):
        yield np.median(pulls)
        yield (np.percentile(pulls, 84.134) - np.percentile(pulls, 15.866)) / 2
        yield np.count_nonzero(np.abs(pulls) > 6)


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--unmarked", action="store_true", help="flag no spilled charge")
    if parser.parse_args().unmarked:
        bleeding.mark = lambda image, *_: image
    bench = benches.build(instruments.load("nres01"))
    refs = masters(bench, (3, 3))
    spent = {}
    timed(optimal_extraction, "optimal", spent)
    timed(bleeding, "mark", spent)
    print("\n  charge: share of pixels with spilled charge above half an error; flagged: share with BLOOMED;")
    print("  > 1, > 2: pixels without a flag with more charge than so many errors; pull, width, > 6: of pixels without")
    print("  a flag, and how many are beyond six errors; then, of the frame, the place of the orders against the truth")
    print("  [thousandth pixel], the drift against that of the bench [m/s], and the CPU of marking and extraction [s]")
    print(f"{'':16} fiber", *(f"{name:>8}" for name in _NAMES))
    state = benches.State(rise_px=RISE_PX)
    for seed, (name, scene) in enumerate([("", next(scenes())[1]), *scenes()]):
        raw, rendered = raw_of(bench, scene, 30 + seed, state=state)
        known = refs if scene.kind is Kind.SCIENCE else replace(refs, arc=None)
        spectra, motion, *_ = extract_frame(raw, known, bench.spectrograph)
        if not name:
            continue  # that one has compiled the kernels
        moved, charge = drift.measure(spectra, refs.arc), spilled(bench, rendered)
        for place, fiber in enumerate(rendered.truth.fibers):
            numbers = "".join(f"{value:9.4g}" for value in told(rendered.truth, spectra, charge, place))
            print(f"{name:16} {fiber:5}{numbers}")
        print(
            f"{'':22} dy {1e3 * (motion.shift_px - RISE_PX):+.1f} +- {1e3 * motion.shift_error_px:.1f}, drift "
            f"{moved.velocity_ms - benches.drift_ms(bench, state):+.1f} +- {moved.velocity_error_ms:.1f} of "
            f"{moved.n_lines} lines, CPU {spent.get('mark', 0):.2f} {spent['optimal']:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
