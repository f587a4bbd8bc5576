"""The directive ``from-code``: content that is generated from the code when the manual is built.

``.. from-code:: schema`` inserts the tables of the database; ``CONTENTS`` lists all names.
"""

import importlib
import inspect
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
    "cli", "settings", "logs", "errors", "doppler", "service", "analysis", "recipes", "engine", "numerics", "frames",
    "instruments", "data", "files", "database", "plots", "simulator",
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
    """Insert the result of a function of ``CONTENTS``."""

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
        # the code may have changed since the page was read
        self.env.note_reread()
        content = CONTENTS[what](*arguments)
        return self.parse_text_to_nodes(content, allow_section_headings=True)


def modules():
    """Return the modules of the reference by package.

    Returns
    -------
    dict of str to list of str
        Full names, packages first.
    """
    names = ["nrespipe", *(m.name for m in pkgutil.walk_packages(nrespipe.__path__, "nrespipe."))]
    names = [name for name in names if "migrations" not in name and "__main__" not in name]
    return {room: [n for n in names if (n + ".").startswith(f"nrespipe.{room}.")] for room in ROOMS}


def write_reference(app, _config):
    """Write one page of the reference for each package, and delete the pages of deleted packages.

    Parameters
    ----------
    app : sphinx.application.Sphinx
        The build.
    _config : sphinx.config.Config
        Its configuration.
    """
    folder = Path(app.srcdir) / "reference"
    folder.mkdir(exist_ok=True)
    for page in folder.glob("*.rst"):
        if page.stem not in ROOMS:
            page.unlink()
    for room, (first, *others) in modules().items():
        text = heading(first, "=") + documented(first)
        text += "".join(heading(name) + documented(name) for name in others)
        page = folder / f"{room}.rst"
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def documented(name: str) -> str:
    """Return the directive that documents the definitions of a module, without its imports.

    Parameters
    ----------
    name : str
        Full name of the module.

    Returns
    -------
    str
        In reStructuredText.
    """
    own = [k for k, v in vars(importlib.import_module(name)).items() if k[0] != "_" and _is_own(v, name)]
    # the option without names would list what the module imports
    listed = f"   :members: {', '.join(own)}\n" if own else ""
    return f".. automodule:: {name}\n{listed}\n"


def _is_own(noun, module):
    return not inspect.ismodule(noun) and getattr(noun, "__module__", module) == module


def drop_foreign_docstrings(_app, what, name, _obj, _options, lines):
    """Delete the docstrings that tables inherit from SQLAlchemy; they refer to pages of its manual.

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
        Metadata of the extension.
    """
    app.add_directive("from-code", FromCode)
    # before the build lists its files
    app.connect("config-inited", write_reference)
    app.connect("autodoc-process-docstring", drop_foreign_docstrings)
    return {"parallel_read_safe": True}
