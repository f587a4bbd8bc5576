"""Generate the lists of commands, variables, algorithm steps, reasons, quality flags and spectrographs."""

import ast
import importlib
import inspect
from pathlib import Path

import click
from numpydoc.docscrape import NumpyDocString
from pages import escaped, heading, table
from pydantic import SecretStr

import nrespipe
from nrespipe import instruments
from nrespipe.settings import Settings


def bits(noun):
    """Return the bits of a mask with their meanings, from the comments in its source.

    Parameters
    ----------
    noun : type of IntFlag
        The mask.

    Returns
    -------
    str
        In reStructuredText.
    """
    comments = {}
    for line in inspect.getsource(noun).splitlines():
        code, mark, comment = line.partition("#:")
        if mark and "=" in code:
            comments[code.split("=")[0].strip()] = comment.strip()
    rows = [(bit.value, f"``{bit.name}``", comments[bit.name].capitalize()) for bit in noun]
    return table(("Value", "Name", "Meaning"), rows)


def spectrographs():
    """Return the spectrographs with the main entries of their tables.

    Returns
    -------
    str
        In reStructuredText.
    """
    nouns = [instruments.load(name) for name in instruments.names()]
    rows = [
        (
            f"``{s.name}``",
            f"``{s.site}``",
            f"{s.latitude_deg:.4f}, {s.longitude_deg:.4f}",
            ", ".join(f"``{c}``" for c in s.cameras),
            ", ".join(map(str, s.fibers.star)),
            f"{s.first_order}-{s.last_order}",
            f"{s.restart_hour_utc}:00",
        )
        for s in nouns
    ]
    return table(
        (
            "Spectrograph",
            "Site",
            "Latitude, longitude",
            "Cameras",
            "Star fibers",
            "Orders",
            "Night begins, UTC",
        ),
        rows,
    )


def environment():
    """Return the environment variables with defaults and meanings, from the settings.

    Returns
    -------
    str
        In reStructuredText.
    """
    rows = [
        (f"``{field.validation_alias}``", _default(field.default), field.description)
        for field in Settings.model_fields.values()
    ]
    return table(("Variable", "Default", "Meaning"), rows)


def _default(value):
    value = value.get_secret_value() if isinstance(value, SecretStr) else value
    if value in ("", None, ()):
        return "not set"
    if isinstance(value, tuple):
        return ", ".join(f"``{word}``" for word in value)
    return f"``{str(value).lower() if isinstance(value, bool) else value}``"


def step(name):
    """Return the functions of an algorithm step and their tunable parameters.

    Parameters
    ----------
    name : str
        Module below ``nrespipe``, for example ``engine.orders.trace``.

    Returns
    -------
    str
        In reStructuredText.
    """
    module = importlib.import_module(f"nrespipe.{name}")
    calls, tunables = [], []
    for function in vars(module).values():
        if not inspect.isfunction(function) or function.__module__ != module.__name__ or function.__name__[0] == "_":
            continue
        parsed = NumpyDocString(inspect.getdoc(function))
        calls.append(f"* :func:`~nrespipe.{name}.{function.__name__}`: {' '.join(parsed['Summary'])}")
        meanings = {n: " ".join(p.desc) for p in parsed["Parameters"] for n in p.name.split(", ")}
        for parameter in inspect.signature(function).parameters.values():
            if isinstance(parameter.default, int | float | tuple) and not isinstance(parameter.default, bool):
                where = f"``{function.__name__}({parameter.name}={parameter.default})``"
                tunables.append(
                    (where, meanings.get(parameter.name, parameter.name.replace("_", " ").capitalize() + "."))
                )
    parts = [f"In :mod:`nrespipe.{name}`:\n", *calls, ""]
    if tunables:
        parts += ["Parameters that can be tuned, with their defaults:\n", table(("Argument", "Meaning"), tunables)]
    return "\n".join(parts)


def reasons(error):
    """Return the messages of an error in readers, engine, recipes, database and service.

    Parameters
    ----------
    error : str
        Name of the error.

    Returns
    -------
    str
        In reStructuredText; an ellipsis marks the parts that differ from frame to frame.
    """
    root, rows = Path(nrespipe.__file__).parent, []
    for room in ("files", "engine", "recipes", "database", "service"):
        for path in sorted((root / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == error and node.args:
                    where = f"``{room}/{path.name}``"
                    rows += [(where, message) for message in _messages(node.args[0])]
    return table(("Where", "Message"), rows)


def _messages(node):
    """Return the texts that an expression may have."""
    if isinstance(node, ast.IfExp):
        return [*_messages(node.body), *_messages(node.orelse)]
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.JoinedStr):
        text = "".join(_piece(part) for part in node.values).removeprefix("*name*: ").removeprefix("…: ")
        return [text] if any(isinstance(part, ast.Constant) and part.value.strip(": ") for part in node.values) else []
    return []


def _piece(part):
    if isinstance(part, ast.Constant):
        return escaped(part.value)
    named = isinstance(part.value, ast.Name)
    return f"*{part.value.id}*" if named else "…"


def commands():
    """Return the help text of every command.

    Returns
    -------
    str
        In reStructuredText.
    """
    from nrespipe.cli import main

    return "\n".join(_command("nrespipe", main))


def _command(path, command):
    context = click.Context(command, info_name=path)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            yield from _command(f"{path} {name}", command.get_command(context, name))
        return
    shown = click.unstyle(command.get_help(context)).splitlines()
    yield (
        heading(f"``{path}``") + ".. code-block:: text\n\n" + "\n".join(f"   {line}".rstrip() for line in shown) + "\n"
    )
