"""The procedure of the manual for templates (ZERO files), from raw frames to a velocity by a template."""

import re
from pathlib import Path

import pytest
from astropy.io import fits
from click.testing import CliRunner
from simulated_frames import SMALL_TABLES, install_tables

from nrespipe import cli
from nrespipe.database.administration import opening
from nrespipe.database.tables import StarVelocity
from nrespipe.settings import Settings

pytestmark = pytest.mark.slow
MANUAL = Path(__file__).parents[2] / "docs" / "templates.rst"


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    """A night with two exposures of a star, and one exposure on the next night."""
    root = tmp_path_factory.mktemp("nights")
    few = ["--bias", "2", "--dark", "2", "--flat", "2", "--arc", "2"]
    none = ["--bias", "0", "--dark", "0", "--flat", "0", "--arc", "0"]
    archive = root / "archive", "--table", SMALL_TABLES / "nres01.toml"
    run("simulate", "night", *archive, "--day", "20190405", "--stars", "HD22049:90,HD22049:80", *few)
    run("simulate", "night", *archive, "--day", "20190406", "--stars", "HD22049:40:2", *none)
    return root


def run(*words, status=0):
    result = CliRunner().invoke(cli.main, [str(word) for word in words])
    assert result.exit_code == status, result.output
    return result.stdout


def velocities(output):
    with opening.to_read(output, Settings()).begin() as session:
        return {v.frame.filename: (v, v.frame.state) for v in session.query(StarVelocity)}


def test_the_commands_of_the_manual_make_a_template_that_the_next_frame_is_measured_with(nights):
    commands = re.findall(r"\$ nrespipe (.*)", MANUAL.read_text(encoding="utf-8"))
    for told in ("night archive", "velocities HD22049", "template build --target HD22049", "template list", "requeue"):
        assert any(command.startswith(told) for command in commands), told
    output, raw = nights / "reduced", nights / "archive" / "lsc" / "nres01"
    install_tables(output)
    run("targets", "deploy", Path(__file__).parents[2] / "targets.csv", "--output", output)
    run("night", raw / "20190405" / "raw", "--output", output, "--processes", "1")
    assert "HD22049" in run("velocities", "--output", output)

    text = run("template", "build", "--target", "eps Eri", "--site", "lsc", "--output", output)
    assert "2 spectra of HD22049 at lsc" in text
    assert "8 spectra and 3 km/s are needed before it is trusted" in text
    assert "Teff 5130, logg 4.63, [Fe/H] -0.08" in text
    path = Path(text.split(": 2 spectra")[0])
    with fits.open(path) as hdus:
        assert (hdus[0].header["OBJECT"], hdus[0].header["TEFF"], hdus[0].header["NCOMBINE"]) == ("HD22049", 5130.0, 2)
    assert path.name in run("template", "list", "--output", output)

    run("night", raw / "20190406" / "raw", "--output", output, "--processes", "1")
    found, _ = velocities(output)["lscnrs01-fa09-20190406-0001-e00"]
    assert found.template == "HD22049"
    assert found.template_rv_ms == pytest.approx(found.rv_ms, abs=40.0)
    assert 0 < found.template_err_ms < 30.0
    assert "young_template" in run("velocities", "--output", output, "--format", "csv")

    # a frame that is part of the template is not measured with it
    run("reduce", raw / "20190405" / "raw" / "lscnrs01-fa09-20190405-0014-e00.fits.fz", "--output", output)
    assert velocities(output)["lscnrs01-fa09-20190405-0014-e00"][0].template == ""

    # the next night alone is too little
    words = ("template", "build", "--target", "HD22049", "--site", "lsc", "--output", output)
    result = CliRunner().invoke(cli.main, [str(word) for word in (*words, "--from", "20190406")])
    assert result.exit_code == 1
    assert "a template needs at least two spectra of its star, there are 1 of HD22049 at lsc" in result.output
    result = CliRunner().invoke(cli.main, [str(word) for word in (*words[:3], "HD1", *words[4:])])
    assert "no velocity of HD1 is known" in result.output
