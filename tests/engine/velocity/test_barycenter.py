"""Midpoints of exposures, and the motion of the observer."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import EarthLocation, SkyCoord, get_body_barycentric
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nrespipe import instruments
from nrespipe.engine.velocity import barycenter
from nrespipe.frames.raw import ExposureMeter, Kind, RawFrame, Section
from nrespipe.frames.star import Star

FIBERS = instruments.load("nres01").fibers
LIGHT_MS = 299792458.0
DAY_S = 86400.0
START = 58500.25

BARNARD = Star("Barnard", 269.4520825, 4.69339088, 2000.0, -798.58, 10328.12, 546.98, -110.51)
TAU_CETI = Star("tau Cet", 26.0170130, -15.9374794, 2000.0, -1721.05, 854.16, 273.96, -16.68)
FAR = Star("far", 200.0, -60.0, 2015.5, 3.0, -7.0, 0.8, 55.0)


def frame(meter, objects=("star", "thar", "none"), exposure_s=600.0):
    section = Section(0, 4, 0, 4)
    return RawFrame(
        filename="lscnrs01-fa09-20190101-0001-e00", kind=Kind.SCIENCE, site="lsc", instrument="nres01", camera="fa09",
        day="20190101", start_mjd=START, exposure_s=exposure_s, objects=objects, adu=np.zeros((4, 4)),
        bias_section=section, data_section=section, meter=meter,
    )  # fmt: skip


def meter(rate, column, sample_s=5.0, cycle_s=6.0, before_s=60.0, after_s=80.0, exposure_s=600.0, pedestal=0.0):
    """A series from before to after the exposure; `rate` is a function of seconds since the shutter opened."""
    start_s = np.arange(-before_s, exposure_s + after_s, cycle_s)
    counts = np.full((len(start_s), 3), pedestal)
    fine = (np.arange(50) + 0.5) / 50 * sample_s
    counts[:, column] += rate(start_s[:, None] + fine).mean(axis=1) * sample_s
    return ExposureMeter(START + start_s / DAY_S, np.full(len(start_s), sample_s), counts)


def falling(t):
    return 1000.0 * np.exp(-np.asarray(t) / 300.0)


def truth_s(rate, exposure_s=600.0):
    t = np.linspace(0, exposure_s, 100001)
    return np.trapezoid(rate(t) * t, t) / np.trapezoid(rate(t), t)


def seconds(mjd):
    return (mjd - START) * DAY_S


@pytest.mark.parametrize("pedestal", [0.0, 2000.0])
@pytest.mark.parametrize(("fiber", "column"), [(0, 2), (2, 0), (0, 0), (2, 2)])
def test_the_midpoint_of_a_fading_star_is_right_to_half_a_second_whatever_the_column_is_called(fiber, column, pedestal):
    objects = ("star", "thar", "none") if fiber == 0 else ("none", "thar", "star")
    mjd, from_meter = barycenter.midpoint(frame(meter(falling, column, pedestal=pedestal), objects), fiber, FIBERS)
    assert from_meter
    assert abs(seconds(mjd) - truth_s(falling)) < 0.5


def test_two_stars_take_the_mirrored_columns():
    both = meter(falling, 2)
    counts = both.counts.copy()
    counts[:, 0] = counts[::-1, 2]
    raw = frame(replace(both, counts=counts), ("a", "thar", "b"))
    first, second = (seconds(barycenter.midpoint(raw, fiber, FIBERS)[0]) for fiber in (0, 2))
    assert first < 300 < second


def test_a_short_gap_does_not_move_the_midpoint():
    whole = meter(falling, 2)
    start_s = (whole.start_mjd - START) * DAY_S
    kept = (start_s < 200) | (start_s > 260)
    gappy = ExposureMeter(whole.start_mjd[kept], whole.exposure_s[kept], whole.counts[kept])
    mjd, from_meter = barycenter.midpoint(frame(gappy), 0, FIBERS)
    assert from_meter
    assert abs(seconds(mjd) - truth_s(falling)) < 0.5


@pytest.mark.parametrize("place", [0, 1, 20, -2, -1])
def test_one_glitch_does_not_move_the_midpoint(place):
    whole = meter(falling, 2)
    counts = whole.counts.copy()
    counts[place, 2] *= 50
    mjd, from_meter = barycenter.midpoint(frame(replace(whole, counts=counts)), 0, FIBERS)
    assert from_meter
    assert abs(seconds(mjd) - truth_s(falling)) < 0.5


def _without(whole, kind):
    start_s = (whole.start_mjd - START) * DAY_S
    kept = {"a long gap": (start_s < 200) | (start_s > 400), "no sample inside": start_s < -30}.get(
        kind, start_s > -1e9
    )
    counts = whole.counts[kept] * {"no light": 0.0, "negative counts": -1.0, "no numbers": np.nan}.get(kind, 1.0)
    return ExposureMeter(whole.start_mjd[kept], whole.exposure_s[kept], counts)


@pytest.mark.parametrize("kind", ["a long gap", "no sample inside", "no light", "negative counts", "no numbers"])
def test_a_useless_meter_gives_the_geometric_middle_and_says_so(kind):
    mjd, from_meter = barycenter.midpoint(frame(_without(meter(falling, 2), kind)), 0, FIBERS)
    assert not from_meter
    assert seconds(mjd) == pytest.approx(300.0, abs=1e-4)


def test_no_meter_gives_the_geometric_middle_and_says_so():
    mjd, from_meter = barycenter.midpoint(frame(None), 0, FIBERS)
    assert not from_meter
    assert seconds(mjd) == pytest.approx(300.0, abs=1e-4)


@given(
    hnp.arrays(float, (12, 3), elements=st.floats(-1e6, 1e6) | st.just(np.nan)),
    hnp.arrays(float, 12, elements=st.floats(-500, 1200) | st.just(np.nan)),
    hnp.arrays(float, 12, elements=st.floats(-5, 200)),
)
def test_whatever_the_meter_says_the_midpoint_lies_within_the_exposure(counts, start_s, exposure_s):
    mjd, _ = barycenter.midpoint(frame(ExposureMeter(START + start_s / DAY_S, exposure_s, counts)), 0, FIBERS)
    assert -1e-3 <= seconds(mjd) <= 600.001


def _arrival_s(star, time, place):
    """Seconds (TDB) by which a wavefront reaches the barycenter after the observer, from bare geometry."""
    location = EarthLocation.from_geodetic(place.longitude_deg, place.latitude_deg, place.height_m)
    earth = get_body_barycentric("earth", time, "builtin") + location.get_gcrs_posvel(time)[0]
    observer = earth.xyz.to_value(units.au)
    coordinate = SkyCoord(
        star.ra_deg * units.deg, star.dec_deg * units.deg, distance=1000 / star.parallax_mas * units.pc,
        pm_ra_cosdec=star.pm_ra_mas_yr * units.mas / units.yr, pm_dec=star.pm_dec_mas_yr * units.mas / units.yr,
        radial_velocity=star.rv_kms * units.km / units.s,
    )  # fmt: skip
    motion = coordinate.velocity.d_xyz.to_value(units.au / units.yr)
    place_au = coordinate.cartesian.xyz.to_value(units.au) + motion * (time.tdb.jyear - star.epoch_year)
    # |r| - |r - o| as it stands loses metres to rounding at a kiloparsec
    norms = np.linalg.norm(place_au) + np.linalg.norm(place_au - observer)
    return observer @ (2 * place_au - observer) / norms * 149597870700.0 / LIGHT_MS


@pytest.mark.parametrize("star", [BARNARD, TAU_CETI, FAR], ids=lambda star: star.name)
@pytest.mark.parametrize("name", ["nres01", "nres02", "nres03", "nres04"])
@pytest.mark.slow
def test_the_motion_is_the_rate_at_which_the_light_travel_time_changes(star, name):
    place = instruments.load(name)
    for mjd in np.linspace(57900.1, 60900.9, 7):
        step_s = 60.0
        early, late = (Time(mjd, format="mjd", scale="utc") + sign * step_s / 2 * units.s for sign in (-1, 1))
        rate = (_arrival_s(star, late, place) - _arrival_s(star, early, place)) / step_s
        # the geometry knows neither clocks that run slow by speed and gravity nor the epoch the velocity refers to
        time = Time(mjd, format="mjd", scale="utc")
        location = EarthLocation.from_geodetic(place.longitude_deg, place.latitude_deg, place.height_m)
        _, beta, redshift = barycenter._observer(location, time)
        clock = 1 / np.sqrt(1 - beta @ beta) / (1 + redshift)
        years = time.tdb.jyear - star.epoch_year
        motion = np.hypot(star.pm_ra_mas_yr, star.pm_dec_mas_yr) / 1e3
        perspective_ms = 0.0229786 * motion**2 / (star.parallax_mas / 1e3) * years
        expected = LIGHT_MS * (clock * (1 + rate) - 1) - perspective_ms
        # second-order perspective over 17 years and c-squared terms of the star's own motion stay below 2 cm/s
        assert barycenter.at(star, mjd, place).berv_ms == pytest.approx(
            expected, abs=0.02 + 0.004 * abs(perspective_ms)
        )


def _emitted_years(star, when, place):
    """Barycentric time, since that at the star whose light gave its astrometry, at which the light now seen left it.

    In long double: the path is 2e8 light seconds and the answer is wanted to 1e-11 seconds.
    """
    real, location = np.longdouble, EarthLocation.from_geodetic(place.longitude_deg, place.latitude_deg, place.height_m)
    earth = get_body_barycentric("earth", when, "builtin") + location.get_gcrs_posvel(when)[0]
    light_years_per_au = real(149597870700) / real(299792458) / real(31557600)
    observer = earth.xyz.to_value(units.au).astype(real) * light_years_per_au
    ra, dec = (np.radians(real(angle)) for angle in (star.ra_deg, star.dec_deg))
    east, north = [-np.sin(ra), np.cos(ra), 0], [-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)]
    away = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    mas = np.radians(real(1)) / 3600000
    distance, recession = light_years_per_au / (real(star.parallax_mas) * mas), real(star.rv_kms) / real(299792.458)
    # a proper motion is seen to change with the arrival of light: a star that comes nearer seems to hurry
    across = (star.pm_ra_mas_yr * np.array(east) + star.pm_dec_mas_yr * np.array(north)) * mas * (1 + recession)
    velocity = distance * across + recession * away
    tdb = when.tdb
    since = 2451545 + 365.25 * (star.epoch_year - 2000)
    elapsed = ((real(tdb.jd1) - real(since)) + real(tdb.jd2)) / real(365.25)
    emitted = elapsed
    for _ in range(12):
        emitted = elapsed - (np.sqrt(np.sum((distance * away + velocity * emitted - observer) ** 2)) - distance)
    return emitted


@pytest.mark.slow
def test_the_light_path_of_barnards_star_gives_its_correction_to_half_a_millimetre_per_second_for_ten_years():
    place, step_s = instruments.load("nres01"), 300.0
    location = EarthLocation.from_geodetic(place.longitude_deg, place.latitude_deg, place.height_m)
    epoch = replace(BARNARD, epoch_year=2015.5)
    recession = epoch.rv_kms * 1e3 / LIGHT_MS
    for mjd in np.linspace(57204.1, 60857.3, 40):
        time = Time(mjd, format="mjd", scale="utc")
        moments = [time.tdb + offset * step_s * units.s for offset in (-2, -1, 1, 2)]
        first, second, third, fourth = (_emitted_years(epoch, moment, place) for moment in moments)
        rate = (8 * (third - second) - (fourth - first)) * np.longdouble(31557600) / (12 * step_s)
        _, beta, redshift = barycenter._observer(location, time)
        clock = 1 / np.sqrt(1 - beta @ beta) / (1 + redshift)
        # the clock of the star is the same at the epoch, when its light arrived by 1 / (1 + recession)
        expected = LIGHT_MS * float(clock * rate * (1 + recession) - 1)
        assert barycenter.at(epoch, mjd, place).berv_ms == pytest.approx(expected, abs=5e-4)


def _light_travel_ms_per_year(star):
    """Butkevich & Lindegren (2014), equation D.11: what light travel adds to the velocity that is seen."""
    motion = np.hypot(star.pm_ra_mas_yr, star.pm_dec_mas_yr) * np.pi / 180 / 3.6e6
    distance_m = 149597870700.0 / (star.parallax_mas * np.pi / 180 / 3.6e6)
    return star.rv_kms * 1e3 * distance_m * motion**2 / 31557600.0 / LIGHT_MS


def test_light_travel_takes_seventeen_tenths_of_a_millimetre_per_second_and_year_from_barnards_perspective():
    place = instruments.load("nres03")
    assert _light_travel_ms_per_year(BARNARD) == pytest.approx(-1.66e-3, abs=2e-5)
    for jyear in (2016.0, 2017.3, 2018.6, 2025.0):
        mjd = Time(jyear, format="jyear", scale="tdb").utc.mjd
        added_ms = barycenter.at(BARNARD, mjd, place).berv_ms - _without_light_travel(BARNARD, mjd, place)
        assert added_ms == pytest.approx(-_light_travel_ms_per_year(BARNARD) * (jyear - 2000.0), abs=3e-4)


def _without_light_travel(star, mjd, place):
    """Equation 28 of Wright & Eastman with the star where it would be if its light took no time."""
    time = Time(mjd, format="mjd", scale="utc")
    location = EarthLocation.from_geodetic(place.longitude_deg, place.latitude_deg, place.height_m)
    position_m, beta, redshift = barycenter._observer(location, time)
    coordinate = SkyCoord(
        star.ra_deg * units.deg, star.dec_deg * units.deg, distance=1000 / star.parallax_mas * units.pc,
        pm_ra_cosdec=star.pm_ra_mas_yr * units.mas / units.yr, pm_dec=star.pm_dec_mas_yr * units.mas / units.yr,
        radial_velocity=star.rv_kms * units.km / units.s,
    )  # fmt: skip
    start, motion = coordinate.cartesian.xyz.to_value(units.au), coordinate.velocity.d_xyz.to_value(units.au / units.yr)
    seen = start + motion * (time.tdb.jyear - star.epoch_year) - position_m / 149597870700.0
    star_beta = motion * 149597870700.0 / 31557600.0 / LIGHT_MS
    ratio = (1 + beta @ seen / np.linalg.norm(seen)) / np.sqrt(1 - beta @ beta) / (1 + redshift)
    ratio *= (1 + star_beta @ start / np.linalg.norm(start)) / (1 + star_beta @ seen / np.linalg.norm(seen))
    return LIGHT_MS * (ratio - 1)


@pytest.mark.parametrize("star", [BARNARD, TAU_CETI, FAR], ids=lambda star: star.name)
@pytest.mark.slow
def test_the_motion_agrees_with_astropy_to_two_centimetres_per_second(star):
    for name in instruments.names():
        place = instruments.load(name)
        location = EarthLocation.from_geodetic(place.longitude_deg, place.latitude_deg, place.height_m)
        coordinate = SkyCoord(
            star.ra_deg * units.deg, star.dec_deg * units.deg, distance=1000 / star.parallax_mas * units.pc,
            pm_ra_cosdec=star.pm_ra_mas_yr * units.mas / units.yr, pm_dec=star.pm_dec_mas_yr * units.mas / units.yr,
            radial_velocity=star.rv_kms * units.km / units.s, obstime=Time(star.epoch_year, format="jyear"),
        )  # fmt: skip
        for mjd in np.linspace(57900.1, 60900.9, 11):
            time = Time(mjd, format="mjd", scale="utc")
            theirs = coordinate.radial_velocity_correction(obstime=time, location=location).to_value("m/s")
            # astropy lets the light of the star take no time
            theirs -= _light_travel_ms_per_year(star) * (time.tdb.jyear - star.epoch_year)
            assert barycenter.at(star, mjd, place).berv_ms == pytest.approx(theirs, abs=0.02)


def test_the_barycentric_time_agrees_with_astropy_to_a_millisecond():
    place = instruments.load("nres03")
    location = EarthLocation.from_geodetic(place.longitude_deg, place.latitude_deg, place.height_m)
    coordinate = SkyCoord(FAR.ra_deg * units.deg, FAR.dec_deg * units.deg)
    star = Star("fixed", FAR.ra_deg, FAR.dec_deg)
    for mjd in np.linspace(57900.1, 60900.9, 11):
        time = Time(mjd, format="mjd", scale="utc", location=location)
        theirs = time.tdb + time.light_travel_time(coordinate, ephemeris="builtin")
        difference_s = ((theirs.jd1 - barycenter.at(star, mjd, place).bjd_tdb) + theirs.jd2) * DAY_S
        assert abs(difference_s) < 1e-3


def test_a_star_without_parallax_still_moves():
    place = instruments.load("nres01")
    moving = Star("m", 26.0, -15.9, 2000.0, -1721.05, 854.16)
    later = Star("m", 26.0 - 20 * 1.72105 / 3600 / np.cos(np.radians(15.9)), -15.9 + 20 * 0.85416 / 3600, 2020.0)
    mjd = 58849.0
    assert barycenter.at(moving, mjd, place).berv_ms == pytest.approx(
        barycenter.at(later, mjd, place).berv_ms, abs=0.02
    )


def test_a_star_without_a_position_is_refused():
    with pytest.raises(ValueError, match="nowhere"):
        barycenter.at(Star("nowhere"), 58000.0, instruments.load("nres01"))


def test_the_change_of_a_velocity_by_perspective_is_told():
    star = Star("HD102365", 176.6292, -40.5003, 2000.0, -1530.55, 403.4, 107.39, 17.4)
    found = barycenter.at(star, 58578.0, instruments.load("nres01"))
    motion = np.hypot(star.pm_ra_mas_yr, star.pm_dec_mas_yr) / 1e3
    years = (58578.0 - 51544.5) / 365.25
    assert found.perspective_ms == pytest.approx(0.0229786 * motion**2 / (star.parallax_mas / 1e3) * years, abs=0.05)
    assert found.perspective_ms == pytest.approx(10.4, abs=0.2)
    without = barycenter.at(replace(star, parallax_mas=None), 58578.0, instruments.load("nres01"))
    assert without.perspective_ms == 0.0


@pytest.mark.parametrize("body", ["Sun", "Moon", "Venus", "Mars", "Jupiter"])
@pytest.mark.parametrize("mjd", [58578.1, 58592.3, 58700.45])
def test_sunlight_by_way_of_a_body_is_shifted_by_the_motions_along_the_way(body, mjd):
    nres = instruments.load("nres01")
    time = Time(mjd, format="mjd", scale="utc")
    location = EarthLocation.from_geodetic(nres.longitude_deg, nres.latitude_deg, nres.height_m)

    def place(name, days):
        when = time + days * units.day
        if name == "observer":
            site = location.get_gcrs_posvel(when)[0]
            return (get_body_barycentric("earth", when, "builtin") + site).xyz.to_value(units.m)
        return get_body_barycentric(name, when, "builtin").xyz.to_value(units.m)

    def moves(name):
        return (place(name, 1e-3) - place(name, -1e-3)) / 2e-3 / DAY_S

    way = ["sun", "observer"] if body == "Sun" else ["sun", body.lower(), "observer"]
    rate = 0.0
    for here, there in pairwise(way):
        apart = place(there, 0.0) - place(here, 0.0)
        rate += (moves(there) - moves(here)) @ apart / np.linalg.norm(apart)
    # the time that the light takes is left out here: the Earth turns by half a degree an hour, and squares of v / c
    assert barycenter.of_body(body, mjd, nres).berv_ms == pytest.approx(-rate, abs=30.0)
