"""Pieces of reStructuredText."""

import inspect
import re

from numpydoc.docscrape import NumpyDocString


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
        Character that marks the level.

    Returns
    -------
    str
        In reStructuredText.
    """
    return f"\n{text}\n{underline * len(text)}\n\n"


def escaped(text):
    """Return text with the markup characters of reStructuredText escaped.

    Parameters
    ----------
    text : str
        Plain text.

    Returns
    -------
    str
        In reStructuredText.
    """
    return re.sub(r"([*`|_\\])", r"\\\1", text)


def attributes(noun):
    """Return the meanings of the attributes of a class, from its docstring.

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
