"""What an extension in C would gain over numba: installing, compiling and running one kernel in both.

Run ``python benchmarks/toolchains.py``; it needs the package index, and 4 GB of memory, takes two minutes, and leaves
nothing behind. ``benchmarks/column_fit.c`` is the fit of ``nrespipe/numerics/column_fit_kernels.py`` in C. It is
compiled by the compiler of the machine, ``cc``, where there is one, and by the one that the package ``ziglang`` brings.
"""

import ast
import ctypes
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import nrespipe
from nrespipe.engine.orders.kernel_layout import HALF_WINDOW
from nrespipe.numerics import column_fit_kernels

_SOURCE = Path(__file__).with_name("column_fit.c")
#: What the C file has of the package.
_TWINS = {
    "column_model": ("_fit", "_sum", "_share_used", "fill", "_guards", "_noise", "_outliers", "_normal_equations"),
    "matrices": ("solve_banded",),
}
#: Compilers by name, the options that are compared; ziglang compiles for the processor of the machine by itself.
_OPTIONS = {"cc": ("-O2", "-O3", "-O3 -march=native"), "ziglang": ("-O2", "-O3", "-O3 -mcpu=baseline")}
_COLUMNS, _ROWS, _TRACES, _RUNS = 4096, 4096, 134, 5


def spent(command, **environment):
    """Run a command; return CPU and wall time [second] of it and all that it starts."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, env={**os.environ, **environment}, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def megabytes(folder):
    """Return the size of all files below a directory."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6


def install(folder, package):
    """Install a package into a new environment that has NumPy; print what it took; return its Python."""
    venv.create(folder, with_pip=True)
    python = folder / "bin/python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    spent([*pip, "numpy"])
    before = megabytes(folder)
    cpu, wall = spent([*pip, package])
    print(f"{package:10} {cpu:7.1f} {wall:7.1f} {megabytes(folder) - before:7.0f}", flush=True)
    return python


def build(folder, name, compiler, options):
    """Compile the C file with an empty cache of the compiler, and three times more; print CPU times; return it loaded.

    The definition differs each time, or the compiler would only look up what it made before.
    """
    library = folder / f"{name}{options.replace(' ', '')}.so"
    caches = {f"ZIG_{whose}_CACHE_DIR": str(folder / f"{library.stem}-{whose}") for whose in ("GLOBAL", "LOCAL")}
    seconds = []
    for call in range(4):
        flags = [*options.split(), "-fPIC", "-shared", f"-DCALL={call}"]
        seconds.append(spent([*compiler, *flags, "-o", library, _SOURCE, "-lm"], **caches))
    (first, wall), second = seconds[0], statistics.median(cpu for cpu, _ in seconds[1:])
    print(f"{name:8} {options:18} {first:6.2f} {wall:6.2f} {second:6.2f}", flush=True)
    return ctypes.CDLL(str(library)), second


def problem():
    """Return the arguments of the fit for a frame of full size: two fibers whose windows overlap, noise, hits, gaps."""
    rng, window = np.random.default_rng(1), int(2 * HALF_WINDOW) + 1
    x, traces = np.arange(_COLUMNS), np.arange(_TRACES)
    centers = 30 + 60 * (traces // 2) + 12.3 * (traces % 2) + 25 * (x[:, None] / _COLUMNS - 0.5) ** 2
    first = np.ceil(centers - HALF_WINDOW).astype(np.int32)
    offsets = first[..., None] + np.arange(window) - centers[..., None]
    shares = (np.exp(-0.5 * (offsets / 2) ** 2) / np.sqrt(8 * np.pi)).astype(np.float32)
    light, flux = np.zeros((_COLUMNS, _ROWS)), rng.uniform(100, 50_000, (_COLUMNS, _TRACES))
    for k in range(_TRACES):
        for j in range(window):
            light[x, first[:, k] + j] += flux[:, k] * shares[:, k, j]
    first[:500, -1] = -1
    data = (rng.poisson(light) + rng.normal(0, 5, light.shape)).astype(np.float32)
    data.flat[rng.choice(data.size, 30_000, replace=False)] += 3000
    bad = (rng.random(data.shape) < 1e-4).astype(np.uint8)
    floor, error, extra = (np.full(data.shape, value, np.float32) for value in (25.0, 0.005, 0.0))
    start, guard = np.full((_TRACES, _COLUMNS), np.nan), np.full(_TRACES, 0.02)
    return data, floor, error, bad, shares, first, extra, guard, 6.0, start, 8, 3


def in_c(library):
    """Return the fit of a library as a function that is called as `column_fit_kernels.fit` is."""

    def fit(*arguments):
        shape = arguments[0].shape + arguments[4].shape[1:]
        results = [np.empty((shape[2], shape[0]), kind) for kind in (np.float64, np.float64, np.float32)]
        kinds = {float: ctypes.c_double, int: ctypes.c_long}
        given = [
            ctypes.c_void_p(value.ctypes.data) if isinstance(value, np.ndarray) else kinds[type(value)](value)
            for value in (*shape, *arguments, *results)
        ]
        if library.fit(*given):
            raise MemoryError
        return tuple(results)

    return fit


def run(fits):
    """Run all fits by turns; print their CPU times and how far the results are from those of the first."""
    arguments, seconds, results = problem(), {name: [] for name in fits}, {}
    for _ in range(_RUNS + 1):
        for name, fit in fits.items():
            bad = arguments[3].copy()
            began = time.process_time()
            fitted = fit(*arguments[:3], bad, *arguments[4:])
            seconds[name].append(time.process_time() - began)
            results[name] = (*fitted, bad)
    reference = next(iter(results.values()))
    for name, (*fitted, bad) in results.items():
        apart = [np.nanmax(np.abs(ours / theirs - 1)) for ours, theirs in zip(fitted[:2], reference)]
        same = np.array_equal(bad, reference[3]) and np.array_equal(np.isnan(fitted[0]), np.isnan(reference[0]))
        # the first run loads or compiles
        median = statistics.median(seconds[name][1:])
        print(f"{name:28} {median:6.2f} {max(apart):10.1e} {'yes' if same else 'no':>5}", flush=True)


def lines_of_kernels():
    """Return how many lines of code the kernels of the package have, and those that the C file repeats."""
    every = repeated = 0
    for path in sorted(Path(nrespipe.__file__).parent.glob("*/*.py")):
        text = path.read_text(encoding="utf-8")
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef) and any("njit" in ast.unparse(d) for d in node.decorator_list):
                begin = node.body[0].end_lineno if ast.get_docstring(node) else node.lineno
                body = [line.strip() for line in text.splitlines()[begin : node.end_lineno]]
                count = 1 + sum(bool(line) and not line.startswith("#") for line in body)
                every += count
                repeated += count if node.name in _TWINS.get(path.stem, ()) else 0
    return every, repeated


def main():
    """Print the tables."""
    with TemporaryDirectory(prefix="nrespipe-toolchains-") as name:
        folder, fits, compiled = Path(name), {"numba": column_fit_kernels._fit}, {}
        print("installation by pip beside NumPy, its cache as it is:\n              CPU s  wall s      MB")
        install(folder / "numba", "numba")
        zig = install(folder / "zig", "ziglang")
        print("compiling the C file: first call, and median of three more:\n" + " " * 28 + "CPU s wall s  CPU s")
        compilers = {"cc": [shutil.which("cc")], "ziglang": [zig, "-m", "ziglang", "cc"]}
        for compiler, command in compilers.items():
            for options in _OPTIONS[compiler] if command[0] else ():
                label = f"{compiler} {options}"
                library, compiled[label] = build(folder, compiler, command, options)
                fits[label] = in_c(library)
        print(f"fit of {_COLUMNS} columns, {_ROWS} rows, {_TRACES} traces: median of {_RUNS}, largest relative")
        print("difference of flux and variance, same pixels rejected:\n" + " " * 29 + "CPU s difference  same")
        run(fits)
    every, repeated = lines_of_kernels()
    print(f"{every} lines of kernels in Python, {repeated} of them are {len(_SOURCE.read_text().splitlines())} in C;")
    for label, seconds in compiled.items():
        print(f"all kernels by {label}: {seconds * every / repeated:.1f} CPU s")


if __name__ == "__main__":
    sys.exit(main())
