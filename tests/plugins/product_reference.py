"""Numbers of the products of a simulated night that are kept, so that no change of the program moves them unnoticed.

A change that is meant to move them belongs on the page of scientific changes. Then
``python tests/plugins/product_reference.py FOLDER`` replaces the kept numbers by those of the products below a folder.
"""

import json
import sys
from pathlib import Path

import numpy as np
from astropy.io import fits

KEPT = Path(__file__).parents[1] / "night/product_reference.json"
_C_MS = 299792458.0


def numbers(folder):
    """Return numbers with their errors: the flux and the mean wavelength of each order, the velocity of each star."""
    found = {}
    for path in sorted(folder.rglob("*-e91*-L[24].fits*")):
        with fits.open(path) as units:
            for unit in units:
                name = f"{path.name.partition('.')[0]} {unit.name}"
                if unit.name.endswith("_FLUX"):
                    trace = unit.name.removesuffix("_FLUX")
                    error = np.sqrt(np.nansum(units[f"{trace}_VAR"].data, axis=1, dtype=float))
                    found[name] = rows(np.nansum(unit.data, axis=1, dtype=float), error)
                    angstrom = units[f"{trace}_WAVE"].data.mean(axis=1)
                    # a metre per second: the error of the best velocity
                    found[name.replace("FLUX", "WAVE")] = rows(angstrom, angstrom / _C_MS)
                elif unit.name == "PRIMARY" and "RVERR" in unit.header:
                    found[name] = rows([unit.header["RV"]], [unit.header["RVERR"]])
    return found


def rows(values, errors):
    """Return pairs of a value and its error, where there are such."""
    return [[float(value), float(error)] for value, error in zip(values, errors) if np.isfinite(value) and error > 0]


def moved(folder, limit):
    """Return a line for each kept number that has moved by more than a part of its error, or is not there."""
    found, lines = numbers(folder), []
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    for name in sorted(found.keys() | kept.keys()):
        here, there = found.get(name, []), kept.get(name, [])
        if len(here) != len(there):
            lines.append(f"{name}: {len(there)} numbers are kept, {len(here)} were found")
            continue
        for place, ((now, error), (before, known)) in enumerate(zip(here, there)):
            if not (abs(now - before) <= limit * known and abs(error / known - 1) <= limit):
                lines.append(f"{name} {place}: {before} +- {known} is now {now} +- {error}")
    return lines


if __name__ == "__main__":
    lines = (f"{json.dumps(name)}: {json.dumps(pairs)}" for name, pairs in numbers(Path(sys.argv[1])).items())
    KEPT.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
