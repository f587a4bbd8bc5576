"""Names and places of stars."""

import numpy as np
import pytest

from nrespipe.files.catalog import star_match, targets
from nrespipe.frames.star import Star, name_key

BARNARD = Star("Barnard", 269.4520825, 4.69339088, 2000.0, -798.58, 10328.12, 546.98, -110.51, aliases=("GJ 699",))


@pytest.mark.parametrize(
    ("name", "star"),
    [
        ("HD10700", "HD10700"), ("hd 10700", "HD10700"), ("HD10700_templ", "HD10700"), ("hd-010700", "HD10700"),
        ("Tau Cet", "HD10700"), ("tau cet_engr", "HD10700"), ("HIP 008102", "HD10700"), ("Gl 71", "HD10700"),
        ("epsilon Eri", "HD22049"), ("eps. Eri", "HD22049"), ("* omi02 Eri", "HD26965"), ("muCas", "HD6582"),
        ("mu. Cas", "HD6582"), ("procyon", "HD61421"), ("* alf CMi", "HD61421"), ("51Peg", "HD217014"),
    ],
)  # fmt: skip
def test_a_star_is_found_however_an_observer_spells_its_name(name, star):
    assert star_match.match(targets.read(targets.installed()), name, None, None, 2019.0).name == star


@pytest.mark.parametrize(
    ("one", "other"), [("HD1070", "HD10700"), ("HD10700A", "HD10700"), ("BD+45 77", "BD-45 77"), ("tau Boo", "tau Cet")]
)
def test_other_stars_keep_other_names(one, other):
    assert name_key(one) != name_key(other)


def test_a_fast_star_is_found_where_it_is_now_and_not_where_it_was():
    now_dec = BARNARD.dec_deg + 19 * BARNARD.pm_dec_mas_yr / 3.6e6
    now_ra = BARNARD.ra_deg + 19 * BARNARD.pm_ra_mas_yr / 3.6e6 / np.cos(np.radians(BARNARD.dec_deg))
    assert star_match.match([BARNARD], "something", now_ra, now_dec, 2019.0) is BARNARD
    assert star_match.match([BARNARD], "something", BARNARD.ra_deg, BARNARD.dec_deg, 2019.0) is None


def test_a_name_that_contradicts_the_telescope_is_not_believed():
    assert star_match.match([BARNARD], "Barnard", 100.0, -30.0, 2019.0) is None


def test_of_two_close_stars_the_nearest_is_taken():
    other = Star("companion", 100.0, 20.0 + 4 / 3600)
    star = Star("star", 100.0, 20.0)
    assert star_match.match([other, star], "something", 100.0, 20.0 + 1 / 3600, 2019.0) is star


def test_a_proper_motion_is_followed_at_its_own_declination():
    star = Star("x", 10.0, 60.0, 2000.0, 1000.0, 0.0)
    assert star_match.separation_arcsec(star, 10.0, 60.0, 2020.0) == pytest.approx(20.0, rel=1e-4)
