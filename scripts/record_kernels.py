"""Write down for which types the kernels are compiled: those that they meet when a small simulated night is reduced.

``python scripts/record_kernels.py`` compiles everything anew and replaces ``kernel_signatures.txt`` in
``nrespipe/service/operations``. With ``--check`` it lists the types that are only in the file or only in the night, and
exits with 1 where there are any. With ``--quick`` it uses the kernels on disk, in a third of the time, and lists the
types that the file lacks; kernels that other kernels call do not show then.
"""

import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

#: A detector of ten orders: the types of the kernels do not depend on its size.
_TABLE = Path(__file__).parents[1] / "tests" / "small" / "nres01.toml"
#: Goes through every step: both fiber pairs, the reference lamp, two stars at once, and one that fills the pixels.
_NIGHT = {"n_bias": 3, "n_dark": 2, "n_flat": 2, "n_arc": 2}
_STARS = ("HD22049:100+HD76151:70", "HD126053:1200:2")


def exercise(folder):
    """Simulate and reduce a night in this process, with kernels that are compiled for what they meet."""
    from nrespipe import settings
    from nrespipe.recipes import RECIPES
    from nrespipe.service import assembly
    from nrespipe.service.batch import night, simulation
    from nrespipe.service.operations import progress_bar

    (path,) = simulation.write_nights(
        folder / "archive", "lsc", "20190405", 1, 7, _STARS, progress_bar.words, table=_TABLE, **_NIGHT
    )
    (folder / "reduced" / "instruments").mkdir(parents=True)
    shutil.copy(_TABLE, folder / "reduced" / "instruments")
    given = settings.Settings(processes=0)
    # a mapping of its own: with that of the service the recorded kernels would be loaded first
    assembled = assembly.build(folder / "reduced", given, dict(RECIPES))
    summary = night.reduce_all(assembled, path / "raw", report=progress_bar.words)
    if summary.exit_status:
        sys.exit(f"the night was not reduced: {summary}")


def met_in_a_night(anew):
    """Return the types that the kernels meet."""
    with TemporaryDirectory(prefix="nrespipe-record-") as folder:
        if anew:
            # a kernel that is loaded from the disk does not show the types of those that it calls
            os.environ["NUMBA_CACHE_DIR"] = f"{folder}/kernels"
        exercise(Path(folder))
        from nrespipe.service.operations import kernels

        return kernels.used()


def main():
    """Record or check."""
    quick = "--quick" in sys.argv
    met = met_in_a_night(anew=not quick)
    from nrespipe.service.operations import kernels

    if not quick and "--check" not in sys.argv:
        Path(kernels.__file__).with_name("kernel_signatures.txt").write_text("\n".join(met) + "\n", encoding="utf-8")
        return
    recorded = [f"{name} {types}" for name, all_types in kernels.recorded().items() for types in all_types]
    lacking, never = set(met) - set(recorded), set(recorded) - set(met) if not quick else set()
    for mark, lines in (("not recorded:", lacking), ("never met:", never)):
        for line in sorted(lines):
            print(mark, line)
    sys.exit(bool(lacking or never))


if __name__ == "__main__":
    main()
