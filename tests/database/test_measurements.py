"""The scatter of the drifts of a spectrograph."""

import numpy as np
import pytest
from servers import with_tables

from nrespipe.database import measurements
from nrespipe.database.states import Standing, State
from nrespipe.database.tables import Frame, FrameDrift, Master
from nrespipe.frames.raw import Kind
from nrespipe.frames.wavelength import DRIFT_SCATTER_MS

MJD = {"20190401": 58574.0, "20190404": 58577.0, "20190405": 58578.0, "20190301": 58543.0}


@pytest.fixture
def session(database_url):
    with with_tables(database_url).begin() as opened:
        for instrument in ("nres01", "nres02"):
            for day in MJD:
                for code_version in ("1", "2"):
                    opened.add(
                        Master(
                            kind=Kind.ARC, site="lsc", instrument=instrument, camera="fa09", binning="1 1", day=day,
                            path=f"arc_{instrument}_{day}", n_inputs=4, standing=Standing.CURRENT,
                            code_version=code_version,
                        )
                    )  # fmt: skip
        yield opened


@pytest.fixture
def add(session):
    """Return a function that adds frames with drifts, from the arc of their night unless told."""
    names = iter(range(1000))

    def made(day, velocities_ms, instrument="nres01", arc=None, state=State.DONE):
        for velocity_ms in velocities_ms:
            number = next(names)
            frame = Frame(
                filename=f"f{number}-e00", md5=f"{number:032d}", path="/a", kind=Kind.SCIENCE, day=day, state=state,
                instrument=instrument, start_mjd=MJD[day] + number / 1e4,
            )  # fmt: skip
            frame.drift = FrameDrift(velocity_ms=velocity_ms, n_lines=9, arc=f"arc_{instrument}_{arc or day}")
            session.add(frame)
        session.flush()

    return made


@pytest.fixture
def told(session):
    """Return a function that tells the scatter for a frame of a night."""

    def scatter_ms(day="20190405", instrument="nres01", start_mjd=58578.1):
        return measurements.drift_scatter_ms(session, Frame(day=day, instrument=instrument, start_mjd=start_mjd))

    return scatter_ms


def test_the_scatter_is_that_of_the_drifts_about_zero_and_one_wild_drift_does_not_count(add, told):
    drifts_ms = 140.0 + 80.0 * np.random.default_rng(1).standard_normal(200)
    add("20190404", drifts_ms.tolist())
    expected_ms = np.sqrt(np.mean(drifts_ms**2))
    assert told() == pytest.approx(expected_ms, rel=0.15)
    before_ms = told()
    add("20190401", [90e3])
    assert told() == pytest.approx(before_ms, rel=0.05)


def test_a_spectrograph_with_few_drifts_has_the_scatter_that_the_weather_makes(add, told):
    add("20190404", [14.826] * 9)
    assert told() == DRIFT_SCATTER_MS == 300.0
    add("20190404", [14.826])
    assert told() == pytest.approx(14.826)
    assert told(instrument="nres02") == DRIFT_SCATTER_MS
    assert told(start_mjd=None) == DRIFT_SCATTER_MS


def test_drifts_from_the_arc_of_another_night_or_long_ago_or_of_this_night_do_not_count(add, told):
    add("20190404", [10.0, -10.0] * 5)
    add("20190404", [900.0] * 30, arc="20190401")
    add("20190301", [900.0] * 30)
    add("20190405", [900.0] * 30)
    add("20190404", [900.0] * 30, instrument="nres02")
    add("20190404", [None] * 30)
    add("20190401", [900.0] * 30, state=State.QUEUED)
    assert told() == pytest.approx(14.826)


def test_only_the_last_drifts_count(add, told, session):
    add("20190401", [900.0] * 30)
    add("20190404", [10.0, -10.0] * 10)
    frame = Frame(day="20190405", instrument="nres01", start_mjd=58578.1)
    assert measurements.drift_scatter_ms(session, frame, most=20) == pytest.approx(14.826)
