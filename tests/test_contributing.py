"""The page for contributors names what there is, and its code runs."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.rst").read_text(encoding="utf-8")


def test_every_file_and_folder_of_the_page_exists():
    words = re.findall(r"``(\w[\w./-]*/[\w./-]*)``", PAGE) + re.findall(r"bash (scripts/\S+)", PAGE)
    assert len(words) > 40
    assert not [word for word in words if not (ROOT / word).exists()]


def test_every_script_has_its_line():
    scripts = {f"scripts/{path.name}" for path in (ROOT / "scripts").iterdir() if path.is_file()}
    assert set(re.findall(r"^``(scripts/\S+)``$", PAGE, re.MULTILINE)) == scripts


def test_every_room_of_the_package_has_its_line():
    rooms = {f"nrespipe/{path.name}/" for path in (ROOT / "nrespipe").iterdir() if (path / "__init__.py").exists()}
    assert rooms - set(re.findall(r"``(nrespipe/\w+/)``", PAGE)) == set()


@pytest.mark.slow
def test_the_step_in_a_notebook_runs_as_it_is_written(tmp_path):
    (block,) = re.findall(r"\.\. code-block:: python\n\n((?:   .*\n|\n)+)", PAGE)
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", textwrap.dedent(block)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [
        int(order) for order in re.findall(r"^order (\d+): fiber 0 crosses column 768 in row \d", done.stdout, re.M)
    ]
    assert found == list(range(88, 98))
