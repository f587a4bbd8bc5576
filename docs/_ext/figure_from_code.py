"""The directive ``figure-from-code``: a figure that a function of ``docs/figures`` makes when the manual is built.

``.. figure-from-code:: extract.cosmic_rays`` stands for the figure of the function ``cosmic_rays`` of the module
``figures.extract``. Its content is the caption, to which the simulated light that is shown is added, and its option
``:alt:`` tells the figure in words. The figures and the light lie in ``docs/_build/figures``, beside the fingerprint of
the sources that they came from, and are made again when that changes.
"""

import hashlib
import shutil
from pathlib import Path

import figures
import matplotlib
from docutils.parsers.rst import directives
from figures import simulated, style
from sphinx.errors import ExtensionError
from sphinx.util.display import progress_message
from sphinx.util.docutils import SphinxDirective

import nrespipe

_PLACE = Path("_build/figures")
#: Rooms of the package that simulated light and figures come from.
_ROOMS = ("data", "engine", "frames", "instruments", "numerics", "recipes", "simulator")


class FigureFromCode(SphinxDirective):
    """Put a figure and its caption in place."""

    required_arguments = 1
    has_content = True
    option_spec = {"alt": directives.unchanged_required}  # noqa: RUF012

    def run(self):
        """Return the figure.

        Returns
        -------
        list of docutils.nodes.Node
        """
        name, known = self.arguments[0], figures.every()
        if name not in known:
            raise ExtensionError(f"figure-from-code knows {', '.join(known)}; it was asked for {name}")
        if "alt" not in self.options or not self.content:
            raise ExtensionError(f"{self.env.docname}: the figure {name} needs :alt: and a caption")
        alternative = " ".join(self.options["alt"].split())
        caption = " ".join([*self.content, _source(known[name][1])]).strip()
        text = f".. figure:: /{_PLACE / name}.svg\n   :alt: {alternative}\n   :width: 100%\n\n   {caption}\n"
        return self.parse_text_to_nodes(text)


def _source(light):
    return f"Simulated light: {' and '.join(simulated.LIGHT[name] for name in light)}." if light else ""


def fingerprint(*folders):
    """Return what changes with the sources of the figures.

    Parameters
    ----------
    *folders : Path
        Where they lie.

    Returns
    -------
    str
        Hexadecimal.
    """
    digest = hashlib.sha256(matplotlib.__version__.encode())
    for folder in folders:
        for path in sorted(path for kind in ("*.py", "*.toml", "*.csv") for path in folder.rglob(kind)):
            digest.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return digest.hexdigest()


def make(app):
    """Make all figures, before the pages are read, which may happen in several processes.

    Parameters
    ----------
    app : sphinx.application.Sphinx
        The build.
    """
    place, sources = Path(app.srcdir) / _PLACE, Path(figures.__file__).parent
    rooms = [Path(nrespipe.__file__).parent / room for room in _ROOMS]
    wanted = {name: place / f"{name}.svg" for name in figures.every()}
    drawn, light = place / "fingerprint", place / f"light-{fingerprint(*rooms)[:16]}"
    current = fingerprint(*rooms, sources)
    if drawn.exists() and drawn.read_text() == current and all(path.exists() for path in wanted.values()):
        return
    drawn.unlink(missing_ok=True)
    for old in set(place.glob("light-*")) - {light}:
        shutil.rmtree(old)
    with progress_message("making figures from simulated light"), style.applied():
        night = simulated.kept(light / "night")
        for name, (function, needs) in figures.every().items():
            style.save(function(*([night] if needs else [])), wanted[name])
    drawn.write_text(current)


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
    app.add_directive("figure-from-code", FigureFromCode)
    app.connect("builder-inited", make)
    return {"parallel_read_safe": True}
