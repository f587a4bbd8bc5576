import matplotlib.image
import numpy as np
import pytest
from click.testing import CliRunner

from nrespipe import cli, data, instruments
from nrespipe.engine import wavelength
from nrespipe.files import masters
from nrespipe.frames.masters import Arc, Bias, Origin
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind
from nrespipe.frames.traces import Slant
from nrespipe.simulator import arc_spectra


def _origin(kind):
    return Origin(kind, "lsc", "nres01", "fa09", "20190405", 58579.0, ("a", "b"), Quality(0))


@pytest.fixture(scope="module")
def arc_file(tmp_path_factory):
    truth = arc_spectra.truth(instruments.load("nres01"), data.lamp_lines(), seed=3)
    arcs = [arc_spectra.expose(truth, (0, 1), 300 + i, orders=np.arange(88, 94)) for i in range(2)]
    found = wavelength.calibrate(arcs, truth.spectrograph, data.lamp_lines())
    names = ("solution", "lines", "line_shape", "reference", "transfer_error_ms")
    slant = Slant((0, 1), (52, 118), 4096, np.zeros((1, 2), int), np.zeros((2, 1)), np.zeros((2, 1)))
    path = tmp_path_factory.mktemp("masters") / "arc.fits.fz"
    masters.write(Arc(_origin(Kind.ARC), slant=slant, **{name: getattr(found, name) for name in names}), path)
    return path


def _plot(*words):
    return CliRunner().invoke(cli.main, ["masters", "plot", *map(str, words)])


def test_the_drawing_of_a_master_arc_shows_its_fibers_in_their_colors(arc_file, tmp_path):
    result = _plot(arc_file, "-o", tmp_path / "arc.png")
    assert result.exit_code == 0, result.output
    image = matplotlib.image.imread(tmp_path / "arc.png")[..., :3]
    for color in ((0, 0x72, 0xB2), (0xD5, 0x5E, 0)):
        assert np.sum(np.all(np.abs(255 * image - color) < 3, axis=2)) > 300


def test_the_same_master_gives_the_same_drawing(arc_file, tmp_path):
    for name in ("one.pdf", "two.pdf"):
        assert _plot(arc_file, "-o", tmp_path / name).exit_code == 0
    assert (tmp_path / "one.pdf").read_bytes() == (tmp_path / "two.pdf").read_bytes()


def test_a_master_of_another_kind_is_named(tmp_path):
    masters.write(Bias(_origin(Kind.BIAS), np.zeros((8, 8), "f4"), np.ones((8, 8), "f4"), 2.0), tmp_path / "b.fits.fz")
    result = _plot(tmp_path / "b.fits.fz", "-o", tmp_path / "b.png")
    assert result.exit_code == 1
    assert "b.fits.fz: there is a drawing of master arcs alone, and this is a bias" in result.output
