"""Compare the products of two versions of the program, in units of their errors.

Run ``scripts/compare_products.py BEFORE AFTER`` on two folders with products of the same raw frames, for example the
outputs of ``nrespipe demo`` on two versions. For each kind of number the largest difference is printed, divided by the
error that the first version claims. The exit status is 1 where one is larger than a thousandth: such a change belongs
on the page of scientific changes.
"""

import sys
from pathlib import Path

import numpy as np
from astropy.io import fits

#: Largest difference that is no scientific change, in units of the error.
LIMIT = 1e-3
#: Share of the pixels without flags that counts: beside the crossing of two traces, a fit hangs on the last digit.
_MOST = 0.9999
_C_MS = 299792458.0


def main(before, after):
    """Print the largest differences; return the exit status."""
    names = sorted(path.relative_to(before) for path in before.rglob("*-e91*-L[24].fits*"))
    if missing := [name for name in names if not (after / name).exists()]:
        sys.exit(f"not in {after}: {', '.join(map(str, missing))}")
    if not names:
        sys.exit(f"no products below {before}")
    largest = {}
    for name in names:
        with fits.open(before / name) as old, fits.open(after / name) as new:
            for what, difference in differences(old, new):
                if difference >= largest.get(what, (-1.0, ""))[0]:
                    largest[what] = difference, name.name
    for what, (difference, name) in largest.items():
        print(f"{what:28} {difference:10.2e}  {name}{'  larger than a thousandth' * (difference > LIMIT)}")
    return int(any(difference > LIMIT for difference, _ in largest.values()))


def differences(old, new):
    """Yield the kinds of numbers of a product with the largest difference of each, in units of its error."""
    for name in (unit.name for unit in old):
        if name.endswith("_FLUX"):
            trace = name.removesuffix("_FLUX")
            flags = [units[f"{trace}_QUALITY"].data for units in (old, new)]
            yield "share of other flags", float(np.mean(flags[0] != flags[1]))
            good = (flags[0] == 0) & (flags[1] == 0)
            before, after = (units[name].data[good] for units in (old, new))
            variance, again = (units[f"{trace}_VAR"].data[good].astype(float) for units in (old, new))
            yield "flux", of_errors(before, after, np.sqrt(np.where(variance > 0, variance, np.nan)), _MOST)
            # relative to itself
            yield "variance", of_errors(variance, again, variance, _MOST)
            if f"{trace}_WAVE_ERR" in old:
                angstrom = old[f"{trace}_WAVE"].data
                error = old[f"{trace}_WAVE_ERR"].data / _C_MS * angstrom
                yield "wavelength", of_errors(angstrom, new[f"{trace}_WAVE"].data, error)
        for start, value, error in (("RV", "RV", "RV_ERR"), ("DIAGNOSTICS", "VALUE", "ERROR")):
            if name.startswith(start):
                table, again = old[name].data, new[name].data
                yield name.rstrip("0123456789"), of_errors(table[value], again[value], table[error])
    for keyword, error in (("RV", "RVERR"), ("DRIFTV", "DRIFTVE")):
        for unit, other in zip(old, new):
            if isinstance(unit.header.get(keyword), float) and unit.header.get(error):
                yield f"card {keyword}", of_errors(unit.header[keyword], other.header[keyword], unit.header[error])


def of_errors(before, after, error, share=1.0):
    """Return the largest difference of a share of the values, in units of the error; infinite if one is no number."""
    before, after, error = (np.asarray(values, float) for values in (before, after, error))
    if not np.array_equal(np.isfinite(before), np.isfinite(after)):
        return np.inf
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.abs(after - before) / error
    ratio = ratio[np.isfinite(ratio)]
    return float(np.quantile(ratio, share)) if ratio.size else 0.0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
