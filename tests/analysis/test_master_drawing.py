"""Masters for the eye; recipes take no time here."""

from types import SimpleNamespace

import extracted_arcs
import matplotlib.image
import numpy as np
import pytest
from click.testing import CliRunner
from sqlalchemy import select

from nrespipe import cli, data, instruments
from nrespipe.database.tables import Master
from nrespipe.engine.wavelength import night_solution
from nrespipe.files import master_files
from nrespipe.frames.masters import Arc, Origin
from nrespipe.frames.raw import Kind
from nrespipe.frames.traces import Slant
from nrespipe.simulator import bench as benches

NAME = "{}_lsc_nres01_fa09_20190405"


@pytest.fixture
def made(service, archive, run, monkeypatch, query):
    """Masters of a night; a function that runs a command of the group."""
    for variable in ("DB_URL", "NRES_DATA_ROOT"):
        monkeypatch.delenv(variable, raising=False)
    archive.calibrations()
    run()

    def command(*words):
        return CliRunner().invoke(cli.main, ["masters", *map(str, words), "--output", str(service.output)])

    paths = {row.kind: service.output / row.path for row in query.all(select(Master))}
    return SimpleNamespace(command=command, paths=paths)


@pytest.fixture(scope="module")
def real_arc():
    bench = benches.build(instruments.load("nres01"), seed=3)
    arcs = [extracted_arcs.expose(bench, (0, 1), seed=300 + i, orders=np.arange(88, 94)) for i in range(2)]
    found = night_solution.solve(arcs, bench.spectrograph, data.lamp_lines())
    names = ("solution", "lines", "line_shape", "reference", "transfer_error_ms")
    slant = Slant((0, 1), (52, 118), 4096, np.zeros((1, 2), int), np.zeros((2, 1)), np.zeros((2, 1)))
    origin = Origin(Kind.ARC, "lsc", "nres01", "fa09", "20190405", 58579.0, ("a", "b"))
    return Arc(origin, slant=slant, **{name: getattr(found, name) for name in names})


@pytest.mark.slow
def test_the_drawing_of_a_master_arc_shows_its_fibers_in_their_colors(made, real_arc, tmp_path):
    master_files.write(real_arc, made.paths[Kind.ARC])
    result = made.command("plot", NAME.format("arc"), "-o", tmp_path / "arc.png")
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == [str(tmp_path / "arc.png"), str(tmp_path / "arc-2.png")]
    for name in ("arc.png", "arc-2.png"):
        image = matplotlib.image.imread(tmp_path / name)[..., :3]
        for color in ((0, 0x72, 0xB2), (0xD5, 0x5E, 0)):
            assert np.sum(np.all(np.abs(255 * image - color) < 3, axis=2)) > 300


@pytest.mark.parametrize(("kind", "pages"), [("bias", 1), ("dark", 1), ("flat", 1), ("arc", 2)])
@pytest.mark.slow
def test_a_master_of_any_kind_is_drawn_and_always_to_the_same_bytes(made, tmp_path, kind, pages):
    for name in ("one.pdf", "two.pdf"):
        result = made.command("plot", NAME.format(kind), "-o", tmp_path / name)
        assert result.exit_code == 0, result.output
    first, second = ((tmp_path / name).read_bytes() for name in ("one.pdf", "two.pdf"))
    assert first == second
    assert first.count(b"/Type /Page ") == pages
    assert b"CreationDate" not in first


@pytest.mark.slow
def test_what_is_no_master_or_no_drawing_is_named(made, tmp_path):
    result = made.command("plot", NAME.format("flat").replace("lsc", "elp"), "-o", tmp_path / "flat.pdf")
    assert result.exit_code == 1
    assert "there is no master flat_elp_nres01_fa09_20190405" in result.output
    assert "a drawing is a .pdf or a .png" in made.command("plot", NAME.format("flat"), "-o", "flat.doc").output
    made.paths[Kind.BIAS].write_bytes(b"not a file of FITS")
    broken = made.command("plot", NAME.format("bias"), "-o", tmp_path / "bias.pdf")
    assert broken.exit_code == 1
    assert "the master cannot be read, make it again" in broken.output


def test_the_orders_of_a_flat_are_laid_over_its_raw_frames_and_those_of_an_arc_over_none(made, tmp_path):
    result = made.command("region", NAME.format("flat"), "-o", tmp_path / "orders.reg")
    assert result.exit_code == 0, result.output
    text = (tmp_path / "orders.reg").read_text()
    # the traces of the recipe lie in row 3, which is 4 where the first is 1
    assert "line(1,4.00,8,4.00) # line=0 0 color=orange tag={fiber 1}" in text
    assert "text={91} color=cyan" in text
    result = made.command("region", NAME.format("arc"), "-o", tmp_path / "arc.reg")
    assert result.exit_code == 1
    assert "is a master arc; only a flat has the positions of the orders" in result.output
