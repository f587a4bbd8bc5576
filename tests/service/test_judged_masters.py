"""A master that is unlike the last one is not used before somebody, or another night, says so."""

from dataclasses import replace

import pytest
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from nrespipe.database import calibrations
from nrespipe.database.columns import Standing, State
from nrespipe.database.tables import Frame, Master
from nrespipe.files.masters import read
from nrespipe.frames.raw import Kind
from nrespipe.service import night, reprocessing


@pytest.fixture
def masters(service):
    def by_day(kind=Kind.BIAS):
        with service.sessions() as session:
            rows = session.scalars(select(Master).where(Master.kind == kind).order_by(Master.id))
            return {row.day: (row.standing, row.reason) for row in rows}

    return by_day


def biases(archive, day, adu, n=3):
    return [archive.add("b", day=day, adu=adu) for _ in range(n)]


def test_a_master_like_the_last_one_is_used_and_a_doubt_is_told(service, archive, run, masters):
    biases(archive, "20190405", 1000)
    biases(archive, "20190406", 1300)
    run()
    (first, told), (second, doubt) = masters().values()
    assert (first, told, second) == (Standing.CURRENT, "", Standing.CURRENT)
    assert doubt.startswith("its level has changed by ")


def test_a_master_unlike_the_last_one_is_held_and_the_last_one_serves(service, archive, run, masters):
    biases(archive, "20190405", 1000)
    biases(archive, "20190406", 6000)
    archive.add("d", day="20190406")
    summary = run()
    assert masters()["20190406"][0] is Standing.HELD
    assert [(standing, why.split(" by ")[0]) for _, standing, why in summary.unmade] == [
        (Standing.HELD, "its level has changed")
    ]
    with service.sessions() as session:
        (dark,) = session.scalars(select(Frame).where(Frame.kind == Kind.DARK))
        assert dark.state is State.DONE
        assert [master.day for master in dark.attempts[-1].masters] == ["20190405"]


def test_two_nights_that_agree_outvote_the_older_one(service, archive, run, masters):
    for day, adu in (("20190405", 1000), ("20190406", 6000), ("20190407", 6050), ("20190408", 6020)):
        biases(archive, day, adu)
    run()
    found = masters()
    assert [standing for standing, _ in found.values()] == [Standing.CURRENT] * 4
    assert found["20190406"][1].endswith("the one of 20190407 agrees with it")
    assert found["20190408"][1] == ""
    *_, told = found["20190407"][1].split("; ")
    again = "nrespipe reprocess --site lsc --from 20190406 --to 20190406"
    assert (
        told == f"the one of 20190406 agrees with it, and serves from now on (that night is reduced again by {again})"
    )
    reprocessing.reprocess(service, "lsc", "20190406", "20190406")
    assert masters() == found


def test_nights_before_and_after_a_change_are_all_used_still_when_they_are_reduced_again(
    service, archive, run, masters
):
    for day, adu in (("20190405", 1000), ("20190406", 6000), ("20190407", 6050)):
        biases(archive, day, adu)
    run()
    for _ in range(2):
        reprocessing.reprocess(service, "lsc", "20190405", "20190407")
        found = masters()
        assert [standing for standing, _ in found.values()] == [Standing.CURRENT] * 3
        assert found["20190405"][1] == ""


def test_the_first_master_of_a_camera_is_held_when_it_is_not_what_it_was(service, archive, run, masters):
    for day, adu in (("20190405", 1000), ("20190406", 1000)):
        biases(archive, day, adu)
    run()
    biases(archive, "20190405", 9000, n=9)
    run()
    assert masters()["20190405"][0] is Standing.HELD


def test_a_night_that_comes_late_agrees_with_the_one_after_it(service, archive, run, masters):
    for day, adu in (("20190405", 1000), ("20190407", 6000), ("20190408", 6050)):
        biases(archive, day, adu)
    run()
    biases(archive, "20190406", 6020)
    run()
    standing, reason = masters()["20190406"]
    assert standing is Standing.CURRENT
    assert reason.endswith("the one of 20190407 agrees with it")


@pytest.mark.slow
def test_a_held_master_is_not_made_again_and_a_person_may_release_it(service, archive, run, masters):
    biases(archive, "20190406", 6000)
    biases(archive, "20190405", 1000)
    run()
    run()
    with service.sessions.begin() as session:
        (held,) = session.scalars(select(Master).where(Master.standing == Standing.HELD))
        calibrations.judge(session, held, Standing.CURRENT, "ada: the amplifier was replaced")
    run()
    assert masters()["20190406"] == (Standing.CURRENT, "ada: the amplifier was replaced")


def test_a_frame_unlike_the_others_of_its_night_takes_no_part(service, archive, run, masters):
    biases(archive, "20190405", 1000)
    archive.add("b", day="20190405", adu=21_000)
    run()
    standing, reason = masters()["20190405"]
    assert standing is Standing.CURRENT
    assert reason.startswith("left out lscnrs01-fa09-20190405-")
    with service.sessions() as session:
        (master,) = session.scalars(select(Master))
        assert master.n_inputs == len(master.inputs) == 3
        assert session.query(Frame).count() == 4


@pytest.mark.slow
def test_frames_of_the_nights_before_join_in_where_nothing_has_changed(service, archive, query):
    recipe = replace(service.recipes[Kind.BIAS], LOOKBACK_DAYS=3)
    service = replace(service, recipes={**service.recipes, Kind.BIAS: recipe})
    for day, adu in (
        ("20190401", 1000),
        ("20190405", 1000),
        ("20190406", 1010),
        ("20190407", 1400),
        ("20190408", 1390),
    ):
        biases(archive, day, adu)
    summary = night.reduce_all(service, archive.root)
    inputs = {master.day: master.n_inputs for master in query.all(select(Master).order_by(Master.day))}
    assert inputs == {"20190401": 3, "20190405": 3, "20190406": 6, "20190407": 3, "20190408": 6}
    assert not summary.unmade
    (master,) = query.all(select(Master).where(Master.day == "20190406"))
    kept = read(service.output / master.path)
    assert (kept.origin.day, len(kept.origin.inputs)) == ("20190406", 6)
    assert kept.origin.mean_mjd == master.mean_mjd > 58579
    # what was made of the same frames is not made again
    night.reduce_all(service, archive.root)
    assert len(query.all(select(Master))) == 5


@pytest.fixture
def looking_back(service):
    recipe = replace(service.recipes[Kind.BIAS], LOOKBACK_DAYS=3)
    return replace(service, recipes={**service.recipes, Kind.BIAS: recipe})


def test_frames_that_are_gone_do_not_keep_a_later_night_from_its_master(looking_back, archive, query):
    gone, *_ = biases(archive, "20190405", 1000)
    biases(archive, "20190406", 1000)
    night.reduce_all(looking_back, archive.root, days=["20190405"])
    gone.unlink()
    for _ in range(2):
        night.reduce_all(looking_back, archive.root)
        (row,) = query.all(select(Master).where(Master.day == "20190406"))
        assert (row.standing, row.n_inputs) == (Standing.CURRENT, 3)
        assert row.reason.startswith(f"without the frames of the nights before: {gone.name}: the disk does not give")


def test_nothing_joins_in_where_the_last_master_is_gone(looking_back, archive, query):
    biases(archive, "20190405", 1000)
    night.reduce_all(looking_back, archive.root)
    (last,) = query.all(select(Master))
    (looking_back.output / last.path).unlink()
    biases(archive, "20190406", 6000)
    night.reduce_all(looking_back, archive.root, days=["20190406"])
    (row,) = query.all(select(Master).where(Master.day == "20190406"))
    assert (row.standing, row.n_inputs) == (Standing.CURRENT, 3)


def test_a_frame_that_was_left_out_of_its_night_does_not_join_in_later(service, archive, query):
    recipe = replace(service.recipes[Kind.BIAS], LOOKBACK_DAYS=3)
    service = replace(service, recipes={**service.recipes, Kind.BIAS: recipe})
    biases(archive, "20190405", 1000)
    odd = archive.add("b", day="20190405", adu=21_000)
    biases(archive, "20190406", 1000)
    night.reduce_all(service, archive.root)
    (master,) = query.all(select(Master).where(Master.day == "20190406").options(selectinload(Master.inputs)))
    assert len(master.inputs) == 6
    assert odd.stem not in {frame.filename for frame in master.inputs}


def test_a_night_with_an_odd_frame_does_not_end_the_look_back(service, archive, query):
    recipe = replace(service.recipes[Kind.BIAS], LOOKBACK_DAYS=3)
    service = replace(service, recipes={**service.recipes, Kind.BIAS: recipe})
    for day in ("20190404", "20190405", "20190406"):
        biases(archive, day, 1000)
    archive.add("b", day="20190405", adu=21_000)
    night.reduce_all(service, archive.root)
    inputs = {master.day: master.n_inputs for master in query.all(select(Master).order_by(Master.day))}
    assert inputs == {"20190404": 3, "20190405": 6, "20190406": 9}


def test_the_numbers_that_a_master_was_judged_by_are_kept_with_their_limits(archive, run, query):
    biases(archive, "20190405", 1000)
    biases(archive, "20190406", 6000)
    run()
    first, second = query.all(select(Master).order_by(Master.day))
    assert first.findings == []
    (finding,) = second.findings
    assert abs(finding.pop("value") - 5000) < 20
    assert finding == {"name": "level_adu", "usual": 100.0, "worst": 1000.0, "verdict": "held"}
