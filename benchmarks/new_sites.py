"""Put the four sites to work from the fewest raw calibrations, and a fifth of which only the optics are known.

Run ``python benchmarks/new_sites.py --work DIR``: it simulates what is not yet in DIR, runs ``nrespipe site start``
into an empty output for each site, and holds orders, wavelengths and velocities against the truth. It ends with 1
where anything is not as it should be, after ten minutes of one processor.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

from nrespipe.database.administration import opening
from nrespipe.files import plain_table

# one thread for the linear algebra, as in the workers of the service
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests/plugins"))

import extracted_arcs
import numpy as np

from nrespipe import doppler, instruments
from nrespipe.engine.wavelength import solution
from nrespipe.files import master_files
from nrespipe.files.catalog import targets
from nrespipe.frames.raw import Kind
from nrespipe.frames.star import name_key
from nrespipe.service.batch import simulation
from nrespipe.settings import Settings
from nrespipe.simulator import bench as benches
from nrespipe.simulator import night, stars

DAY, SEED = "20190401", 5
#: The fewest that the page of a new site names; and what is observed, by the number of telescopes.
COUNTS = {"n_bias": 2, "n_dark": 1, "n_flat": 1, "n_arc": 1}
STARS = {1: "HD126053:100", 2: "HD102365:100+HD115617:90"}
#: The fifth site and its optics where they are unlike all others, and what its table does not tell.
NEW_SITE, OPTICS = "ogg", {"incidence_deg": 76.3, "focal_length_mm": 375.3, "y0_mm": -22.4, "rotation_deg": 1.65}
REST = {
    "cameras": ("fa20",), "longitude_deg": -156.26, "latitude_deg": 20.71, "height_m": 3055.0, "restart_hour_utc": 22
}  # fmt: skip
#: An order, and a wavelength, is where it is by the truth within these [pixel, m / s]; a star by this many errors.
NEAR_PX, NEAR_MS, MOST_ERRORS = 2.0, 10.0, 4.0
HEADINGS = "site|orders|lines|scatter m/s|zero points m/s|star|fiber|off by m/s|error m/s|CPU s|working"
_X = np.arange(100, 4000, 100)


def new_table(path):
    """Write a table with name, site and optics alone, between those of two others and turned further."""
    known = [Path(instruments.__file__).with_name(f"{name}.toml").read_text("utf-8") for name in ("nres01", "nres02")]
    first, second = (tomllib.loads(text)["optics"] for text in known)
    mean_nm = [0.5 * (a + b) for a, b in zip(first["polynomial_nm"], second["polynomial_nm"])]
    optics = {**first, **OPTICS, "polynomial_nm": mean_nm}
    shifts = {fiber: [0.9 * term for term in terms] for fiber, terms in optics.pop("fiber_shifts").items()}
    lines = ['name = "nres05"', f'site = "{NEW_SITE}"', "[optics]", *(f"{key} = {v}" for key, v in optics.items())]
    lines += ["[optics.fiber_shifts]", *(f"{fiber} = {terms}" for fiber, terms in shifts.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def simulate(work, spectrograph):
    """Write the raw frames of a day and their truth if they are not there yet; return their directory."""
    folder = work / "raw" / spectrograph.site / spectrograph.name / DAY
    if not folder.exists():
        known = {name_key(n): star for star in targets.read(targets.installed()) for n in (star.name, *star.aliases)}
        observed = [stars.parse(STARS[len(spectrograph.fibers.star)], known)]
        os.renames(night.write(work / "partial", spectrograph, DAY, seed=SEED, stars=observed, **COUNTS), folder)
    return folder


def start(work, raw, site, table):
    """Run ``nrespipe site start`` into an empty output; return output, exit status, words, and CPU seconds."""
    output, before = work / "out" / site, resource.getrusage(resource.RUSAGE_CHILDREN)
    shutil.rmtree(output, ignore_errors=True)
    command = [Path(sys.executable).with_name("nrespipe"), "site", "start", raw, "--site", site, "--output", output]
    command += ["--processes", "1", *(["--table", table] if table else [])]
    environment = {name: value for name, value in os.environ.items() if name not in ("DB_URL", "NRES_DATA_ROOT")}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    (work / "out" / f"{site}.txt").write_text(ended.stdout + ended.stderr, encoding="utf-8")
    return output, ended.returncode, ended.stdout or ended.stderr, sum(after[:2]) - sum(before[:2])


def mean_state(raw, kind):
    """Return where the bench was in the frames of a kind."""
    rows = np.genfromtxt(raw / "truth" / "frames.csv", delimiter=",", names=True, dtype=None, encoding="utf-8")
    mean = lambda name: float(rows[name][rows["kind"] == kind].mean())  # noqa: E731
    moved = {name: mean(name) for name in ("velocity_ms", "shift_px", "stretch_px", "rise_px")}
    return benches.State(**moved, fiber_ms=tuple(mean(f"fiber{fiber}_ms") for fiber in range(3)))


def misnumbered(traces, bench, state):
    """Yield in words which orders are not where the truth has those of their number, and which are missing."""
    nres = bench.spectrograph
    for fiber, centers in zip(traces.fibers, traces.centers):
        true = benches.row(bench, fiber, _X, state)
        there = nres.orders[np.mean((true > 0) & (true < nres.detector.rows - 1), axis=1) > 0.5]
        off_px = np.nanmedian(np.abs(centers[:, _X] - true[traces.orders - nres.first_order]), axis=1)
        if missing := sorted(set(there.tolist()) - set(traces.orders.tolist())):
            yield f"fiber {fiber}: orders {missing} are missing"
        if astray := traces.orders[~(off_px < NEAR_PX)].tolist():
            yield f"fiber {fiber}: orders {astray} are not where those of their numbers are"


def zero_point_ms(scale, fiber, bench, state):
    """Return by how much the wavelengths of a fiber are too long in the middle of all orders and columns."""
    true = extracted_arcs.wavelength(bench, fiber, _X, state)[scale.orders - bench.spectrograph.first_order]
    return float(np.median(doppler.velocity_ms(solution.on_grid(scale, fiber, scale.orders, _X) / true)))


def try_site(work, site):
    """Simulate and start a site; return its rows of the table, and what is wrong."""
    table = new_table(work / f"{site}.toml") if site == NEW_SITE else None
    spectrograph = replace(instruments.read(table), **REST) if table else simulation.spectrograph_at(site)
    raw, bench = simulate(work, spectrograph), benches.build(spectrograph)
    output, status, said, seconds = start(work, raw / "raw", site, table)
    if status:
        return [[site, *["-"] * 8, f"{seconds:.0f}", "no"]], [f"{site}: exit status {status}", *said.splitlines()]
    found = {kind: master_files.read(*output.glob(f"*/*/*/masters/{kind}_*")) for kind in (Kind.FLAT, Kind.ARC)}
    traces, scale = found[Kind.FLAT].traces, found[Kind.ARC].solution
    zeros = [zero_point_ms(scale, fiber, bench, mean_state(raw, "arc")) for fiber in scale.fibers]
    wrong = [*misnumbered(traces, bench, mean_state(raw, "flat"))]
    wrong += [f"wavelengths are off by {zero:+.0f} m/s" for zero in zeros if not abs(zero) < NEAR_MS]
    head = [site, f"{len(traces.fibers)} x {len(traces.orders)}", str(scale.n_lines.sum())]
    head += [f"{np.median(scale.scatter_ms):.0f}", " ".join(f"{zero:+.1f}" for zero in zeros)]
    rows, tail = [], [f"{seconds:.0f}", "yes"]
    for star in simulation.compare(opening.to_read(output, Settings()), raw / "truth" / "velocities.csv"):
        name, fiber, _, _, _, _, error, off, _ = star.cells()
        rows.append([*head, name, fiber, off, error, *tail])
        if not star.absolute_error_ms or abs(float(off)) > MOST_ERRORS * star.absolute_error_ms:
            wrong.append(f"{name}, fiber {fiber}: off by {off} +- {error} m/s")
        head, tail = [""] * len(head), ["", ""]
    return rows, [f"{site}: {text}" for text in wrong]


def main():
    """Read the command line, start every site, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="Where raw frames are kept and products go.")
    parser.add_argument("--sites", default=f"lsc,elp,cpt,tlv,{NEW_SITE}")
    given = parser.parse_args()
    (work := given.work.resolve()).joinpath("out").mkdir(parents=True, exist_ok=True)
    found = zip(*(try_site(work, site) for site in given.sites.split(",")))
    rows, wrong = ([one for some in column for one in some] for column in found)
    print("\n".join(plain_table.aligned([HEADINGS.split("|"), *rows])))
    print("", *(wrong or ["every site works, every order has its number, every star its velocity"]), sep="\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
