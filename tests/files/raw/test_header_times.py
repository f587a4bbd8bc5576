"""The times of a frame, from facts that contradict each other."""

from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nrespipe.errors import BadFrame
from nrespipe.files.raw import header_times
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import ExposureMeter, Kind, Telescope

START, EXPOSURE_S, DAY = 58579.1034567, 600.0, "20190405"
CTIO = Telescope(longitude_deg=-70.8046611, latitude_deg=-30.1673306, ra_deg=176.6, dec_deg=-40.5)
DISAGREES, UNCERTAIN = Quality.TIME_DISAGREES, Quality.TIME_DISAGREES | Quality.TIME_UNCERTAIN


def moment(mjd):
    """Return a time as DATE-OBS has it."""
    found = datetime(1858, 11, 17) + timedelta(milliseconds=round(mjd * 86400e3))
    return found.isoformat(timespec="milliseconds")


def cards(start=START, exposure_s=EXPOSURE_S, **changes):
    """Return a header that agrees with itself, but for the changes; None takes a card out."""
    stop = moment(start + exposure_s / 86400)
    given = {
        "MJD-OBS": start, "DATE-OBS": moment(start), "UTSTART": moment(start)[11:], "UTSTOP": stop[11:],
        "EXPTIME": exposure_s, "DAY-OBS": DAY, "TIMESYS": "UTC",
    }  # fmt: skip
    given |= {keyword.replace("_", "-"): content for keyword, content in changes.items()}
    return {keyword: (content, "") for keyword, content in given.items() if content is not None}


def meter(start=START, exposure_s=EXPOSURE_S, sample_s=6.0, overhead_s=30.0):
    """Return a series that begins before an exposure and ends after it."""
    begin = np.arange(-overhead_s, exposure_s + overhead_s, sample_s)
    return ExposureMeter(start + begin / 86400, np.full(len(begin), sample_s - 1), np.ones((len(begin), 3)))


def weighed(record=None, kind=Kind.SCIENCE, named=DAY, telescopes=(CTIO,), **changes):
    return header_times.weigh(cards(**changes), kind, named, record, telescopes, "x.fits")


def test_facts_that_agree_have_no_flag_and_keep_the_digits_of_mjd_obs():
    times = weighed(meter())
    assert (times.start_mjd, times.exposure_s, times.day, times.quality) == (START, EXPOSURE_S, DAY, Quality(0))


@pytest.mark.parametrize("record", [None, meter()])
@pytest.mark.parametrize(
    ("changes", "flags"),
    [
        ({"MJD_OBS": None}, Quality(0)),
        ({"MJD_OBS": "N/A"}, Quality(0)),
        ({"MJD_OBS": 0.0}, DISAGREES),
        ({"MJD_OBS": 99999.5}, DISAGREES),
        ({"MJD_OBS": "yesterday"}, DISAGREES),
        ({"MJD_OBS": START + 0.5}, DISAGREES),
        ({"MJD_OBS": START - 1.0}, DISAGREES),
        ({"MJD_OBS": 58579.10}, DISAGREES),
        ({"MJD_OBS": START + 5 / 86400}, DISAGREES),
        ({"MJD_OBS": START + 0.5 / 86400}, Quality(0)),
        ({"MJD_OBS": START + 2400000.5}, Quality(0)),
        ({"DATE_OBS": None}, Quality(0)),
        ({"DATE_OBS": moment(START)[:10]}, Quality(0)),
        ({"DATE_OBS": moment(START).replace("T", " ") + "Z"}, Quality(0)),
        ({"DATE_OBS": moment(START - 3 / 24) + "-03:00"}, Quality(0)),
        ({"DATE_OBS": moment(START - 1)}, DISAGREES),
        ({"DATE_OBS": "2019-13-45T00:00:00"}, DISAGREES),
        ({"UTSTART": "00:00:00.000"}, DISAGREES),
        ({"UTSTART": None, "UTSTOP": None}, Quality(0)),
        ({"MJD_OBS": None, "DATE_OBS": None}, Quality(0)),
        ({"DAY_OBS": "20190406"}, DISAGREES),
        ({"DAY_OBS": "20191399"}, DISAGREES),
        ({"DAY_OBS": None}, Quality(0)),
        ({"named": "20190301"}, DISAGREES),
        ({"TIMESYS": "LOCAL"}, UNCERTAIN),
    ],
)
def test_one_fact_that_contradicts_the_others_is_flagged_and_not_used(changes, flags, record):
    times = weighed(record, **changes)
    assert times.start_mjd == pytest.approx(START, abs=1.0 / 86400)
    assert (times.exposure_s, times.day, times.quality) == (EXPOSURE_S, DAY, flags)


@pytest.mark.parametrize(
    ("changes", "record", "exposure_s", "flags"),
    [
        ({"EXPTIME": 1200.0}, meter(), 600.0, DISAGREES),
        ({"EXPTIME": 300.0}, meter(), 600.0, DISAGREES),
        ({"EXPTIME": 1200.0}, None, 1200.0, UNCERTAIN),
        ({"EXPTIME": 600e3}, None, 600.0, DISAGREES),
        ({"EXPTIME": None}, None, 600.0, Quality(0)),
        ({"EXPTIME": 1200.0, "UTSTOP": None}, meter(), 1200.0, DISAGREES),
        ({"EXPTIME": 720.0, "UTSTOP": None}, meter(), 720.0, DISAGREES),
        ({"UTSTOP": "12:00:00"}, meter(), 600.0, DISAGREES),
    ],
)
def test_an_exposure_time_that_contradicts_the_stop_is_decided_by_the_meter(changes, record, exposure_s, flags):
    times = weighed(record, **changes)
    assert (times.exposure_s, times.quality) == (pytest.approx(exposure_s, abs=0.01), flags)


def test_a_clock_that_shows_local_time_is_found_out_by_the_meter_and_by_the_sun_but_not_by_counting():
    local = START - 5 / 24
    clock = {"DATE_OBS": moment(local), "UTSTART": moment(local)[11:], "UTSTOP": None}
    assert weighed(meter(), **clock).start_mjd == START
    # at 21:29 UTC the Sun is up
    assert weighed(**clock).start_mjd == START
    assert weighed(**clock).quality == DISAGREES
    assert weighed(telescopes=[], **clock).quality == UNCERTAIN


def test_a_start_with_few_digits_and_nothing_beside_it_is_uncertain():
    alone = {"DATE_OBS": None, "UTSTART": None, "UTSTOP": None}
    assert weighed(MJD_OBS=58579.10, **alone).quality == UNCERTAIN
    assert weighed(**alone).quality == Quality(0)
    # as a date without seconds
    times = weighed(DATE_OBS=moment(START)[:16], UTSTART=None, MJD_OBS=None, UTSTOP=None)
    assert times.quality == UNCERTAIN


def test_a_leap_second_is_a_time():
    # 2016-12-31 had 86401 seconds
    start = 57753 + 86399.5 / 86400
    times = weighed(start=start, DAY_OBS="20161231", named="20161231", DATE_OBS="2016-12-31T23:59:60.000", UTSTOP=None)
    assert times.start_mjd == pytest.approx(57754.0, abs=1 / 86400)
    assert times.quality == Quality(0)


@pytest.mark.parametrize(("system", "ahead_s"), [("TAI", 37.0), ("TT", 69.184), ("GPS", 18.0)])
def test_other_scales_of_time_become_utc(system, ahead_s):
    times = weighed(meter(), start=START + ahead_s / 86400, TIMESYS=system)
    assert times.start_mjd == pytest.approx(START, abs=0.002 / 86400)
    assert times.quality == Quality(0)


def test_a_night_that_two_clocks_contradict_is_uncertain_and_a_lone_clock_is_refused():
    assert weighed(DAY_OBS="20190101", named="20190101").quality == UNCERTAIN
    with pytest.raises(BadFrame, match="does not fall into the night"):
        weighed(DAY_OBS="20190101", named="20190101", DATE_OBS=None, UTSTART=None)


def test_a_meter_of_another_time_is_flagged():
    assert weighed(meter(start=START + 0.3)).quality == DISAGREES


times_of_day = st.floats(0, 86399.99).map(lambda s: moment(58579 + s / 86400)[11:])
WILD = {
    "MJD_OBS": st.one_of(st.none(), st.floats(-1e5, 1e5), st.floats(-1, 1).map(lambda days: START + days), st.text()),
    "DATE_OBS": st.one_of(st.none(), st.floats(-2, 2).map(lambda days: moment(START + days)), st.text()),
    "UTSTART": st.one_of(st.none(), times_of_day, st.text()),
    "UTSTOP": st.one_of(st.none(), times_of_day, st.text()),
    "EXPTIME": st.one_of(st.none(), st.floats(-10, 1e6), st.floats(0.01, 1200), st.text()),
    "DAY_OBS": st.one_of(st.none(), st.dates().map(lambda day: f"{day:%Y%m%d}"), st.text()),
    "TIMESYS": st.one_of(st.none(), st.text()),
}


@given(st.booleans(), st.sampled_from(sorted(WILD)), st.data())
def test_no_wild_card_moves_the_midpoint_without_a_flag(has_meter, card, data):
    changed = data.draw(WILD[card])
    assume(card != "TIMESYS" or str(changed).strip().upper() not in ("TAI", "TT", "TDT", "TDB", "ET", "GPS"))
    try:
        times = weighed(meter() if has_meter else None, **{card: changed})
    except BadFrame:
        return
    moved_s = (times.start_mjd - START) * 86400 + (times.exposure_s - EXPOSURE_S) / 2
    assert abs(moved_s) < 1.6 or times.quality
    assert times.day == DAY or times.quality
    if has_meter and card != "TIMESYS":
        assert abs(moved_s) < 1.6


@given(st.sets(st.sampled_from(sorted(WILD)), min_size=2, max_size=3), st.data())
def test_no_two_or_three_wild_cards_move_the_midpoint_without_a_flag(names, data):
    changes = {name: data.draw(WILD[name]) for name in names}
    # without its stop nothing contradicts an exposure time, and without start and stop of the clock nothing a start
    assume(not ({"EXPTIME", "UTSTOP"} <= names))
    try:
        times = weighed(meter(), **changes)
    except BadFrame:
        return
    moved_s = (times.start_mjd - START) * 86400 + (times.exposure_s - EXPOSURE_S) / 2
    assert abs(moved_s) < 2.6 or times.quality
