"""Every command says what it does, with an example, and starts with no more than it needs."""

import importlib
import logging
import os
import pty
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import click
import pytest
import structlog
from click.testing import CliRunner

from nrespipe import __version__, cli
from nrespipe.cli import options

#: Libraries that take a tenth of a second and more to load.
LARGE = ("numpy", "scipy", "astropy", "sqlalchemy", "numba", "structlog", "kombu", "celery", "matplotlib", "pydantic")


@pytest.fixture(autouse=True)
def _restored_logging():
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    yield
    logging.captureWarnings(False)
    logging.getLogger().handlers[:], logging.getLogger().level = handlers, level
    structlog.reset_defaults()


def commands(group, path=()):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("words", list(commands(cli.main)), ids=" ".join)
def test_the_help_of_every_command_has_an_example_of_it(words):
    result = CliRunner().invoke(cli.main, [*words, "--help"])
    assert result.exit_code == 0
    assert "Example:" in result.stdout
    assert f"nrespipe {' '.join(words)}" in result.stdout.split("Example:")[1]


def test_the_commands_are_those_of_the_manual():
    assert {" ".join(words) for words in commands(cli.main)} == {
        "compile", "database backup", "database check", "database downgrade", "database upgrade", "demo", "doctor",
        "drifts", "export", "listen", "masters bad", "masters compare", "masters good", "masters list",
        "masters plot", "masters region", "masters show", "night", "plot", "reconcile",
        "reduce", "reprocess", "requeue", "run", "schedule", "simulate night", "site start",
        "status", "submit", "summary", "targets check", "targets deploy", "template build",
        "template list", "velocities", "why", "work", "zeropoints list", "zeropoints make",
    }  # fmt: skip


def test_the_version_is_that_of_the_package():
    assert CliRunner().invoke(cli.main, ["--version"]).stdout.strip() == __version__


def loaded(code, names, *words):
    """Return which of some modules a fresh Python has loaded after a piece of code."""
    tell = f"import sys\ntry:\n {code}\nfinally:\n print(*(n for n in {names!r} if n in sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", tell, *words], capture_output=True, text=True, check=True)
    return done.stdout, done.stderr.split()


def test_the_list_of_commands_has_the_first_sentence_of_the_help_of_each():
    listed = CliRunner().invoke(cli.main, ["--help"]).stdout
    for name, command in cli.main.commands.items():
        assert re.search(rf"^  {name} +{re.escape(command.get_short_help_str(limit=1000))}", listed, re.MULTILINE), name


def test_no_line_of_the_list_of_commands_is_cut_or_wrapped_at_eighty_columns():
    listed = CliRunner(env={"COLUMNS": "80"}).invoke(cli.main, ["--help"]).stdout.split("\nReduce:")[1]
    assert "..." not in listed
    assert len([line for line in listed.splitlines() if line.startswith("  ")]) == len(cli.main.commands)
    assert max(map(len, listed.splitlines())) <= 80


def test_every_command_is_there_under_its_own_name():
    assert [command.name for command in cli.main.commands.values()] == list(cli.main.commands)
    defined = {
        command
        for path in Path(cli.__file__).parent.glob("[!_]*.py")
        for command in vars(importlib.import_module(f"nrespipe.cli.{path.stem}")).values()
        if isinstance(command, click.Command)
    }
    below = {under for command in defined if isinstance(command, click.Group) for under in command.commands.values()}
    assert defined - below == set(cli.main.commands.values())


def test_a_command_that_does_not_exist_is_refused_by_its_name():
    result = CliRunner().invoke(cli.main, ["statu"])
    assert result.exit_code == 2
    assert "No such command 'statu'" in result.stderr


@pytest.mark.parametrize("word", ["--version", "--help", "-h"])
def test_version_and_help_load_no_large_library(word):
    told, large = loaded("from nrespipe.cli import main; main()", LARGE, word)
    assert told.strip() == __version__ or "Usage:" in told
    assert large == []


@pytest.mark.parametrize("name", ["status", "why", "drifts", "masters", "export", "summary", "submit", "requeue"])
@pytest.mark.slow
def test_a_command_that_only_asks_the_database_loads_no_reader_of_frames_and_no_queue(name):
    told, large = loaded(
        "from nrespipe.cli import main; main()", set(LARGE) | {"astropy.io.fits", "alembic"}, name, "-h"
    )
    assert "Usage:" in told
    assert set(large) <= {"numpy", "astropy", "pydantic", "sqlalchemy", "structlog"}


def test_a_recipe_loads_only_the_parts_of_scipy_that_it_uses():
    names = ("scipy.stats", "scipy.signal", "matplotlib", "sqlalchemy")
    assert loaded("import nrespipe.recipes.science", names)[1] == []


def test_a_reader_that_has_seen_enough_is_no_complaint():
    with pytest.raises(BrokenPipeError), options.complaints():
        raise BrokenPipeError


def interrupted(words, pauses, **variables):
    """Run a command at a terminal of its own, press Ctrl-C after each pause; return its status and what is on it.

    A pause is a text to wait for on the terminal.
    """
    ours, its = pty.openpty()
    command = [sys.executable, "-c", "from nrespipe.cli import main; main()", *map(str, words)]
    process = subprocess.Popen(
        command, stdin=its, stdout=its, stderr=its, start_new_session=True, env={**os.environ, **variables}
    )
    os.close(its)
    shown, waiting = "", [*pauses]
    # reading fails when the last process has closed the terminal
    with suppress(OSError):
        while piece := os.read(ours, 4096):
            shown += piece.decode(errors="replace")
            if waiting and waiting[0] in shown:
                del waiting[0]
                # as the terminal does, to every process of the group
                os.killpg(process.pid, signal.SIGINT)
    os.close(ours)
    return process.wait(), shown


@pytest.mark.slow
def test_ctrl_c_tells_what_it_waits_for_and_the_same_command_goes_on(tmp_path):
    table = Path(__file__).parent / "small" / "nres01.toml"
    counts = ["--bias", 7, "--dark", 0, "--flat", 0, "--arc", 0]
    words = ["simulate", "night", tmp_path / "out", "--table", table, *counts]
    # the name of the first file that is done: not before, while kernels may be compiled
    status, shown = interrupted(words, ["b00.fits.fz"], NRES_PROCESSES="2")
    assert status == 130
    assert "stopping as soon as this is done; Ctrl-C again stops now" in shown
    assert "give the same command again to do the rest" in shown
    assert "Traceback" not in shown
    begun = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.fits*")}
    assert 1 <= len(begun) < 8
    done = CliRunner().invoke(cli.main, list(map(str, words)))
    assert done.exit_code == 0, done.output
    complete = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.fits*")}
    assert begun.items() <= complete.items()
    assert len(complete) == 8


@pytest.mark.slow
def test_a_second_ctrl_c_stops_at_once(tmp_path):
    table = Path(__file__).parent / "small" / "nres01.toml"
    words = ["simulate", "night", tmp_path / "out", "--table", table, "--bias", 7]
    status, shown = interrupted(words, ["b00.fits.fz", "again stops now"], NRES_PROCESSES="2")
    assert status == 130
    assert "Traceback" not in shown
