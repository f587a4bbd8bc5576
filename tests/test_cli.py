"""Every command says what it does, with an example, and starts with no more than it needs."""

import importlib
import logging
import subprocess
import sys
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
        "masters plot", "masters region", "masters show", "night", "reconcile",
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


@pytest.mark.parametrize("width", [30, 50, 78, 100, 300])
def test_the_list_of_commands_tells_what_each_command_tells_of_itself(width):
    context, shown, expected = click.Context(cli.main), *(click.HelpFormatter(width=width) for _ in range(2))
    cli.main.format_commands(context, shown)
    # click asks every command for its own words
    click.Group.format_commands(cli.main, context, expected)
    assert shown.getvalue() == expected.getvalue()
    assert len(shown.getvalue().splitlines()) > len(cli.main.commands)


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
