"""CPU time, wall time and memory of all that the service does, beside the targets and a recorded baseline.

Run ``python benchmarks/speed.py --quick --baseline benchmarks/speed_baseline.json``: stellar frames and an arc, in some
minutes. Without ``--quick`` also masters, starts, compiling and a dozen frames in one and two processes;
``--large``, ``--service`` and ``--rows N`` add masters of 40 frames, a night of 60 frames through the service and the
queries of a frame in databases of up to N frames. Raw frames and masters are simulated once in ``--cache DIR``.

Medians are compared with the baseline in units of a calibration loop, which is measured beside every repetition: so a
busier or another machine compares. The exit status is 1 where a row is slower by more than 25 % and four scatters.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from start import COMMAND

import nrespipe

ROOT = Path(__file__).parents[1]
MEASUREMENTS, COMPILING = (str(ROOT / "benchmarks" / name) for name in ("speed_measurements.py", "compiling.py"))
#: Days of the nights in the cache; numbers of bias, dark, flat and arc frames (of a pair of fibers); stars.
NIGHTS = {
    "frames": ("20190405", (3, 2, 2, 2), ["HD102365:120", "HD102365:20", "STAR 17:120", "HD22049:120+HD76151:120"]),
    "dozen": ("20190406", (10, 10, 5, 5), ["HD102365:100"] * 12),
    "many": ("20190407", (40, 40, 20, 20), ["HD102365:100"]),
    "sixty": ("20190408", (0, 0, 0, 0), ["HD102365:100"] * 60),
}
#: Kinds of frames: name, kind, its number in the first night.
FRAMES = [
    ("star, S/N 120", "science", 0),
    ("star, S/N 20", "science", 1),
    ("star of unknown type", "science", 2),
    ("two stars", "science", 3),
    ("arc", "arc", 0),
]
#: Largest CPU seconds, wall seconds and memory [MB] of a row; None where there is no target.
TARGETS = {
    **{f"{name}, first": (6.0, None, 1200.0) for name, *_ in FRAMES[:4]},
    **{f"{name}, warm": (3.0, None, 1200.0) for name, *_ in FRAMES[:3]},
    "two stars, warm": (4.5, None, 1200.0),
    "arc, warm": (4.0, None, None),
    "master flat of 10": (15.0, None, None),
    "nrespipe --version": (0.25, None, None),
    "service, 60 frames": (None, 180.0, 1200.0),
}
_UNITS = {"cpu": "s CPU", "wall": "s", "peak_mb": "MB"}
#: A row is too slow where it is slower by more than this and by more than so many scatters.
MOST_SLOWER, MOST_SCATTERS = 0.25, 4.0
#: Relative scatter of a row that was measured once; and the least of any other, as few repetitions may agree by chance:
#: of the value, and in calibration loops, as the clock is coarse.
_SCATTER_OF_ONE, _LEAST_SCATTER, _LEAST_LOOPS = 0.1, 0.02, 0.02


def environment(**more):
    """Return the environment of a measurement: one thread a process, and no database of somebody else."""
    foreign = ("NRES_", "DB_", "FITS_BROKER", "BROKER_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**kept, **threads, **more}


def run(*words):
    """Run the command line; show its output if it fails."""
    command = [sys.executable, "-c", COMMAND, *map(str, words)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"nrespipe {' '.join(map(str, words))} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def measure(name, cache, *arguments):
    """Measure in a process of its own; return its rows."""
    words = [sys.executable, MEASUREMENTS, name, str(cache), repr(time.monotonic()), *map(str, arguments)]
    done = subprocess.run(words, env=environment(), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def command_row(cache, words, repetitions, **variables):
    """Return the row of a program that runs several times: CPU and peak memory are those of it and its children."""
    loops = measure("loop", cache)
    row = {"cpu": [], "wall": [], "peak_mb": 0.0}
    for _ in range(repetitions):
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, *map(str, words)], env=environment(**variables),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{' '.join(map(str, words))} ended with {process.returncode}")
        row["cpu"].append(used.ru_utime + used.ru_stime)
        row["wall"].append(time.monotonic() - began)
        row["peak_mb"] = max(row["peak_mb"], used.ru_maxrss / 1024)
    loop = statistics.median(loops + measure("loop", cache))
    return {**row, "loop": [loop] * repetitions}


def prepare(cache, name, reduced=False):
    """Simulate a night of the cache, and reduce it, unless that was done before."""
    day, counts, stars = NIGHTS[name]
    archive, out = cache / "archive", cache / "out"
    if not (cache / f"{name}.simulated").exists():
        kinds = [word for kind, n in zip(("bias", "dark", "flat", "arc"), counts) for word in (f"--{kind}", n)]
        run("simulate", "night", archive, "--day", day, *kinds, "--stars", ",".join(stars))
        (cache / f"{name}.simulated").touch()
    if reduced and not (cache / f"{name}.reduced").exists():
        run("night", archive, "--day", day, "--output", out)
        (cache / f"{name}.reduced").touch()


def frames(cache, repetitions):
    """Yield the rows of frames, and of the steps of the first kind of frame."""
    prepare(cache, "frames", reduced=True)
    for i, (name, kind, index) in enumerate(FRAMES):
        yield measure("frame", cache, name, kind, index, repetitions, "" if i else "steps")


def masters(cache, large):
    """Yield the rows of masters, each made in a new process."""
    prepare(cache, "dozen", reduced=True)
    if large:
        prepare(cache, "many")
    for kind in ("bias", "dark", "flat", "arc"):
        for count, night in ((5, "dozen"), (10, "dozen"), *([(40, "many")] if large else [])):
            yield measure("master", cache, kind, count, NIGHTS[night][0])


def starts(cache, repetitions):
    """Yield the rows of the command line, and of the kernels that are compiled into an empty directory."""
    for words in (["--version"], ["status", "--help"]):
        yield {f"nrespipe {' '.join(words)}": command_row(cache, ["-c", COMMAND, *words], max(repetitions, 5))}
    with tempfile.TemporaryDirectory() as kernels:
        for name in ("compile the kernels", "load the kernels"):
            yield {name: command_row(cache, [COMPILING, "--here"], 1, NUMBA_CACHE_DIR=kernels)}


def throughput(cache):
    """Yield the rows of a dozen frames, in one process and in two."""
    prepare(cache, "dozen", reduced=True)
    stars = sorted(cache.glob(f"archive/*/*/{NIGHTS['dozen'][0]}/raw/*-e00.fits.fz"))
    for processes in (1, 2):
        words = ["-c", COMMAND, "reduce", *stars, "--output", cache / "out", "--processes", processes]
        yield {f"{len(stars)} frames, {processes} process{'es' * (processes > 1)}": command_row(cache, words, 1)}


def measured(given, cache):
    """Yield all rows that were asked for."""
    run("compile")
    yield from frames(cache, given.repeat)
    if not given.quick:
        yield from masters(cache, given.large)
        yield from starts(cache, given.repeat)
        yield from throughput(cache)
    if given.service:
        prepare(cache, "frames", reduced=True)
        prepare(cache, "sixty")
        yield measure("service", cache)
    if given.rows:
        prepare(cache, "dozen", reduced=True)
        yield measure("queries", cache, given.rows, "postgres" if given.service else "")


def ratios(row):
    """Return the CPU time of each repetition in units of the calibration loop."""
    return [cpu / loop for cpu, loop in zip(row["cpu"], row["loop"])]


def scatter(row):
    """Return the relative scatter of the repetitions of a row."""
    values = ratios(row)
    if len(values) < 2:
        return _SCATTER_OF_ONE
    return max(max(statistics.stdev(values), _LEAST_LOOPS) / statistics.median(values), _LEAST_SCATTER)


def change(row, before):
    """Return the relative change of the median since the baseline, and the scatter of both."""
    factor = statistics.median(ratios(row)) / statistics.median(ratios(before))
    return factor - 1, math.hypot(scatter(row), scatter(before))


def compared(row, before, version):
    """Return the comparison with the baseline in words, and whether the row is too slow."""
    if before is None:
        return f"not in {version}", False
    by, noise = change(row, before)
    # twice as fast is as far from the baseline as twice as slow
    if abs(math.log1p(by)) <= noise:
        return f"as {version}, within {_percent(noise)}", False
    is_slower = by > max(MOST_SLOWER, MOST_SCATTERS * noise)
    words = f"{_percent(abs(by))} {'slower' if by > 0 else 'faster'} than {version}"
    return f"{words}: TOO SLOW" if is_slower else words, is_slower


def _percent(share):
    return f"{100 * share:.0f} %"


def judged(name, row):
    """Return the targets of a row, and whether it meets them."""
    numbers = {unit: (statistics.median(row[unit]) if unit != "peak_mb" else row[unit]) for unit in _UNITS}
    limits = {unit: limit for unit, limit in zip(_UNITS, TARGETS.get(name, ())) if limit is not None}
    if not limits:
        return "", ""
    missed = [_UNITS[unit] for unit, limit in limits.items() if numbers[unit] > limit]
    words = ", ".join(f"{limit:g} {_UNITS[unit]}" for unit, limit in limits.items())
    return words, f"missed ({', '.join(missed)})" if missed else "met"


def lines(record, baseline=None):
    """Return the table of a record, and the names of the rows that are too slow."""
    cells, slow = [["", "CPU s", "wall s", "peak MB", "loops", "scatter", "target", "", ""]], []
    for name, row in record["rows"].items():
        cpu, wall, loops = (statistics.median(values) for values in (row["cpu"], row["wall"], ratios(row)))
        digits = 3 if cpu < 1 else 2
        noise = _percent(scatter(row)) if len(row["cpu"]) > 1 and loops > 2 * _LEAST_LOOPS else "-"
        peak = "-" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}"
        numbers = [f"{cpu:.{digits}f}", f"{wall:.{digits}f}", peak, f"{loops:.2f}", noise]
        words, is_slow = compared(row, baseline["rows"].get(name), baseline["version"]) if baseline else ("", False)
        slow += [name] * is_slow
        cells.append([name, *numbers, *judged(name, row), words])
    widths = [max(map(len, column)) for column in zip(*cells)]
    table = ["  ".join(_placed(cell, width, i) for i, (cell, width) in enumerate(zip(line, widths))) for line in cells]
    return [line.rstrip() for line in table], slow


def text(record):
    """Return a record as JSON, one row on a line, so that two of them can be compared."""
    rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(_rounded(row))}" for name, row in record["rows"].items())
    head = "".join(f" {json.dumps(name)}: {json.dumps(record[name])},\n" for name in record if name != "rows")
    return f'{{\n{head} "rows": {{\n{rows}\n }}\n}}\n'


def _rounded(row):
    return {name: [round(one, 5) for one in row[name]] for name in ("cpu", "wall", "loop")} | {
        "peak_mb": row["peak_mb"] and round(row["peak_mb"], 1)
    }


def _placed(cell, width, column):
    """Return a cell of the table; numbers go to the right."""
    return cell.rjust(width) if 1 <= column <= 5 else cell.ljust(width)


def commit():
    """Return the commit of the program; '' where there is none."""
    words = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def options(words=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="first and warm frames only")
    parser.add_argument("--large", action="store_true", help="masters of 40 frames as well")
    parser.add_argument("--service", action="store_true", help="60 frames through RabbitMQ, PostgreSQL and two workers")
    parser.add_argument("--rows", type=int, default=0, metavar="N", help="queries in databases of 1000 to N frames")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="warm frames and starts (default: 3)")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="where raw frames and masters are kept")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write the numbers to FILE")
    parser.add_argument("--baseline", type=Path, metavar="FILE", help="compare with the numbers of FILE")
    return parser.parse_args(words)


def main():
    """Measure, print the table, and compare."""
    given = options()
    record = {"version": nrespipe.__version__, "commit": commit(), "cores": os.cpu_count(), "rows": {}}
    with tempfile.TemporaryDirectory(prefix="nrespipe-speed-") as temporary:
        cache = (given.cache or Path(temporary)).resolve()
        cache.mkdir(parents=True, exist_ok=True)
        for rows in measured(given, cache):
            record["rows"] |= rows
            print("measured: " + ", ".join(name for name in rows if name[0] != " "), file=sys.stderr, flush=True)
            if given.record:
                given.record.write_text(text(record), encoding="utf-8")
    baseline = given.baseline and json.loads(given.baseline.read_text(encoding="utf-8"))
    table, slow = lines(record, baseline)
    print("\n".join(table))
    sys.exit(bool(slow))


if __name__ == "__main__":
    main()
