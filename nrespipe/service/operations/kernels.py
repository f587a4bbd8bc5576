"""Compile the kernels once, before the first frame needs them."""

import fcntl
import pkgutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from numba.core.dispatcher import Dispatcher

    from nrespipe.service.operations.progress_bar import Advance, Report
    from nrespipe.service.outcome import Outcome, RunJobs

_log = structlog.get_logger(__name__)

#: Packages whose kernels reduce a frame, and those that simulate one.
REDUCTION, SIMULATION = ("numerics", "engine"), ("simulator",)
#: For which types each kernel is compiled: those that it meets when whole nights are reduced.
_SIGNATURES = "kernel_signatures.txt"


@dataclass(frozen=True)
class Compiled:
    """Result of preparing the kernels.

    Attributes
    ----------
    compiled, loaded
        Kernels that were compiled now, and kernels that were on disk or in another process.
    failed
        Kernels that could not be compiled, and why.
    folders
        Where they are kept.
    """

    compiled: tuple[str, ...]
    loaded: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]
    folders: tuple[Path, ...]

    def lines(self) -> list[str]:
        """Describe it for a person.

        Returns
        -------
        list of str
            Lines: counts, folders, and what failed.
        """
        counts = f"{len(self.compiled)} kernels compiled, {len(self.loaded)} were there; they are kept in"
        return [counts, *(f"  {folder}" for folder in self.folders), *(" ".join(row) for row in self.failed)]


def known(packages: tuple[str, ...] = REDUCTION + SIMULATION) -> "dict[str, Dispatcher]":
    """Find the kernels.

    Returns
    -------
    dict of str to Dispatcher
        By ``package.module.function``.
    """
    # here, not above: every other command starts in half the time without the compiler
    from numba.core.dispatcher import Dispatcher

    found = {}
    for package in (import_module(f"nrespipe.{name}") for name in packages):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            for name, item in vars(import_module(module.name)).items():
                if isinstance(item, Dispatcher) and item.__module__ == module.name:
                    found[f"{module.name.removeprefix('nrespipe.')}.{name}"] = item
    return found


@cache
def recorded() -> dict[str, tuple[str, ...]]:
    """Read for which types each kernel is compiled; ``python scripts/record_kernels.py`` writes them down.

    Returns
    -------
    dict of str to tuple of str
        Types of the arguments as numba writes them, by the name of the kernel.
    """
    signatures: dict[str, tuple[str, ...]] = {}
    for line in (files(__package__) / _SIGNATURES).read_text(encoding="utf-8").splitlines():
        name, _, types = line.partition(" ")
        signatures[name] = (*signatures.get(name, ()), types)
    return signatures


def prepare(run: "RunJobs", report: "Report", packages: tuple[str, ...] = REDUCTION) -> Compiled:
    """Load every kernel of some packages, and compile those that are not on disk.

    Parameters
    ----------
    run
        Runs a function on jobs, as ``process_pool.open`` gives it: its processes share the work.
    report
        Shows progress, only if anything is compiled: `progress_bar.bar` or `progress_bar.lines`.

    Notes
    -----
    A kernel is compiled for the types of its arguments, their memory layout and whether they may be written to. The
    types that it meets are written down, so that no night must be reduced to find them.
    """
    names = [name for name in recorded() if name.partition(".")[0] in packages]
    compiled: list[str] = []
    loaded: list[str] = []
    failed: list[tuple[str, str]] = []
    folders: set[Path] = set()
    with ExitStack() as stack:
        advance: Advance | None = None
        for name, outcome in _in_order(run, names):
            is_new = outcome.value is None or outcome.value[0]
            if outcome.value is None:
                failed.append((name, outcome.reason))
            else:
                folders.add(outcome.value[1])
                (compiled if is_new else loaded).append(name)
            if is_new and advance is None:
                advance = stack.enter_context(report("compiling, first run only", len(names) - len(loaded)))
            if advance is not None:
                advance(name)
    for name, reason in failed:
        _log.warning("kernel not compiled ahead: the first frame compiles it", kernel=name, reason=reason)
    return Compiled(
        compiled=tuple(sorted(compiled)),
        loaded=tuple(sorted(loaded)),
        failed=tuple(sorted(failed)),
        folders=tuple(sorted(folders)),
    )


def _in_order(run: "RunJobs", names: Sequence[str]) -> "Iterator[tuple[str, Outcome[tuple[bool, Path]]]]":
    """Load kernels one by one as long as they are on disk, which one process does; then all processes compile."""
    for done, name in enumerate(names, 1):
        ((_, outcome),) = run(load, [name])
        yield name, outcome
        if outcome.value is None or outcome.value[0]:
            yield from run(load, names[done:])
            return


def load(name: str) -> tuple[bool, Path]:
    """Load one kernel into this process for every recorded type, and compile it where it is not on disk.

    Parameters
    ----------
    name
        As in `recorded`.

    Returns
    -------
    is_new : bool
        Whether this process has compiled it, now or with a kernel that calls it.
    folder : Path
        Where it is kept.
    """
    module, _, function = name.rpartition(".")
    kernel = getattr(import_module(f"nrespipe.{module}"), function)
    folder = Path(kernel.stats.cache_path)
    with _alone(folder, list(recorded()).index(name)):
        for types in recorded()[name]:
            kernel.compile(_parsed(types))
    return any(kernel.stats.cache_misses.values()), folder


def used() -> list[str]:
    """Return the types for which the kernels of this process were compiled or loaded.

    Returns
    -------
    list of str
        Lines as in the file that `recorded` reads.
    """
    met = [f"{name} {types}" for name, kernel in known().items() for types in kernel.signatures]
    # a constant has a type of its own, and comes with the kernel that hands it over
    return sorted(line for line in met if "Literal" not in line)


def _parsed(types: str) -> Any:
    """Turn a signature as numba writes it into its types."""
    from numba import types as numba_types

    names = {**vars(numba_types), "omitted": lambda default: numba_types.Omitted(default)}
    # the text comes with the package
    return eval(types, {"__builtins__": {}}, names)


@contextmanager
def _alone(folder: Path, place: int) -> Iterator[None]:
    """Let no other process compile the same kernel at the same time: it would wait as long and find it done."""
    with ExitStack() as stack:
        # where nothing can be written, no other process would find the compiled kernel
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            stream = stack.enter_context(open(folder / "nrespipe-kernels.lock", "ab"))
            fcntl.lockf(stream, fcntl.LOCK_EX, 1, place)
        yield
