"""The Sun, the Moon and a telescope, held to the header of a real frame and to astropy's transformations."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import AltAz, EarthLocation, SkyCoord, get_body, get_body_barycentric
from astropy.time import Time
from astropy.utils import iers

from nrespipe.engine.velocity import sky
from nrespipe.frames.spectrograph import Place

CPT = Place(20.810, -32.3806, 1798.0)
LSC = Place(-70.8047, -30.1673, 2201.0)
RA, DEC = 155.37459, -80.0059733


@pytest.fixture(autouse=True)
def offline():
    with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("auto_max_age", None):
        yield


def test_sun_and_moon_are_where_the_control_system_of_the_telescope_saw_them():
    # MJD-OBS, SUNALT, MOONALT and MOONFRAC of cptnrs03-fa13-20190405-0014-a00; the site is known to some km
    seen = sky.moon_and_sun(58578.5392471, CPT, RA, DEC)
    assert seen.sun_elevation_deg == pytest.approx(39.6348, abs=0.05)
    assert seen.moon_elevation_deg == pytest.approx(44.2940, abs=0.05)
    assert seen.moon_illuminated == pytest.approx(0.001678, abs=2e-5)


@pytest.mark.parametrize(("place", "mjd"), [(CPT, 58578.54), (LSC, 58579.1), (LSC, 60310.9), (CPT, 61000.3)])
def test_angles_are_those_of_astropy(place, mjd):
    time, location = Time(mjd, format="mjd"), EarthLocation.from_geodetic(*place)
    horizon = AltAz(obstime=time, location=location)
    target = SkyCoord(RA, DEC, unit="deg")
    moon = get_body("moon", time, location)
    seen, pointing = sky.moon_and_sun(mjd, place, RA, DEC), sky.direction(RA, DEC, mjd, place)
    assert seen.moon_elevation_deg == pytest.approx(moon.transform_to(horizon).alt.deg, abs=0.02)
    sun = get_body("sun", time, location).transform_to(horizon)
    assert seen.sun_elevation_deg == pytest.approx(sun.alt.deg, abs=0.02)
    assert seen.moon_angle_deg == pytest.approx(SkyCoord(moon.ra, moon.dec).separation(target).deg, abs=0.02)
    there = target.transform_to(horizon)
    assert pointing.elevation_deg == pytest.approx(there.alt.deg, abs=0.02)
    assert pointing.azimuth_deg == pytest.approx(there.az.deg, abs=0.04)
    assert pointing.sidereal_deg == pytest.approx(time.sidereal_time("apparent", location).deg, abs=0.005)
    np.testing.assert_allclose(sky.geocentric_m(place), [x.to_value(u.m) for x in location.geocentric], atol=1e-3)


@pytest.mark.parametrize("mjd", [58578.54, 58585.1, 60310.9])
def test_the_velocity_of_moonlight_is_the_change_of_its_path(mjd):
    def path_m(at):
        time = Time(at, format="mjd")
        body = {name: get_body_barycentric(name, time).xyz.to_value(u.m) for name in ("moon", "sun", "earth")}
        site = EarthLocation.from_geodetic(*CPT).get_gcrs_posvel(time)[0].xyz.to_value(u.m)
        return sum(np.linalg.norm(body["moon"] - one) for one in (body["sun"], body["earth"] + site))

    expected_ms = (path_m(mjd + 1e-3) - path_m(mjd - 1e-3)) / (2e-3 * 86400)
    assert sky.moon_and_sun(mjd, CPT, RA, DEC).moon_velocity_ms == pytest.approx(expected_ms, abs=0.3)


def test_without_a_target_only_its_distance_from_the_moon_is_unknown():
    seen = sky.moon_and_sun(58578.54, CPT, np.nan, np.nan)
    assert np.isnan(seen.moon_angle_deg)
    assert np.isfinite([*seen[:3], seen.moon_velocity_ms]).all()
