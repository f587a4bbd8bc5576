"""Directives whose content is read from the code when the manual is built, so that the two cannot disagree.

``.. from-code:: schema`` stands for the tables of the database, and so on for every function in ``CONTENTS``.
"""

import ast
import importlib
import inspect
import pkgutil
from dataclasses import fields
from pathlib import Path

import click
from numpydoc.docscrape import NumpyDocString
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective
from sqlalchemy.dialects import postgresql

import nrespipe
from nrespipe import instruments
from nrespipe.database.tables import Row
from nrespipe.frames.quality import Pixel, Quality
from nrespipe.settings import Settings

#: Packages of the reference, in the order of the chapters.
ROOMS = (
    "cli", "settings", "logs", "errors", "service", "recipes", "engine", "numerics", "frames", "instruments", "data",
    "files", "database", "simulator",
)  # fmt: skip


def table(header, rows, widths="auto"):
    """Return a list-table.

    Parameters
    ----------
    header : sequence of str
        Head of each column.
    rows : iterable of sequence of str
        Cells, in reStructuredText.
    widths : str, optional
        As the directive has it.

    Returns
    -------
    str
        In reStructuredText.
    """
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {widths}", ""]
    for row in (header, *rows):
        for number, cell in enumerate(row):
            lines.append(f"   {'* -' if number == 0 else '  -'} {' '.join(str(cell).split())}")
    return "\n".join(lines) + "\n"


def heading(text, underline="-"):
    """Return a section title.

    Parameters
    ----------
    text : str
        The title.
    underline : str, optional
        Character that tells the level.

    Returns
    -------
    str
        In reStructuredText.
    """
    return f"\n{text}\n{underline * len(text)}\n\n"


def attributes(noun):
    """Return what the docstring of a class says of its attributes.

    Parameters
    ----------
    noun : type
        A class with a numpydoc docstring.

    Returns
    -------
    dict of str to str
        Meaning by name; names that are documented together share it.
    """
    meanings = {}
    for names, _, description in NumpyDocString(inspect.getdoc(noun))["Attributes"]:
        for name in names.split(", "):
            meanings[name] = " ".join(description)
    return meanings


def schema():
    """Return the tables of the database.

    Returns
    -------
    str
        In reStructuredText.
    """
    classes = {mapper.local_table.name: mapper.class_ for mapper in Row.registry.mappers}
    parts = []
    for entry in Row.metadata.sorted_tables:
        noun = classes.get(entry.name)
        meanings = attributes(noun) if noun else {}
        parts.append(heading(f"``{entry.name}``"))
        parts.append(f"{inspect.getdoc(noun).splitlines()[0]}\n\n" if noun else "Which belongs to which.\n\n")
        parts.append(table(("Column", "Type", "Meaning"), [_column(column, meanings) for column in entry.columns]))
    return "\n".join(parts)


def _column(column, meanings):
    kind = column.type.compile(dialect=postgresql.dialect()).lower()
    meaning = meanings.get(column.name, "")
    if column.primary_key and not column.foreign_keys:
        meaning = meaning or "Number of the row."
    for key in column.foreign_keys:
        meaning = f"{meaning} Row of ``{key.column.table.name}``.".strip()
    words = getattr(column.type, "enums", None)
    if words:
        meaning += " One of " + ", ".join(f"``{word}``" for word in words) + "."
    return f"``{column.name}``", kind + (" or NULL" if column.nullable else ""), meaning


def bits(noun):
    """Return the bits of a mask with their meanings, which stand as comments beside them.

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
    """Return the spectrographs as their tables describe them.

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


def data_tables():
    """Return the tables of physics in the package: what their comments say, their columns, and how long they are.

    Returns
    -------
    str
        In reStructuredText.
    """
    parts = []
    for path in sorted((Path(nrespipe.__file__).parent / "data").glob("*.csv")):
        lines = path.read_text(encoding="utf-8").splitlines()
        comments = [line.lstrip("# ") for line in lines if line.startswith("#")]
        head, *rows = [line for line in lines if not line.startswith("#")]
        columns = ", ".join(f"``{name}``" for name in head.split(","))
        escaped = "\n\n".join(comments).replace("*", "\\*").replace("|", "\\|")
        parts += [heading(f"``{path.name}``"), f"{len(rows)} rows; columns {columns}.\n\n{escaped}\n"]
    return "\n".join(parts)


def environment():
    """Return the environment variables, from the fields of the settings.

    Returns
    -------
    str
        In reStructuredText.
    """
    meanings = attributes(Settings)
    rows = []
    for entry in fields(Settings):
        variable, _, meaning = meanings[entry.name].partition(": ")
        default = entry.default if entry.default not in ("", None) else ""
        rows.append((variable, f"``{default}``" if default else "not set", meaning[0].upper() + meaning[1:]))
    return table(("Variable", "Default", "Meaning"), rows)


def step(name):
    """Return the functions of a step with what can be tuned in them.

    Parameters
    ----------
    name : str
        Module below ``nrespipe``, e.g. ``engine.trace``.

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
                tunables.append((where, meanings[parameter.name]))
    parts = [f"In :mod:`nrespipe.{name}`:\n", *calls, ""]
    if tunables:
        parts += ["What can be tuned, with its default:\n", table(("Argument", "Meaning"), tunables)]
    return "\n".join(parts)


def reasons(error):
    """Return the messages with which the readers, the engine and the recipes raise an error.

    Parameters
    ----------
    error : str
        Name of the error.

    Returns
    -------
    str
        In reStructuredText; an ellipsis stands for what differs from frame to frame.
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
    """Texts that an expression may give."""
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
        return part.value.replace("*", "\\*")
    named = isinstance(part.value, ast.Name)
    return f"*{part.value.id}*" if named else "…"


def commands():
    """Return the command line: every command with its arguments and options.

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


CONTENTS = {
    "schema": schema,
    "pixel-bits": lambda: bits(Pixel),
    "quality-bits": lambda: bits(Quality),
    "spectrographs": spectrographs,
    "environment": environment,
    "data-tables": data_tables,
    "step": step,
    "reasons": reasons,
    "commands": commands,
}


class FromCode(SphinxDirective):
    """Put in place what a function of ``CONTENTS`` returns."""

    required_arguments = 1
    optional_arguments = 1

    def run(self):
        """Return the parsed content.

        Returns
        -------
        list of docutils.nodes.Node
        """
        what, *arguments = self.arguments
        if what not in CONTENTS:
            raise ExtensionError(f"from-code knows {', '.join(CONTENTS)}; it was asked for {what}")
        content = CONTENTS[what](*arguments)
        return self.parse_text_to_nodes(content, allow_section_headings=True)


def modules():
    """Return the modules of the reference by room.

    Returns
    -------
    dict of str to list of str
        Full names, packages first.
    """
    names = ["nrespipe", *(m.name for m in pkgutil.walk_packages(nrespipe.__path__, "nrespipe."))]
    names = [name for name in names if "migrations" not in name and "__main__" not in name]
    return {room: [n for n in names if (n + ".").startswith(f"nrespipe.{room}.")] for room in ROOMS}


def write_reference(app, _config):
    """Write one page of the reference for each room.

    Parameters
    ----------
    app : sphinx.application.Sphinx
        The build.
    _config : sphinx.config.Config
        Its configuration.
    """
    folder = Path(app.srcdir) / "reference"
    folder.mkdir(exist_ok=True)
    for room, names in modules().items():
        title = f"nrespipe.{room}"
        text = heading(title, "=") + "".join(_automodapi(name) for name in names)
        page = folder / f"{room}.rst"
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def _automodapi(name):
    """Document what a module defines, and not what it imports."""
    module = importlib.import_module(name)
    skipped = (k for k, v in vars(module).items() if getattr(v, "__module__", name) != name and not k.startswith("_"))
    lines = [f".. automodapi:: {name}", f"   :allowed-package-names: {name}", *(f"   :skip: {k}" for k in skipped)]
    return "\n".join(lines) + "\n\n"


def drop_foreign_docstrings(_app, what, name, _obj, _options, lines):
    """Leave out what SQLAlchemy says of the attributes that the tables inherit; it refers to pages of its own manual.

    Parameters
    ----------
    _app, _obj, _options : object
        Not used.
    what, name : str
        Kind of object, full name.
    lines : list of str
        Its docstring, changed in place.
    """
    if what == "attribute" and name.startswith("nrespipe.database."):
        lines.clear()


def setup(app):
    """Register the directive and the hook.

    Parameters
    ----------
    app : sphinx.application.Sphinx
        The build.

    Returns
    -------
    dict
        What Sphinx wants to know of an extension.
    """
    app.add_directive("from-code", FromCode)
    # before the build lists its files, among which automodapi looks for its directives
    app.connect("config-inited", write_reference)
    app.connect("autodoc-process-docstring", drop_foreign_docstrings)
    return {"parallel_read_safe": True}
