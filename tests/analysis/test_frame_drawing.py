"""Drawings of frames, beside the products and again by a command; recipes take no time here."""

from types import SimpleNamespace

import matplotlib.image
import pytest
from click.testing import CliRunner
from pypdf import PdfReader
from sqlalchemy import select

from nrespipe import cli
from nrespipe.analysis import frame_drawing
from nrespipe.database.states import State
from nrespipe.database.tables import Frame, Product
from nrespipe.files.atomic_files import md5
from nrespipe.frames.quality import Quality
from nrespipe.service.batch import night
from nrespipe.settings import change

pytestmark = pytest.mark.slow


@pytest.fixture
def drawn(service, archive, query, monkeypatch):
    """Reduce stars with drawings; return their rows, the files of their drawings, and a function that draws again."""
    for variable in ("DB_URL", "NRES_DATA_ROOT"):
        monkeypatch.delenv(variable, raising=False)
    object.__setattr__(service, "settings", change(service.settings, do_draw=True))
    archive.calibrations()

    def reduced(*objects):
        raw = [archive.add("e", one) for one in objects]
        night.reduce_all(service, archive.root)
        frames = {row.filename: row for row in query.all(select(Frame))}
        rows = [frames[path.name.removesuffix(".fits")] for path in raw]
        pdfs = {
            row.frame_id: service.output / row.path for row in query.all(select(Product).where(Product.level == ""))
        }
        return SimpleNamespace(rows=rows, pdfs=[pdfs.get(row.id) for row in rows])

    def plot(*words):
        return CliRunner().invoke(cli.main, ["plot", *map(str, words), "--output", str(service.output)])

    return SimpleNamespace(reduced=reduced, plot=plot)


def words(path, page=None):
    pages = PdfReader(path).pages
    return " ".join(" ".join(one.extract_text() for one in (pages if page is None else [pages[page]])).split())


def test_a_star_is_drawn_beside_its_products_and_again_to_the_same_bytes(drawn, query, tmp_path):
    made = drawn.reduced("STAR A&thar&none")
    (row,), (pdf,) = made.rows, made.pdfs
    assert pdf.name == f"{row.filename[:-2]}91.pdf"
    (product,) = query.all(select(Product).where(Product.level == ""))
    assert product.md5 == md5(pdf)
    again = drawn.plot(row.filename, "-o", tmp_path / "again.pdf")
    assert again.exit_code == 0, again.output
    assert (tmp_path / "again.pdf").read_bytes() == pdf.read_bytes()
    assert b"CreationDate" not in pdf.read_bytes()
    assert len(PdfReader(pdf).pages) == 3
    text = words(pdf, 0)
    for expected in ("STAR A, fiber 0", row.filename, "night 20190405", "airmass unknown", "NO_METER", "Mg b",
                     "velocity by order", "absolute error", "BJD (TDB)", "page 1 of 3"):  # fmt: skip
        assert expected in text, expected
    for expected in ("Ca II H and K", "H beta", "Na D", "H alpha", "Li"):
        assert expected in words(pdf, 1), expected
    shown = (
        "raw image", "light between the orders", "exposure meter", "drift", "bias_lsc_nres01_fa09_20190405",
        "traces moved 0.250", "no velocity of an earlier night",
    )  # fmt: skip
    for expected in shown:
        assert expected in words(pdf, 2), expected


def test_two_stars_have_pages_of_their_own_and_share_that_of_the_exposure(drawn, archive, tmp_path):
    for code, objects in (("w", "none&tung&tung"), ("a", "none&thar&thar")):
        for _ in range(2):
            archive.add(code, objects)
    made = drawn.reduced("STAR A&thar&STAR B")
    assert len(PdfReader(made.pdfs[0]).pages) == 5
    assert "STAR A, fiber 0" in words(made.pdfs[0], 0)
    assert "STAR B, fiber 2" in words(made.pdfs[0], 2)
    assert "STAR A and STAR B: the exposure" in words(made.pdfs[0], 4)
    again = drawn.plot(made.rows[0].filename, "-o", tmp_path / "again.pdf")
    assert again.exit_code == 0, again.output
    assert (tmp_path / "again.pdf").read_bytes() == made.pdfs[0].read_bytes()


def test_earlier_nights_are_in_the_drawing_and_the_same_night_is_not(drawn, archive):
    archive.calibrations(day="20190406")
    archive.add("e", "STAR A&thar&none", day="20190406")
    made = drawn.reduced("STAR A&thar&none")
    assert "no velocity of an earlier night" in words(made.pdfs[0], 2)
    archive.calibrations(day="20190404")
    archive.add("e", "STAR A&thar&none", day="20190404")
    later = drawn.reduced("STAR A&thar&none")
    text = words(later.pdfs[0], 2)
    assert "no velocity of an earlier night" not in text
    assert "same fiber, 1" in text or "flagged, 1" in text


def test_a_frame_that_was_not_reduced_is_drawn_with_the_reason(drawn, tmp_path):
    made = drawn.reduced("STAR BAD&thar&none")
    assert made.rows[0].state is State.BAD
    assert made.pdfs == [None]
    result = drawn.plot(made.rows[0].filename, "-o", tmp_path / "bad.pdf")
    assert result.exit_code == 0, result.output
    assert len(PdfReader(tmp_path / "bad.pdf").pages) == 1
    assert "Not reduced." in words(tmp_path / "bad.pdf")
    assert "asked for" in words(tmp_path / "bad.pdf")


def test_a_page_is_drawn_alone_and_as_an_image(drawn, tmp_path):
    name = drawn.reduced("STAR A&thar&none").rows[0].filename
    result = drawn.plot(name, "--page", 2, "-o", tmp_path / "lines.png")
    assert result.stdout.split() == [str(tmp_path / "lines.png")]
    height, width = matplotlib.image.imread(tmp_path / "lines.png").shape[:2]
    assert width / height == pytest.approx(2**0.5, abs=0.01)
    beyond = drawn.plot(name, "--page", 4, "-o", tmp_path / "none.png")
    assert beyond.exit_code == 1
    assert "has 3 pages, and none of number 4" in beyond.output
    assert "there is no frame nobody" in drawn.plot("nobody", "-o", tmp_path / "x.pdf").output


def test_a_drawing_that_fails_is_flagged_and_the_frame_is_done(drawn, monkeypatch):
    def broken(report):
        raise ZeroDivisionError("no such pen")

    monkeypatch.setattr(frame_drawing, "pdf", broken)
    made = drawn.reduced("STAR A&thar&none")
    assert made.rows[0].state is State.DONE
    assert Quality.NOT_DRAWN in Quality(made.rows[0].quality)
    assert made.pdfs == [None]
