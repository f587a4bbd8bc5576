import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import nrespipe
from nrespipe.database.dialects import now
from nrespipe.database.states import State
from nrespipe.service.operations import kernels, progress_bar
from nrespipe.service.outcome import Outcome
from nrespipe.service.work import process_pool

_ROOT = Path(__file__).parents[3]
_PREPARE = """
from nrespipe import logs
from nrespipe.service.operations import kernels, progress_bar
from nrespipe.service.work import process_pool
logs.configure()
done = kernels.prepare(process_pool.run_serially, progress_bar.lines, ("simulator",))
assert not done.failed, done.failed
print(done.compiled, done.loaded, sep="\\n")
"""


def jitted(*packages):
    """Names of the compiled functions, read from the source."""
    root = Path(nrespipe.__file__).parent
    for path in sorted(path for package in packages for path in root.glob(f"{package}/**/*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and any("njit" in ast.unparse(d) for d in node.decorator_list):
                yield ".".join((*path.relative_to(root).with_suffix("").parts, node.name))


def start(cache):
    """Begin to prepare the kernels of the simulator in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", _PREPARE],
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process):
    """Wait for it; return the names of the kernels that it compiled and that it loaded, and what it logged."""
    out, log = process.communicate()
    assert process.returncode == 0, log
    compiled, loaded = (set(ast.literal_eval(line)) for line in out.splitlines())
    return compiled, loaded, log


def test_every_compiled_function_is_known():
    assert set(kernels.known()) == set(jitted("numerics", "engine", "simulator"))


def test_every_compiled_function_is_recorded():
    assert set(kernels.recorded()) == set(jitted("numerics", "engine", "simulator"))


def test_every_compiled_function_is_kept_on_disk():
    assert all(kernel.stats.cache_path for kernel in kernels.known().values())


@pytest.mark.slow
def test_a_night_needs_no_types_but_the_recorded_ones():
    command = [sys.executable, _ROOT / "scripts/record_kernels.py", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr[-2000:]


@pytest.mark.slow
def test_what_one_process_compiled_the_next_one_loads_without_a_word(tmp_path):
    every = set(jitted("simulator"))
    compiled, loaded, log = end(start(tmp_path))
    assert (compiled, loaded) == (every, set())
    assert f'"nres.progress": "{len(every)}/{len(every)}"' in log
    compiled, loaded, log = end(start(tmp_path))
    assert (compiled, loaded, log) == (set(), every, "")


@pytest.mark.slow
def test_of_two_processes_at_the_same_time_one_compiles_each_kernel(tmp_path):
    (first, _, _), (second, _, _) = map(end, [start(tmp_path), start(tmp_path)])
    assert first | second == set(jitted("simulator"))
    assert first & second == set()


def test_what_is_on_disk_is_loaded_by_one_process_and_the_rest_compiled_by_all(monkeypatch):
    calls = []

    def run(_, names):
        calls.append(list(names))
        return ((name, Outcome(State.DONE, "", "", now(), now(), (name == "b.b.b", "folder"))) for name in names)

    monkeypatch.setattr(kernels, "recorded", lambda: dict.fromkeys(("b.b.a", "b.b.b", "b.b.c", "b.b.d"), ("",)))
    done = kernels.prepare(run, progress_bar.lines, ("b",))
    assert calls == [["b.b.a"], ["b.b.b"], ["b.b.c", "b.b.d"]]
    assert (done.compiled, done.loaded) == (("b.b.b",), ("b.b.a", "b.b.c", "b.b.d"))


def test_a_kernel_that_came_with_one_that_calls_it_was_compiled_too(tmp_path):
    load = "[kernels.load(f'numerics.robust_statistics.{name}')[0] for name in ('median', 'select')]"
    words = f"from nrespipe.service.operations import kernels; print({load})"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    told = [subprocess.check_output([sys.executable, "-c", words], env=environment, text=True) for _ in range(2)]
    assert told == ["[True, True]\n", "[False, False]\n"]


def test_a_kernel_that_cannot_be_compiled_is_named_and_stops_nothing(monkeypatch):
    monkeypatch.setattr(kernels, "recorded", lambda: {"numerics.profile_table.chunk_of": ("(nonsense,)",)})
    done = kernels.prepare(process_pool.run_serially, progress_bar.lines)
    assert done.failed == (("numerics.profile_table.chunk_of", "NameError: name 'nonsense' is not defined"),)


def test_what_was_compiled_is_told_in_lines(tmp_path):
    done = kernels.Compiled(("engine.a.b", "engine.c.d"), ("engine.e.f",), (("engine.g.h", "why"),), (tmp_path,))
    assert done.lines() == ["2 kernels compiled, 1 were there; they are kept in", f"  {tmp_path}", "engine.g.h why"]


@pytest.mark.slow
def test_a_command_that_reduces_nothing_starts_without_the_compiler():
    heavy = "('numba', 'scipy.interpolate', 'astropy.coordinates', 'astropy.table')"
    every = "import sys; from nrespipe.cli import main; commands = list(main.commands.values())"
    words = f"{every}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
