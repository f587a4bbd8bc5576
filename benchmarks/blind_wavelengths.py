"""Find wavelengths blindly: random states of the four spectrographs, and arrays that deserve no solution.

Run ``python benchmarks/blind_wavelengths.py [number of starts] [number of benches under stress]``, 200 and 2 where
absent. Two thirds of the starts have three to five orders. Every second one is an extracted arc of
``extracted_arcs`` with its variance and a guess of the orders that is off by up to three; the others are plain
arrays of ``box_arcs``, of which nothing is told. The light lies up to 30 px from where the optical model has
it, and the detector is turned by up to 0.3 degree.
"""

import os
import sys
import time
from pathlib import Path

# one thread for the linear algebra, as in the workers of the service
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests/plugins"))

import box_arcs
import extracted_arcs
import numpy as np

from nrespipe import data, doppler, instruments
from nrespipe.engine.wavelength import solution_of_arrays
from nrespipe.errors import BadFrame
from nrespipe.simulator import bench as benches

LAMP = data.lamp_lines()
COLUMN = np.arange(4096)
#: Wavelengths this far from the truth at half of the pixels are wrong [m / s].
WRONG_MS = 200.0


def start(seed):
    """Solve one random state; return number of orders, outcome, zero point, rms [m / s], pull and seconds."""
    random = np.random.default_rng(seed)
    n = 67 if seed % 3 == 0 else int(random.integers(3, 6))
    orders = random.integers(52, 120 - n) + np.arange(n)
    spectrograph, fiber = instruments.load(f"nres0{1 + seed % 4}"), int(random.integers(0, 3))
    if seed % 2:
        bench = box_arcs.truth(spectrograph, seed, fiber)
        lines = box_arcs.thorium(LAMP, seed, 10 ** random.uniform(-1, 1))
        given, wavelength = {}, bench.wavelength
        flux = box_arcs.draw(bench, orders, lines, seed)
    else:
        bench = benches.build(spectrograph, seed)
        options = {"lamp": 10 ** random.uniform(-0.7, 0.7), "renumber": int(random.integers(-3, 4)), "lamp_seed": seed}
        spectra = extracted_arcs.expose(bench, (fiber,), seed=seed, orders=orders, **options)
        flux, variance, _, _ = spectra.of(fiber)
        given = {"variance": variance, "orders": spectra.orders}

        def wavelength(order, x):
            return extracted_arcs.wavelength(bench, fiber, x, orders=order[:, 0])

    return n, *solved(flux, spectrograph, fiber, orders, wavelength, given)


def solved(flux, spectrograph, fiber, orders, wavelength, given):
    """Return outcome, zero point, rms and median pull of the pixels [m / s], and seconds."""
    began = time.process_time()
    try:
        found = solution_of_arrays.solve(flux, spectrograph, fiber=fiber, **given)
    except BadFrame as error:
        return f"refused: {error}", np.nan, np.nan, np.nan, time.process_time() - began
    seconds = time.process_time() - began
    x = np.arange(200, 3900, 50)
    errors = doppler.C_MS * (found.vacuum_angstrom[:, x] / wavelength(found.orders[:, None], x) - 1)
    right = np.array_equal(found.orders, orders) and np.median(np.abs(errors)) < WRONG_MS
    zero = np.median(errors)
    pull = 1.4826 * np.median(np.abs(errors - zero) / found.error_ms[:, x])
    return "right" if right else "WRONG", zero, np.std(errors), pull, seconds


def rows_astray(flux, orders):
    """Yield name, flux and true orders of sets of rows that are not what they are called."""
    n = len(orders)
    kept = {f"order {k} missing": np.delete(np.arange(n), k) for k in (0, 1, n // 2, n - 2)}
    kept |= {f"row {k} doubled": np.insert(np.arange(n), k, k) for k in (0, n // 2, n - 2)}
    kept |= {"two rows exchanged": np.r_[1, 0, np.arange(2, n)], "upside down": np.arange(n)[::-1]}
    for name, rows in kept.items():
        yield name, flux[rows], orders[rows]
    foreign = flux.copy()
    foreign[n // 2] = foreign[0]
    yield "a foreign row", foreign, orders


def light_astray(flux, seed):
    """Yield name and flux of arrays that show the lamp where it cannot be, or something else."""
    random = np.random.default_rng(seed)
    yield "mirrored", flux[:, ::-1]
    yield "mirrored and upside down", flux[::-1, ::-1]
    yield "300 px away", np.roll(flux, 300, axis=1)
    yield "-300 px away", np.roll(flux, -300, axis=1)
    yield "each row elsewhere", np.array([np.roll(row, random.integers(300, 3800)) for row in flux])
    light = 2e5 * np.sinc(1.2 * (COLUMN / 4096 - 0.5)) ** 2 * np.ones((len(flux), 1))
    yield "a flat", random.poisson(light).astype(float)
    for row in light:
        for center, depth in random.uniform((0, 0), (4096, 0.9), (150, 2)):
            row *= 1 - depth * np.exp(-(((COLUMN - center) / 5) ** 2))
    yield "a star", random.poisson(light).astype(float)
    yield "noise", random.normal(0, 33, flux.shape)


def foreign_lamps(seed):
    """Yield name and lines of lamps that are not the one of the list."""
    random = np.random.default_rng(seed)
    listed, electrons = box_arcs.thorium(LAMP, seed)
    for name, n in (("as dense as uranium", 12000), ("as dense as iron", 3000), ("as sparse as neon", 300)):
        yield name, (np.sort(random.uniform(3800, 9100, n)), 2000 * 10 ** random.normal(0, 0.8, n))
    yield "thorium, gaps shuffled", (3800 + np.cumsum(random.permutation(np.diff(listed))), electrons[1:])
    yield "thorium, lines out of place", (np.sort(listed * (1 + 3e-4 * random.normal(size=len(listed)))), electrons)
    yield "thorium, 240 km/s away", (listed * 1.0008, electrons)
    yield "thorium, few lines", (listed[::30], electrons[::30])


def stress(seed):
    """Try all that deserves no solution or another one; yield name, number of rows and outcome."""
    spectrograph = instruments.load(f"nres0{1 + seed % 4}")
    bench = box_arcs.truth(spectrograph, seed)
    for n in (3, 16):
        orders = 60 + 7 * (seed % 6) + np.arange(n)
        flux = box_arcs.draw(bench, orders, box_arcs.thorium(LAMP, seed), seed)
        cases = [*rows_astray(flux, orders), *((name, light, orders) for name, light in light_astray(flux, seed))]
        cases += [(name, box_arcs.draw(bench, orders, lines, seed), orders) for name, lines in foreign_lamps(seed)]
        for name, light, true in cases:
            for given in ({}, {"orders": orders[0] + np.arange(len(light))}):
                yield name, n, solved(light, spectrograph, 1, true, bench.wavelength, given)[0]


def verdict(met):
    """Word for whether a target is met."""
    return "met" if met else "MISSED"


def main(n_starts, n_stress):
    """Print one line for each start that was not right, the statistics of all, and the targets."""
    results = [start(seed) for seed in range(n_starts)]
    for seed, (n, outcome, *_) in enumerate(results):
        if outcome != "right":
            print(f"start {seed}, {n} orders: {outcome}")
    n_right = sum(r[1] == "right" for r in results)
    seconds = np.median([r[5] for r in results if r[0] == 67])
    for name, chosen in (
        ("67 orders, told", [r for s, r in enumerate(results) if r[0] == 67 and s % 2 == 0]),
        ("67 orders, plain", [r for s, r in enumerate(results) if r[0] == 67 and s % 2]),
        ("3 to 5 orders, told", [r for s, r in enumerate(results) if r[0] < 67 and s % 2 == 0]),
        ("3 to 5 orders, plain", [r for s, r in enumerate(results) if r[0] < 67 and s % 2]),
    ):
        right = [r for r in chosen if r[1] == "right"]
        if not right:
            continue
        _, _, zero, rms, pull, cpu = (np.array(column) for column in zip(*right))
        print(
            f"{name}: {len(right)} of {len(chosen)} right, zero point {np.median(zero):.1f} +- {zero.std():.1f} m/s, "
            f"pixels {np.median(rms):.1f} m/s rms (median), pulls {np.median(pull):.2f}, {np.median(cpu):.2f} s CPU"
        )
    print(f"right starts (target: all): {n_right} of {n_starts}: {verdict(n_right == n_starts)}")
    print(f"67 orders (target 2 s CPU): {seconds:.2f} s: {verdict(seconds <= 2)}")
    outcomes = [case for seed in range(n_stress) for case in stress(seed)]
    wrong = [case for case in outcomes if case[2] == "WRONG"]
    for name, n, _ in wrong:
        print(f"accepted, and wrong: {name}, {n} rows")
    n_refused = sum(outcome.startswith("refused") for *_, outcome in outcomes)
    n_right = len(outcomes) - n_refused - len(wrong)
    named = sum("There is a solution" in outcome or "by its own lines" in outcome for *_, outcome in outcomes)
    print(
        f"{len(outcomes)} cases of stress: {n_refused} refused, {named} of them naming the rows or how to turn them, "
        f"{n_right} solved rightly"
    )
    print(f"wrong solutions accepted (target 0): {len(wrong)}: {verdict(not wrong)}")


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    main(*(numbers + [200, 2][len(numbers) :]))
