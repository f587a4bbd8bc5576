import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import nrespipe
from nrespipe.service import kernels

_COMPILE = """
from nrespipe import settings
from nrespipe.service import kernels, progress
{changes}
done = kernels.compile_all(settings.read({{}}), progress.lines)
assert not done.unhappy, done.unhappy
print(sorted(done.compiled), sorted(done.loaded), sep="\\n")
"""


def jitted():
    """Names of the compiled functions, read from the source."""
    root = Path(nrespipe.__file__).parent
    for path in sorted([*root.glob("numerics/*.py"), *root.glob("engine/*.py")]):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and any("njit" in ast.unparse(d) for d in node.decorator_list):
                yield f"{path.parent.name}.{path.stem}.{node.name}"


def run(cache, changes=""):
    """Compile in a process of its own; return the names of the kernels that it compiled and that it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", _COMPILE.format(changes=changes)],
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(set(ast.literal_eval(line)) for line in done.stdout.splitlines()[-2:])


def test_every_compiled_function_is_known():
    assert set(kernels.known()) == set(jitted())


def test_every_compiled_function_is_kept_on_disk():
    assert all(kernel.stats.cache_path for kernel in kernels.known().values())


@pytest.mark.slow
def test_another_night_compiles_nothing_more(tmp_path):
    compiled, loaded = run(tmp_path)
    assert (compiled, loaded) == (set(kernels.known()), set())
    # one star in the other fiber, single flats, more arcs
    other = "kernels._STARS, kernels._NIGHT = ('HD126053:40:2',), dict(n_bias=3, n_dark=2, n_flat=1, n_arc=2)"
    compiled, loaded = run(tmp_path, other)
    assert compiled == set()
    assert loaded


def test_what_was_compiled_is_told_in_lines(tmp_path):
    done = kernels.Compiled({"engine.a.b": 2, "engine.c.d": 1}, {}, (tmp_path,), ())
    assert done.lines() == [
        "2 kernels compiled now, 0 were there; they are kept in",
        f"  {tmp_path}",
        "compiled:",
        "  engine.a.b (2 kinds)",
        "  engine.c.d",
    ]


def test_a_command_that_reduces_nothing_starts_without_the_compiler():
    heavy = "('numba', 'scipy.interpolate', 'astropy.coordinates', 'astropy.table')"
    every = "import sys; from nrespipe.cli import main; commands = list(main.commands.values())"
    words = f"{every}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
