"""Which star a frame shows: names as observers write them, places as telescopes report them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrespipe import instruments
from nrespipe.engine.velocity import barycenter
from nrespipe.files.catalog import star_match, targets
from nrespipe.files.catalog.star_match import Position
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind, RawFrame, Section, Telescope
from nrespipe.frames.spectrograph import Fibers, Place
from nrespipe.frames.star import Star, name_key, primary_key

FIBERS = Fibers(star=(0, 2), reference=1, upward=(0, 1, 2))
YEAR = 2019.3
CATALOG = targets.read(targets.installed())
BY_NAME = {star.name: star for star in CATALOG}


def now(star, year=YEAR, east_arcsec=0.0, north_arcsec=0.0):
    """Return where a star is in a year, or a place beside it [degree]."""
    years, cosine = year - star.epoch_year, np.cos(np.radians(star.dec_deg))
    east = (star.pm_ra_mas_yr or 0.0) * years / 1e3 + east_arcsec
    north = (star.pm_dec_mas_yr or 0.0) * years / 1e3 + north_arcsec
    return star.ra_deg + east / 3600 / cosine, star.dec_deg + north / 3600


def observed(name, *telescopes, fiber=0, fibers=FIBERS, catalog=CATALOG):
    """Return the star that a frame shows in a fiber."""
    return targets.stars(frame_of(*telescopes, name=name, fiber=fiber), fibers, catalog)[fiber]


def frame_of(*telescopes, name="HD102365", fiber=0):
    objects = tuple(name if f == fiber else "thar" if f == 1 else "none" for f in range(3))
    section = Section(0, 4, 0, 4)
    return RawFrame(
        filename="x", kind=Kind.SCIENCE, site="lsc", instrument="nres01", camera="fa09", day="20190420",
        start_mjd=51544.5 + (YEAR - 2000) * 365.25, exposure_s=60.0, objects=objects, adu=np.zeros((4, 4)),
        bias_section=section, data_section=section, telescopes=(*telescopes, None, None)[:2],
    )  # fmt: skip


def at(star, **offset):
    ra_deg, dec_deg = now(star, **offset)
    return Telescope(ra_deg=ra_deg % 360, dec_deg=dec_deg)


numbers = st.integers(1, 359083)
catalogs = st.sampled_from(["HD", "HIP", "HR", "GJ", "TOI", "TIC", "SAO", "LHS"])
words = st.sampled_from(["", "_templ", "_2", "_exp1", "_engr_b"])


@given(numbers, numbers, catalogs, catalogs, words, words, st.data())
def test_names_are_the_same_where_catalog_and_number_are_and_nowhere_else(n, m, one, other, said, told, data):
    def spelled(catalog, number, word):
        between = data.draw(st.sampled_from(["", " ", "_", "-", "  ", " _"]))
        zeros = data.draw(st.sampled_from(["", "0", "00"]))
        name = f"{catalog}{between}{zeros}{number}{word}"
        return data.draw(st.sampled_from([name, name.lower(), f" {name} "]))

    same = name_key(spelled(one, n, said)) == name_key(spelled(other, m, told))
    assert same == ((one, n) == (other, m))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("HD_99999", "HD_10700"), ("HD 102365 B", "HD 102365"), ("HD_102365_B", "HD102365"),
        ("hd 102365 b", "HD102365"),
        ("rho1_Cnc", "rho1_Tau"), ("V1057_Cyg", "V1057_Ori"), ("M67_S1010", "M67_S1011"), ("NGC2516_15", "NGC2516_20"),
        ("BD-00 123", "BD+00 123"), ("LP 944-20", "LP 94-420"), ("K2-18", "K2-1"), ("Gaia DR2 123", "Gaia DR3 123"),
        ("β Pic", "α Pic"), ("51_Peg", "51_And"), ("GJ 15.1", "GJ 151"), ("alf Cen A", "alf Cen B"),
        ("2MASS J12345678-1234567", "2MASS J12345678+1234567"), ("TOI-3", "TOI-31"), ("HD 10700 x", "HD 10700 y"),
    ],
)  # fmt: skip
def test_different_stars_have_different_keys(one, other):
    assert name_key(one) != name_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("TOI-3", "TOI 3"), ("TOI_3", "TOI3"), ("TOI-3.01", "TOI-3"), ("HD_10700", "HD 10700"), ("tau_Ceti", "tau Cet"),
        ("tau_Cet_templ", "Tau Ceti"), ("51_Pegasi_b", "51 Peg"), ("HD 189733 b", "HD189733"), ("τ Cet", "tau Cet"),
        ("π³ Ori", "* pi.03 Ori"), ("HD–10700", "HD 10700"), ("UV_Ceti", "UV Cet"),
        ("Barnard's star", "Barnard’s Star"),
        ("BD+05_1668", "BD +5 1668"), ("HD102365_B", "HD 102365 B"), ("K2_18", "K2-18b"), ("Gliese_699_t", "Gl 699"),
    ],
)  # fmt: skip
def test_one_star_has_one_key_however_its_name_is_written(one, other):
    assert name_key(one) == name_key(other)


@given(st.text(max_size=40))
def test_every_text_has_a_key_without_blanks_whatever_is_around_it(name):
    assert not set(" \t\n_") & set(name_key(name))
    assert name_key(f"  {name} ") == name_key(name)


def test_a_companion_names_its_primary():
    names = ("HD 102365 B", "HD102365_B_t", "alf Cen B", "Proxima B")
    assert [primary_key(name) for name in names] == ["HD102365", "HD102365", "ALFCEN", "PROXIMA"]
    assert primary_key("HD 102365") == "HD102365"


@given(st.sampled_from(CATALOG), st.sampled_from(CATALOG), st.floats(-2, 2), st.floats(-2, 2))
def test_a_frame_belongs_to_the_star_at_its_place_and_says_if_it_has_the_name_of_another(said, seen, east, north):
    star = observed(said.name, at(seen, east_arcsec=east, north_arcsec=north))
    if said is seen:
        assert (star.name, star.quality) == (seen.name, Quality(0))
    else:
        assert star.name == seen.name or star_match.separation_arcsec(said, *now(seen), YEAR) < 60
        assert Quality.STAR_DISAGREES in star.quality


@given(st.sampled_from(CATALOG), st.floats(0.2, 170), st.floats(0, 2 * np.pi))
def test_the_name_of_a_star_far_away_is_never_given_to_a_frame(said, degrees, angle):
    dec_deg = float(np.clip(said.dec_deg + degrees * np.cos(angle), -89, 89))
    place = Telescope(ra_deg=(said.ra_deg + degrees * np.sin(angle)) % 360, dec_deg=dec_deg)
    star = observed(said.name, place)
    if star_match.separation_arcsec(said, place.ra_deg, dec_deg, YEAR) > 400:
        assert Quality.STAR_DISAGREES in star.quality
        assert name_key(said.name) not in (name_key(star.name), *map(name_key, star.aliases))


@pytest.mark.parametrize("name", ["HD 102365 B", "HD102365B", "HD_102365_B_templ", "GJ 442 B"])
def test_a_companion_beside_a_star_of_the_catalog_is_not_that_star(name):
    sun_like = BY_NAME["HD102365"]
    star = observed(name, replace(at(sun_like, east_arcsec=5.0), object_name="HD 102365"))
    assert (star.name, star.source) == (name, "telescope")
    assert star.quality == Quality(0)
    there = observed(name, at(sun_like))
    assert there.quality == Quality.STAR_DISAGREES
    assert name_key(there.name) not in (name_key(sun_like.name), name_key(name))


def test_component_a_is_the_star():
    assert observed("HD 102365 A", at(BY_NAME["HD102365"])).name == "HD102365"
    assert observed("61 Cyg B", at(BY_NAME["HD201092"])).name == "HD201092"


def test_a_name_that_is_in_no_catalog_takes_the_star_at_its_place_but_not_one_beside_it():
    near = BY_NAME["HD10700"]
    assert observed("my target", at(near)) == near
    assert Quality.STAR_DISAGREES in observed("my target", at(near, north_arcsec=5.0)).quality
    assert observed("my target", at(near, north_arcsec=15.0)).source == "telescope"


def test_a_place_that_ignores_the_proper_motion_is_that_of_the_star():
    fast = BY_NAME["HD103095"]
    requested = Telescope(ra_deg=fast.ra_deg, dec_deg=fast.dec_deg)
    assert observed("HD103095", requested) == fast


def test_names_and_places_of_one_header_that_differ_are_flagged():
    one, other = BY_NAME["HD10700"], BY_NAME["HD102365"]
    swapped = replace(at(one), catalog_ra_deg=other.ra_deg, catalog_dec_deg=other.dec_deg)
    assert Quality.STAR_DISAGREES in observed("HD10700", swapped).quality
    assert Quality.STAR_DISAGREES in observed("HD10700", replace(at(one), object_name="HD102365")).quality
    assert observed("HD10700", replace(at(one), object_name="tau Ceti")).quality == Quality(0)
    assert Quality.STAR_DISAGREES in observed("HD10700", Telescope(object_name="HD102365")).quality


def test_the_coordinates_of_the_other_telescope_are_never_used():
    other = at(BY_NAME["HD10700"])
    assert observed("somestar", None, other).ra_deg is None
    assert observed("somestar", Telescope(longitude_deg=-70.8), other).ra_deg is None
    assert observed("somestar", other, None, fiber=2).ra_deg is None
    single = replace(FIBERS, star=(0,))
    assert observed("somestar", other, None, fiber=2, fibers=single, catalog=[]).ra_deg == other.ra_deg


@pytest.mark.parametrize(("name", "error_ms"), [("HD102365", 11.8), ("HD10700", 8.0)])
def test_an_epoch_that_is_not_read_would_be_metres_per_second(name, error_ms):
    star, place = BY_NAME[name], instruments.load("nres01").place(None, None)
    ra_deg, dec_deg = now(star, year=2015.5)
    right = replace(star, ra_deg=ra_deg, dec_deg=dec_deg, epoch_year=2015.5)
    days = 58500.0 + np.arange(0, 365, 15)
    berv_ms = [[barycenter.at(s, day, place).berv_ms for day in days] for s in (right, replace(right, epoch_year=2e3))]
    assert np.abs(np.subtract(*berv_ms)).max() == pytest.approx(error_ms, abs=0.1)


def requested(**values):
    given = {"ra_deg": 50.0, "dec_deg": 60.0, "catalog_ra_deg": 50.0, "catalog_dec_deg": 60.0} | values
    return observed("somestar", Telescope(**given), catalog=[])


def test_the_epoch_of_requested_coordinates_is_read():
    assert requested(catalog_epoch_year=2015.5).epoch_year == 2015.5
    assert requested().epoch_year == 2000.0
    absurd = requested(catalog_epoch_year=20155.0)
    assert (absurd.epoch_year, absurd.quality) == (2000.0, Quality.MOTION_IMPLAUSIBLE)


@given(st.floats(-1e7, 1e7), st.floats(-1e7, 1e7), st.floats(-1e6, 1e6))
def test_no_motion_that_no_star_has_reaches_a_velocity(pm_ra, pm_dec, parallax):
    star = requested(pm_ra_mas_yr=pm_ra, pm_dec_mas_yr=pm_dec, parallax_mas=parallax)
    motion = np.hypot(star.pm_ra_mas_yr or 0.0, star.pm_dec_mas_yr or 0.0)
    assert motion * (YEAR - 2000) / 1e3 < 31
    assert 0 <= (star.parallax_mas or 0.0) <= 800
    assert not star.parallax_mas or 4.74 * motion / star.parallax_mas < 1001
    used = (star.pm_ra_mas_yr, star.pm_dec_mas_yr, star.parallax_mas)
    is_as_given = np.allclose([np.nan if n is None else n for n in used], [pm_ra / 2, pm_dec, parallax])
    assert is_as_given or Quality.MOTION_IMPLAUSIBLE in star.quality


def test_a_motion_that_leads_away_from_the_pointing_is_not_used():
    star = requested(pm_ra_mas_yr=9500.0)
    assert (star.pm_ra_mas_yr, star.quality) == (None, Quality.MOTION_IMPLAUSIBLE)


def test_a_star_that_was_requested_elsewhere_is_where_the_telescope_pointed():
    star = requested(catalog_ra_deg=51.0)
    assert (star.ra_deg, star.quality) == (50.0, Quality.STAR_DISAGREES)


def test_without_a_place_a_name_of_the_catalog_is_enough():
    star, quality = star_match.identify(CATALOG, ["tau Cet"], [], YEAR)
    assert (star.name, quality) == ("HD10700", Quality(0))
    assert star_match.identify(CATALOG, ["nobody"], [Position(1.0, -80.0, YEAR)], YEAR) == (None, Quality(0))


def test_a_star_without_a_position_is_nowhere():
    assert star_match.from_path_arcsec(Star("x"), Position(1.0, 2.0, 2000.0), YEAR) == np.inf


@given(st.floats(-180, 360), st.floats(-90, 90), st.floats(-500, 9000))
def test_no_place_of_a_header_moves_a_velocity_without_a_flag(longitude, latitude, height):
    nres, star = instruments.load("nres01"), BY_NAME["HD102365"]
    own = replace(at(star), longitude_deg=longitude, latitude_deg=latitude, height_m=height)
    raw, table = frame_of(own), nres.place(None, None)
    used, right = (barycenter.at(star, 58579.1, place).berv_ms for place in (nres.place(raw, 0), table))
    assert abs(used - right) < 0.02
    distance_m = table.apart_m(Place(longitude, latitude, height))
    assert (Quality.SITE_DISAGREES in nres.place_flags(raw)) == (distance_m > 100)


def test_the_wrong_sign_of_a_longitude_is_flagged_and_a_missing_one_is_not():
    nres = instruments.load("nres01")
    right = replace(at(BY_NAME["HD102365"]), longitude_deg=-70.8047, latitude_deg=-30.1673, height_m=2201.0)
    assert nres.place_flags(frame_of(right)) == Quality(0)
    assert nres.place_flags(frame_of(replace(right, longitude_deg=70.8047))) == Quality.SITE_DISAGREES
    assert nres.place(frame_of(replace(right, longitude_deg=70.8047)), 0) == nres.place(None, None)
    assert nres.place_flags(frame_of(replace(right, height_m=None))) == Quality(0)
