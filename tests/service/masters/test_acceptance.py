"""A master that is unlike the last one is used, and says so until somebody, or another night, has agreed with it."""

import shutil
from dataclasses import replace

import pytest
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from nrespipe.database.masters import calibrations
from nrespipe.database.states import Standing, State
from nrespipe.database.tables import Attempt, Frame, Master
from nrespipe.errors import BadFrame
from nrespipe.files.master_files import read
from nrespipe.frames.judgement import Finding, Judgement
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind
from nrespipe.service.batch import night, reprocessing
from nrespipe.service.reduction import master_making


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


@pytest.fixture
def stars(query):
    """Tell of each star by its day: state, whether a master that needs review speaks against it, nights of masters."""

    def by_day():
        with query.sessions() as session:
            rows = session.scalars(select(Frame).where(Frame.kind == Kind.SCIENCE))
            return {
                row.day: (
                    row.state,
                    Quality.UNREVIEWED_MASTER in Quality(row.quality),
                    [master.day for master in row.attempts[-1].masters],
                )
                for row in rows
            }

    return by_day


def complete(archive, day, adu):
    """Add a night with a star, whose biases have a level."""
    biases(archive, day, adu)
    for code, objects in [("d", ""), ("w", "tung&tung&none"), ("a", "thar&thar&none")] * 2:
        archive.add(code, objects, day=day)
    archive.add("e", "STAR A&thar&none", day=day)


@pytest.mark.slow
def test_a_master_unlike_the_last_one_needs_review_and_is_used_and_its_stars_say_so(archive, run, masters, stars):
    complete(archive, "20190405", 1000)
    complete(archive, "20190406", 6000)
    summary = run()
    assert masters()["20190406"][0] is Standing.REVIEW
    assert [(standing, why.split(" by ")[0]) for _, standing, why in summary.masters] == [
        (Standing.REVIEW, "its level has changed")
    ]
    assert summary.exit_status == 0
    assert stars() == {
        "20190405": (State.DONE, False, ["20190405"] * 4),
        "20190406": (State.DONE, True, ["20190406"] * 4),
    }


@pytest.mark.slow
def test_stars_of_a_night_that_needed_review_are_reduced_again_when_the_next_one_agrees(archive, run, masters, stars):
    complete(archive, "20190405", 1000)
    complete(archive, "20190406", 6000)
    run()
    complete(archive, "20190407", 6050)
    summary = run()
    assert [standing for standing, _ in masters().values()] == [Standing.CURRENT] * 3
    assert stars() == {day: (State.DONE, False, [day] * 4) for day in ("20190405", "20190406", "20190407")}
    # seven calibrations a night, two of which are biases more than of other kinds, a star, and one star again
    assert summary.new == 3 + 6 + 1 + 1
    assert run().new == 0


@pytest.mark.slow
def test_a_star_with_a_master_of_another_night_is_reduced_again_when_its_own_night_has_one(archive, run, stars):
    complete(archive, "20190405", 1000)
    archive.add("e", "STAR A&thar&none", day="20190406")
    run()
    assert stars()["20190406"] == (State.DONE, False, ["20190405"] * 4)
    biases(archive, "20190406", 1000)
    run()
    assert stars()["20190406"] == (State.DONE, False, ["20190405"] * 3 + ["20190406"])


@pytest.mark.slow
def test_a_run_leaves_to_the_next_what_it_cannot_reduce_again_in_its_bounds(archive, run, stars, monkeypatch):
    monkeypatch.setattr(night, "_MOST_REDONE", 1)
    complete(archive, "20190405", 1000)
    for _ in range(2):
        archive.add("e", "STAR A&thar&none", day="20190406")
    run()
    biases(archive, "20190406", 1000)
    assert [run().left for _ in range(2)] == [1, 0]


@pytest.mark.slow
def test_what_was_made_with_a_master_that_needs_review_says_so_too(archive, run, stars):
    complete(archive, "20190405", 1000)
    complete(archive, "20190407", 6000)
    biases(archive, "20190408", 6010)
    run()
    # its own bias is accepted, that of its flat and arc too
    archive.add("e", "STAR A&thar&none", day="20190408")
    run()
    assert not any(flagged for _, flagged, _ in stars().values())
    biases(archive, "20190409", 12_000)
    for code, objects in [("d", ""), ("w", "tung&tung&none"), ("a", "thar&thar&none")] * 2:
        archive.add(code, objects, day="20190409")
    biases(archive, "20190410", 6010)
    archive.add("e", "STAR A&thar&none", day="20190410")
    run()
    state, flagged, used = stars()["20190410"]
    assert (state, flagged, sorted(set(used))) == (State.DONE, True, ["20190409", "20190410"])


def test_a_first_master_that_cannot_be_compared_is_used_and_accepted_when_the_next_night_is_alike(
    archive, run, masters
):
    biases(archive, "20190405", 15_000)
    run()
    assert masters()["20190405"] == (Standing.REVIEW, "its level is 14999 ADU")
    biases(archive, "20190406", 15_010)
    run()
    assert masters()["20190405"] == (
        Standing.CURRENT, "its level is 14999 ADU; the one of 20190406 agrees with it"
    )  # fmt: skip
    assert masters()["20190406"][0] is Standing.CURRENT
    # and a third one has what they all have
    biases(archive, "20190407", 15_020)
    run()
    assert masters()["20190407"] == (Standing.CURRENT, "its level is 15019 ADU")


def test_a_master_that_cannot_serve_is_rejected_and_leaves_the_one_that_does_where_it_is(
    service, archive, run, masters, query
):
    biases(archive, "20190405", 1000)
    run()
    (good,) = query.all(select(Master))
    content = (service.output / good.path).read_bytes()
    finding = Finding("bad_share", 0.9, 0.01, 0.1, "{value:.0%} of the pixels are bad", useless=0.5)
    strict = replace(service, judge=lambda *_: Judgement((finding,)))
    biases(archive, "20190405", 1000, n=1)
    summary = night.reduce_all(strict, archive.root)
    assert [(standing, reason) for _, standing, reason in summary.masters] == [
        (Standing.REJECTED, "90% of the pixels are bad")
    ]
    assert summary.exit_status == 1
    rows = query.all(select(Master).order_by(Master.id))
    assert [row.standing for row in rows] == [Standing.CURRENT, Standing.REJECTED]
    assert (service.output / good.path).read_bytes() == content


@pytest.mark.slow
def test_a_frame_that_is_refused_with_a_master_that_needs_review_is_tried_with_another(
    service, archive, run, stars, query, monkeypatch
):
    recipe = type(service.recipes[Kind.SCIENCE])
    reduce = recipe.reduce

    def strict(self, raw, refs, spectrograph):
        if refs.bias.origin.day == "20190406":
            raise BadFrame(f"{raw.filename}: the orders are not where the flat saw them")
        return reduce(self, raw, refs, spectrograph)

    monkeypatch.setattr(recipe, "reduce", strict)
    complete(archive, "20190405", 1000)
    complete(archive, "20190406", 6000)
    run()
    # the other three were made with it
    assert stars()["20190406"] == (State.DONE, True, ["20190405", "20190406", "20190406", "20190406"])
    (star,) = query.all(select(Frame).where(Frame.kind == Kind.SCIENCE, Frame.day == "20190406"))
    assert star.tries == 2
    run()
    (star,) = query.all(select(Frame).where(Frame.kind == Kind.SCIENCE, Frame.day == "20190406"))
    assert star.tries == 2


@pytest.mark.slow
def test_a_master_that_cannot_be_made_with_one_that_needs_review_is_tried_with_another(
    service, archive, run, stars, query, monkeypatch
):
    recipe = type(service.recipes[Kind.FLAT])
    combine = recipe.combine

    def strict(self, frames, refs, spectrograph):
        if self.kind is Kind.FLAT and refs.bias.origin.day == "20190406":
            raise BadFrame("no trace can be found")
        return combine(self, frames, refs, spectrograph)

    monkeypatch.setattr(recipe, "combine", strict)
    complete(archive, "20190405", 1000)
    complete(archive, "20190406", 6000)
    run()
    flats = query.all(select(Master).where(Master.kind == Kind.FLAT, Master.day == "20190406").order_by(Master.id))
    assert [flat.standing for flat in flats] == [Standing.REJECTED, Standing.CURRENT]
    assert stars()["20190406"][0] is State.DONE
    run()
    assert len(query.all(select(Master).where(Master.kind == Kind.FLAT, Master.day == "20190406"))) == 2


def test_two_nights_that_agree_outvote_the_older_one(service, archive, run, masters):
    for day, adu in (("20190405", 1000), ("20190406", 6000), ("20190407", 6050), ("20190408", 6020)):
        biases(archive, day, adu)
    run()
    found = masters()
    assert [standing for standing, _ in found.values()] == [Standing.CURRENT] * 4
    assert found["20190406"][1].endswith("the one of 20190407 agrees with it")
    assert found["20190408"][1] == ""
    assert found["20190407"][1].endswith("the one of 20190406 agrees with it")
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


def test_the_first_master_of_a_camera_needs_review_when_it_is_not_what_it_was(service, archive, run, masters):
    for day, adu in (("20190405", 1000), ("20190406", 1000)):
        biases(archive, day, adu)
    run()
    biases(archive, "20190405", 9000, n=9)
    run()
    assert masters()["20190405"][0] is Standing.REVIEW


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
def test_a_master_that_needs_review_is_not_made_again_and_a_person_may_accept_it(service, archive, run, masters):
    biases(archive, "20190406", 6000)
    biases(archive, "20190405", 1000)
    run()
    run()
    with service.sessions.begin() as session:
        (unlike,) = session.scalars(select(Master).where(Master.standing == Standing.REVIEW))
        calibrations.set_standing(session, unlike, Standing.CURRENT, "ada: the amplifier was replaced")
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


def copied(path, number):
    """Copy a raw file under another number of its night."""
    return shutil.copy(path, path.with_name(path.name.replace("-0001-", f"-{number:04d}-")))


def test_no_content_counts_twice_in_a_master_under_two_names(service, archive, run, masters):
    first, *_ = [archive.add("b", day="20190405") for _ in range(3)]
    copied(first, 8)
    copied(first, 9)
    run()
    standing, reason = masters()["20190405"]
    assert standing is Standing.CURRENT
    assert "left out lscnrs01-fa09-20190405-0008-b00: the same content as lscnrs01-fa09-20190405-0001-b00" in reason
    assert "left out lscnrs01-fa09-20190405-0009-b00: the same content as lscnrs01-fa09-20190405-0001-b00" in reason
    with service.sessions() as session:
        (master,) = session.scalars(select(Master))
        assert master.n_inputs == len(master.inputs) == 3
        assert session.query(Frame).count() == 5


def test_copies_of_one_frame_make_no_master(archive, run, masters):
    copied(archive.add("b", day="20190405"), 9)
    run()
    assert masters() == {}


def frame(name, md5, start_mjd, **measured):
    tried = Attempt(outcome=State.DONE, measurements=measured)
    return Frame(id=len(name), filename=name, md5=md5, start_mjd=start_mjd, attempts=[tried])


def test_a_copy_that_was_packed_anew_is_known_by_its_start_and_its_measurements():
    one = frame("a", "1", 58578.9, level_adu=1000.25, noise_adu=5.125)
    again = frame("bb", "2", 58578.9, level_adu=1000.25, noise_adu=5.125)
    later = frame("ccc", "3", 58579.0, level_adu=1000.25, noise_adu=5.125)
    other = frame("dddd", "4", 58578.9, level_adu=1000.5, noise_adu=5.125)
    bare = frame("eeeee", "5", 58578.9)
    unmeasured = frame("ffffff", "6", 58578.9)
    assert master_making._copies([one, again, later, other, bare, unmeasured]) == {2: "a"}


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
    assert not summary.masters
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
    assert finding == {"name": "level_adu", "usual": 100.0, "worst": 1000.0, "verdict": "needs review", "known": False}


@pytest.fixture
def refused(service, monkeypatch):
    """Let the flats of 20190407 be refused with any master; return the nights of the biases that were tried."""
    recipe, tried = type(service.recipes[Kind.FLAT]), []
    combine = recipe.combine

    def strict(self, frames, refs, spectrograph):
        if self.kind is Kind.FLAT and frames[0].day == "20190407":
            tried.append(refs.bias.origin.day)
            if len(tried) > 8:
                # an error would be recorded, and the loop go on
                raise SystemExit("it never ends")
            raise BadFrame("no trace can be found")
        return combine(self, frames, refs, spectrograph)

    monkeypatch.setattr(recipe, "combine", strict)
    return tried


@pytest.mark.slow
def test_a_master_that_no_other_master_helps_is_tried_with_each_of_them_once(archive, run, refused):
    for day, adu in (("20190405", 1000), ("20190406", 6000), ("20190407", 11_000)):
        complete(archive, day, adu)
    run()
    assert refused == ["20190407", "20190406", "20190405"]
    run()
    assert len(refused) == 3


@pytest.mark.slow
def test_a_star_that_no_other_master_helps_is_tried_with_each_of_them_once_and_is_bad(
    service, archive, run, stars, monkeypatch
):
    recipe, tried = type(service.recipes[Kind.SCIENCE]), []
    reduce = recipe.reduce

    def strict(self, raw, refs, spectrograph):
        if raw.day == "20190407":
            tried.append(refs.bias.origin.day)
            raise BadFrame(f"{raw.filename}: no light")
        return reduce(self, raw, refs, spectrograph)

    monkeypatch.setattr(recipe, "reduce", strict)
    for day, adu in (("20190405", 1000), ("20190406", 6000), ("20190407", 11_000)):
        complete(archive, day, adu)
    run()
    assert tried == ["20190407", "20190406", "20190405"]
    assert stars()["20190407"][0] is State.BAD
    assert run().new == 0


@pytest.mark.slow
def test_what_was_made_with_an_earlier_version_of_a_master_that_needs_review_says_so_still(archive, run, stars):
    complete(archive, "20190405", 1000)
    complete(archive, "20190406", 6000)
    run()
    # its flat is of the first version
    biases(archive, "20190406", 6001, n=1)
    biases(archive, "20190407", 1000)
    archive.add("e", "STAR A&thar&none", day="20190407")
    run()
    assert stars()["20190407"] == (State.DONE, True, ["20190406"] * 3 + ["20190407"])


@pytest.mark.slow
@pytest.mark.parametrize(("late", "n"), [(6001, 1), (1000, 40)])
def test_a_star_with_an_earlier_version_of_a_master_is_cleared_when_the_last_one_is_accepted(
    archive, run, stars, late, n
):
    complete(archive, "20190405", 1000)
    complete(archive, "20190406", 6000)
    run()
    # the version with these needs review as well, or is like the night before
    biases(archive, "20190406", late, n=n)
    run()
    assert stars()["20190406"][1] is (late == 6001)
    biases(archive, "20190407", late)
    run()
    assert stars()["20190406"][1] is False


@pytest.mark.slow
def test_a_master_between_one_that_needs_review_and_the_last_good_one_accepts_it(archive, run, masters, stars):
    complete(archive, "20190405", 1000)
    complete(archive, "20190406", 2100)
    run()
    biases(archive, "20190407", 1950)
    run()
    assert [standing for standing, _ in masters().values()] == [Standing.CURRENT] * 3
    assert stars()["20190406"][1] is False


@pytest.mark.slow
def test_a_star_that_was_refused_with_a_master_that_needs_review_is_tried_with_the_one_of_the_next_night(
    service, archive, run, stars, monkeypatch
):
    recipe = type(service.recipes[Kind.SCIENCE])
    reduce = recipe.reduce

    def strict(self, raw, refs, spectrograph):
        if refs.bias.origin.day == "20190406":
            raise BadFrame(f"{raw.filename}: the orders are not where the flat saw them")
        return reduce(self, raw, refs, spectrograph)

    monkeypatch.setattr(recipe, "reduce", strict)
    complete(archive, "20190406", 15_000)
    run()
    assert stars()["20190406"][0] is State.BAD
    biases(archive, "20190407", 1000)
    run()
    assert stars()["20190406"] == (State.DONE, True, ["20190406"] * 3 + ["20190407"])
