"""A person lists, compares and judges masters; recipes take no time here."""

import getpass
import json
from dataclasses import replace

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from nrespipe import cli
from nrespipe.analysis import master_list
from nrespipe.database.masters import lineage
from nrespipe.database.states import Standing, State
from nrespipe.database.tables import Attempt, Frame, Master
from nrespipe.database.work import announcements
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind
from nrespipe.service.batch import night, reprocessing
from nrespipe.service.masters import review
from nrespipe.service.reduction import master_making

NAME = "bias_lsc_nres01_fa09_20190406"


@pytest.fixture
def masters(service, archive, run, monkeypatch):
    """A good master and one that needs review; return a function that runs a command of the group."""
    for day, adu in (("20190405", 1000), ("20190406", 6000)):
        for _ in range(3):
            archive.add("b", day=day, adu=adu)
    archive.add("d", day="20190406")
    run()
    for name in ("DB_URL", "NRES_DATA_ROOT"):
        monkeypatch.delenv(name, raising=False)

    def command(*words):
        result = CliRunner().invoke(cli.main, ["masters", *words, "--output", str(service.output)])
        assert result.exit_code == 0, result.output
        return result.stdout.splitlines()

    return command


def test_the_list_tells_what_was_said_of_each_master(masters):
    head, first, second = masters("list", "--kind", "bias")
    assert head.split()[:3] == ["master", "standing", "inputs"]
    assert first.split()[:3] == ["bias_lsc_nres01_fa09_20190405", "current", "3"]
    assert second.split()[:3] == [NAME, "needs", "review"]
    assert "its level has changed by" in second
    assert len(masters("list", "--site", "elp")) == 1
    listed = json.loads("".join(masters("list", "--kind", "bias", "--format", "json")))
    assert [(row["master"], row["inputs"]) for row in listed] == [("bias_lsc_nres01_fa09_20190405", 3), (NAME, 3)]
    assert listed[1]["reason"] in second


def test_a_person_accepts_a_master_that_needs_review(masters, service, query):
    assert masters("good", NAME, "--why", "new amplifier") == [f"{NAME}: needs review -> current"]
    (row,) = query.all(select(Master).where(Master.day == "20190406", Master.kind == "bias"))
    assert row.standing is Standing.CURRENT
    assert row.reason.endswith("new amplifier")
    assert getpass.getuser() in row.reason
    assert any(NAME in line for line in masters("show", NAME))


def test_a_bad_master_serves_nobody_and_is_not_made_again(masters, service, query, run):
    used = masters("bad", f"{NAME}.fits.fz", "--why", "light leak")
    again = f"nrespipe reprocess --site lsc --from 20190406 --to 20190406 --output {service.output}"
    assert used == [
        f"{NAME}: needs review -> rejected",
        "was used for lscnrs01-fa09-20190406-0007-d00",
        f"they come again by themselves when nothing else is due; at once by: {again}",
    ]
    run()
    rows = query.all(select(Master).where(Master.day == "20190406", Master.kind == "bias"))
    assert [row.standing for row in rows] == [Standing.REJECTED]
    with query.sessions() as session:
        dark = session.scalars(select(Frame).where(Frame.kind == Kind.DARK)).one()
        assert [[master.day for master in attempt.masters] for attempt in dark.attempts] == [["20190406"], ["20190405"]]


@pytest.mark.slow
def test_all_that_comes_from_a_bad_master_is_made_and_reduced_again_by_itself(service, archive, run, query):
    for day in ("20190405", "20190406"):
        archive.calibrations(day)
        archive.add("e", "STAR A&thar&none", day=day)
    run()
    before = {(row.kind, row.day): row.id for row in query.all(select(Master))}
    decide(service, NAME, Standing.REJECTED)
    summary = run()
    # two darks, flats and arcs of this night and its star
    assert summary.new == 7
    with query.sessions() as session:
        star = session.scalars(select(Frame).where(Frame.kind == Kind.SCIENCE, Frame.day == "20190406")).one()
        used = {master.kind: master for master in star.attempts[-1].masters}
        assert {kind: master.day for kind, master in used.items()} == {
            Kind.BIAS: "20190405", Kind.DARK: "20190406", Kind.FLAT: "20190406", Kind.ARC: "20190406"
        }  # fmt: skip
        assert not {master.id for master in used.values()} & {before[kind, "20190406"] for kind in used}
        assert all(parent.day == "20190405" for parent in used[Kind.DARK].parents)
        assert not Quality(star.quality) & Quality.UNREVIEWED_MASTER
    assert run().new == 0


def test_a_bad_master_without_another_leaves_the_results_that_it_gave(service, archive, run, query):
    archive.calibrations("20190406")
    archive.add("e", "STAR A&thar&none", day="20190406")
    run()
    decide(service, NAME, Standing.REJECTED)
    run()
    (star,) = query.all(select(Frame).where(Frame.kind == Kind.SCIENCE))
    assert star.state is State.DONE
    assert star.reason.startswith("an earlier result is kept; the last attempt ended waiting: no master bias")
    for _ in range(2):
        archive.add("b", day="20190405")
    run()
    with query.sessions() as session:
        star = session.scalars(select(Frame).where(Frame.kind == Kind.SCIENCE)).one()
        assert {master.kind: master.day for master in star.attempts[-1].masters}[Kind.BIAS] == "20190405"


def test_what_a_person_has_called_good_stays_good_when_its_night_is_reduced_again(masters, service, query):
    masters("good", NAME, "--why", "new amplifier")
    for _ in range(2):
        reprocessing.reprocess(service, "lsc", "20190406", "20190406")
        *_, last = query.all(select(Master).where(Master.day == "20190406", Master.kind == "bias").order_by(Master.id))
        assert last.standing is Standing.CURRENT
        assert last.reason.startswith("its level has changed by")
        assert last.reason.count("new amplifier") == 1
    with query.sessions() as session:
        dark = session.scalar(select(Attempt).join(Frame).where(Frame.kind == Kind.DARK).order_by(Attempt.id.desc()))
        assert [master.id for master in dark.masters] == [last.id]


def test_a_first_master_that_is_good_despite_its_flaws_stays_good_when_its_night_is_reduced_again(
    masters, archive, run, service, query
):
    for _ in range(3):
        archive.add("b", day="20190406", adu=15_000, site="elp")
    run()
    name = "bias_elp_nres02_fa09_20190406"
    assert masters("good", name, "--why", "new amplifier") == [f"{name}: needs review -> current"]
    reprocessing.reprocess(service, "elp", "20190406", "20190406")
    before, last = query.all(select(Master).where(Master.site == "elp").order_by(Master.id))
    assert (before.standing, last.standing) == (Standing.REPLACED, Standing.CURRENT)
    assert last.reason.startswith("its level is 14999 ADU; ")
    assert last.reason.endswith("new amplifier")


@pytest.mark.slow
def test_what_a_person_has_called_bad_stays_bad_when_its_night_is_reduced_again(masters, service, query):
    masters("bad", "bias_lsc_nres01_fa09_20190405", "--why", "light leak")
    reprocessing.reprocess(service, "lsc", "20190405", "20190405")
    rows = query.all(select(Master).where(Master.day == "20190405"))
    assert [(row.standing, row.reason.endswith("light leak")) for row in rows] == [(Standing.REJECTED, True)]


def decide(service, name, standing):
    with service.sessions.begin() as session:
        return review.decide(session, name, standing, "said")[1:]


def test_only_results_that_come_from_a_master_now_are_told(masters, service):
    assert len(decide(service, NAME, Standing.REJECTED)) == 2
    reprocessing.reprocess(service, "lsc", "20190406", "20190406")
    assert decide(service, NAME, Standing.REJECTED) == []
    assert len(decide(service, NAME, Standing.CURRENT)) == 2
    reprocessing.reprocess(service, "lsc", "20190406", "20190406")
    assert decide(service, NAME, Standing.CURRENT) == []


def test_what_was_reduced_before_more_frames_came_is_told_too(service, archive, run):
    for _ in range(2):
        archive.add("b")
    archive.add("d")
    run()
    archive.add("b")
    run()
    told, _ = decide(service, "bias_lsc_nres01_fa09_20190405", Standing.REJECTED)
    assert told == "was used for lscnrs01-fa09-20190405-0003-d00"


def test_a_frame_of_another_read_out_mode_had_no_use_for_a_master(service, archive, run):
    for mode, adu in (("slow", 1000), ("fast", 1000), ("slow", 6000)):
        day = "20190405" if adu == 6000 else "20190404"
        for _ in range(2):
            archive.add("b", day=day, adu=adu, CONFMODE=mode)
    slow = archive.add("d", day="20190405", CONFMODE="slow")
    archive.add("d", day="20190405", CONFMODE="fast")
    run()
    name = "bias_lsc_nres01_fa09_20190405_slow"
    told, _ = decide(service, name, Standing.REJECTED)
    assert told == f"was used for {slow.stem}"
    run()
    told, _ = decide(service, name, Standing.CURRENT)
    assert told == f"another one was used for {slow.stem}"


def test_masters_that_were_made_with_a_bad_one_and_what_they_served_are_told(service, archive, run):
    archive.calibrations("20190405")
    archive.add("e", "STAR A&thar&none", day="20190405")
    archive.calibrations("20190406")
    for _ in range(2):
        archive.add("d", day="20190407")
    star = archive.add("e", "STAR A&thar&none", day="20190407")
    run()
    *told, again = decide(service, "bias_lsc_nres01_fa09_20190406", Standing.REJECTED)
    kinds = ["dark_lsc_nres01_fa09_20190406", "dark_lsc_nres01_fa09_20190407", "flat_lsc_nres01_fa09_20190406"]
    assert told[:4] == [f"was used for {name}" for name in (*kinds, "arc_lsc_nres01_fa09_20190406")]
    assert f"was used for {star.stem}" in told
    assert not any("20190405" in line for line in told)
    assert again.endswith("--from 20190406 --to 20190407")
    *told, _ = decide(service, "flat_lsc_nres01_fa09_20190405", Standing.REJECTED)
    assert told[0] == "was used for arc_lsc_nres01_fa09_20190405"
    assert not any("20190406" in line for line in told)


def test_masters_that_frames_of_a_bad_one_have_joined_in_are_told(service, archive):
    recipe = replace(service.recipes[Kind.BIAS], LOOKBACK_DAYS=3)
    looking_back = replace(service, recipes={**service.recipes, Kind.BIAS: recipe})
    for day in ("20190404", "20190405", "20190406"):
        for _ in range(2):
            archive.add("b", day=day)
        archive.add("d", day=day)
    night.reduce_all(looking_back, archive.root)
    later = "bias_lsc_nres01_fa09_20190406"
    assert decide(service, "bias_lsc_nres01_fa09_20190405", Standing.REJECTED) == [
        f"frames of its night are in {later}",
        "was used for lscnrs01-fa09-20190405-0006-d00",
        f"was used for lscnrs01-fa09-20190406-0009-d00, by way of {later}",
        "they come again by themselves when nothing else is due; at once by: "
        "nrespipe reprocess --site lsc --from 20190405 --to 20190406",
    ]
    reprocessing.reprocess(looking_back, "lsc", "20190405", "20190406")
    with service.sessions() as session:
        made = master_list.find(session, later)
        assert {frame.day for frame in made.inputs} == {"20190404", "20190406"}


def biases_of(query, day):
    rows = query.all(select(Master).where(Master.day == day, Master.kind == "bias").order_by(Master.id))
    return [(row.standing, row.n_inputs) for row in rows], rows[-1].reason


def test_a_late_frame_does_not_bring_back_what_a_person_has_called_bad(masters, archive, run, query):
    masters("bad", NAME, "--why", "lamp flickered")
    archive.add("b", day="20190406", adu=1000)
    for _ in range(2):
        run()
        rows, reason = biases_of(query, "20190406")
        assert rows == [(Standing.REJECTED, 3), (Standing.REJECTED, 4)]
        told = reason.rpartition("; 3 of its 4 frames are those of the one that was called bad: ")[-1]
        assert told.endswith("lamp flickered")
    masters("good", NAME, "--why", "three are few")
    run()
    assert biases_of(query, "20190406")[0] == [(Standing.REJECTED, 3), (Standing.CURRENT, 4)]


def test_a_try_that_fails_does_not_make_a_verdict_forgotten(masters, archive, run, query):
    first = "bias_lsc_nres01_fa09_20190405"
    masters("bad", first, "--why", "light leak")
    late = archive.add("b", day="20190405", PROPID="CRASH")
    # the recipe looks at the first of the frames
    late = late.rename(late.with_name("lscnrs01-fa09-20190405-0000-b00.fits"))
    run()
    assert biases_of(query, "20190405")[0] == [(Standing.REJECTED, 3), (Standing.FAILED, 4)]
    with query.sessions.begin() as session:
        session.scalars(select(Frame).where(Frame.filename == late.stem)).one().state = State.BAD
    run()
    assert biases_of(query, "20190405")[0] == [(Standing.REJECTED, 3), (Standing.FAILED, 4)]


@pytest.mark.parametrize(("word", "day", "standing"), [("good", "06", "current"), ("bad", "05", "rejected")])
@pytest.mark.slow
def test_what_is_said_while_a_master_is_made_again_holds(masters, service, query, monkeypatch, word, day, standing):
    combine = master_making.combine

    def interrupted(job, **others):
        made = combine(job, **others)
        masters(word, f"bias_lsc_nres01_fa09_201904{day}", "--why", "said just now")
        return made

    monkeypatch.setattr(master_making, "combine", interrupted)
    reprocessing.reprocess(service, "lsc", f"201904{day}", f"201904{day}", kinds=(Kind.BIAS,))
    (_, last), reason = biases_of(query, f"201904{day}")
    assert last == (Standing(standing), 3)
    assert reason.endswith("said just now")


def test_a_master_that_was_called_good_needs_review_when_it_changes(masters, archive, query, run):
    masters("good", NAME, "--why", "new amplifier")
    for _ in range(9):
        archive.add("b", day="20190406", adu=9000)
    run()
    *_, last = query.all(select(Master).where(Master.day == "20190406", Master.kind == "bias").order_by(Master.id))
    assert (last.n_inputs, last.standing) == (12, Standing.REVIEW)


def test_a_master_that_is_not_there_is_said_so(masters, service):
    result = CliRunner().invoke(cli.main, ["masters", "good", "bias_x", "--why", "", "--output", str(service.output)])
    assert result.exit_code == 1
    assert result.output == "Error: there is no master bias_x\n"


@pytest.mark.parametrize("word", ["good", "bad"])
def test_a_verdict_needs_a_reason(masters, service, word):
    result = CliRunner().invoke(cli.main, ["masters", word, NAME, "--output", str(service.output)])
    assert result.exit_code == 2
    assert "--why" in result.output


@pytest.mark.slow
def test_a_star_whose_arc_was_called_bad_is_reduced_again_when_another_night_has_one(service, archive, run, query):
    archive.calibrations("20190405")
    archive.add("e", "STAR A&thar&none", day="20190405")
    run()
    decide(service, "arc_lsc_nres01_fa09_20190405", Standing.REJECTED)
    run()
    archive.calibrations("20190406")
    run()
    with query.sessions() as session:
        star = session.scalars(select(Frame).where(Frame.kind == Kind.SCIENCE)).one()
        assert {master.kind: master.day for master in star.attempts[-1].masters}[Kind.ARC] == "20190406"
        assert (star.state, star.reason) == (State.DONE, "")


@pytest.mark.slow
def test_a_master_whose_own_master_is_called_bad_while_it_is_made_is_made_again(
    service, archive, run, query, monkeypatch
):
    for day in ("20190405", "20190406"):
        archive.calibrations(day)
        archive.add("e", "STAR A&thar&none", day=day)
    combine, said = master_making.combine, []

    def interrupted(job, **others):
        made = combine(job, **others)
        if job.kind is Kind.DARK and job.night.day == "20190406" and not said:
            said.extend(decide(service, NAME, Standing.REJECTED))
        return made

    monkeypatch.setattr(master_making, "combine", interrupted)
    run()
    with query.sessions() as session:
        star = session.scalars(select(Frame).where(Frame.kind == Kind.SCIENCE, Frame.day == "20190406")).one()
        used = star.attempts[-1].masters
        assert [[parent.day for parent in one.parents if parent.kind is Kind.BIAS] for one in used] == [
            [], ["20190405"], ["20190405"], ["20190405"]
        ]  # fmt: skip
        assert not lineage.unreviewed(session, used)
    assert run().new == 0


@pytest.mark.slow
def test_a_master_that_was_called_bad_and_then_good_leaves_no_flag(service, archive, run, query):
    archive.calibrations("20190406")
    archive.add("e", "STAR A&thar&none", day="20190406")
    run()
    for standing in (Standing.REJECTED, Standing.CURRENT):
        decide(service, NAME, standing)
        run()
    assert run().new == 0
    (star,) = query.all(select(Frame).where(Frame.kind == Kind.SCIENCE))
    assert (star.state, star.reason) == (State.DONE, "")
    assert Quality.UNREVIEWED_MASTER not in Quality(star.quality)


def test_a_frame_that_a_person_has_asked_for_does_not_lose_its_turn(masters, service, query):
    with service.sessions.begin() as session:
        announcements.request(session, session.scalars(select(Frame).where(Frame.kind == Kind.DARK)).one())
    masters("bad", NAME, "--why", "light leak")
    (dark,) = query.all(select(Frame).where(Frame.kind == Kind.DARK))
    assert not dark.low_priority
