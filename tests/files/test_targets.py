"""The catalog of stars."""

from dataclasses import replace

import numpy as np
import pytest

from nrespipe.files import targets
from nrespipe.frames.raw import Kind, RawFrame, Section, Telescope
from nrespipe.frames.velocity import Star

HEADER = ",".join(targets.COLUMNS)
GOOD = "HD1,one;uno,10.0,-20.0,2000.0,100.0,-50.0,20.0,5.0,6.0,5800,4.4,0.1,G2V,somebody"
BARNARD = Star("Barnard", 269.4520825, 4.69339088, 2000.0, -798.58, 10328.12, 546.98, -110.51, aliases=("GJ 699",))


def frame(objects, telescopes=(None, None), start_mjd=58484.0):
    section = Section(0, 4, 0, 4)
    return RawFrame(
        filename="x", kind=Kind.SCIENCE, site="lsc", instrument="nres01", camera="fa09", day="20190101",
        start_mjd=start_mjd, exposure_s=60.0, objects=objects, adu=np.zeros((4, 4)), bias_section=section,
        data_section=section, telescopes=telescopes,
    )  # fmt: skip


def written(tmp_path, *rows, header=HEADER):
    path = tmp_path / "stars.csv"
    path.write_text("\n".join(["# a remark", header, *rows]) + "\n", encoding="utf-8")
    return path


def test_the_catalog_of_the_program_is_valid_and_knows_the_standards():
    names = {star.name for star in targets.read(targets.installed())}
    assert {"HD102365", "HD10700", "HD16160", "HD76151", "HD126053", "HD210988"} <= names


def test_proper_motions_of_the_catalog_carry_the_cosine_of_the_declination():
    star = targets.match(targets.read(targets.installed()), "tau Cet", None, None, 2019.0)
    assert star.pm_ra_mas_yr == pytest.approx(-1721.05)


def test_empty_fields_are_unknown_and_aliases_are_split(tmp_path):
    row = "HD2,,10.0,-20.0,2000.0,,,,,,,,,,somebody"
    first, second = targets.read(written(tmp_path, GOOD, row))
    assert first.aliases == ("one", "uno")
    assert second.teff_k is None
    assert second.pm_ra_mas_yr is None


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([GOOD.replace("-20.0", "-95.0")], "HD1: dec_deg -95.0 lies outside"),
        ([GOOD.replace("5800", "warm")], "HD1: teff_k 'warm' is no number"),
        ([GOOD.replace("somebody", "")], "HD1: no source"),
        ([GOOD + ",more"], "HD1: 15 fields"),
        ([GOOD, GOOD.replace("HD1,one;uno", "hd 1,")], "the name HD1 belongs to HD1"),
        ([GOOD, GOOD.replace("HD1,one;uno,10.0", "HD2,,40.0")], "HD2: has the proper motion of HD1"),
    ],
)
def test_a_slip_of_the_pen_is_named(tmp_path, rows, message):
    with pytest.raises(ValueError, match=r"stars\.csv") as error:
        targets.read(written(tmp_path, *rows))
    assert message in str(error.value)


def test_other_columns_are_refused(tmp_path):
    with pytest.raises(ValueError, match="columns must be"):
        targets.read(written(tmp_path, GOOD, header=HEADER.replace("logg", "log_g")))


@pytest.mark.parametrize("name", ["HD10700", "hd 10700", "HD10700_templ", "Tau Cet", "tau cet_engr"])
def test_a_star_is_found_by_any_of_its_names(name):
    assert targets.match(targets.read(targets.installed()), name, None, None, 2019.0).name == "HD10700"


def test_a_fast_star_is_found_where_it_is_now_and_not_where_it_was():
    now_dec = BARNARD.dec_deg + 19 * BARNARD.pm_dec_mas_yr / 3.6e6
    now_ra = BARNARD.ra_deg + 19 * BARNARD.pm_ra_mas_yr / 3.6e6 / np.cos(np.radians(BARNARD.dec_deg))
    assert targets.match([BARNARD], "something", now_ra, now_dec, 2019.0) is BARNARD
    assert targets.match([BARNARD], "something", BARNARD.ra_deg, BARNARD.dec_deg, 2019.0) is None


def test_a_name_that_contradicts_the_telescope_is_not_believed():
    assert targets.match([BARNARD], "Barnard", 100.0, -30.0, 2019.0) is None


def test_a_star_in_no_catalog_takes_the_header_with_the_cosine_put_in():
    telescope = Telescope(
        ra_deg=50.001, dec_deg=60.0, catalog_ra_deg=50.0, catalog_dec_deg=60.0, pm_ra_mas_yr=200.0, pm_dec_mas_yr=-30.0,
        parallax_mas=12.0,
    )  # fmt: skip
    star = targets.stars(frame(("somestar", "thar", "none"), (telescope, None)), [BARNARD])[0]
    assert star.source == "telescope"
    assert star.pm_ra_mas_yr == pytest.approx(100.0)
    assert (star.ra_deg, star.epoch_year, star.parallax_mas) == (50.0, 2000.0, 12.0)


def test_a_bare_pointing_holds_at_the_time_of_the_frame():
    telescope = Telescope(ra_deg=50.0, dec_deg=60.0)
    star = targets.stars(frame(("somestar", "thar", "none"), (telescope, None)), [BARNARD])[0]
    assert star.epoch_year == pytest.approx(2019.0, abs=0.01)


def test_each_fiber_takes_its_own_telescope():
    telescopes = (Telescope(ra_deg=50.0, dec_deg=60.0), Telescope(ra_deg=51.0, dec_deg=61.0))
    found = targets.stars(frame(("a", "thar", "b"), telescopes), [])
    assert (found[0].ra_deg, found[2].ra_deg) == (50.0, 51.0)


def test_a_lone_star_takes_the_only_telescope_there_is():
    found = targets.stars(frame(("none", "thar", "b"), (Telescope(ra_deg=50.0, dec_deg=60.0), None)), [])
    assert found[2].ra_deg == 50.0


def test_without_coordinates_there_is_a_name_and_no_more():
    star = targets.stars(frame(("a", "thar", "none")), [])[0]
    assert star == replace(Star("a"), source="telescope")
