"""Every command says what it does, with an example."""

import logging

import click
import pytest
import structlog
from click.testing import CliRunner

from nrespipe import __version__, cli
from nrespipe.cli import options


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
        "compile", "demo", "doctor", "drifts", "export", "listen", "masters bad", "masters compare",
        "masters good", "masters list", "masters plot", "masters region", "masters show", "night", "reconcile",
        "reduce", "reprocess", "requeue", "run", "schedule", "simulate night", "site start",
        "status", "submit", "summary", "targets check", "targets deploy", "template build",
        "template list", "velocities", "why", "work", "zeropoints list", "zeropoints make",
    }  # fmt: skip


def test_the_version_is_that_of_the_package():
    assert CliRunner().invoke(cli.main, ["--version"]).stdout.strip() == __version__


def test_a_reader_that_has_seen_enough_is_no_complaint():
    with pytest.raises(BrokenPipeError), options.complaints():
        raise BrokenPipeError
