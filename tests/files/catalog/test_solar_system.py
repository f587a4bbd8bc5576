"""Which names are those of light that is no star's."""

import numpy as np
import pytest

from nrespipe import instruments
from nrespipe.files.catalog import solar_system, targets
from nrespipe.frames.raw import Kind, RawFrame, Section, Telescope
from nrespipe.frames.star import REFLECTED, SKY
from nrespipe.recipes import science


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("Moon", "Moon"),
        ("moon_2", "Moon"),
        ("SUN", "Sun"),
        ("solar spectrum", "Sun"),
        ("Jupiter", "Jupiter"),
        ("Mars-1", "Mars"),
    ],
)
def test_the_sun_the_moon_and_planets_are_known_by_any_spelling(name, body):
    star = solar_system.recognised(name)
    assert (star.name, star.source, star.ra_deg) == (body, REFLECTED, None)


@pytest.mark.parametrize(
    "name", ["twilight", "blue sky", "sky_1", "Vesta", "(4) Vesta", "C/2020 F3", "1P/Halley", "Europa"]
)
def test_the_sky_and_small_bodies_are_no_stars(name):
    assert solar_system.recognised(name).source == SKY


def test_no_star_of_the_catalog_is_taken_for_a_body():
    for star in targets.read(targets.installed()):
        for name in (star.name, *star.aliases):
            assert solar_system.recognised(name) is None, name


def _frame(name, object_name=""):
    """Return a frame of fiber 0 whose telescope points at tau Ceti."""
    section = Section(0, 4, 0, 4)
    telescope = Telescope(object_name=object_name, ra_deg=26.0, dec_deg=-15.9, latitude_deg=-30.2, longitude_deg=-70.8)
    return RawFrame(
        filename="lscnrs01-fa09-20190405-0001-e00", kind=Kind.SCIENCE, site="lsc", instrument="nres01", camera="fa09",
        day="20190405", start_mjd=58578.1, exposure_s=60.0, objects=(name, "thar", "none"), adu=np.zeros((4, 4)),
        bias_section=section, data_section=section, telescopes=(telescope,),
    )  # fmt: skip


@pytest.mark.parametrize(("name", "object_name"), [("moon", ""), ("calib_1", "Moon")])
def test_moonlight_has_the_correction_of_the_moon_whatever_the_telescope_points_at(name, object_name):
    nres = instruments.load("nres01")
    raw = _frame(name, object_name)
    found = science._barycentric(raw, targets.stars(raw, nres.fibers), nres)
    # a star there has one of tens of km/s
    assert abs(found[0].berv_ms) < 2000


@pytest.mark.parametrize("name", ["twilight", "(4) Vesta"])
def test_the_sky_and_small_bodies_have_no_correction(name):
    nres = instruments.load("nres01")
    raw = _frame(name)
    assert science._barycentric(raw, targets.stars(raw, nres.fibers), nres) == {}
