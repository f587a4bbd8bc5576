"""What compiling the kernels costs: CPU time of each, of all, and of the next start, which loads them from disk.

Run ``python benchmarks/compiling.py``. It compiles in a process of its own into an empty temporary directory. A version
of the package in which no types are recorded is measured by ``--met DIR``, for the types that it met: DIR was its
``NUMBA_CACHE_DIR`` when it reduced a night.
"""

import argparse
import json
import os
import pickle
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from numba.core import event

_LONGEST = 30  # functions in the table
_NUMBA = "(numba's own)"


class Clock(event.Listener):
    """Takes the CPU time of every function that numba compiles, less that of the functions it compiles meanwhile."""

    def __init__(self):
        self.functions, self.running = {}, []

    def on_start(self, event):
        """Begin with a function."""
        self.running.append([time.process_time(), 0.0])

    def on_end(self, event):
        """End with it."""
        began, inner = self.running.pop()
        spent, function = time.process_time() - began, event.data["dispatcher"].py_func
        if self.running:
            self.running[-1][1] += spent
        package, _, module = function.__module__.partition(".")
        name = f"{module}.{function.__name__}" if package == "nrespipe" else _NUMBA
        count, seconds = self.functions.get(name, (0, 0.0))
        self.functions[name] = count + 1, seconds + spent - inner


def types_met(folder):
    """Return, by the name of the kernel, the types that the index files of numba name in a directory."""
    types = {}
    for path in sorted(folder.glob("*/*.nbi")):
        with path.open("rb") as stream:
            pickle.load(stream)  # the version of numba
            _, overloads = pickle.loads(stream.read())
        # numba names a folder after the package, and a file after module, function, line and version of Python
        package, kernel = path.parent.name.split("_")[0], path.name.split("-")[0]
        types[f"{package}.{kernel}"] = [signature for signature, *_ in overloads]
    return types


def recorded():
    """Return how each kernel is compiled or loaded for the recorded types, by its name."""
    from nrespipe.service.operations import kernels

    return {name: lambda name=name: kernels.load(name) for name in kernels.recorded()}


def met(folder):
    """Return the same for the types that were met."""

    def load(name, types):
        module, _, function = name.rpartition(".")
        for signature in types:
            getattr(import_module(f"nrespipe.{module}"), function).compile(signature)

    return {name: lambda name=name, types=types: load(name, types) for name, types in types_met(folder).items()}


def start(folder):
    """Compile or load every kernel in this process, and print what it took."""
    loads = recorded() if folder is None else met(folder)
    for name in loads:
        import_module(f"nrespipe.{name.rpartition('.')[0]}")
    imported, clock = time.process_time(), Clock()
    with event.install_listener("numba:compile", clock):
        for load in loads.values():
            load()
    took = {"import": imported, "kernels": len(loads), "total": time.process_time() - imported}
    print(json.dumps({**took, "functions": clock.functions}))


def measured(cache, options):
    """Start once in a new process whose kernels are kept in a directory."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    command = [sys.executable, __file__, "--here", *options]
    return json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout)


def main(options):
    """Start twice; print the table."""
    with TemporaryDirectory(prefix="nrespipe-compiling-") as cache:
        first, second = measured(cache, options), measured(cache, options)
    functions = sorted(first["functions"].items(), key=lambda item: -item[1][1])
    others, numbas = functions[_LONGEST:], first["functions"].get(_NUMBA, (0, 0.0))
    compiled = sum(count for _, (count, _) in functions) - numbas[0]
    print("compiled functions, CPU s of each without the functions that it calls:")
    for name, (count, seconds) in functions[:_LONGEST]:
        print(f"{seconds:7.2f} {count:4}  {name}")
    print(f"{sum(s for _, (_, s) in others):7.2f} {sum(n for _, (n, _) in others):4}  {len(others)} other functions")
    print(
        f"first start: {first['kernels']} kernels for {compiled} lists of types, {numbas[0]} functions of numba's own"
    )
    print(f"  compile     {first['total']:6.2f} CPU s")
    print(f"  import      {first['import']:6.2f} CPU s (Python, numba, the modules of the kernels)")
    print(f"second start: {sum(count for count, _ in second['functions'].values())} functions compiled")
    print(f"  load        {second['total']:6.2f} CPU s")
    print(f"  import      {second['import']:6.2f} CPU s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--met", type=Path, metavar="DIR", help="compile for the types that index files in DIR name")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here:
        start(given.met)
    else:
        main([] if given.met is None else ["--met", str(given.met)])
