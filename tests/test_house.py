"""The numbers of the house are right for a small house whose numbers are known."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = {
    "nrespipe/__init__.py": '"""A small house."""\n',
    "nrespipe/cellar/__init__.py": "",
    "nrespipe/cellar/wine.py": """
from typing import TYPE_CHECKING

from nrespipe.attic import books

if TYPE_CHECKING:
    from nrespipe.attic import lamps


def pour(glass):
    '''Pour.

    Slowly.
    '''
    return books.read(glass)


def cork():
    return pour(1)
""",
    "nrespipe/attic/__init__.py": "",
    "nrespipe/attic/books.py": """
def read(page):
    from nrespipe.cellar.wine import pour
    return pour(page)
""",
    "nrespipe/attic/lamps.py": """
from nrespipe.cellar import wine

RECIPES = [wine]


def light():
    return 1


def dust():
    return 2
""",
    "docs/page.rst": "Call ``lamps.light`` at dusk.\n",
}


@pytest.fixture
def house(tmp_path, monkeypatch):
    """The script, in a house of four modules."""
    spec = importlib.util.spec_from_file_location("house", ROOT / "scripts" / "house.py")
    module = importlib.util.module_from_spec(spec)
    # dataclasses look their module up
    monkeypatch.setitem(__import__("sys").modules, "house", module)
    spec.loader.exec_module(module)
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module


def test_a_circle_is_found_through_imports_in_functions_and_not_through_those_for_type_checkers(house):
    assert house.circles(house.read("nrespipe")) == [["nrespipe.attic.books", "nrespipe.cellar.wine"]]


def test_functions_that_no_code_and_no_page_names_are_used_by_tests_at_most(house):
    # wine.cork may be called by whoever was handed the module
    assert house.only_tested(house.read("nrespipe")) == ["nrespipe.attic.lamps.dust"]


def test_a_function_is_as_long_as_its_body_without_its_docstring(house):
    wine = house.read("nrespipe")["nrespipe.cellar.wine"]
    assert wine.functions == {"pour": 1, "cork": 1}
    assert wine.docstring_lines == 4
    assert wine.room == "cellar"


def test_the_table_has_a_line_for_each_room_and_the_exit_status_tells_of_the_circle(house, capsys):
    assert house.main() == 1
    printed = capsys.readouterr().out
    assert "attic                              2" in printed
    assert "import circles: 1\n    nrespipe.attic.books <-> nrespipe.cellar.wine" in printed
