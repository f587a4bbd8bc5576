"""A Python of its own for programs of others that read our files: their packages are no part of this project."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from made_once import Shelf

_USABLE = "import sys, venv, ensurepip; sys.exit(sys.version_info < {oldest})"


def interpreter(*packages, oldest=(3, 12)):
    """Return a Python that has some packages; skip where there is none, or they cannot be installed.

    Parameters
    ----------
    *packages : str
        As ``pip install`` takes them.
    oldest : tuple of int
        The oldest version of Python that they work with.

    Returns
    -------
    Path
        It is kept for later runs of the tests on this machine.
    """
    name = "-".join(packages).replace("=", "")
    base = next((python for python in _pythons() if _works(python, _USABLE.format(oldest=oldest))), None)
    if base is None:
        pytest.skip(f"no Python {'.'.join(map(str, oldest))} or newer, which {' '.join(packages)} needs")

    def install(folder):
        for command in (
            [base, "-m", "venv", folder],
            [folder / "bin/python", "-m", "pip", "install", "--quiet", *packages],
        ):
            done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=_clean())
            if done.returncode:
                raise FileNotFoundError(done.stderr.strip().splitlines()[-1])

    try:
        folder = Shelf(Path(tempfile.gettempdir(), "nrespipe-tests-programs")).place(name, install)
    except FileNotFoundError as error:
        pytest.skip(f"{' '.join(packages)} cannot be installed here: {error}")
    return folder / "bin/python"


def run(python, script, *arguments):
    """Run a script by another Python, and return what it prints."""
    done = subprocess.run(
        [python, script, *map(str, arguments)], capture_output=True, text=True, stdin=subprocess.DEVNULL, env=_clean()
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def _clean():
    """Return the environment without what would make another Python import packages of this one."""
    return {name: content for name, content in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}


def _pythons():
    for minor in range(19, 11, -1):
        if found := shutil.which(f"python3.{minor}"):
            yield found
    # the stubs of a version manager are on the PATH even for versions that it does not start
    if manager := shutil.which("pyenv"):
        words = subprocess.run([manager, "root"], capture_output=True, text=True, check=False).stdout.strip()
        yield from sorted(map(str, Path(words, "versions").glob("3.*/bin/python")), reverse=True)


def _works(python, code):
    done = subprocess.run([python, "-c", code], capture_output=True, check=False, env=_clean())
    return done.returncode == 0
