"""Wheel and source archive have all that the program needs, and nothing else, and get their version from git."""

import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[1]
#: Files at the top of a checkout from which the package is built.
SOURCES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.rst", "LICENSE", "targets.csv")


def run(*command, **options):
    """Run a command and return its output; the test fails where the command fails."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copy_of_checkout(folder):
    """Copy the sources, so that a build leaves the checkout as it is."""
    shutil.copytree(ROOT / "nrespipe", folder / "nrespipe", ignore=shutil.ignore_patterns("__pycache__"))
    for name in SOURCES:
        shutil.copy(ROOT / name, folder)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this checkout without its git repository."""
    folder = tmp_path_factory.mktemp("checkout")
    copy_of_checkout(folder)
    build = "from setuptools import build_meta; print(build_meta.build_wheel('.'))"
    return zipfile.ZipFile(folder / run(sys.executable, "-c", build, cwd=folder).splitlines()[-1])


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """Archive of the sources and, built from it, the wheel of a commit with the tag v9.8.7."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    folder = tmp_path_factory.mktemp("release")
    copy_of_checkout(folder)
    git = ("git", "-c", "user.name=Tests", "-c", "user.email=tests@example.org")
    for words in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "All"), ("tag", "v9.8.7")):
        run(*git, *words, cwd=folder)
    run(sys.executable, "-m", "build", "--no-isolation", folder)
    (wheel,) = (folder / "dist").glob("*.whl")
    (sources,) = (folder / "dist").glob("*.tar.gz")
    return SimpleNamespace(wheel=wheel, sources=sources)


@pytest.fixture(scope="module")
def installed(release, tmp_path_factory):
    """Directory of the programs of a fresh environment with the wheel; it borrows all other packages of this one."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", release.wheel)
    own = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    # behind its own packages; an editable installation of nrespipe is not found through a plain path
    (own / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder / "bin"


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


def test_without_a_repository_the_version_is_the_one_of_the_configuration(wheel):
    fallback = re.search(r'^fallback_version = "(.*)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert Path(wheel.filename).name.split("-")[1] == fallback[1]


@pytest.mark.slow
def test_the_tag_of_the_commit_is_the_version_of_wheel_and_source_archive(release):
    assert release.wheel.name.split("-")[1] == "9.8.7"
    assert release.sources.name == "nrespipe-9.8.7.tar.gz"


@pytest.mark.slow
def test_the_wheel_runs_in_a_fresh_environment_and_reads_its_tables(installed, tmp_path):
    assert run(installed / "nrespipe", "--version", cwd=tmp_path, env={}).strip() == "9.8.7"
    read = (
        "import nrespipe; from nrespipe import data, instruments; from nrespipe.files.catalog import targets;"
        "print(nrespipe.__file__, len(targets.read(targets.installed())), len(data.lamp_lines().intensity));"
        "print(*(instruments.load(name).site for name in instruments.names()))"
    )
    told = run(installed / "python", "-c", read, cwd=tmp_path, env={})
    (path, stars, lines), sites = (line.split() for line in told.splitlines())
    assert Path(path).is_relative_to(installed.parent)
    assert int(stars) > 30
    assert int(lines) > 1000
    assert "lsc" in sites
