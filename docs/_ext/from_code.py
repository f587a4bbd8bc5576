"""Directives whose content is read from the code when the manual is built, so that the two cannot disagree.

``.. from-code:: schema`` stands for the tables of the database, and so on for every function in ``CONTENTS``.
"""

import importlib
import pkgutil
from pathlib import Path

import program
import shelves
from pages import heading
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

import nrespipe
from nrespipe.frames.quality import Pixel, Quality

#: Packages of the reference, in the order of the chapters.
ROOMS = (
    "cli", "settings", "logs", "errors", "service", "recipes", "engine", "numerics", "frames", "instruments", "data",
    "files", "database", "plots", "simulator",
)  # fmt: skip

CONTENTS = {
    "schema": shelves.schema,
    "product": shelves.product,
    "master": shelves.master,
    "catalog": shelves.catalog,
    "data-tables": shelves.data_tables,
    "pixel-bits": lambda: program.bits(Pixel),
    "quality-bits": lambda: program.bits(Quality),
    "spectrographs": program.spectrographs,
    "environment": program.environment,
    "step": program.step,
    "reasons": program.reasons,
    "commands": program.commands,
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


def drop_stale_pages(app, _config):
    """Delete the generated pages of functions and classes that do not exist any more.

    Parameters
    ----------
    app : sphinx.application.Sphinx
        The build.
    _config : sphinx.config.Config
        Its configuration.
    """
    for page in (Path(app.srcdir) / "api").glob("*.rst"):
        name, _, member = page.stem.rpartition(".")
        try:
            noun = getattr(importlib.import_module(name), member)
        except (ImportError, AttributeError):
            page.unlink()
        else:
            if getattr(noun, "__module__", name) != name:
                page.unlink()


def _automodapi(name):
    """Document what a module defines, and not what it imports."""
    module = importlib.import_module(name)
    # automodapi sees no more than what a module declares to be its own
    public = {k: vars(module)[k] for k in getattr(module, "__all__", vars(module)) if not k.startswith("_")}
    skipped = (k for k, v in public.items() if getattr(v, "__module__", name) != name)
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
    app.connect("config-inited", drop_stale_pages)
    app.connect("autodoc-process-docstring", drop_foreign_docstrings)
    return {"parallel_read_safe": True}
