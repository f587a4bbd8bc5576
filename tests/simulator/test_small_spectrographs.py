"""Small spectrographs: a part of the image of the real ones, on a part of the detector."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner
from simulated_frames import SMALL_TABLES, small_spectrograph

from nrespipe import cli, instruments
from nrespipe.instruments import optics
from nrespipe.simulator import bench as benches
from nrespipe.simulator import detector, night, stars

NAMES = [f"nres0{k}" for k in (1, 2, 3, 4)]
#: Columns of the real detector that the small ones see.
SEEN = slice(1280, 2816)


@pytest.mark.parametrize("name", NAMES)
def test_a_small_spectrograph_expects_the_wavelengths_of_the_middle_of_the_real_one(name):
    table, real = small_spectrograph(name), instruments.load(name)
    orders, x = table.orders[:, None], np.arange(table.detector.columns)
    for fiber in range(3):
        expected = optics.wavelength(real, fiber, orders, x + SEEN.start)
        np.testing.assert_allclose(optics.wavelength(table, fiber, orders, x), expected, rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_its_orders_are_as_far_apart_and_as_bent_as_on_the_real_detector(name):
    table, real = small_spectrograph(name), instruments.load(name)
    x, index = np.arange(100.0, table.detector.columns, 100), table.orders - real.first_order
    apart = [
        np.diff(benches.row(bench, fiber, columns)[rows], axis=0)
        for bench, columns, rows in ((benches.build(table), x, slice(None)), (benches.build(real), x + 1280, index))
        for fiber in (0, 2)
    ]
    for one, other in zip(apart[:2], apart[2:]):
        np.testing.assert_allclose(one, other, atol=1.5)


def test_the_pixels_of_a_small_detector_are_as_flawed_as_those_of_a_large_one():
    small_one, large = (detector.pattern(5, *shape) for shape in ((704, 1536), (4096, 4096)))
    for flawed in (
        lambda fixed: np.mean(fixed.dark_e_per_s - np.median(fixed.dark_e_per_s[-50:], axis=0) > 0.1),
        lambda fixed: np.mean(fixed.response < 0.7),
        lambda fixed: np.std(fixed.response),
    ):
        assert flawed(small_one) == pytest.approx(flawed(large), rel=0.5)
    assert small_one.bias_adu.shape == (704 + detector.SPARE_ROWS, 1536 + detector.OVERSCAN_COLUMNS)


def simulate(out, *words):
    few = ["--bias", "1", "--dark", "0", "--flat", "0", "--arc", "0", "--stars", "HD22049:50"]
    return CliRunner().invoke(cli.main, ["simulate", "night", *map(str, (out, *few, *words))])


@pytest.mark.slow
def test_a_table_on_the_command_line_says_whose_night_is_simulated_and_the_header_says_where_the_light_lies(tmp_path):
    result = simulate(tmp_path, "--site", "cpt", "--table", SMALL_TABLES / "nres03.toml")
    assert result.exit_code == 0, result.output
    with fits.open(next(tmp_path.rglob("*-e00.fits.fz"))) as units:
        header = units["SPECTRUM"].header
        assert units["SPECTRUM"].data.shape == (716, 1600)
    assert (header["DETSIZE"], header["DATASEC"]) == ("[1:1600,1:716]", "[1:1536,1:704]")
    assert header["BIASSEC"] == "[1543:1600,1:704]"


def test_a_table_of_another_site_or_without_a_place_or_a_camera_is_refused(tmp_path):
    result = simulate(tmp_path, "--site", "lsc", "--table", SMALL_TABLES / "nres03.toml")
    assert "nres03.toml: describes a spectrograph at cpt, not at lsc" in result.output
    text = (SMALL_TABLES / "nres03.toml").read_text(encoding="utf-8")
    bare = tmp_path / "bare.toml"
    for entry in ("[position]", "cameras ="):
        bare.write_text(text.replace(entry, f"other_{entry}" if "=" in entry else "[other]"), encoding="utf-8")
        result = simulate(tmp_path, "--site", "cpt", "--table", bare)
        assert "bare.toml: to simulate frames, a table needs a position and a name in cameras" in result.output
    assert result.exit_code == 2


def written(root, snr=40.0, **options):
    """Write a night of two biases and a star; return the names of the frames that were written now."""
    fresh = []
    options["progress"] = lambda path: fresh.append(path.name)
    star = [stars.parse(f"HD102365:{snr:g}")]
    few = {"n_dark": 0, "n_flat": 0, "n_arc": 0, "n_bias": 2}
    night.write(root, small_spectrograph("nres01"), "20190405", seed=3, stars=star, **few, **options)
    return fresh


def test_a_night_that_is_there_is_kept_and_one_of_another_plan_or_a_broken_run_is_not(tmp_path):
    every = written(tmp_path)
    assert len(every) == 3
    assert written(tmp_path) == every
    assert written(tmp_path, keep=True) == []
    # the star is as bright as the truth says, also where no name has changed
    assert written(tmp_path, keep=True, snr=50.0) == every

    def broken(work, jobs):
        yield work(jobs[0])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        written(tmp_path, snr=60.0, keep=True, run=broken)
    assert written(tmp_path, snr=60.0, keep=True) == every
    assert written(tmp_path, snr=60.0, keep=True) == []


def test_orders_that_the_simulator_does_not_know_are_refused():
    with pytest.raises(ValueError, match="only orders 52 to 118 can be simulated"):
        benches.places(replace(small_spectrograph("nres01"), first_order=51))
