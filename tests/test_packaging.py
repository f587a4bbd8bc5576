"""What pip installs from a checkout is all that the program needs, and nothing else."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this checkout, built from a copy that leaves the checkout as it is."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "nrespipe", folder / "nrespipe", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.rst", "LICENSE", "targets.csv"):
        shutil.copy(ROOT / name, folder)
    build = "from setuptools import build_meta; print(build_meta.build_wheel('.'))"
    done = subprocess.run([sys.executable, "-c", build], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return zipfile.ZipFile(folder / done.stdout.splitlines()[-1])


def test_every_module_and_every_table_is_installed(wheel):
    there = {path for path in (ROOT / "nrespipe").rglob("*") if path.is_file() and path.suffix != ".pyc"}
    expected = {str(path.relative_to(ROOT)) for path in there if "__pycache__" not in path.parts}
    installed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert installed == expected | {"nrespipe/files/catalog/targets.csv"}
    assert wheel.read("nrespipe/files/catalog/targets.csv") == (ROOT / "targets.csv").read_bytes()


def test_the_package_names_its_license_and_its_command(wheel):
    names = {name.split("/", 1)[1]: name for name in wheel.namelist() if ".dist-info/" in name}
    assert "nrespipe = nrespipe.cli:main" in wheel.read(names["entry_points.txt"]).decode()
    assert "License-Expression: BSD-3-Clause" in wheel.read(names["METADATA"]).decode()
    assert wheel.read(names["licenses/LICENSE"]) == (ROOT / "LICENSE").read_bytes()
