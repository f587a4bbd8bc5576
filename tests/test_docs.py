"""The manual tells all: every step, every variable, every column, every part of a product, and no chapter is lost."""

import importlib
import inspect
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from nrespipe import settings
from nrespipe.database.tables import Row
from nrespipe.frames.quality import Pixel, Quality

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
pytest.importorskip("sphinx", reason="the manual is built with the extra 'docs'")


@pytest.fixture(scope="module")
def code():
    """The extension of the manual that reads from the code."""
    sys.path.insert(0, str(DOCS / "_ext"))
    try:
        import from_code
    finally:
        sys.path.remove(str(DOCS / "_ext"))
    return from_code


@pytest.fixture(scope="module")
def figures():
    """The package of the manual that makes its figures."""
    pytest.importorskip("matplotlib", reason="the figures are made with the extra 'docs'")
    sys.path.insert(0, str(DOCS))
    try:
        import figures
        from figures import simulated, style
    finally:
        sys.path.remove(str(DOCS))
    return SimpleNamespace(every=figures.every(), light=simulated.LIGHT, style=style)


def pages():
    """Names of the pages of the manual that a person wrote, without their suffix."""
    written = (path.relative_to(DOCS) for path in DOCS.rglob("*.rst"))
    return {str(p.with_suffix("")) for p in written if p.parts[0] not in ("_build", "api", "reference")}


def directives(name):
    """Arguments of every ``from-code`` directive with this first word."""
    texts = (DOCS.joinpath(f"{page}.rst").read_text(encoding="utf-8") for page in pages())
    return {word for text in texts for word in re.findall(rf"^\.\. from-code:: {name} ?(.*)$", text, re.MULTILINE)}


def test_every_step_of_the_engine_stands_on_a_page_of_the_algorithms():
    steps = {f"engine.{path.stem}" for path in (ROOT / "nrespipe/engine").glob("*.py")} - {"engine.__init__"}
    assert directives("step") == steps


def test_the_reference_tells_what_each_module_defines_and_nothing_that_it_imports(code, tmp_path):
    code.write_reference(SimpleNamespace(srcdir=tmp_path), None)
    text = tmp_path.joinpath("reference/engine.rst").read_text(encoding="utf-8")
    modules = [f"nrespipe.engine.{path.stem}" for path in sorted((ROOT / "nrespipe/engine").glob("[!_]*.py"))]
    assert re.findall(r"^\.\. automodule:: (.*)$", text, re.MULTILINE) == ["nrespipe.engine", *modules]
    (told,) = re.findall(r"^\.\. automodule:: nrespipe.engine.extract\n   :members: (.*)$", text, re.MULTILINE)
    extract = importlib.import_module("nrespipe.engine.extract")
    assert {"optimal"} <= set(told.split(", ")) <= {name for name in vars(extract) if not name.startswith("_")}
    assert not {"Spectra", "np"} & set(told.split(", "))


def test_the_page_of_a_room_that_is_gone_goes_too(code, tmp_path):
    gone = tmp_path / "reference/gone.rst"
    gone.parent.mkdir()
    gone.touch()
    code.write_reference(SimpleNamespace(srcdir=tmp_path), None)
    assert {path.stem for path in gone.parent.iterdir()} == set(code.ROOMS)


def test_every_step_shows_a_figure_that_a_function_of_its_own_makes(figures):
    shown = {}
    for page in DOCS.joinpath("algorithms").glob("*.rst"):
        names = re.findall(r"^\.\. figure-from-code:: (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        shown |= dict.fromkeys(names, page.stem)
    assert set(shown) == set(figures.every)
    assert {name: name.split(".")[0] for name in shown} == shown
    steps = {path.stem for path in DOCS.joinpath("algorithms").glob("*.rst")} - {"index"}
    assert set(shown.values()) == steps


def test_every_figure_names_light_that_its_caption_can_tell(figures):
    for name, (function, light) in figures.every.items():
        assert set(light) <= set(figures.light), name
        assert len(inspect.signature(function).parameters) == bool(light), name


def test_a_figure_has_no_background_and_is_the_same_whenever_it_is_made(figures, tmp_path):
    for path in (tmp_path / "first.svg", tmp_path / "second.svg"):
        with figures.style.applied():
            drawn, axes = figures.style.panels()
            figures.style.label(axes, "column [pixel]", "light [electron]")
            figures.style.save(drawn, path)
    text = tmp_path.joinpath("first.svg").read_text(encoding="utf-8")
    assert text == tmp_path.joinpath("second.svg").read_text(encoding="utf-8")
    assert "fill: #ffffff" not in text
    assert figures.style.GREY in text


def test_every_page_is_in_a_table_of_contents(code):
    listed = set()
    for page in pages():
        text = DOCS.joinpath(f"{page}.rst").read_text(encoding="utf-8")
        for block in re.findall(r"^\.\. toctree::\n((?:   .*\n|\n)*)", text, re.MULTILINE):
            entries = [line.strip() for line in block.splitlines() if line.strip() and not line.strip().startswith(":")]
            listed |= {str(Path(page).parent / entry) for entry in entries}
    assert listed == pages() - {"index"} | {f"reference/{room}" for room in code.ROOMS}


def test_every_room_of_the_package_is_in_the_reference(code):
    rooms = {path.stem for path in (ROOT / "nrespipe").iterdir() if path.suffix in ("", ".py")}
    assert set(code.ROOMS) == rooms - {"__init__", "__pycache__"}


def test_every_column_of_the_database_is_told_with_its_meaning(code):
    text = code.shelves.schema()
    for table in Row.metadata.sorted_tables:
        assert f"``{table.name}``" in text
        for column in table.columns:
            assert re.search(rf"\* - ``{column.name}``\n.*\n     - \S", text), f"{table.name}.{column.name}"
    assert directives("schema") == {""}


def test_every_part_of_every_product_is_told_with_its_meaning(code):
    from nrespipe.files import l2, l4

    assert directives("product") == {"L2", "L4"}
    for level, writer in (("L2", l2), ("L4", l4)):
        text = code.shelves.product(level)
        for hdu in writer.build(code.shelves.specimen.account(), "x-L2.fits.fz"):
            assert re.search(rf"\* - ``{hdu.name}``\n     - \S.*\n     - \S", text), hdu.name
            for column in hdu.columns.names if "ZIMAGE" not in hdu.header and hasattr(hdu, "columns") else ():
                assert f"``{column}``" in text, f"{hdu.name}.{column}"


def test_every_field_of_every_master_is_told_with_its_meaning(code):
    assert directives("master") == {"bias", "dark", "flat", "arc"}
    for kind in ("bias", "dark", "flat", "arc"):
        rows = re.findall(r"\* - ``.*\n     - .*\n     - .*\n     - (.*)", code.shelves.master(kind))
        assert len(rows) >= 3
        assert all(rows)


def test_every_environment_variable_of_the_manual_changes_a_setting_or_is_refused(code):
    variables = re.findall(r"\* - ``(\w+)``", code.program.environment())
    assert len(variables) == len(settings.Settings.__dataclass_fields__)
    for variable in variables:
        try:
            changed = settings.read({variable: "x"}) != settings.Settings()
        except ValueError as error:
            changed = variable in str(error)
        assert changed, variable


def test_every_bit_is_told_with_its_meaning(code):
    for noun in (Pixel, Quality):
        rows = re.findall(r"\* - (\d+)\n     - ``(\w+)``\n     - \S", code.program.bits(noun))
        assert rows == [(str(int(bit)), bit.name) for bit in noun]


def test_every_command_is_told(code):
    from nrespipe.cli import main

    text = code.program.commands()
    for name in main.commands:
        assert f"``nrespipe {name}" in text
