"""The catalog of stars."""

from dataclasses import replace

import numpy as np
import pytest

from nrespipe import instruments
from nrespipe.files.catalog import star_match, target_check, targets
from nrespipe.frames.raw import Kind, RawFrame, Section, Telescope
from nrespipe.frames.spectrograph import Fibers
from nrespipe.frames.star import Star

FIBERS = Fibers(star=(0, 2), reference=1, upward=(0, 1, 2))
HEADER = ",".join(target_check.COLUMNS)
GOOD = "Aa1,one;uno,10.0,-20.0,2000.0,100.0,-50.0,20.0,5.0,6.0,5800,4.4,0.1,G2V,,somebody"
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
    star = star_match.match(targets.read(targets.installed()), "tau Cet", None, None, 2019.0)
    assert star.pm_ra_mas_yr == pytest.approx(-1721.05)


def test_empty_fields_are_unknown_and_aliases_are_split(tmp_path):
    row = "Bb2,,11.0,-20.0,2000.0,,,,,,,,,,,somebody"
    first, second = targets.read(written(tmp_path, GOOD, row))
    assert first.aliases == ("one", "uno")
    assert second.teff_k is None
    assert second.pm_ra_mas_yr is None


def test_a_file_that_is_no_valid_catalog_is_refused_with_all_its_defects(tmp_path):
    path = written(tmp_path, GOOD.replace("-20.0", "-95.0").replace("5800", "warm"), GOOD + ",more")
    with pytest.raises(ValueError, match=r"stars\.csv: line 3, dec_deg.*line 3, teff_k.*line 4: has 17 fields"):
        targets.read(path)


def test_a_catalog_that_is_deployed_for_a_site_serves_that_site_alone(tmp_path):
    assert targets.in_use(tmp_path, "lsc") == targets.installed()
    everywhere = targets.deploy(written(tmp_path, GOOD), tmp_path / "out")
    at_lsc = targets.deploy(written(tmp_path, GOOD.replace("Aa1", "Bb2")), tmp_path / "out", "lsc")
    assert targets.in_use(tmp_path / "out", "lsc") == at_lsc == tmp_path / "out" / "lsc" / "targets.csv"
    assert targets.in_use(tmp_path / "out", "elp") == everywhere == tmp_path / "out" / "targets.csv"
    assert [star.name for star in targets.read(at_lsc)] == ["Bb2"]
    assert not list((tmp_path / "out").rglob(".*"))


def test_a_catalog_that_is_deployed_again_is_read_again(tmp_path):
    path = targets.deploy(written(tmp_path, GOOD), tmp_path)
    assert targets.read(path)[0].name == "Aa1"
    targets.deploy(written(tmp_path, GOOD.replace("Aa1", "Bb2")), tmp_path)
    assert targets.read(path)[0].name == "Bb2"


def test_a_catalog_with_a_defect_is_not_deployed_and_leaves_the_old_one(tmp_path):
    path = targets.deploy(written(tmp_path, GOOD), tmp_path)
    with pytest.raises(ValueError, match="dec_deg"):
        targets.deploy(written(tmp_path, GOOD.replace("-20.0", "-95.0")), tmp_path)
    assert targets.read(path)[0].name == "Aa1"


def test_a_star_in_no_catalog_takes_the_header_with_the_cosine_put_in():
    telescope = Telescope(
        ra_deg=50.001, dec_deg=60.0, catalog_ra_deg=50.0, catalog_dec_deg=60.0, pm_ra_mas_yr=200.0, pm_dec_mas_yr=-30.0,
        parallax_mas=12.0,
    )  # fmt: skip
    star = targets.stars(frame(("somestar", "thar", "none"), (telescope, None)), FIBERS, [BARNARD])[0]
    assert star.source == "telescope"
    assert star.pm_ra_mas_yr == pytest.approx(100.0)
    assert (star.ra_deg, star.epoch_year, star.parallax_mas) == (50.0, 2000.0, 12.0)


def test_a_bare_pointing_holds_at_the_time_of_the_frame():
    telescope = Telescope(ra_deg=50.0, dec_deg=60.0)
    star = targets.stars(frame(("somestar", "thar", "none"), (telescope, None)), FIBERS, [BARNARD])[0]
    assert star.epoch_year == pytest.approx(2019.0, abs=0.01)


@pytest.mark.parametrize("fed", [(0, 2), (0,)])
def test_each_fiber_takes_its_own_telescope_also_where_only_one_is_in_use_today(fed):
    telescopes = (Telescope(ra_deg=50.0, dec_deg=60.0), Telescope(ra_deg=51.0, dec_deg=61.0))
    raw, fibers = frame(("a", "thar", "b"), telescopes), replace(FIBERS, star=fed)
    found = targets.stars(raw, fibers, [])
    assert (found[0].ra_deg, found[2].ra_deg) == (50.0, 51.0)
    spectrograph = replace(instruments.load("nres01"), fibers=fibers)
    assert [spectrograph.telescope(raw, fiber) for fiber in (0, 1, 2)] == [
        (1, telescopes[0]), (0, Telescope()), (2, telescopes[1]),
    ]  # fmt: skip


def test_a_lone_star_takes_the_only_telescope_of_its_spectrograph():
    raw, single = frame(("none", "thar", "b"), (Telescope(ra_deg=50.0, dec_deg=60.0), None)), replace(FIBERS, star=(0,))
    assert targets.stars(raw, single, [])[2].ra_deg == 50.0
    # of two telescopes the other one looks elsewhere
    assert targets.stars(raw, FIBERS, [])[2].ra_deg is None


def test_without_coordinates_there_is_a_name_and_no_more():
    star = targets.stars(frame(("a", "thar", "none")), FIBERS, [])[0]
    assert star == replace(Star("a"), source="telescope")
