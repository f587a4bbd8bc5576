"""Damaged files are damaged in the way they say and in no other."""

import numpy as np
import pytest
from astropy.io import fits

from nrespipe import instruments
from nrespipe.simulator import damage, night


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    few = {"n_bias": 1, "n_dark": 0, "n_flat": 0, "n_arc": 0}
    path = night.write(tmp_path_factory.mktemp("a"), instruments.load("nres04"), "20190405", seed=1, stars=[], **few)
    return next((path / "raw").iterdir())


@pytest.mark.slow
def test_an_empty_file_has_no_bytes_and_a_truncated_one_fewer(sound, tmp_path):
    assert damage.empty(sound, tmp_path / "a").stat().st_size == 0
    assert damage.truncated(sound, tmp_path / "b", share=0.3).stat().st_size == int(0.3 * sound.stat().st_size)


def test_a_web_page_is_no_fits(sound, tmp_path):
    with pytest.raises(OSError, match="FITS"):
        fits.open(damage.web_page(sound, tmp_path / "page.fits.fz"))


def test_garbled_bytes_differ_behind_the_headers_only(sound, tmp_path):
    old, new = sound.read_bytes(), damage.garbled(sound, tmp_path / "g").read_bytes()
    assert len(old) == len(new)
    assert old[:40000] == new[:40000]
    assert old != new


def test_cards_are_changed_and_left_out_while_pixels_stay(sound, tmp_path):
    without = damage.without_cards(sound, tmp_path / "w.fits.fz", "OBJECTS", "SITEID")
    other = damage.with_cards(sound, tmp_path / "o.fits.fz", OBJECTS="none&none&none", DAY_OBS="20200101")
    with fits.open(without) as units:
        assert "OBJECTS" not in units["SPECTRUM"].header
        assert units["SPECTRUM"].header["TELESCOP"] == "nres04"
        np.testing.assert_array_equal(units["SPECTRUM"].data, fits.getdata(sound, "SPECTRUM"))
    assert fits.getheader(other, "SPECTRUM")["DAY-OBS"] == "20200101"


def test_extensions_are_left_out(sound, tmp_path):
    with fits.open(damage.without_extension(sound, tmp_path / "e.fits.fz", "EXPOSURE_METER", "TELESCOPE_1")) as units:
        assert [unit.name for unit in units] == ["PRIMARY", "SPECTRUM", "AGU_1", "AGU_2", "TELESCOPE_2"]


def test_an_image_of_another_size_takes_the_place_of_the_old_one(sound, tmp_path):
    path = damage.with_image(sound, tmp_path / "i.fits.fz", np.full((100, 80), 7, np.uint16))
    with fits.open(path) as units:
        assert units["SPECTRUM"].data.shape == (100, 80)
        assert np.all(units["SPECTRUM"].data == 7)
        assert units["SPECTRUM"].header["TELESCOP"] == "nres04"


def test_a_copy_is_the_same_bytes_under_another_name(sound, tmp_path):
    assert damage.copied(sound, tmp_path / "x1m0-fl09-20190405-0001-e00.fits").read_bytes() == sound.read_bytes()
