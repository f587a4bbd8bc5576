"""Which master serves a frame."""

import pytest
from frame_rows import arrive

from nrespipe.database.masters import calibrations
from nrespipe.database.states import Standing, State
from nrespipe.database.tables import Master
from nrespipe.frames.raw import Kind

PLACE = {"site": "lsc", "instrument": "nres01", "camera": "fa09", "binning": "1 1", "readout_mode": "fast"}
MJD = 58579.0


@pytest.fixture
def frame(session):
    facts = {**PLACE, "day": "20190405", "kind": Kind.SCIENCE, "objects": "STAR&thar&none", "start_mjd": MJD}
    made, _ = arrive(session, "a-e00", "1" * 32, path="/a", **facts)
    return made


def add(session, days, day="20190401", kind=Kind.FLAT, fibers="01", standing=Standing.CURRENT, **others):
    master = Master(
        **{**PLACE, **others},
        kind=kind,
        day=day,
        mean_mjd=MJD + days,
        fibers=fibers,
        n_inputs=2,
        standing=standing,
        code_version="1",
    )
    calibrations.record(session, master)
    return master


@pytest.mark.slow
def test_the_nearest_in_time_serves_before_or_after(session, frame):
    add(session, -3, day="20190402")
    nearest = add(session, +2, day="20190407")
    assert calibrations.nearest(session, Kind.FLAT, frame) is nearest


def test_the_same_night_comes_before_a_nearer_one(session, frame):
    same = add(session, -0.5, day="20190405")
    add(session, 0.3, day="20190406")
    assert calibrations.nearest(session, Kind.FLAT, frame) is same


@pytest.mark.parametrize(
    "others",
    [
        {"camera": "fl09"},
        {"instrument": "nres02"},
        {"binning": "2 2"},
        {"readout_mode": "slow"},
        {"kind": Kind.ARC},
        {"fibers": "12"},
        {"standing": Standing.REPLACED},
        {"standing": Standing.REJECTED},
    ],
)
@pytest.mark.slow
def test_a_master_of_something_else_does_not_serve(session, frame, others):
    add(session, 0, **others)
    assert calibrations.nearest(session, Kind.FLAT, frame) is None


@pytest.mark.parametrize(("off", "serves"), [(-0.1, True), (0.1, False)])
@pytest.mark.slow
def test_a_master_serves_within_its_reach_only(session, frame, off, serves):
    add(session, calibrations.REACH_DAYS[Kind.FLAT] + off)
    assert (calibrations.nearest(session, Kind.FLAT, frame) is not None) == serves


def test_a_master_serves_where_the_header_does_not_tell_how_the_frame_was_read_out(session, frame):
    frame.readout_mode = ""
    flat = add(session, 0)
    assert calibrations.nearest(session, Kind.FLAT, frame) is flat


def test_the_reason_names_the_read_out_mode_that_masters_lack(session, frame):
    add(session, 0, readout_mode="slow")
    assert calibrations.why_none(session, Kind.FLAT, frame, 2).endswith("was read out in mode fast")


def test_a_bias_serves_whatever_is_lit(session, frame):
    bias = add(session, 0, kind=Kind.BIAS, fibers="")
    assert calibrations.nearest(session, Kind.BIAS, frame) is bias


def test_the_reason_names_a_stack_that_failed(session, frame):
    add(session, 0, day="20190405", standing=Standing.REJECTED, reason="the lamps were off")
    assert "could not be made: the lamps were off" in calibrations.why_none(session, Kind.FLAT, frame, 1)


@pytest.mark.parametrize(
    ("good", "bad", "words"),
    [
        (0, 0, "this night has no good bias frames, a master needs 2"),
        (1, 0, "this night has 1 good bias frame, a master needs 2"),
        (1, 2, "this night has 1 good bias frame of 3, a master needs 2"),
        (0, 1, "this night has no good bias frame of 1, a master needs 2"),
        (2, 0, "none was made yet of the bias frames of this night"),
    ],
)
@pytest.mark.slow
def test_the_reason_counts_the_frames_of_the_night(session, frame, good, bad, words):
    facts = {**PLACE, "day": "20190405", "kind": Kind.BIAS, "start_mjd": MJD, "path": "/b"}
    for number, state in enumerate([State.DONE] * good + [State.BAD] * bad):
        arrive(session, f"b{number}-b00", "1" * 32, state=state, **facts)
    assert calibrations.why_none(session, Kind.BIAS, frame, 2).endswith(words)


def test_a_try_that_the_disk_made_fail_is_forgotten_with_the_next(session):
    add(session, 0, standing=Standing.RETRY)
    add(session, 0, standing=Standing.RETRY)
    last = add(session, 0)
    night = calibrations.night_of(last)
    assert calibrations.last_master(session, Kind.FLAT, night) is last
    assert session.query(Master).count() == 1
