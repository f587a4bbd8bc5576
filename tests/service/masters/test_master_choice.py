"""Which masters a star is reduced with, and what is told of the choice."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from nrespipe.database.states import State
from nrespipe.database.tables import Frame, Master
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind
from nrespipe.service.batch import night
from nrespipe.service.operations import status
from nrespipe.service.reduction import frame_jobs
from nrespipe.settings import change

STAR = "STAR A&thar&none"


@pytest.fixture
def star(archive, query):
    """Return a function that tells the state of the only star, its doubts, and the days of its masters."""

    def told():
        (frame,) = query.all(select(Frame).where(Frame.kind == Kind.SCIENCE))
        with query.sessions() as session:
            frame = session.get_one(Frame, frame.id)
            days = {master.day for attempt in frame.attempts[-1:] for master in attempt.masters}
        return frame.state, Quality(frame.quality).names(), days

    return told


def reduce(service, archive, **settings):
    service = replace(service, settings=change(service.settings, **settings))
    return night.reduce_all(service, archive.root)


@pytest.mark.slow
def test_a_night_without_calibrations_uses_the_nearest_and_says_so(service, archive, star, query):
    archive.calibrations("20190403")
    archive.calibrations("20190406")
    path = archive.add("e", STAR, day="20190407")
    reduce(service, archive)
    assert star() == (State.DONE, ["no_meter"], {"20190406"})
    with query.sessions() as session:
        text = "\n".join(status.why(session, path.name, service.output))
    assert "flat of 20190406, 2 inputs, the nearest, 1.0 days earlier, within 15 days" in text


@pytest.mark.slow
def test_a_star_is_told_the_scatter_of_the_drifts_of_earlier_nights(service, archive, query):
    for day in ("20190405", "20190406"):
        archive.calibrations(day)
        for _ in range(10):
            archive.add("e", STAR, day=day)
    reduce(service, archive)
    scatters_ms = {}
    with query.sessions() as session:
        for frame in session.scalars(select(Frame).where(Frame.kind == Kind.SCIENCE)):
            scatters_ms.setdefault(frame.day, set()).add(frame_jobs.plan(session, frame, service).drift_scatter_ms)
    # every star of these recipes has a drift of 5 m/s
    assert scatters_ms == {"20190405": {300.0}, "20190406": {5.0}}


@pytest.mark.slow
def test_a_star_waits_for_masters_near_in_time_until_its_patience_ends(service, archive, star, query):
    archive.calibrations("20190405")
    path = archive.add("e", STAR, day="20190425")
    reduce(service, archive)
    assert star()[0] is State.WAITING
    reduce(service, archive, master_patience_days=0)
    assert star() == (State.DONE, ["no_meter", "old_calibration"], {"20190405"})
    with query.sessions() as session:
        text = "\n".join(status.why(session, path.name, service.output))
    assert "arc of 20190405, 2 inputs, the nearest, 20.0 days earlier, because there was none within 5 days" in text
    assert "bias of 20190405, 2 inputs, the nearest, 20.0 days earlier, within 30 days" in text


@pytest.mark.slow
def test_a_night_with_two_read_out_modes_has_masters_of_each_and_a_star_uses_those_of_its_own(service, archive, query):
    for mode in ("lco2_500kHz_1amp_DRH_B", "slow 100 kHz"):
        archive.calibrations(CONFMODE=mode)
        archive.add("e", STAR, CONFMODE=mode)
    for _ in range(2):
        reduce(service, archive)
    assert len(query.all(select(Master))) == 8
    with query.sessions() as session:
        for frame in session.scalars(select(Frame).where(Frame.kind == Kind.SCIENCE)):
            (attempt,) = frame.attempts
            assert {master.readout_mode for master in attempt.masters} == {frame.readout_mode}
            names = {Path(master.path).name for master in attempt.masters if master.kind is Kind.BIAS}
            assert names == {
                "slow 100 kHz": {"bias_lsc_nres01_fa09_20190405_slow-100-kHz.fits.fz"},
                "lco2_500kHz_1amp_DRH_B": {"bias_lsc_nres01_fa09_20190405.fits.fz"},
            }[frame.readout_mode]  # fmt: skip


@pytest.mark.slow
def test_masters_of_later_nights_serve_only_where_they_may(service, archive, star):
    archive.calibrations("20190406")
    archive.add("e", STAR, day="20190405")
    reduce(service, archive, future_masters=False)
    assert star()[0] is State.WAITING
    reduce(service, archive)
    assert star() == (State.DONE, ["no_meter"], {"20190406"})
