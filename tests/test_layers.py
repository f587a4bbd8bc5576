"""The rooms of the house import one another in one direction, and what computes touches only its arguments."""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PURE = ("engine", "recipes", "frames", "numerics")
#: Calls that read or write a file, a terminal or a clock, or draw numbers without a seed.
IMPURE_CALLS = {
    "open", "print", "input", "breakpoint", "exec", "eval",
    "np.load", "np.save", "np.savez", "np.savez_compressed", "np.loadtxt", "np.savetxt", "np.genfromtxt", "np.fromfile",
    "np.memmap", "Time.now", "np.random.seed", "np.random.rand", "np.random.randn", "np.random.normal",
    "np.random.uniform", "np.random.random", "np.random.poisson", "np.random.choice",
}  # fmt: skip
CONTRACTS = [
    contract["name"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
]
LAYERS, LIGHT, WAY, FILES, DATABASE, NO_QUEUE, NO_SERVICE, NO_IO = CONTRACTS
VIOLATIONS = [
    (LAYERS, "frames/wrong.py", "import nrespipe.engine"),
    (LAYERS, "engine/wrong.py", "from nrespipe import files"),
    (LAYERS, "recipes/wrong.py", "import nrespipe.service"),
    (LAYERS, "wrong.py", "A_MODULE_THAT_HAS_NO_ROOM = True"),
    (LIGHT, "engine/orders/wrong.py", "from nrespipe.engine.velocity import barycenter"),
    (LIGHT, "engine/wrong.py", "A_MODULE_THAT_HAS_NO_ROOM = True"),
    (WAY, "service/ingest/wrong.py", "from nrespipe.service.work import leases"),
    (FILES, "files/raw/wrong.py", "from nrespipe.files.products import l2"),
    (DATABASE, "database/tables/wrong.py", "from nrespipe.database.work import claims"),
    (NO_QUEUE, "analysis/wrong.py", "import kombu"),
    (NO_SERVICE, "engine/detector/wrong.py", "import sqlalchemy"),
    (NO_SERVICE, "recipes/wrong.py", "def late():\n    from celery import Celery\n    return Celery"),
    (NO_IO, "engine/wrong.py", "import structlog"),
    (NO_IO, "numerics/wrong.py", "from time import time"),
    (NO_IO, "engine/wrong.py", "from pathlib import Path"),
]


def lint(directory):
    """Run import-linter in a directory and return the finished process."""
    program = Path(sys.executable).with_name("lint-imports")
    # the package beside the configuration comes before the installed one
    environment = {**os.environ, "PYTHONPATH": str(directory)}
    return subprocess.run(
        [program, "--no-cache", "--no-logo"],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def impurities(source):
    """Return what a piece of source does that a function of its arguments may not do."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.startswith("astropy.io")]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            found += [name for name in names if name.startswith(("astropy.io", "astropy.utils.data"))]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in IMPURE_CALLS:
            found.append(ast.unparse(node.func))
    return found


def test_the_package_keeps_every_import_contract():
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    for contract in CONTRACTS:
        assert f"{contract} KEPT" in result.stdout


@pytest.mark.parametrize(("contract", "module", "text"), VIOLATIONS)
@pytest.mark.slow
def test_a_forbidden_import_breaks_its_contract(tmp_path, contract, module, text):
    shutil.copytree(ROOT / "nrespipe", tmp_path / "nrespipe", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "nrespipe" / module).write_text(text + "\n", encoding="utf-8")
    result = lint(tmp_path)
    assert result.returncode != 0
    assert f"{contract} BROKEN" in result.stdout


@pytest.mark.parametrize(
    "path",
    sorted(p for room in PURE for p in (ROOT / "nrespipe" / room).rglob("*.py")),
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_what_computes_reads_and_writes_nothing(path):
    assert not impurities(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "source",
    [
        "import astropy.io.fits",
        "from astropy.io import fits",
        "from astropy import io",
        "open('x')",
        "np.loadtxt('x')",
        "np.random.normal(0, 1)",
    ],
)
def test_an_impure_line_is_found(source):
    assert impurities(source)
