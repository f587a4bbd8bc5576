"""Write down for which types the kernels are compiled: those that they meet when a small simulated night is reduced.

``python scripts/record_kernels.py`` replaces ``nrespipe/service/kernel_signatures.txt``; with ``--check`` it only tells
whether that file names exactly these types, and exits with 1 where it does not.
"""

import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from nrespipe import settings
from nrespipe.service import assembly, kernels, night, progress, simulation

_FILE = Path(kernels.__file__).with_name("kernel_signatures.txt")
#: Goes through every step: both fiber pairs, the reference lamp, two stars at once, a mean of two flats and of three.
_NIGHT = {"n_bias": 3, "n_dark": 2, "n_flat": 2, "n_arc": 2}
_STARS = ("HD22049:100+HD76151:70", "HD126053:40:2")


def exercise(site, folder):
    """Simulate and reduce a night in this process."""
    (path,) = simulation.write_nights(folder / "archive", site, "20190405", 1, 7, _STARS, progress.bar, **_NIGHT)
    given = replace(settings.read({}), processes=0)
    summary = night.reduce_all(assembly.build(folder / "reduced", given), path / "raw", report=progress.bar)
    if summary.exit_status:
        sys.exit(f"the night was not reduced: {summary}")


def main():
    """Record or check."""
    with TemporaryDirectory(prefix="nrespipe-record-") as folder:
        exercise("lsc", Path(folder))
    met = kernels.used()
    if "--check" not in sys.argv:
        _FILE.write_text("\n".join(met) + "\n", encoding="utf-8")
        return
    recorded = [f"{name} {types}" for name, all_types in kernels.recorded().items() for types in all_types]
    for mark, lines in (("not recorded:", set(met) - set(recorded)), ("never met:", set(recorded) - set(met))):
        for line in sorted(lines):
            print(mark, line)
    sys.exit(set(met) != set(recorded))


if __name__ == "__main__":
    main()
