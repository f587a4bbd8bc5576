"""Simulated nights of every site through the whole program: simulate, reduce, compare; on small detectors."""

from dataclasses import replace

import product_reference
import pytest
from astropy.io import fits
from click.testing import CliRunner
from simulated_frames import SMALL_TABLES, assemble, small_spectrograph

from nrespipe import cli, instruments
from nrespipe.database.states import State
from nrespipe.service import assembly
from nrespipe.service.batch import night, simulation
from nrespipe.settings import Settings
from nrespipe.simulator import night as simulated
from nrespipe.simulator import stars

pytestmark = pytest.mark.slow

COUNTS = {"n_bias": 2, "n_dark": 1, "n_flat": 2, "n_arc": 2}
OBSERVED = ("HD102365:110", "HD115617:90:2", "HD22049:100+HD76151:80")


def simulate(root, name, observed):
    """Simulate a night with light in both star fibers, also where one telescope feeds only the first today."""
    nres = small_spectrograph(name)
    nres = replace(nres, fibers=replace(nres.fibers, star=(0, 2)))
    exposures = [stars.parse(text) for text in observed]
    return simulated.write(root, nres, "20190405", seed=3, stars=exposures, **COUNTS)


def damaged(raw):
    """Put a damaged copy of each sort next to the frames of a night; return the words that must name each defect."""
    source = sorted(raw.glob("*-e00.fits.fz"))[0]
    damages = {
        "is empty": lambda target: target.write_bytes(b""),
        "truncated": lambda target: target.write_bytes(source.read_bytes()[: source.stat().st_size // 2]),
        "web page": lambda target: target.write_text("<!DOCTYPE html>\n<html><body><h1>502 Bad Gateway</h1></html>\n"),
        "OBJECTS": lambda target: without_card(source, target, "OBJECTS"),
    }
    for number, damage in enumerate(damages.values(), 9001):
        damage(raw / source.name.replace(source.name.split("-")[3], str(number)))
    return list(damages)


def without_card(source, target, keyword):
    """Write a copy of a raw file that lacks a card."""
    with fits.open(source) as units:
        for unit in units:
            _ = unit.data  # all is read before anything changes, so that the other parts are copied whole
        units["SPECTRUM"].header.remove(keyword)
        units.writeto(target, output_verify="silentfix")


@pytest.mark.parametrize("name", instruments.names())
def test_every_frame_of_a_night_is_done_and_its_stars_have_the_velocities_that_were_put_in(tmp_path, name):
    path = simulate(tmp_path / "archive", name, OBSERVED)
    service = assemble(tmp_path / "out")
    summary = night.reduce_all(service, path)
    assert set(summary.counts) == {State.DONE}, summary.unhappy
    stars = simulation.compare(service.sessions, path / "truth" / "velocities.csv")
    assert len(stars) == 4
    assert all(star.agrees for star in stars), [star.cells() for star in stars]
    if name == "nres01":
        # a change that is meant: the module product_reference says how to go on
        assert not product_reference.moved(tmp_path / "out", limit=0.02)


def test_damaged_files_are_named_and_the_night_goes_on(tmp_path):
    path = simulate(tmp_path / "archive", "nres02", OBSERVED[:1])
    defects = damaged(path / "raw")
    summary = night.reduce_all(assemble(tmp_path / "out", processes=2), tmp_path / "archive")
    assert summary.exit_status == 1
    assert summary.counts == {State.DONE: 12, State.BAD: len(defects)}
    for (_, _, reason), words in zip(summary.unhappy, defects):
        assert words in reason


def test_a_new_spectrograph_works_from_a_table_of_its_optics_alone(tmp_path, monkeypatch, small_sites):
    text = (SMALL_TABLES / "nres03.toml").read_text(encoding="utf-8")
    table = tmp_path / "ogg.toml"
    table.write_text(f'name = "nres05"\nsite = "ogg"\n{text[text.index("[optics]") :]}', encoding="utf-8")
    nres = replace(
        instruments.read(table), cameras=("fa77",), longitude_deg=-156.257, latitude_deg=20.707, height_m=3055
    )
    path = simulated.write(tmp_path / "archive", nres, "20190405", seed=5, stars=[stars.parse(OBSERVED[0])], **COUNTS)
    for variable in ("DB_URL", "NRES_DATA_ROOT", "NRES_PROCESSES"):
        monkeypatch.delenv(variable, raising=False)
    words = ["site", "start", tmp_path / "archive", "--site", "ogg", "--table", table, "--output", tmp_path / "out"]
    result = CliRunner().invoke(cli.main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    assert "orders 88 to 97, 10 in all" in result.stdout
    sessions = assembly.build(tmp_path / "out", Settings()).sessions
    (star,) = simulation.compare(sessions, path / "truth" / "velocities.csv")
    assert star.agrees, star.cells()
