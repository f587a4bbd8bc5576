"""Directions of a telescope, the Sun and the Moon in the sky of a site."""

from typing import NamedTuple

import erfa
import numpy as np

from nrespipe.frames.arrays import Floats
from nrespipe.frames.spectrograph import Place

_MJD_ZERO = 2400000.5
_AU_M = erfa.DAU
#: Velocity of one astronomical unit a day [km / s].
_AU_PER_DAY_KMS = erfa.DAU / erfa.DAYSEC / 1e3
#: Angle by which the Earth turns in a day against the stars [radian].
_TURN_PER_DAY = 2 * np.pi * 1.00273781191135448


class Direction(NamedTuple):
    """A direction in the sky of a site, without refraction.

    Attributes
    ----------
    azimuth_deg, elevation_deg
        Azimuth from north through east, and elevation above the horizon [degree].
    hour_angle_deg
        Hour angle, from -180 to 180 [degree].
    parallactic_deg
        Parallactic angle, the position angle of the zenith [degree].
    sidereal_deg
        Local apparent sidereal time [degree].
    """

    azimuth_deg: float
    elevation_deg: float
    hour_angle_deg: float
    parallactic_deg: float
    sidereal_deg: float


class MoonAndSun(NamedTuple):
    """The Moon and the Sun during an exposure.

    Attributes
    ----------
    sun_elevation_deg, moon_elevation_deg
        Above the horizon, without refraction [degree].
    moon_illuminated
        Illuminated part of the disk of the Moon.
    moon_angle_deg
        Distance of the Moon from the target [degree].
    moon_velocity_ms
        Velocity of sunlight that the Moon reflects to the site: of the Moon from the Sun and of the site from the
        Moon; positive where both recede [m / s].
    """

    sun_elevation_deg: float
    moon_elevation_deg: float
    moon_illuminated: float
    moon_angle_deg: float
    moon_velocity_ms: float


def geocentric_m(place: Place) -> Floats:
    """Return the geocentric position of a place in the frame that rotates with the Earth, WGS84.

    Returns
    -------
    ndarray of float, shape (3,)
        Towards Greenwich, 90 degrees east, and north [metre].
    """
    return np.asarray(erfa.gd2gc(1, np.radians(place.longitude_deg), np.radians(place.latitude_deg), place.height_m))


def direction(ra_deg: float, dec_deg: float, mjd: float, place: Place) -> Direction:
    """Return where a position on the sky stands.

    Parameters
    ----------
    ra_deg, dec_deg
        ICRS [degree].
    mjd
        Time, UTC [MJD].
    place
        Of the telescope.

    Notes
    -----
    Precession and nutation are those of IAU 2006; UT1 is taken to be UTC (15 arcsec at most), aberration (20 arcsec)
    and refraction are left out.
    """
    to_date, sidereal = _frame(mjd, place)
    return _seen(to_date @ erfa.s2c(np.radians(ra_deg), np.radians(dec_deg)), sidereal, place)


def moon_and_sun(mjd: float, place: Place, ra_deg: float, dec_deg: float) -> MoonAndSun:
    """Return the Moon and the Sun at a time.

    Parameters
    ----------
    mjd
        Time, UTC [MJD].
    place
        Of the telescope.
    ra_deg, dec_deg
        The target, ICRS [degree]; NaN where it is not known.

    Notes
    -----
    Meeus' series of the Moon (3 arcsec) and the ephemeris of the Earth that ERFA has, seen from the site and not from
    the center of the Earth; the angles as in `direction`.
    """
    to_date, sidereal = _frame(mjd, place)
    tt = _tt(mjd)
    from_center = geocentric_m(place) / _AU_M
    # the sidereal time of Greenwich turns the rotating frame into that of the equinox
    turned = erfa.rz(np.radians(place.longitude_deg) - sidereal, np.eye(3)) @ from_center
    site = np.array([turned, _TURN_PER_DAY * np.cross([0.0, 0.0, 1.0], turned)]) @ to_date
    earth = _motion(erfa.epv00(_MJD_ZERO, tt)[0])
    moon = _motion(erfa.moon98(_MJD_ZERO, tt))
    from_sun, from_site = earth + moon, moon - site
    target = erfa.s2c(np.radians(ra_deg), np.radians(dec_deg))
    phase = erfa.sepp(-from_sun[0], -from_site[0])
    receding = sum(one[0] @ one[1] / np.linalg.norm(one[0]) for one in (from_sun, from_site))
    return MoonAndSun(
        sun_elevation_deg=_seen(to_date @ (-earth[0] - site[0]), sidereal, place).elevation_deg,
        moon_elevation_deg=_seen(to_date @ from_site[0], sidereal, place).elevation_deg,
        moon_illuminated=float((1 + np.cos(phase)) / 2),
        moon_angle_deg=float(np.degrees(erfa.sepp(from_site[0], target))),
        moon_velocity_ms=float(receding) * _AU_PER_DAY_KMS * 1e3,
    )


def _motion(pv):
    """Return position and velocity as the rows of an array [au, au / day]."""
    return np.array([pv["p"], pv["v"]])


def _tt(mjd):
    """Return terrestrial time as a modified Julian date."""
    tai = erfa.utctai(_MJD_ZERO, mjd)
    return erfa.taitt(*tai)[1] + (tai[0] - _MJD_ZERO)


def _frame(mjd, place):
    """Return the rotation from the ICRS to the true equator and equinox of a date, and the sidereal time [radian]."""
    tt = _tt(mjd)
    to_date = erfa.pnm06a(_MJD_ZERO, tt)
    return to_date, float(erfa.gst06(_MJD_ZERO, mjd, _MJD_ZERO, tt, to_date)) + np.radians(place.longitude_deg)


def _seen(vector, sidereal, place):
    """Return a direction, given on the true equator of the date, in the sky of a site."""
    right_ascension, declination = erfa.c2s(vector)
    latitude = np.radians(place.latitude_deg)
    hour_angle = float(erfa.anpm(sidereal - right_ascension))
    azimuth, elevation = erfa.hd2ae(hour_angle, declination, latitude)
    parallactic = erfa.hd2pa(hour_angle, declination, latitude)
    angles = azimuth, elevation, hour_angle, parallactic, erfa.anp(sidereal)
    return Direction(*(float(np.degrees(angle)) for angle in angles))
