"""Compile the kernels before the first frame needs them."""

import pkgutil
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from nrespipe.service import assembly, simulation
from nrespipe.service import night as nights

#: The smallest night that goes through every step: both fiber pairs, the reference lamp, two stars at once.
_NIGHT = {"n_bias": 2, "n_dark": 2, "n_flat": 2, "n_arc": 1}
_STARS = ("HD22049:100+HD76151:70",)


@dataclass(frozen=True)
class Compiled:
    """What became of the kernels.

    Attributes
    ----------
    compiled : dict of str to int
        Kernels that were compiled now, by name, and for how many kinds of arguments.
    loaded : dict of str to int
        Kernels that had been compiled before, and for how many kinds of arguments they were loaded.
    folders : tuple of Path
        Where they are kept.
    unhappy : tuple of (str, str, str)
        Frames of the night that was reduced for it that did not end well: name, state, reason.
    """

    compiled: dict[str, int]
    loaded: dict[str, int]
    folders: tuple[Path, ...]
    unhappy: tuple

    def lines(self):
        """Tell what was done.

        Returns
        -------
        list of str
            For a person.
        """
        names = [f"  {name}" + (f" ({count} kinds)" if count > 1 else "") for name, count in self.compiled.items()]
        first = f"{len(self.compiled)} kernels compiled now, {len(self.loaded)} were there; they are kept in"
        return [first, *(f"  {folder}" for folder in self.folders), *(["compiled:", *names] if names else [])]


def known():
    """Return every kernel of the reduction.

    Returns
    -------
    dict of str to Dispatcher
        By the name of the module and the function.
    """
    # here, not above: every other command starts in half the time without the compiler
    from numba.core.dispatcher import Dispatcher

    from nrespipe import engine, numerics

    found = {}
    for package in (numerics, engine):
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            for name, item in vars(import_module(module.name)).items():
                if isinstance(item, Dispatcher) and item.__module__ == module.name:
                    found[f"{module.name.removeprefix('nrespipe.')}.{name}"] = item
    return found


def compile_all(settings, report):
    """Compile every kernel of the reduction, by reducing the smallest simulated night in this process.

    Parameters
    ----------
    settings : Settings
        From the environment; its database is left alone.
    report : callable
        Shows progress: `progress.bar` or `progress.lines`.

    Returns
    -------
    Compiled

    Notes
    -----
    A kernel is compiled for the types of its arguments, and they depend on how arrays were made: their memory layout,
    whether they are read-only. Reducing a night gives each kernel the very types that it meets in one; calls made up
    for the purpose would have to be kept in step with every recipe.
    """
    with TemporaryDirectory(prefix="nrespipe-compile-") as folder:
        archive, reduced = Path(folder, "archive"), Path(folder, "reduced")
        (path,) = simulation.write_nights(archive, "lsc", "20190405", 1, 7, _STARS, report, **_NIGHT)
        # processes=0: in this process, whose kernels tell what became of them
        assembled = assembly.build(reduced, replace(settings, database_url="", processes=0))
        summary = nights.reduce_all(assembled, path / "raw", report=report)
    kernels = known()
    return Compiled(
        compiled=_counts(kernels, "cache_misses"),
        loaded=_counts(kernels, "cache_hits"),
        folders=tuple(sorted({Path(kernel.stats.cache_path) for kernel in kernels.values()})),
        unhappy=(*summary.unmade, *summary.unhappy),
    )


def _counts(kernels, kind):
    counts = {name: sum(getattr(kernel.stats, kind).values()) for name, kernel in kernels.items()}
    return {name: count for name, count in sorted(counts.items()) if count}
