"""The directive ``figure-from-code``: show a figure drawn by a function of ``docs/figures``.

``.. figure-from-code:: extraction.cosmic_rays`` shows the figure of the function ``cosmic_rays`` of the module
``figures.extraction``. Its content is the caption, and its option ``:alt:`` describes the figure. To the caption are
added the simulated light that is shown, and the modules that the figure comes from and that have changed since it was
drawn. No figure is drawn here: ``scripts/figures.sh`` does that.
"""

from collections.abc import Sequence

import figures
from docutils.parsers.rst import directives
from figures import drawings, simulated
from figures.sources import Sources
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

#: The code as it is when the build begins.
_SOURCES = Sources()
#: Modules that a caption names.
_NAMED = 3


class FigureFromCode(SphinxDirective):
    """Insert a figure and its caption."""

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
        path = drawings.path(name)
        if not path.exists():
            raise ExtensionError(f"{self.env.docname}: the figure {name} is not drawn yet; run scripts/figures.sh")
        # the code may have changed since the page was read
        self.env.note_reread()
        alternative = " ".join(self.options["alt"].split())
        caption = " ".join([*self.content, light(known[name][1]), age(drawings.changed(name, _SOURCES))]).strip()
        where = f"/{path.relative_to(self.env.srcdir)}"
        return self.parse_text_to_nodes(
            f".. figure:: {where}\n   :alt: {alternative}\n   :width: 100%\n\n   {caption}\n"
        )


def light(shown: Sequence[str]) -> str:
    """Return the sentence about the simulated light of a figure.

    Parameters
    ----------
    shown : sequence of str
        Names in ``figures.simulated.LIGHT``.

    Returns
    -------
    str
        Empty without light.
    """
    return f"Simulated light: {' and '.join(simulated.LIGHT[name] for name in shown)}." if shown else ""


def age(changed: Sequence[str]) -> str:
    """Return the sentence that marks a figure as older than the code.

    Parameters
    ----------
    changed : sequence of str
        Modules and tables that the figure comes from and that have changed since.

    Returns
    -------
    str
        Empty if none has.
    """
    if not changed:
        return ""
    named = [f"``{name.removeprefix('nrespipe.')}``" for name in changed[:_NAMED]]
    others = len(changed) - len(named)
    named += [f"{others} more module{'s' if others > 1 else ''}"] if others else []
    listed = ", ".join(named[:-1]) + " and " + named[-1] if len(named) > 1 else named[0]
    return f"*Drawn before the last change of* {listed}."


def _read(_app):
    """Read the code once for all pages, before they are read, which may happen in several processes."""
    for name in figures.every():
        _SOURCES.of(*drawings.modules(name))


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
    app.add_directive("figure-from-code", FigureFromCode)
    app.connect("builder-inited", _read)
    return {"parallel_read_safe": True}
