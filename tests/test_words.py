"""The words of the house: the manual, public names and docstrings use those of the field, and none that we made up.

``python tests/test_words.py`` counts the words to replace in every room of the package, and lists them for the rooms that
are named: ``python tests/test_words.py service/work cli``.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "nrespipe"

#: Rooms of the package whose public names and first sentences are held to the words below; it grows until all are in it.
CLEAN: tuple[str, ...] = ()

#: Phrases that no page and no first sentence of a docstring has, and the words to use. Words of one meaning only: "hit" is a
#: cosmic ray, but a process holds a lock, and a worker claims a row.
PHRASES = {
    r"what (?:is|was) said of|what (?:speaks|spoke) against|said against": "flags, reasons",
    r"doubt(?:s|ed|ful)?": "flag, flagged, uncertain",
    r"let through|the word holds|word of a person|whom to believe": "accepted, the decision is kept",
    r"held against|held to the truth": "compared with",
    r"lean(?:s|ed|ing)?|slant(?:s|ed)?": "line tilt",
    r"(?:lean|slant|tilt) and (?:the )?bend": "line tilt and line curvature",
    r"how far (?:it|they|the \w+) (?:has |have )?moved": "drift, trace shift",
    r"tells? whether|say whether|says whether": "returns whether, describes",
    r"company|do(?:es)? not belong with": "outlier frames",
    r"crowds?": "unresolved blends",
    r"headers? claims?|claims? of (?:a|the) headers?|claimed errors?": "header values, predicted error",
    r"owe[sd]?|owing": "schedule, scheduled",
    r"bur(?:y|ies|ied)|untell(?:s)?|untold": "release, cancel",
    r"wakes?|woken|woke": "notify, resume",
    r"crews?|dut(?:y|ies)": "runner, execution, lease",
    r"(?<!cosmic-ray )hits?(?! rate)": "cosmic ray",
    r"light of (?:a|the|each|its) (?:trace|fiber)s?": "flux",
    r"stands? (?:in|beside|between|there|with|where|by)": "is in, is next to",
    r"stand-ins?": "substitute",
    r"put(?:s)? (?:aside|right)|in hand|be(?:come|comes|came|coming) of|come(?:s)? to nothing": "refused, corrected, result",
    r"sisters|which (?:line )?is which|whom": "name the thing",
}  # fmt: skip
#: Words that no public name has as a part.
PARTS = {
    "doubt", "doubts", "company", "lean", "leans", "slant", "slanted", "bend", "crew", "crews", "duty", "duties", "owe", "owes",
    "owed", "bury", "buried", "untell", "told", "tell", "tells", "crowd", "crowds", "hit", "hits", "wake", "wakes", "whom",
    "judge", "judged",
}  # fmt: skip
#: Names that belong to others: columns of the database and fields of messages stay as they are.
KEPT: set[str] = set()

_PHRASES = {re.compile(rf"\b(?:{old})\b", re.IGNORECASE): new for old, new in PHRASES.items()}
_MARKUP = re.compile(r":\w+:`[^`]*`|``[^`]*``|`[^`]*`_*|https?://\S+")
#: A clause that begins with "what" as its subject; a question and the heading "What to do" are none.
_WHAT = re.compile(r"(?:^|[.:;!?] +|\n\n)What (?!to do\b)(?![^.:;]*\?)[^.\n]*")


def old_words(text: str) -> list[str]:
    """Return the words of a text that the house does not use, each with those to use."""
    plain = " ".join(_MARKUP.sub(" ", text).split())
    found = [f"{match[0]!r} ({new})" for old, new in _PHRASES.items() for match in old.finditer(plain)]
    return found + [f"{match[0][:40].strip()!r} (name the subject)" for match in _WHAT.finditer(plain)]


def written_pages() -> list[Path]:
    """Return the pages that a person has written."""
    pages = [ROOT / "README.rst", *(ROOT / "docs").rglob("*.rst")]
    return sorted(p for p in pages if not {"_build", "api", "reference"} & {*p.relative_to(ROOT).parts})


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """Yield the paragraphs of a page with their first lines, without code, equations and directives."""
    literal, paragraph, first = None, [], 0
    for number, line in enumerate([*page.read_text(encoding="utf-8").splitlines(), ""], 1):
        indent = len(line) - len(line.lstrip())
        if literal is not None and (not line.strip() or indent > literal):
            continue
        literal = indent if re.match(r" *\.\. (?:code-block|math|toctree|from-code|literalinclude)::", line) else None
        shown = line.strip() if literal is None else ""
        shown = re.sub(r"^(?:\.\. [\w-]+:: ?\S*|:alt:|:[\w-]+: \S+|\* - |- |\* |#\. )", "", shown)
        if paragraph and (not shown or re.match(r" *(?:\* |- |#\. )", line)):
            yield first, " ".join(paragraph)
            paragraph = []
        if shown:
            first = first if paragraph else number
            paragraph.append(shown)
        if line.rstrip().endswith("::") and literal is None and not line.lstrip().startswith(".."):
            literal = indent


def rooms() -> list[str]:
    """Return the rooms of the package: folders with modules, and ``.`` for the modules at its top."""
    return sorted({path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")})


def told_by(room: str) -> Iterator[tuple[str, str]]:
    """Yield where a room has words to replace in public names and in the first sentences of docstrings, and which."""
    for path in sorted(PACKAGE.joinpath(room).glob("*.py")):
        where = path.relative_to(PACKAGE).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for part in sorted(PARTS & {*path.stem.split("_")}):
            yield where, f"the module is named {part!r}"
        for node, name in _public(tree):
            spot = f"{where}:{getattr(node, 'lineno', 1)}"
            for part in sorted(PARTS & {*_parts(name)} if name not in KEPT else ()):
                yield spot, f"the name {name} has {part!r}"
            text = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node)
            for word in old_words(_first_sentence(text)) if text else ():
                yield spot, word


def _public(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Yield what a module defines for others, and its parameters, with their names."""
    yield tree, ""
    for node in (*tree.body, *(part for c in tree.body if isinstance(c, ast.ClassDef) for part in c.body)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node, node.name
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield from ((a, a.arg) for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs))
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from ((node, t.id) for t in targets if isinstance(t, ast.Name) and not t.id.startswith("_"))


def _parts(name: str) -> list[str]:
    """Split a name, ``trace_shift`` or ``TraceShift``, into its words."""
    return [part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


def _first_sentence(docstring: str) -> str:
    return re.split(r"(?<=[.!?])\s|\n\n", docstring.strip())[0]


@pytest.mark.parametrize("page", written_pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_of_the_manual_has_the_words_of_the_field(page):
    found = [f"line {number}: {word}" for number, text in prose(page) for word in old_words(text)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("room", CLEAN)
def test_names_and_first_sentences_of_a_room_have_the_words_of_the_field(room):
    found = [f"{where}: {word}" for where, word in told_by(room)]
    assert not found, "\n".join(found)


def test_every_clean_room_exists():
    assert set(CLEAN) <= set(rooms())


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("A night owes a master of each kind.", 1),
        ("What moves the lines of a star shows in other places too.", 1),
        ("What to do: nothing.", 0),
        ("The line tilt is ``lean``; see :doc:`duty`.", 0),
        ("Lean and bend of the lines.", 2),
        ("A worker claims a row and holds a lease.", 0),
        ("A pixel that a cosmic ray hit.", 1),
    ],
)
def test_a_word_is_found_where_it_is_prose(text, number):
    assert len(old_words(text)) == number


if __name__ == "__main__":
    for asked in sys.argv[1:]:
        print(*(f"{where}: {word}" for where, word in told_by(asked)), sep="\n")
    if not sys.argv[1:]:
        print(*(f"{len([*told_by(room)]):4d}  {room}" for room in rooms()), sep="\n")
