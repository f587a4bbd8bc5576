"""The manual tells all: every step, every variable, every column, every part of a product, and no chapter is lost."""

import importlib
import inspect
import re
import shutil
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
    """The package of the manual that draws its figures, and the extension that shows them."""
    pytest.importorskip("matplotlib", reason="the figures are made with the extra 'docs'")
    sys.path[:0] = [str(DOCS), str(DOCS / "_ext")]
    try:
        import figure_from_code
        import figures
        from figures import drawings, simulated, sources, style
    finally:
        del sys.path[:2]
    return SimpleNamespace(
        every=figures.every(),
        light=simulated.LIGHT,
        style=style,
        drawings=drawings,
        sources=sources.Sources(),
        of_checkout=sources.Sources,
        shown=figure_from_code,
    )


@pytest.fixture
def checkout(tmp_path):
    """A copy of the code that figures come from."""
    for part in ("nrespipe", "docs/figures"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__", "*.svg"))
    return tmp_path


def rewrite(path, *changes):
    """Replace words of a file, each of which must be there."""
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def pages():
    """Names of the pages of the manual that a person wrote, without their suffix."""
    written = (path.relative_to(DOCS) for path in DOCS.rglob("*.rst"))
    return {str(p.with_suffix("")) for p in written if p.parts[0] not in ("_build", "api", "reference")}


def directives(name):
    """Arguments of every ``from-code`` directive with this first word."""
    texts = (DOCS.joinpath(f"{page}.rst").read_text(encoding="utf-8") for page in pages())
    return {word for text in texts for word in re.findall(rf"^\.\. from-code:: {name} ?(.*)$", text, re.MULTILINE)}


def test_every_step_of_the_engine_stands_on_a_page_of_the_algorithms():
    written = (path.relative_to(ROOT / "nrespipe") for path in (ROOT / "nrespipe/engine").rglob("[!_]*.py"))
    steps = {".".join(path.with_suffix("").parts) for path in written}
    assert directives("step") == steps


def test_the_reference_tells_what_each_module_defines_and_nothing_that_it_imports(code, tmp_path):
    code.write_reference(SimpleNamespace(srcdir=tmp_path), None)
    text = tmp_path.joinpath("reference/engine.rst").read_text(encoding="utf-8")
    modules = [path.relative_to(ROOT).with_suffix("") for path in (ROOT / "nrespipe/engine").rglob("*.py")]
    modules = {".".join(path.parts).removesuffix(".__init__") for path in modules}
    assert set(re.findall(r"^\.\. automodule:: (.*)$", text, re.MULTILINE)) == modules
    (told,) = re.findall(
        r"^\.\. automodule:: nrespipe.engine.extraction.optimal_extraction\n   :members: (.*)$", text, re.MULTILINE
    )
    extract = importlib.import_module("nrespipe.engine.extraction.optimal_extraction")
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


def test_every_figure_of_the_manual_is_drawn_and_has_its_words(figures):
    told = {}
    for page in DOCS.joinpath("algorithms").glob("*.rst"):
        text = page.read_text(encoding="utf-8")
        blocks = re.findall(r"^\.\. figure-from-code:: (\S+)\n((?:   .*\n|\n)*)", text, re.MULTILINE)
        told |= {name: re.fullmatch(r"   :alt: (.+?)\n\n(   .+)", block, re.DOTALL) for name, block in blocks}
    for name, words in told.items():
        assert words, f"{name} needs :alt: and a caption"
        assert len(words[1].split()) >= 10, name
        assert len(words[2].split()) >= 10, name
        assert "<svg" in figures.drawings.path(name).read_text(encoding="utf-8"), name
    assert {path.stem for path in figures.drawings.FOLDER.iterdir()} == set(told)


def test_the_drawn_figures_are_small(figures):
    sizes = {path.name: path.stat().st_size for path in figures.drawings.FOLDER.iterdir()}
    assert max(sizes.values()) < 400_000, max(sizes, key=sizes.get)
    assert sum(sizes.values()) < 4_000_000


def test_no_figure_is_older_than_the_code_in_docs_that_draws_it(figures):
    stale = figures.drawings.stale(figures.sources)
    own = {name: [m for m in changed if m.startswith("figures.")] for name, changed in stale.items()}
    assert not {name: modules for name, modules in own.items() if modules}, "run scripts/figures.sh"


def test_a_figure_comes_from_the_modules_that_it_uses_and_from_no_others(figures):
    for name in figures.every:
        used = figures.sources.of(*figures.drawings.modules(name))
        assert f"figures.{name.split('.')[0]}" in used
        assert not [m for m in used if re.match(r"nrespipe\.(cli|service|database|files|plots)", m)], name
    pulls = figures.sources.of(*figures.drawings.modules("extraction.pulls"))
    through_others = {
        "nrespipe.numerics.cosmic_ray_kernels",
        "nrespipe.simulator.frame",
        "nrespipe.data.thorium_argon.csv",
    }
    assert {
        "figures.simulated",
        "figures.style",
        "nrespipe.engine.extraction.optimal_extraction",
    } | through_others <= set(pulls)
    assert not {
        "nrespipe.engine.velocity.measurement",
        "nrespipe.recipes.science",
        "nrespipe.engine.velocity.night_zero_points",
    } & set(pulls)


def test_a_changed_function_makes_stale_the_figures_that_use_it_and_no_others(figures, checkout):
    rewrite(checkout / "nrespipe/engine/velocity/night_zero_points.py", ("np.median(", "np.mean("))
    sources = figures.of_checkout(checkout)
    for name in figures.every:
        modules = figures.drawings.modules(name)
        then, now = figures.sources.of(*modules).items(), sources.of(*modules).items()
        changed = {module for module, _ in then ^ now}
        assert changed == (
            {"nrespipe.engine.velocity.night_zero_points"} if name == "night_zero_points.fortnight" else set()
        ), name


@pytest.mark.parametrize(
    ("changes", "tells"),
    [
        ([("threshold: float = 5.0", "threshold: float = 6.0")], True),
        ([("_BLENDED = 3.5", "_BLENDED = 3.6")], True),
        ([("def optimal(", "@staticmethod\ndef optimal(")], True),
        ([("#: Least distance of two lit traces", "#: Smallest distance of lit traces")], False),
        ([("Extract the lit fibers of a frame.", "Extract what is lit.")], False),
        (
            [("threshold: float = 5.0", "threshold = 5.0"), ("image: Image,", "image: object,")],
            False,
        ),
    ],
    ids=["default", "constant", "decorator", "comment", "docstring", "types and layout"],
)
def test_a_fingerprint_tells_what_code_does_and_not_how_it_is_written(figures, checkout, changes, tells):
    rewrite(checkout / "nrespipe/engine/extraction/optimal_extraction.py", *changes)
    module = "nrespipe.engine.extraction.optimal_extraction"
    assert (figures.of_checkout(checkout).of(module)[module] != figures.sources.of(module)[module]) is tells


def test_the_words_of_an_error_leave_a_fingerprint_as_it_is_and_its_kind_does_not(figures, checkout):
    module, path = "nrespipe.engine.detector.correction", checkout / "nrespipe/engine/detector/correction.py"
    prints = []
    for error in ('ValueError("too few rows")', 'ValueError(f"{3} rows")', 'KeyError("too few rows")'):
        path.write_text(f"def trim(raw):\n    raise {error}\n", encoding="utf-8")
        prints.append(figures.of_checkout(checkout).of(module)[module])
    assert prints[0] == prints[1] != prints[2]


def test_a_changed_table_makes_a_figure_stale(figures, checkout):
    rewrite(checkout / "nrespipe/data/tellurics.csv", ("\n7", "\n8"))
    module = "nrespipe.data.absorption_lines"
    then, now = figures.sources.of(module).items(), figures.of_checkout(checkout).of(module).items()
    assert {name for name, _ in then ^ now} == {"nrespipe.data.tellurics.csv"}


def test_drawing_makes_a_figure_what_the_code_would_draw_and_leaves_no_other(figures, checkout, tmp_path):
    drawings, sources = figures.drawings, figures.of_checkout(checkout)
    folder = tmp_path / "drawn"
    folder.mkdir()
    folder.joinpath("gone.one.svg").touch()
    drawings.draw(["night_zero_points.fortnight"], sources, folder)
    assert [path.name for path in folder.iterdir()] == ["night_zero_points.fortnight.svg"]
    assert drawings.changed("night_zero_points.fortnight", sources, folder) == ()
    assert set(drawings.stale(sources, folder)) == set(figures.every) - {"night_zero_points.fortnight"}
    rewrite(checkout / "docs/figures/style.py", ('GREY = "#7a7a7a"', 'GREY = "#7a7a7b"'))
    assert drawings.changed("night_zero_points.fortnight", figures.of_checkout(checkout), folder) == ("figures.style",)


def test_the_caption_of_a_stale_figure_says_what_has_changed(figures):
    age = figures.shown.age
    assert age(()) == ""
    one = age(["nrespipe.engine.extraction.optimal_extraction"])
    assert one == "*Drawn before the last change of* ``engine.extraction.optimal_extraction``."
    many = age(["figures.extraction", "nrespipe.a", "nrespipe.b", "nrespipe.c", "nrespipe.d"])
    assert many == "*Drawn before the last change of* ``figures.extraction``, ``a``, ``b`` and 2 more modules."


def test_every_page_is_in_a_table_of_contents(code):
    listed = set()
    for page in pages():
        text = DOCS.joinpath(f"{page}.rst").read_text(encoding="utf-8")
        for block in re.findall(r"^\.\. toctree::\n((?:   .*\n|\n)*)", text, re.MULTILINE):
            entries = [line.strip() for line in block.splitlines() if line.strip() and not line.strip().startswith(":")]
            listed |= {str(Path(page).parent / entry) for entry in entries}
    assert listed == pages() - {"index"} | {f"reference/{room}" for room in code.ROOMS}


def test_every_file_of_the_repository_that_the_manual_names_exists():
    for page in pages():
        text = DOCS.joinpath(f"{page}.rst").read_text(encoding="utf-8")
        named = set(re.findall(r"\b(?:tests|benchmarks|scripts|docker|nrespipe/instruments)/[\w/]+\.\w+", text))
        assert not [path for path in sorted(named) if not ROOT.joinpath(path).exists()], page


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
    from nrespipe.files.products import l2, l3, l4

    assert directives("product") == {"L2", "L3", "L4"}
    for level, writer in (("L2", l2), ("L3", l3), ("L4", l4)):
        text = code.shelves.product(level)
        for hdu in writer.build(code.shelves.specimen.inputs(), "x-L2.fits.fz"):
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
    assert len(variables) == len(settings.Settings.model_fields)
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
