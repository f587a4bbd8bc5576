"""The manual, the public names and the docstrings use the words of the field, and none that only their authors know.

``python tests/test_words.py`` counts the words to replace in each room of the package. ``python tests/test_words.py cli
service/work`` lists them for these rooms.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "nrespipe"

#: Names that stay: master files call their extensions after the first three, the database its columns after the others.
KEPT = {"Slant", "slant", "lean", "bend", "bend_ms", "bend_err_ms", "bend_error_ms"}

#: Phrases to replace, and the words to use instead. A phrase is here only if it has no good use in this project:
#: processes hold locks and claim rows, so "hold" and "claim" are not.
PHRASES = {
    r"what (?:is|was) said|what (?:speaks|spoke) against|said against": "flags, reasons",
    r"doubt(?:s|ed|ful)?": "flag, flagged, uncertain",
    r"let through|the word holds|word of a person|whom to believe": "accepted, the decision is kept",
    r"held against|held to the truth": "compared with",
    r"lean(?:s|ed|ing)?|slant(?:s|ed)?": "line tilt",
    r"(?:lean|tilt) and (?:the )?bend": "line tilt and line curvature",
    r"how far (?:it|they|the \w+) (?:has |have )?moved": "drift, trace shift",
    r"(?:tell|say)s? whether": "return whether",
    r"company|do(?:es)? not belong with": "outlier frames",
    r"crowds?": "unresolved blends",
    r"headers? claims?|claims? of (?:a|the) headers?": "header values",
    r"claimed errors?": "predicted error",
    r"owe[sd]?|owing": "schedule, scheduled",
    r"bur(?:y|ies|ied)|untells?|untold": "release, cancel",
    r"wakes?|woken|woke": "notify, resume",
    r"crews?|dut(?:y|ies)": "runner, execution, lease",
    r"hits?": "cosmic ray",
    r"light of (?:a|the|each|its) (?:trace|fiber)s?": "flux",
    r"stands? (?:in|beside|between|there|with|where|by)": "is in, is next to",
    r"stand-ins?": "substitute",
    r"puts? (?:aside|right)": "refuse, correct",
    r"in hand": "in progress",
    r"be(?:come|comes|came) of": "result",
    r"sisters|which is which|whom": "name the thing",
}
#: Parts that no public name has.
PARTS = {
    *("doubt", "doubts", "doubtful", "company", "lean", "leans", "slant", "slanted", "bend", "crew", "crews", "duty"),
    *("duties", "owe", "owes", "owed", "bury", "buried", "untell", "tell", "tells", "told", "crowd", "crowds", "hit"),
    *("hits", "wake", "wakes", "whom"),
}

_PHRASES = {re.compile(rf"\b(?:{old})\b", re.IGNORECASE): new for old, new in PHRASES.items()}
_MARKUP = re.compile(r":\w+:`[^`]*`|``[^`]*``|`[^`]*`_*|https?://\S+")
#: A sentence whose subject is a clause with "what"; a question or the heading "What to do" is none.
_WHAT = re.compile(r"(?:^|[.:;!?] +)What (?!to do\b)(?![^.:;]*\?)[^.]*")
_CODE = re.compile(r"\.\. (?:code-block|math|toctree|from-code|literalinclude)::")
_ITEM = re.compile(r"\* - |- |\* |#\. ")
_OPTION = re.compile(r"^(?:\.\. [\w-]+:: ?\S*|\.\. _.*|:alt:|:[\w-]+: \S+)\s*")
_LINE = re.compile(r"([=\-^\"])\1{2,}")


def old_words(text: str) -> list[str]:
    """Return the words to replace in a text, each with those to use."""
    plain = " ".join(_MARKUP.sub(" ", text).split())
    found = [f"{match[0]!r} ({new})" for old, new in _PHRASES.items() for match in old.finditer(plain)]
    return found + [f"{match[0][:40].strip()!r} (name the subject)" for match in _WHAT.finditer(plain)]


def written_pages() -> list[str]:
    """Return the pages of the manual that a person has written, and the first page of the repository."""
    pages = (path.relative_to(ROOT) for path in (*ROOT.glob("*.rst"), *(ROOT / "docs").rglob("*.rst")))
    return sorted(page.as_posix() for page in pages if not {"_build", "api", "reference"} & {*page.parts})


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Yield the paragraphs, headings and cells of a page with their first lines, without code and equations."""
    code, paragraph, first = None, [], 0
    for number, line in enumerate([*text.splitlines(), ""], 1):
        indent, words = len(line) - len(line.lstrip()), line.strip()
        if code is not None and (not words or indent > code):
            words = ""
        else:
            code = indent if _CODE.match(words) else None
        shown = _ITEM.sub("", _OPTION.sub("", "" if _CODE.match(words) or _LINE.fullmatch(words) else words), count=1)
        if paragraph and (not shown or _ITEM.match(words)):
            yield first, " ".join(paragraph)
            paragraph = []
        if shown:
            first = first if paragraph else number
            paragraph.append(shown)
        if words.endswith("::") and not words.startswith(".."):
            code = indent


def rooms() -> list[str]:
    """Return the rooms of the package: folders with modules, and ``.`` for the modules at its top."""
    return sorted({path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")})


def old_words_of_room(room: str) -> Iterator[str]:
    """Yield the words to replace in public names and in the first sentences of docstrings, with their places."""
    for path in sorted(PACKAGE.joinpath(room).glob("*.py")):
        where = path.relative_to(PACKAGE).as_posix()
        for node, name in _public(ast.parse(path.read_text(encoding="utf-8")), path.stem):
            if name in KEPT:
                continue
            place = f"{where}:{getattr(node, 'lineno', 1)}"
            yield from (f"{place}: the name {name} has {part!r}" for part in sorted(PARTS & {*_parts(name)}))
            documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            text = (ast.get_docstring(node) if documented else None) or ""
            yield from (f"{place}: {word}" for word in old_words(re.split(r"(?<=[.!?])\s|\n\n", text)[0]))


def _public(module: ast.Module, stem: str) -> Iterator[tuple[ast.AST, str]]:
    """Yield a module and its public functions, parameters, classes, fields and constants, each with its name."""
    yield module, stem
    classes = [node for node in module.body if isinstance(node, ast.ClassDef)]
    for node in (*module.body, *(part for noun in classes for part in noun.body)):
        named = [(node, node.name)] if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            named = [(node, target.id) for target in targets if isinstance(target, ast.Name)]
        shown = [(found, name) for found, name in named if not name.startswith("_")]
        yield from shown
        if shown and isinstance(node, ast.FunctionDef):
            yield from ((arg, arg.arg) for arg in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs))


def _parts(name: str) -> list[str]:
    """Split a name, ``trace_shift`` or ``TraceShift``, into its words."""
    return [part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


@pytest.mark.parametrize("page", written_pages())
def test_a_page_of_the_manual_uses_the_words_of_the_field(page):
    text = ROOT.joinpath(page).read_text(encoding="utf-8")
    found = [f"{page}:{number}: {word}" for number, paragraph in prose(text) for word in old_words(paragraph)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("room", rooms())
def test_names_and_first_sentences_of_a_room_use_the_words_of_the_field(room):
    found = [*old_words_of_room(room)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("A night owes a master of each kind.", 1),
        ("What moves the lines of a star shows in other places too.", 1),
        ("Nothing fails. What is left is noise.", 1),
        ("What to do: nothing.", 0),
        ("What must the archive answer?", 0),
        ("The line tilt was called ``lean``; see :doc:`duty`.", 0),
        ("Lean and bend of the lines.", 2),
        ("A worker claims a row and holds a lease.", 0),
    ],
)
def test_a_word_is_found_in_prose_and_not_in_code(text, number):
    assert len(old_words(text)) == number


def test_the_prose_of_a_page_has_headings_captions_and_cells_and_no_code():
    page = "Title\n=====\n\n.. code-block:: bash\n\n   code\n"
    page += "\n.. figure-from-code:: a.b\n   :alt: Left.\n\n   Caption\n   goes on.\n"
    page += "\n.. list-table::\n   :widths: auto\n\n   * - One\n     - Two\n\nAs follows::\n\n    code\n\nEnd.\n"
    paragraphs = [text for _, text in prose(page)]
    assert "code" not in " ".join(paragraphs)
    assert paragraphs == ["Title", "Left.", "Caption goes on.", "One", "Two", "As follows::", "End."]


if __name__ == "__main__":
    if sys.argv[1:]:
        print(*(found for room in sys.argv[1:] for found in old_words_of_room(room)), sep="\n")
    else:
        print(*(f"{len([*old_words_of_room(room)]):4d}  {room}" for room in rooms()), sep="\n")
