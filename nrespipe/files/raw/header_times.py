"""When a raw frame was taken, and how long: the times of its header, name and exposure meter weighed together."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import numpy as np

from nrespipe.errors import BadFrame
from nrespipe.files.raw.card_values import Cards, number, text, value
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import ExposureMeter, Kind, Telescope

#: Years 2000 to 2100; a clock that was never set says 1858 or 1970 [MJD].
_MJD_RANGE = (51544.0, 88069.0)
_DAY_S = 86400.0
#: Times that differ by more contradict each other [second].
_TOLERANCE_S = 1.0
#: The clock of a place, and summer time, differ from UTC by quarters of an hour [second].
_ZONE_S = 900.0
_JD_OF_MJD_0 = 2400000.5

_TIME = r"(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d*)?))?"
_DATE_OBS = re.compile(rf"(\d{{4}})-(\d{{2}})-(\d{{2}})(?:[T ]{_TIME})?\s*(?:Z|UTC?|([+-])(\d{{2}}):?(\d{{2}}))?")
_TIME_OF_DAY = re.compile(_TIME)


@dataclass(frozen=True)
class Times:
    """The times of a frame.

    Attributes
    ----------
    start_mjd
        Shutter open, UTC [MJD].
    exposure_s
        Exposure time [second].
    day
        Local night, ``YYYYMMDD``.
    quality
        ``TIME_DISAGREES`` where a fact contradicts these times, with ``TIME_UNCERTAIN`` where it may be right.
    """

    start_mjd: float
    exposure_s: float
    day: str
    quality: Quality


class _Start(NamedTuple):
    """A start of the exposure that a card gives.

    Attributes
    ----------
    mjd
        UTC [MJD].
    unit_s
        Unit of its last digit [second].
    offset_s
        What was added to the times of the header to make them UTC [second].
    """

    mjd: float
    unit_s: float
    offset_s: float = 0.0


@dataclass(frozen=True)
class _Evidence:
    """The facts that do not give a time but can exclude one.

    Attributes
    ----------
    meter
        None where there is none.
    telescopes
        Those that looked at a star in this frame; none for a lamp.
    day
        Local night; '' where unknown.
    """

    meter: ExposureMeter | None
    telescopes: Sequence[Telescope]
    day: str

    def for_start(self, start_mjd: float, exposure_s: float) -> int:
        """Return how many facts speak for a start."""
        facts = [_is_in_night(start_mjd, self.day, self.longitude_deg)]
        if self.meter is not None:
            facts.append(self.is_metered(start_mjd, exposure_s))
        facts += [_is_night_sky(start_mjd + exposure_s / 2 / _DAY_S, telescope) for telescope in self.telescopes]
        return sum(facts)

    def is_metered(self, start_mjd: float, exposure_s: float) -> bool:
        """Return whether the meter recorded a whole exposure but for two samples: it begins before and ends after."""
        if self.meter is None:
            return False
        begin_s = float(self.meter.start_mjd[0] - start_mjd) * _DAY_S
        covered_s = min(begin_s + self.metered_s, exposure_s) - max(begin_s, 0.0)
        return covered_s >= exposure_s - 2 * self.sample_s

    @property
    def sample_s(self) -> float:
        """Usual time between two samples of the meter [second]."""
        if self.meter is None:
            return 0.0
        steps = np.append(np.diff(self.meter.start_mjd) * _DAY_S, self.meter.exposure_s[-1])
        return float(np.median(steps))

    @property
    def metered_s(self) -> float:
        """Time from the first sample of the meter to the end of the last one [second]."""
        if self.meter is None:
            return 0.0
        return float((self.meter.start_mjd[-1] - self.meter.start_mjd[0]) * _DAY_S + self.meter.exposure_s[-1])

    @property
    def longitude_deg(self) -> float | None:
        """Longitude of the first telescope that has one [degree]."""
        return next((t.longitude_deg for t in self.telescopes if t.longitude_deg is not None), None)


def weigh(
    header: Cards,
    kind: Kind,
    named_day: str,
    meter: ExposureMeter | None,
    telescopes: Sequence[Telescope],
    name: str,
) -> Times:
    """Return the times of a frame that most facts agree on.

    Parameters
    ----------
    header
        Cards of its spectrum.
    named_day
        Night in the file name, ``YYYYMMDD``; '' where it has none.
    meter
        The series of the exposure meter; None where there is none.
    telescopes
        The telescopes that looked at a star in this frame.
    name
        Name of the file, for messages.

    Raises
    ------
    BadFrame
        If no fact gives a time, or the only one is impossible.

    Notes
    -----
    MJD-OBS, DATE-OBS and UTSTART each give a start. The one counts for which most of the other facts speak (the meter
    recorded the exposure, it falls into the night of DAY-OBS or of the file name, the Sun was down and the star up),
    then the one that most cards give. Two starts for which as much speaks are undecided; so are those that differ by a
    quarter of an hour or more, as the clock of a place does, and only the number of cards tells them apart. EXPTIME is
    compared with UTSTOP, and the meter decides between the two.
    """
    exposure_s, flags = _exposure_time(header, kind, name)
    first_day = text(value(header, "DAY-OBS")).replace("-", "") or named_day
    evidence = _Evidence(meter, telescopes, first_day)
    start, start_flags, votes = _start(header, evidence, exposure_s or 0.0, name)
    if kind is not Kind.BIAS:
        exposure_s, more = _exposure(header, start, exposure_s, evidence, name)
        flags |= more
    day, day_flags = _day(header, named_day, start.mjd, evidence.longitude_deg, votes, name)
    if meter is not None and exposure_s and not evidence.is_metered(start.mjd, exposure_s):
        flags |= Quality.TIME_DISAGREES
    return Times(start.mjd, exposure_s or 0.0, day, flags | start_flags | day_flags)


def _start(header: Cards, evidence: _Evidence, exposure_s: float, name: str) -> tuple[_Start, Quality, int]:
    """Return the start, its flags, and how many cards give it."""
    by_card = {"MJD-OBS": _mjd_obs(value(header, "MJD-OBS")), "DATE-OBS": _date_obs(header)}
    candidates = [found for found in by_card.values() if found is not None]
    absurd = any(found is None and text(value(header, card)) for card, found in by_card.items())
    clock_s = _seconds_of_day(value(header, "UTSTART"))
    if not candidates and clock_s is not None and (night := _midnight_mjd(evidence.day)) is not None:
        # the night begins at noon of the place
        noon = night + 0.5 - (evidence.longitude_deg or 0.0) / 360
        candidates = [_Start(noon + (night + clock_s / _DAY_S - noon) % 1, 1.0)]
    if not candidates:
        raise BadFrame(f"{name}: MJD-OBS is {value(header, 'MJD-OBS')!r}: no other card says when it was taken")
    offset_s, flags = _to_utc_s(header, candidates[0].mjd)
    candidates = [one._replace(mjd=one.mjd + offset_s / _DAY_S, offset_s=offset_s) for one in candidates]
    clocks = [] if clock_s is None else [clock_s + offset_s]

    def votes(start: _Start) -> int:
        given = [abs(one.mjd - start.mjd) * _DAY_S for one in candidates]
        given += [_apart_s(start.mjd * _DAY_S - clock_s) for clock_s in clocks]
        return sum(apart_s <= _TOLERANCE_S for apart_s in given)

    marks = [(evidence.for_start(one.mjd, exposure_s), votes(one)) for one in candidates]
    # of two that agree the first counts, unless it has fewer digits
    order = sorted(range(len(candidates)), key=lambda i: (*(-mark for mark in marks[i]), candidates[i].unit_s > 0.5))
    best, last = candidates[order[0]], candidates[order[-1]]
    apart_s = abs(best.mjd - last.mjd) * _DAY_S
    if absurd or votes(best) < len(candidates) + len(clocks):
        flags |= Quality.TIME_DISAGREES
    is_rounded = last.unit_s > _TOLERANCE_S and apart_s <= last.unit_s
    is_counted = marks[order[0]][1] > marks[order[-1]][1] and apart_s < _ZONE_S
    is_decided = marks[order[0]][0] > marks[order[-1]][0] or is_counted or is_rounded
    if (apart_s > _TOLERANCE_S and not is_decided) or (best.unit_s > _TOLERANCE_S and votes(best) < 2):
        flags |= Quality.TIME_DISAGREES | Quality.TIME_UNCERTAIN
    return best, flags, votes(best)


def _mjd_obs(content: object) -> _Start | None:
    mjd = number(content)
    if mjd is not None and mjd > _JD_OF_MJD_0:
        mjd -= _JD_OF_MJD_0
    if mjd is None or not _MJD_RANGE[0] < mjd < _MJD_RANGE[1]:
        return None
    digits = str(content).strip().partition(".")[2]
    return _Start(mjd, _DAY_S * 10.0 ** -len(digits) if digits.isdigit() else _DAY_S)


def _date_obs(header: Cards) -> _Start | None:
    """Return the start by DATE-OBS, with the time of UTSTART where it has none."""
    match = _DATE_OBS.fullmatch(text(value(header, "DATE-OBS")))
    midnight = _midnight_mjd("".join(match.groups()[:3])) if match else None
    if match is None or midnight is None or not _MJD_RANGE[0] < midnight < _MJD_RANGE[1]:
        return None
    if match[4] is None:
        clock_s = _seconds_of_day(value(header, "UTSTART"))
        return None if clock_s is None else _Start(midnight + clock_s / _DAY_S, 1.0)
    clock_s = _seconds(match[4], match[5], match[6])
    if clock_s is None:
        return None
    east_s = 0.0 if match[7] is None else (-1 if match[7] == "-" else 1) * (int(match[8]) * 3600 + int(match[9]) * 60)
    return _Start(midnight + (clock_s - east_s) / _DAY_S, 60.0 if match[6] is None else 0.001)


def _seconds_of_day(content: object) -> float | None:
    match = _TIME_OF_DAY.fullmatch(text(content).removesuffix("Z"))
    return _seconds(*match.groups()) if match else None


def _seconds(hours: str, minutes: str, seconds: str | None) -> float | None:
    """Return the time since midnight; the minute of a leap second has 61 seconds."""
    h, m, s = int(hours), int(minutes), float(seconds or 0.0)
    return 3600.0 * h + 60.0 * m + s if h <= 24 and m < 60 and s < 61 else None


def _to_utc_s(header: Cards, mjd: float) -> tuple[float, Quality]:
    """Return what is to be added to the times of a header, and a flag where they are those of no clock of physics."""
    system = text(value(header, "TIMESYS")).upper()
    if system in ("", "UTC", "UT", "UT1", "GMT"):
        return 0.0, Quality(0)
    if system not in ("TAI", "TT", "TDT", "TDB", "ET", "GPS"):
        return 0.0, Quality.TIME_DISAGREES | Quality.TIME_UNCERTAIN
    # here, not above: most headers have UTC
    from astropy.time import Time

    to_tai_s = {"TAI": 0.0, "GPS": 19.0}.get(system, -32.184)
    return float(Time(mjd, format="mjd", scale="tai").utc.mjd - mjd) * _DAY_S + to_tai_s, Quality(0)


def _apart_s(difference_s: float) -> float:
    """Return the distance of two times of the day."""
    return abs((difference_s + _DAY_S / 2) % _DAY_S - _DAY_S / 2)


def _exposure_time(header: Cards, kind: Kind, name: str) -> tuple[float | None, Quality]:
    """Return EXPTIME, None where it is impossible."""
    exposure_s = number(value(header, "EXPTIME"))
    if kind is Kind.BIAS:
        if exposure_s is not None and not 0 <= exposure_s <= 1:
            raise BadFrame(f"{name}: EXPTIME is {exposure_s} s, which no bias has")
        return exposure_s or 0.0, Quality(0)
    if exposure_s is not None and 0 < exposure_s <= _DAY_S:
        return exposure_s, Quality(0)
    return None, Quality.TIME_DISAGREES if text(value(header, "EXPTIME")) else Quality(0)


def _exposure(
    header: Cards, start: _Start, exposure_s: float | None, evidence: _Evidence, name: str
) -> tuple[float, Quality]:
    """Return the exposure time by EXPTIME or UTSTOP, and its flags."""
    stop_s = _seconds_of_day(value(header, "UTSTOP"))
    until_stop_s = None if stop_s is None else (stop_s + start.offset_s - start.mjd * _DAY_S) % _DAY_S
    if exposure_s is None:
        if until_stop_s is None or until_stop_s == 0:
            raise BadFrame(f"{name}: EXPTIME is {value(header, 'EXPTIME')!r}, which is no exposure time")
        return until_stop_s, Quality(0)
    if until_stop_s is None or _apart_s(until_stop_s - exposure_s) <= _TOLERANCE_S:
        return exposure_s, Quality(0)
    flags = Quality.TIME_DISAGREES
    shorter, longer = sorted((exposure_s, until_stop_s))
    if evidence.meter is None:
        return exposure_s, flags | Quality.TIME_UNCERTAIN
    if not evidence.is_metered(start.mjd, longer):
        return shorter, flags
    # the meter runs on through the overheads, which are shorter than most exposures
    is_long = evidence.metered_s - longer < longer - shorter
    return (longer, flags) if is_long else (exposure_s, flags | Quality.TIME_UNCERTAIN)


def _day(
    header: Cards, named_day: str, start_mjd: float, longitude_deg: float | None, votes: int, name: str
) -> tuple[str, Quality]:
    """Return the night by DAY-OBS or the file name, and its flags."""
    word = text(value(header, "DAY-OBS")).replace("-", "")
    days = [day for day in dict.fromkeys((word, named_day)) if _midnight_mjd(day) is not None]
    if not days:
        raise BadFrame(f"{name}: DAY-OBS is {value(header, 'DAY-OBS')!r}, which is no date")
    fitting = [day for day in days if _is_in_night(start_mjd, day, longitude_deg)]
    day = (fitting or days)[0]
    # a local night that began on this date ends before the end of the next one in UTC, wherever the site is
    if not _is_in_night(start_mjd, day, None):
        if votes < 2:
            raise BadFrame(f"{name}: MJD-OBS {start_mjd} does not fall into the night of DAY-OBS {day}")
        return day, Quality.TIME_DISAGREES | Quality.TIME_UNCERTAIN
    is_settled = len(fitting) == len(days) == 1 and (not word or word in days)
    return day, Quality(0) if is_settled else Quality.TIME_DISAGREES


def _midnight_mjd(day: str) -> float | None:
    """Return when a date begins, UTC [MJD]; None for a text that is no date."""
    try:
        return float(date(int(day[:4]), int(day[4:6]), int(day[6:])).toordinal() - date(1858, 11, 17).toordinal())
    except ValueError:
        return None


def _is_in_night(start_mjd: float, day: str, longitude_deg: float | None) -> bool:
    """Return whether a time falls into a local night, from two hours before noon to two hours after the next."""
    midnight = _midnight_mjd(day)
    if midnight is None:
        return False
    if longitude_deg is None:
        return -1 <= start_mjd - midnight <= 2
    return -0.1 <= start_mjd - midnight - 0.5 + longitude_deg / 360 <= 1.1


def _is_night_sky(mjd: float, telescope: Telescope) -> bool:
    """Return whether the Sun is down and the star is up, to a degree; true where the place is unknown."""
    if telescope.longitude_deg is None or telescope.latitude_deg is None:
        return True
    # Astronomical Almanac: mean longitude and anomaly of the Sun, obliquity, sidereal time
    n = mjd - 51544.5
    anomaly = np.radians(357.528 + 0.9856003 * n)
    longitude = np.radians(280.460 + 0.9856474 * n + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly))
    tilt = np.radians(23.439)
    sun = np.degrees(np.arctan2(np.cos(tilt) * np.sin(longitude), np.cos(longitude)))
    sidereal_deg = 280.46062 + 360.9856474 * n + telescope.longitude_deg
    latitude = np.radians(telescope.latitude_deg)

    def altitude_deg(ra_deg: float, dec_deg: float) -> float:
        hour_angle, dec = np.radians(sidereal_deg - ra_deg), np.radians(dec_deg)
        sine = np.sin(latitude) * np.sin(dec) + np.cos(latitude) * np.cos(dec) * np.cos(hour_angle)
        return float(np.degrees(np.arcsin(np.clip(sine, -1, 1))))

    if altitude_deg(float(sun), float(np.degrees(np.arcsin(np.sin(tilt) * np.sin(longitude))))) > 0:
        return False
    if telescope.ra_deg is None or telescope.dec_deg is None:
        return True
    return altitude_deg(telescope.ra_deg, telescope.dec_deg) > 0
