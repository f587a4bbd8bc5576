"""Write equations as MathML, so that the manual needs no network and no LaTeX."""

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util.logging import getLogger

_log = getLogger(__name__)


def inline(translator, node):
    """Write an equation in the text.

    Parameters
    ----------
    translator : sphinx.writers.html5.HTML5Translator
        Where to.
    node : docutils.nodes.math
        The equation.
    """
    translator.body.append(_converted(node, False))
    raise nodes.SkipNode


def block(translator, node):
    """Write an equation of its own.

    Parameters
    ----------
    translator : sphinx.writers.html5.HTML5Translator
        Where to.
    node : docutils.nodes.math_block
        The equation.
    """
    # sums and brackets are taller than their line, for which the theme would show a scroll bar
    translator.body.append(f'<div class="math" style="padding-block: 0.6em">{_converted(node, True)}</div>')
    raise nodes.SkipNode


def _converted(node, as_block):
    try:
        return tex2mathml(node.astext(), as_block=as_block)
    except MathError as error:
        _log.warning("the equation %r cannot be shown: %s", node.astext(), error, location=node)
        return f"<code>{node.astext()}</code>"


def setup(app):
    """Register the renderer.

    Parameters
    ----------
    app : sphinx.application.Sphinx
        The build.

    Returns
    -------
    dict
        Metadata of the extension.
    """
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True}
