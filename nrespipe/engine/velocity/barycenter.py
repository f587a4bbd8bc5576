"""The photon-weighted midpoint of an exposure, and the barycentric time and motion at it."""

import numpy as np
from astropy import constants, units
from astropy.coordinates import EarthLocation, get_body_barycentric, get_body_barycentric_posvel
from astropy.time import Time
from astropy.utils import iers

from nrespipe import doppler
from nrespipe.frames.arrays import Floats
from nrespipe.frames.raw import RawFrame
from nrespipe.frames.spectrograph import Fibers, Place, Spectrograph
from nrespipe.frames.star import Star
from nrespipe.frames.velocity import Barycentric

_DAY_S = 86400.0
_AU_M = constants.au.value
_YEAR_S = 365.25 * _DAY_S
_MAS_RAD = np.pi / 180 / 3600e3
#: G M_sun / c3, half the scale of the Shapiro delay [second]
_SUN_DELAY_S = 4.925490947e-6
#: Iterations of the path of the light; each is more precise by a factor of the velocity of the star over c
_LIGHT_ROUNDS = 6


def midpoint(
    raw: RawFrame, fiber: int, fibers: Fibers, *, largest_gap: float = 0.25, spike: float = 5.0
) -> tuple[float, bool]:
    """Return the photon-weighted midpoint of an exposure.

    Parameters
    ----------
    fiber
        Fiber that carries the star.
    fibers
        Those of the spectrograph.
    largest_gap
        Largest share of the exposure without a sample of the meter.
    spike
        A sample this many times brighter than its neighbors, a cosmic ray or a glitch, is replaced by their median.

    Returns
    -------
    midpoint_mjd : float
        Midpoint, UTC [MJD].
    from_meter : bool
        False where the exposure meter cannot be used and the midpoint is the geometric one.

    Notes
    -----
    A sample covers the time from its start to the end of its exposure, the rate in a gap is the mean of its two
    neighbors, and both are cut to the time the shutter was open: the series runs on through the overheads.
    """
    middle = raw.start_mjd + raw.exposure_s / 2 / _DAY_S
    if raw.meter is None or raw.exposure_s <= 0 or len(raw.meter.start_mjd) < 2:
        return middle, False
    samples = meter_rates(raw, fiber, fibers)
    if samples is None:
        return middle, False
    begin, end, rate = samples
    if _longest_gap(begin, end, raw.exposure_s) > largest_gap * raw.exposure_s:
        return middle, False
    begin, end, rate = _filled(begin, end, rate, raw.exposure_s, spike)
    light = rate * (end - begin)
    if not light.sum() > 0 or -light[light < 0].sum() > 0.05 * light.sum():
        return middle, False
    seconds = float(np.sum(light * (begin + end) / 2) / light.sum())
    return raw.start_mjd + seconds / _DAY_S, True


def meter_rates(raw: RawFrame, fiber: int, fibers: Fibers) -> tuple[Floats, Floats, Floats] | None:
    """Return the rates of a star in the exposure meter.

    Parameters
    ----------
    fiber
        Fiber that carries the star.
    fibers
        Those of the spectrograph.

    Returns
    -------
    begin_s, end_s, rate : ndarray of float, shape (n_samples,), or None
        Begin and end of each usable sample after the shutter opened, and its rate [second, second, ADU / s]; None
        without a meter, or where fewer than two samples are usable.
    """
    if raw.meter is None:
        return None
    start_s = (raw.meter.start_mjd - raw.start_mjd) * _DAY_S
    return _samples(start_s, raw.meter.exposure_s, _star_counts(raw, fiber, fibers, start_s))


def at(star: Star, midpoint_mjd: float, place: Place | Spectrograph, from_meter: bool = False) -> Barycentric:
    """Return the barycentric motion and time of an observation.

    Parameters
    ----------
    star
        With a position; proper motion, parallax and velocity serve where they are known.
    midpoint_mjd
        Photon-weighted midpoint, UTC [MJD].
    place
        Place of the telescope.
    from_meter
        Whether the exposure meter weighted the midpoint; carried along.

    Returns
    -------
    Barycentric
        With ``v_true = c * ((1 + v_measured / c) * (1 + z_b) - 1)``.

    Raises
    ------
    ValueError
        If the star has no position.

    Notes
    -----
    Equation 28 of Wright & Eastman (2014, PASP 126, 838) without the Shapiro term (below 0.1 mm/s): the velocity is the
    one the star had at the epoch of its position, so the perspective acceleration of a star with known parallax is
    taken out of a series. The position of the star is that at which the arriving light left it, and its proper motion
    is that in the time of arrival, ``1 / (1 + v_r / c)`` times the true one (Butkevich & Lindegren 2014, A&A 570, A62).
    To first order this adds ``-v_r d mu**2 t / c`` to the correction, as their equation D.11 and the program of Wright
    & Eastman have it: 0.17 cm/s a year for Barnard's star. The ephemeris is the one built into ERFA (0.5 cm/s); nothing
    is fetched from a network.
    """
    if star.ra_deg is None or star.dec_deg is None:
        raise ValueError(f"star {star.name} has no position")
    time = Time(midpoint_mjd, format="mjd", scale="utc")
    location = EarthLocation.from_geodetic(place.longitude_deg, place.latitude_deg, place.height_m)
    # without these two the first look at an old table sends astropy to the network
    with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("auto_max_age", None):
        position_m, beta, redshift = _observer(location, time)
        tdb = time.tdb
        sun_m = position_m - get_body_barycentric("sun", time, "builtin").xyz.to_value(units.m)
    here, at_epoch, beta_star = _directions(star, tdb.jyear, position_m)
    seen = here - position_m / _AU_M * _parallax_rad(star)
    distance = np.linalg.norm(seen)
    gamma = 1 / np.sqrt(1 - beta @ beta)
    ratio = gamma * (1 + beta @ seen / distance) / (1 + redshift)
    perspective = (1 + beta_star @ seen / distance) / (1 + beta_star @ at_epoch)
    ratio /= perspective
    delay_s = _light_travel_s(here, seen, position_m) + _sun_delay_s(here, sun_m)
    return Barycentric(
        midpoint_mjd=float(midpoint_mjd),
        bjd_tdb=float(tdb.jd1 + (tdb.jd2 + delay_s / _DAY_S)),
        berv_ms=float(doppler.velocity_ms(ratio)),
        from_meter=bool(from_meter),
        perspective_ms=float(doppler.velocity_ms(perspective)),
    )


def of_body(name: str, midpoint_mjd: float, place: Place | Spectrograph, from_meter: bool = False) -> Barycentric:
    """Return the correction for sunlight that a body reflects, or that comes from the Sun itself.

    Parameters
    ----------
    name
        ``Sun``, ``Moon`` or a planet.
    midpoint_mjd, place, from_meter
        As in `at`.

    Returns
    -------
    Barycentric
        The velocity is that of the Sun, 0 but for its gravity and convection. The time is TDB at the observer: the
        barycenter is not on the way of the light.

    Notes
    -----
    The light goes from the Sun to the body and to the observer on a path of the length L: it leaves ``dt (1 - L' / c)``
    in a time dt in which it arrives. With the clock of the observer, ``1 + z_b = gamma (1 - L' / c) / (1 + z_g)``. The
    derivative is the difference over two minutes. The rotation of the body is not contained: it moves the light of a
    limb of Jupiter by 12 km/s, and that of the Moon by 5 m/s.
    """
    time = Time(midpoint_mjd, format="mjd", scale="utc")
    location = EarthLocation.from_geodetic(place.longitude_deg, place.latitude_deg, place.height_m)
    with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("auto_max_age", None):
        _, beta, redshift = _observer(location, time)
        before, after = (_path_m(name.lower(), location, time + offset * units.s) for offset in (-60.0, 60.0))
        tdb = time.tdb
    gamma = 1 / np.sqrt(1 - beta @ beta)
    ratio = gamma * (1 - (after - before) / 120.0 / doppler.C_MS) / (1 + redshift)
    return Barycentric(
        midpoint_mjd=float(midpoint_mjd),
        bjd_tdb=float(tdb.jd1 + tdb.jd2),
        berv_ms=float(doppler.velocity_ms(ratio)),
        from_meter=bool(from_meter),
    )


def _path_m(body, location, time):
    """Return the length of the path of sunlight by way of a body to an observer [metre]."""
    position = lambda name, when: get_body_barycentric(name, when, "builtin").xyz.to_value(units.m)  # noqa: E731
    earth, site = get_body_barycentric("earth", time, "builtin"), location.get_gcrs_posvel(time)[0]
    here, when, total = (earth + site).xyz.to_value(units.m), time, 0.0
    for name in (body, "sun") if body != "sun" else ("sun",):
        length = 0.0
        for _ in range(_LIGHT_ROUNDS):
            there = position(name, when - length / doppler.C_MS * units.s)
            length = float(np.linalg.norm(there - here))
        here, when, total = there, when - length / doppler.C_MS * units.s, total + length
    return total


def _star_counts(raw, fiber, fibers, start_s):
    """Return the counts of a star, above those of the dark fiber where there is one.

    The columns of the meter are in the reverse order of the fibers of the spectrograph in every frame that was
    examined, but no document says so: a lone star is the brighter of the two columns.
    """
    mirrored, straight = raw.meter.counts[:, -1 - fiber], raw.meter.counts[:, fiber]
    others = [other for other in fibers.by_telescope if other != fiber]
    if fiber not in fibers.by_telescope or any(raw.objects[other] != "none" for other in others):
        return mirrored
    seen = (start_s + raw.meter.exposure_s > 0) & (start_s < raw.exposure_s)
    totals = [np.nansum(counts[seen]) for counts in (mirrored, straight)]
    star, dark = (mirrored, straight) if totals[0] >= totals[1] else (straight, mirrored)
    good = seen & np.isfinite(dark)
    return star - max(np.median(dark[good]), 0.0) if good.any() else star


def _samples(start_s, exposure_s, counts):
    """Return begin, end and rate of the usable samples in the order of time, or None where fewer than two are."""
    usable = np.isfinite(start_s) & np.isfinite(counts) & (exposure_s > 0)
    order = np.argsort(start_s[usable], kind="stable")
    begin, length, counts = (a[usable][order] for a in (start_s, exposure_s, counts))
    if len(begin) < 2:
        return None
    # a sample that would last into the next one ends where that begins
    end = np.minimum(begin + length, np.append(begin[1:], np.inf))
    kept = end > begin
    return begin[kept], end[kept], counts[kept] / length[kept]


def _longest_gap(begin, end, exposure_s):
    """Return the longest time within the exposure that no sample covers [second]."""
    gap_begin = np.clip(np.append(0.0, end), 0, exposure_s)
    gap_end = np.clip(np.append(begin, exposure_s), 0, exposure_s)
    return np.max(gap_end - gap_begin)


def _filled(begin, end, rate, exposure_s, spike):
    """Return begin, end and rate of samples and of the gaps between them, cut to the exposure."""
    if len(rate) >= 5:
        padded = np.pad(rate, 2, mode="reflect")
        around = np.stack([padded[k : k + len(rate)] for k in (0, 1, 3, 4)])
        quiet = np.median(around, axis=0)
        rate = np.where((rate > spike * quiet) & (quiet > 0), quiet, rate)
    between = (np.append(rate[0], rate) + np.append(rate, rate[-1])) / 2
    begins = np.concatenate([begin, np.append(0.0, end)])
    ends = np.concatenate([end, np.append(begin, exposure_s)])
    begins, ends = np.clip(begins, 0, exposure_s), np.clip(ends, 0, exposure_s)
    return begins, np.maximum(begins, ends), np.concatenate([rate, between])


def _observer(location, time):
    """Return barycentric position [metre], velocity over c, and gravitational redshift of an observer."""
    earth, earth_velocity = get_body_barycentric_posvel("earth", time, ephemeris="builtin")
    site, site_velocity = location.get_gcrs_posvel(time)
    position_m = (earth + site).xyz.to_value(units.m)
    beta = (earth_velocity + site_velocity).xyz.to_value(units.m / units.s) / doppler.C_MS
    redshift = location.gravitational_redshift(time).to_value(units.m / units.s) / doppler.C_MS
    return position_m, beta, redshift


def _parallax_rad(star):
    """Return the parallax, 0 where it is unknown or, as noise can make it, negative [radian]."""
    return max(star.parallax_mas or 0.0, 0.0) * _MAS_RAD


def _directions(star, julian_year, position_m):
    """Return where the light left the star and its direction at its epoch, in units of its distance then, and v / c."""
    ra, dec = np.radians(star.ra_deg), np.radians(star.dec_deg)
    at_epoch = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    east = np.array([-np.sin(ra), np.cos(ra), 0.0])
    north = np.array([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)])
    parallax = _parallax_rad(star)
    motion = ((star.pm_ra_mas_yr or 0.0) * east + (star.pm_dec_mas_yr or 0.0) * north) * _MAS_RAD
    years = julian_year - star.epoch_year
    if parallax == 0:
        here = at_epoch + motion * years
        return here / np.linalg.norm(here), at_epoch, np.zeros(3)
    recession = (star.rv_kms or 0.0) * 1e3 / doppler.C_MS
    path_years = _AU_M / parallax / doppler.C_MS / _YEAR_S
    # seen as its light arrives, later and later from a star that recedes
    motion = motion * (1 + recession) + recession / path_years * at_epoch
    emitted, observer = years, position_m / _AU_M * parallax
    for _ in range(_LIGHT_ROUNDS):
        emitted = years - path_years * (np.linalg.norm(at_epoch + motion * emitted - observer) - 1)
    return at_epoch + motion * emitted, at_epoch, motion * path_years


def _light_travel_s(here, seen, position_m):
    """Return how much later the light passes the barycenter than the observer, curved wavefront included [second]."""
    return float(position_m @ (here + seen) / (np.linalg.norm(here) + np.linalg.norm(seen)) / doppler.C_MS)


def _sun_delay_s(here, sun_m):
    """Return the Shapiro delay by the Sun relative to that at 1 au, at a right angle [second]."""
    distance = np.linalg.norm(sun_m)
    cosine = sun_m @ here / distance / np.linalg.norm(here)
    return float(2 * _SUN_DELAY_S * np.log((1 + cosine) * distance / _AU_M))
