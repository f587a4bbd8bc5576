"""The commands for the catalog of stars, and whom a deployed one reaches."""

from importlib import resources

import numpy as np
import pytest
from click.testing import CliRunner

from nrespipe import cli, instruments
from nrespipe.errors import Unavailable
from nrespipe.files import layout
from nrespipe.files.catalog import targets
from nrespipe.frames.raw import Kind, RawFrame, Section
from nrespipe.service.reduction import recipe_references


@pytest.fixture
def command(tmp_path, monkeypatch):
    for name in ("DB_URL", "NRES_DATA_ROOT"):
        monkeypatch.delenv(name, raising=False)
    return lambda *words: CliRunner().invoke(cli.main, list(map(str, words)))


@pytest.fixture
def edited(tmp_path):
    """A copy of the catalog of the program with a change in the line of tau Ceti."""

    def edit(old, new):
        path = tmp_path / "edited.csv"
        lines = targets.installed().read_text(encoding="utf-8").splitlines()
        lines = [line.replace(old, new) if line.startswith("HD10700") else line for line in lines]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return edit


def star_seen(tmp_path, site="lsc"):
    section = Section(0, 4, 0, 4)
    raw = RawFrame(
        filename="x", kind=Kind.SCIENCE, site=site, instrument="nres01", camera="fa09", day="20190101",
        start_mjd=58484.0, exposure_s=60.0, objects=("tau Cet", "thar", "none"), adu=np.zeros((4, 4)),
        bias_section=section, data_section=section,
    )  # fmt: skip
    return recipe_references.fetch({}, Kind.SCIENCE, instruments.load("nres01"), raw, tmp_path / "out").stars[0]


def test_a_good_catalog_is_checked_with_a_summary(command):
    result = command("targets", "check")
    assert result.exit_code == 0, result.output
    assert "stars, nothing wrong" in result.stdout
    assert "without " in result.stdout


def test_a_catalog_with_defects_is_checked_line_by_line(command, edited):
    path = edited("G8.5V", "G8.5V,")
    result = command("targets", "check", path)
    assert result.exit_code == 1
    assert f"{path}: line 10: has 17 fields, 16 are needed\n1 defect\n" == result.stdout


def test_a_catalog_that_is_deployed_reaches_the_frames_of_its_site_alone(command, edited, tmp_path):
    result = command("targets", "deploy", edited("-16.680", "-17.5"), "--output", tmp_path / "out", "--site", "elp")
    assert result.exit_code == 0, result.output
    assert "changed: HD10700" in result.stdout
    assert star_seen(tmp_path, "elp").rv_kms == -17.5
    assert star_seen(tmp_path, "lsc").rv_kms == -16.68


def test_a_catalog_for_all_sites_says_who_keeps_another_one(command, edited, tmp_path):
    command("targets", "deploy", targets.installed(), "--output", tmp_path / "out", "--site", "elp")
    result = command("targets", "deploy", edited("-16.680", "-17.5"), "--output", tmp_path / "out")
    assert "elp keeps a catalog of its own" in result.stdout
    assert star_seen(tmp_path, "lsc").rv_kms == -17.5
    assert star_seen(tmp_path, "elp").rv_kms == -16.68


def test_a_catalog_with_a_defect_is_not_deployed(command, edited, tmp_path):
    result = command("targets", "deploy", edited("-15.937480", "-95"), "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert "line 10, dec_deg: -95 lies outside -90..90" in result.output
    assert not (tmp_path / "out" / "targets.csv").exists()


def test_an_unknown_site_is_refused(command, tmp_path):
    result = command("targets", "deploy", targets.installed(), "--output", tmp_path, "--site", "ogg")
    assert result.exit_code == 1
    assert "no spectrograph stands at ogg; sites: cpt, elp, lsc, tlv" in result.output


def test_a_site_whose_spectrograph_the_program_did_not_come_with_gets_a_catalog(command, tmp_path):
    folder = layout.instruments(tmp_path)
    folder.mkdir()
    table = resources.files("nrespipe.instruments").joinpath("nres01.toml").read_text(encoding="utf-8")
    (folder / "nres05.toml").write_text(table.replace("lsc", "ogg").replace("nres01", "nres05"), encoding="utf-8")
    result = command("targets", "deploy", targets.installed(), "--output", tmp_path, "--site", "OGG")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "ogg" / "targets.csv").is_file()


def test_a_deployed_catalog_that_was_damaged_since_lets_the_frame_wait(tmp_path):
    targets.deploy(targets.installed(), tmp_path / "out")
    (tmp_path / "out" / "targets.csv").write_text("name\n", encoding="utf-8")
    with pytest.raises(Unavailable, match=r"catalog of stars .*targets\.csv cannot be used"):
        star_seen(tmp_path)
