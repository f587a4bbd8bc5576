"""Measure the wavelengths of three extracted orders with lamp lines that the solution has not seen.

Run ``python benchmarks/few_orders.py``. The arcs are those of ``box_arcs``: six stretches of three orders, with a
lamp of its usual brightness, with a lamp of a third of it, and with orders that are bent two and a half times as much.
Each arc is solved five times with a fifth of its lines taken from the list of the lamp; those lines then tell whether
the wavelengths at their places are as good as claimed. The last line is that of all arcs.
"""

import os
import sys
from dataclasses import fields, replace
from pathlib import Path

# one thread for the linear algebra, as in the workers of the service
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests/plugins"))

import box_arcs
import numpy as np

from nrespipe import data, doppler, instruments
from nrespipe.engine.wavelength import solution, solution_of_arrays

LAMP = data.lamp_lines()
NRES03 = instruments.load("nres03")
FOLDS = 5


def arc(seed, level=1.0, bend=1.0, n_orders=3):
    """Return the truth and the spectrum of an arc of few orders."""
    bench = box_arcs.truth(NRES03, seed, bend=bend)
    orders = 70 + 7 * (seed % 10) + np.arange(n_orders)
    return bench, box_arcs.draw(bench, orders, box_arcs.thorium(LAMP, seed, level), seed)


def without(lamp, lines):
    """Return the list of a lamp without some of its lines."""
    kept = np.setdiff1d(np.arange(len(lamp.vacuum_angstrom)), lines)
    return replace(lamp, **{field.name: getattr(lamp, field.name)[kept] for field in fields(lamp)})


def left_out(flux, found, folds=FOLDS):
    """Return residual [m / s], claimed error [m / s] and flux of the lines of a solution, each without itself."""
    used = np.flatnonzero(found.lines.used)
    of_lamp = np.searchsorted(LAMP.vacuum_angstrom, found.lines.vacuum_angstrom[used])
    values = []
    for fold in range(folds):
        lines = np.unique(of_lamp)[fold::folds]
        again = solution_of_arrays.solve(flux, NRES03, lamp=without(LAMP, lines))
        for line, its_own in zip(used, of_lamp):
            near = (again.lines.order == found.lines.order[line]) & (abs(again.lines.x - found.lines.x[line]) < 0.05)
            if its_own in lines and near.any():
                values.append((*_line(again, np.flatnonzero(near)[0], its_own), found.lines.flux[line]))
    return np.array(values).T


def _line(found, line, its_own):
    """Return the residual of a line, and its claimed error by pixel, center and laboratory [m / s]."""
    order, x, fiber = found.lines.order[line], found.lines.x[line], found.solution.fibers[0]
    angstrom = solution.evaluate(found.solution, fiber, order, x)
    pixel_ms = found.error_ms[np.flatnonzero(found.orders == order)[0], int(np.clip(np.rint(x), 0, 4095))]
    center_ms = found.lines.x_error[line] * solution.velocity_per_pixel(found.solution, fiber, order, x)
    laboratory_ms = doppler.C_MS * LAMP.error_angstrom[its_own] / LAMP.vacuum_angstrom[its_own]
    claimed_ms = np.sqrt(pixel_ms**2 + center_ms**2 + laboratory_ms**2)
    return doppler.velocity_ms(angstrom / LAMP.vacuum_angstrom[its_own]), claimed_ms


def pixels(bench, found):
    """Return the errors of the pixels, and the claimed ones [m / s]."""
    x = np.arange(60, found.vacuum_angstrom.shape[1] - 60, 40)
    truth = bench.wavelength(found.orders[:, None], x)
    return doppler.velocity_ms(found.vacuum_angstrom[:, x] / truth), found.error_ms[:, x]


def _row(name, values):
    print(f"{name:28}" + "".join(f"{value:9.2f}" if abs(value) < 3 else f"{value:9.0f}" for value in values))


def main():
    """Print a line for each arc."""
    names = [
        "lines",
        "terms",
        "left-out",
        "bright",
        "claimed",
        "pull",
        "bright-pull",
        "pixels",
        "pixel-pull",
        "centroid",
    ]
    print(f"{'arc':28}" + "".join(f"{name:>9.9}" for name in names))
    pulls, bright_pulls, pixel_pulls, zero_ms, left_ms = [], [], [], [], []
    for seed in range(20, 26):
        for level, bend in ((1.0, 1.0), (0.3, 1.0), (1.0, 2.5)):
            bench, flux = arc(seed, level, bend)
            found = solution_of_arrays.solve(flux, NRES03)
            residual_ms, claimed_ms, light = left_out(flux, found)
            bright = light > np.median(light)
            wrong_ms, error_ms = pixels(bench, found)
            zero_ms.append(np.median(wrong_ms))
            left_ms.append(zero_ms[-1] - found.centroid_ms)
            pull, pixel_pull = residual_ms / claimed_ms, (wrong_ms - zero_ms[-1]) / error_ms
            pulls.append(pull), bright_pulls.append(pull[bright]), pixel_pulls.append(pixel_pull.ravel())
            rms = [np.sqrt(np.mean(a**2)) for a in (residual_ms, residual_ms[bright], claimed_ms, pull, pull[bright])]
            shown = [found.lines.used.sum(), len(found.solution.degrees), *rms, np.std(wrong_ms), np.std(pixel_pull)]
            _row(f"seed {seed}, lamp {level}, bend {bend}", [*shown, left_ms[-1]])
    together = [np.sqrt(np.mean(np.concatenate(some) ** 2)) for some in (pulls, bright_pulls, pixel_pulls)]
    print("pulls of lines {:.2f}, of bright lines {:.2f}, of pixels {:.2f}".format(*together))
    print(f"zero point {np.mean(zero_ms):.0f} m/s; less centroid_ms {np.mean(left_ms):.0f} m/s")


if __name__ == "__main__":
    main()
