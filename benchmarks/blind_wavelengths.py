"""Find wavelengths blindly from random states of the four spectrographs: how often right, how often refused, how good.

Run ``python benchmarks/blind_wavelengths.py [number of starts]``; two thirds of the starts have three to five orders.
"""

import sys
import time

import numpy as np

from nrespipe import data, instruments
from nrespipe.engine import wavelength
from nrespipe.errors import BadFrame
from nrespipe.simulator import arc_spectra

_C_MS = 299792458.0


def start(seed):
    """Solve one random state; return (kind, outcome, error of the zero point, rms of the pixels [m / s], seconds)."""
    random = np.random.default_rng(seed)
    n = 67 if seed % 3 == 0 else int(random.integers(3, 6))
    orders = random.integers(52, 120 - n) + np.arange(n)
    renumber, fiber = int(random.integers(-2, 3)), int(random.integers(0, 3))
    lamp = data.lamp_lines()
    truth = arc_spectra.truth(instruments.load(f"nres0{1 + seed % 4}"), lamp, seed, missing=random.uniform(0, 0.4))
    level = 10 ** random.uniform(-0.7, 0.7)
    spectra = arc_spectra.expose(truth, (fiber,), seed, orders=orders, renumber=renumber, level=level)
    flux, variance, _, _ = spectra.of(fiber)
    began = time.process_time()
    try:
        scale, _ = wavelength.solve(flux, variance, truth.spectrograph, lamp, fiber, spectra.orders)
    except BadFrame as error:
        return n, f"refused: {error}", np.nan, np.nan, time.process_time() - began
    seconds = time.process_time() - began
    x = np.arange(200, 3900, 50.0)
    expected = truth.wavelength(fiber, orders[:, None], x - truth.center_offset_px(orders[:, None], x))
    errors = _C_MS * (wavelength.at(scale, fiber, scale.orders[:, None], x) / expected - 1)
    right = np.array_equal(scale.orders, orders) and np.median(np.abs(errors)) < 200
    return n, "right" if right else "wrong", errors.mean(), errors.std(), seconds


def main(number):
    """Print one line for each start that was not right, and the statistics of all."""
    results = [start(seed) for seed in range(number)]
    for seed, (n, outcome, *_) in enumerate(results):
        if outcome != "right":
            print(f"start {seed}, {n} orders: {outcome}")
    for name, chosen in (
        ("67 orders", [r for r in results if r[0] == 67]),
        ("3 to 5 orders", [r for r in results if r[0] < 67]),
    ):
        right = [r for r in chosen if r[1] == "right"]
        refused = sum(r[1].startswith("refused") for r in chosen)
        _, _, zero, rms, seconds = (np.array(column) for column in zip(*right))
        print(
            f"{name}: {len(right)} of {len(chosen)} right, {refused} refused, zero point {zero.std():.1f} m/s rms, "
            f"pixels {np.median(rms):.1f} m/s rms (median), {np.median(seconds):.2f} s CPU"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
