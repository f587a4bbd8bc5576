"""Gain by photon transfer against the truth: cameras, lamps that drift, orders that move, single flats, many nights.

Run ``python benchmarks/gain.py [--nights N] [--full]``. Flats of one pair of fibers are simulated, and the gain is
measured from each two of them as the recipe of the flats does. The table gives the mean and the scatter of the error,
the error that is claimed, and the rms error in units of it; then mean and rms for single flats. Where nothing moves,
the running value of the camera after these nights follows.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from nrespipe import instruments
from nrespipe.engine.detector import gain, stacking
from nrespipe.frames.raw import Kind
from nrespipe.simulator import bench as benches
from nrespipe.simulator import detector
from nrespipe.simulator import frame as frames

SMALL = Path(__file__).parents[1] / "tests" / "small"
#: Gain, read noise [electron / ADU, electron], light of the lamp, shift of the orders between two flats [pixel], and
#: the light of the second in units of that of the first.
CASES = (
    (3.2, 7.0, 1.0, 0.0, 1.0),
    (3.2, 7.0, 1.0, 0.05, 0.97),
    (3.2, 7.0, 1.0, 0.3, 1.0),
    (2.17, 8.3, 0.9, 0.05, 1.03),
    (1.0, 6.6, 0.45, 0.0, 1.0),
    (1.0, 6.6, 0.45, 0.05, 1.05),
    (0.6, 12.0, 0.4, 0.05, 0.97),
    (0.5, 10.0, 0.3, 0.0, 1.0),
    (10.0, 20.0, 1.0, 0.0, 1.0),
    (10.0, 200.0, 1.0, 0.0, 1.0),
)


def exposure(bench, lamp, rise_px, seed):
    """Return the sampled rows of a flat above its overscan and its bias [ADU]."""
    scene = frames.Scene(Kind.FLAT, ("tung", "tung", "none"), 30.0, lamp=lamp)
    raw = frames.render(bench, scene, benches.State(rise_px=rise_px), seed=seed).adu.astype(np.float32)
    rows, columns = bench.spectrograph.detector.rows, bench.spectrograph.detector.columns
    level = raw[:rows, columns + 20 :].mean(axis=1, keepdims=True)
    fixed = detector.pattern(bench.seed, rows, columns).bias_adu[:rows, :columns]
    image = raw[:rows, :columns] - level - fixed
    return [image[part] for part in stacking.samples(rows)]


def main():
    """Read the command line, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nights", type=int, default=8, help="Pairs of flats for each case.")
    parser.add_argument("--full", action="store_true", help="The detector in its full size.")
    given = parser.parse_args()
    nres = instruments.load("nres03") if given.full else instruments.load("nres03", SMALL)
    print("gain  noise  shift  lamp   mean     scatter  claimed  pulls   single  pulls")
    for true, noise_e, light, shift, lamp in CASES:
        bench = replace(benches.build(nres), gain_e_per_adu=true, read_noise_e=noise_e)
        noise = np.hypot(noise_e / true, np.sqrt(1 / 12))
        linear_e = nres.detector.max_linear_adu * nres.detector.gain_e_per_adu
        found, alone = [], []
        for night in range(given.nights):
            one = exposure(bench, light, 0.0, [night, 1])
            two = exposure(bench, light * lamp, shift, [night, 2])
            points = np.concatenate([gain.pairs(*both) for both in zip(one, two)])
            found.append(gain.measure(points, noise, 60000.0, linear_e))
            points = np.concatenate([gain.single(part) for part in one])
            alone.append(gain.measure(points, noise, 60000.0, linear_e, gain.SINGLE))
        off, error = (np.array(each) for each in zip(*found))
        off_alone, error_alone = (np.array(each) for each in zip(*alone))
        off, off_alone = off - true, off_alone - true
        pair = np.mean(off) / true, np.std(off) / true, np.median(error) / true, rms(off / error)
        single = np.mean(off_alone) / true, rms(off_alone / error_alone)
        print(
            f"{true:4.2f}  {noise_e:5.1f}  {shift:4.2f}   {lamp:4.2f}  "
            f"{pair[0]:+.2%}  {pair[1]:7.2%}  {pair[2]:7.2%}  {pair[3]:5.2f}  {single[0]:+.2%}  {single[1]:.2f}",
            flush=True,
        )
        if shift == 0:
            running = gain.Gain()
            for each in found:
                running, changed = gain.follow(each, running, 1)
                assert not changed
            last = (running.e_per_adu / true - 1, running.error / true)
            print(f"      running value after {given.nights} nights: {last[0]:+.2%}, claimed {last[1]:.2%}", flush=True)


def rms(values):
    """Root of the mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


if __name__ == "__main__":
    main()
