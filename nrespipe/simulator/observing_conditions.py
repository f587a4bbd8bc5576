"""Clouds, the exposure meter, and the barycentric motion of the Earth, computed by astropy and not by the engine."""

import warnings
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.coordinates import AltAz, EarthLocation, SkyCoord, get_body_barycentric_posvel
from astropy.time import Time
from astropy.utils import iers

from nrespipe import doppler
from nrespipe.frames.arrays import Floats, frozen
from nrespipe.frames.raw import ExposureMeter
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.frames.star import Star

_AU_M, _YEAR_S = 149597870700.0, 365.25 * 86400
_MAS_YR = np.radians(1 / 3.6e6)

#: The meter's sample and the time between two starts [second].
METER_SAMPLE_S, METER_CADENCE_S = 6.0, 6.8


@dataclass(frozen=True)
class Sight:
    """Time, motion and airmass at which a star was observed in one exposure.

    Attributes
    ----------
    midpoint_mjd
        Photon-weighted midpoint, UTC [MJD].
    bjd_tdb
        The same at the barycenter [JD, TDB].
    berv_ms
        Photon-weighted mean of c * z_b, with ``1 + z_b = gamma (1 + beta . n) / (1 + Phi)`` [m / s].
    airmass
        At the middle.
    """

    midpoint_mjd: float
    bjd_tdb: float
    berv_ms: float
    airmass: float


@dataclass(frozen=True)
class Throughput:
    """Transmission of clouds and seeing against time.

    Attributes
    ----------
    time_s : shape (n,)
        From shutter open, evenly spaced; begins before it and ends after shutter close [second].
    rate : shape (n,)
        Relative light.
    """

    time_s: np.ndarray
    rate: np.ndarray

    def __post_init__(self):
        frozen(self, time_s=(None,), rate=(len(self.time_s),))


def clouds(rng: np.random.Generator, exposure_s: float) -> Throughput:
    """Return the transparency during an exposure.

    Parameters
    ----------
    exposure_s
        Exposure time [second].

    Returns
    -------
    Throughput
        From 60 s before the shutter opens to 45 s after it closes; varies by tens of percent over minutes.
    """
    time_s = np.arange(-60.0, exposure_s + 45.0 + 0.25, 0.5)
    waves = np.zeros(len(time_s))
    for _ in range(8):
        period = np.exp(rng.uniform(np.log(40), np.log(2000)))
        waves += rng.normal(0, 0.18) * np.sin(2 * np.pi * (time_s / period + rng.uniform()))
    return Throughput(time_s, np.exp(waves - waves.max()))


def see(spectrograph: Spectrograph, star: Star, start_mjd: float, exposure_s: float, throughput: Throughput) -> Sight:
    """Return the time, the motion and the airmass at which a star was observed.

    Parameters
    ----------
    spectrograph
        For its position on Earth.
    star
        With position and proper motion.
    start_mjd, exposure_s
        Shutter open, UTC, and exposure time [MJD, second].
    """
    open_ = (throughput.time_s >= 0) & (throughput.time_s <= exposure_s)
    time_s, weight = throughput.time_s[open_], throughput.rate[open_]
    middle_s = np.average(time_s, weights=weight)
    knots = np.linspace(0, exposure_s, 7)
    berv, _ = barycenter(spectrograph, star, start_mjd + knots / 86400)
    smooth = np.polyfit(knots / exposure_s - 0.5, berv, 4)
    berv_ms = np.average(np.polyval(smooth, time_s / exposure_s - 0.5), weights=weight)
    midpoint_mjd = start_mjd + middle_s / 86400
    _, bjd = barycenter(spectrograph, star, np.array([midpoint_mjd]))
    return Sight(float(midpoint_mjd), float(bjd[0]), float(berv_ms), _airmass(spectrograph, star, midpoint_mjd))


def barycenter(spectrograph: Spectrograph, star: Star, mjd_utc: Floats) -> tuple[Floats, Floats]:
    """Return the barycentric correction of a star.

    Parameters
    ----------
    spectrograph
        For its position on Earth.
    star
        With position and proper motion.
    mjd_utc : shape (n,)
        Times [MJD].

    Returns
    -------
    berv_ms, bjd_tdb : ndarray of float, shape (n,)
        ``c * z_b`` [m / s], and the time at the barycenter [JD].

    Notes
    -----
    ``1 + z_b = gamma (1 + beta . n) (1 + potential)``: the observer's speed toward the star and the depth of the
    observatory in the potentials of Sun and Earth (Wright & Eastman 2014 PASP 126 838). The direction n is that of
    the moving star from the observatory. A star's `rv_ms` holds at the epoch of its position: what the line of sight
    gains since, as the star flies past, is part of the correction.
    """
    place = _place(spectrograph)
    with _offline():
        time = Time(mjd_utc, format="mjd", scale="utc", location=place)
        earth, speed = get_body_barycentric_posvel("earth", time, ephemeris="builtin")
        local, local_speed = place.get_gcrs_posvel(time)
        potential = -place.gravitational_redshift(time).to_value(u.m / u.s) / doppler.C_MS
        observer_m = (earth.xyz + local.xyz).to_value(u.m).T
        beta = ((speed.xyz + local_speed.xyz).to_value(u.m / u.s) / doppler.C_MS).T
        jd_tdb, years = time.tdb.jd, time.tdb.jyear
    toward = _direction(star, years, observer_m)
    gamma = 1 / np.sqrt(1 - np.sum(beta**2, axis=1))
    epoch, motion, parallax = _course(star)
    speed = motion * _AU_M / parallax / _YEAR_S / doppler.C_MS if parallax > 0 else 0 * motion
    gained = (1 + speed @ epoch) / (1 + toward @ speed)
    z = gamma * (1 + np.sum(beta * toward, axis=1)) * (1 + potential) * gained - 1
    return doppler.C_MS * z, jd_tdb + np.sum(observer_m * toward, axis=1) / doppler.C_MS / 86400


def _place(spectrograph):
    return EarthLocation.from_geodetic(spectrograph.longitude_deg, spectrograph.latitude_deg, spectrograph.height_m)


def _direction(star, years, observer_m):
    """Unit vectors from the observatory to a star in straight motion, shape (n, 3)."""
    epoch, motion, parallax = _course(star)
    vector = epoch + motion * (years[:, None] - star.epoch_year) - observer_m / _AU_M * parallax
    return vector / np.linalg.norm(vector, axis=1, keepdims=True)


def _course(star):
    """Direction of a star at its epoch, its motion a year as a share of its distance, and its parallax in radian."""
    a, d = np.radians(star.ra_deg), np.radians(star.dec_deg)
    here = np.array([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
    east, north = np.array([-np.sin(a), np.cos(a), 0.0]), np.cross(here, [-np.sin(a), np.cos(a), 0.0])
    parallax = np.radians((star.parallax_mas or 0.0) / 3.6e6)
    motion = _MAS_YR * ((star.pm_ra_mas_yr or 0.0) * east + (star.pm_dec_mas_yr or 0.0) * north)
    # along the line of sight: km / s into distances a year
    return here, motion + here * (star.rv_kms or 0.0) * 1e3 * _YEAR_S / _AU_M * parallax, parallax


def _airmass(spectrograph, star, mjd_utc):
    with _offline():
        frame = AltAz(obstime=Time(mjd_utc, format="mjd"), location=_place(spectrograph))
        height = SkyCoord(star.ra_deg, star.dec_deg, unit="deg").transform_to(frame).alt.rad
    # a star that the plan put below the horizon is observed all the same, low in the sky
    return float(1 / max(np.sin(height), 0.42))


@contextmanager
def _offline():
    """Use the tables that astropy brings along, also for dates beyond their end, without a word."""
    settings = iers.conf.set_temp("auto_download", False), iers.conf.set_temp("auto_max_age", None)
    with settings[0], settings[1], warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def meter(
    rng: np.random.Generator, start_mjd: float, throughputs: Mapping[int, Throughput], counts: Mapping[int, float]
) -> ExposureMeter:
    """Return the record of the exposure meter.

    Parameters
    ----------
    start_mjd
        Shutter open, UTC [MJD].
    counts
        Counts of a sample through a clear sky, by star fiber [ADU].

    Returns
    -------
    ExposureMeter
        Samples from before the shutter opens until after it closes; fiber 0 is in the last column and fiber 2 in
        the first, as in real files.
    """
    any_ = next(iter(throughputs.values()))
    starts = np.arange(any_.time_s[0], any_.time_s[-1] - METER_SAMPLE_S, METER_CADENCE_S)
    table = rng.normal(20.0, 6.0, (len(starts), 3))
    table[:, 1] += 3000.0 + rng.normal(0, 55.0, len(starts))
    for fiber, throughput in throughputs.items():
        total = np.concatenate([[0], np.cumsum(throughput.rate)]) * 0.5
        edges = np.append(throughput.time_s, throughput.time_s[-1] + 0.5)
        collected = np.interp(starts + METER_SAMPLE_S, edges, total) - np.interp(starts, edges, total)
        table[:, 2 - fiber] += rng.poisson(counts[fiber] * collected / METER_SAMPLE_S)
    return ExposureMeter(start_mjd + starts / 86400, np.full(len(starts), METER_SAMPLE_S), table)
