"""Nights are reduced again in the order in which frames depend on each other."""

import csv
from dataclasses import replace

import pytest
from astropy.io import fits
from sqlalchemy import select

from nrespipe.analysis import master_list
from nrespipe.database.states import Standing, State
from nrespipe.database.tables import Attempt, Frame, Master, Reprocessing
from nrespipe.errors import BadFrame
from nrespipe.frames.raw import Kind
from nrespipe.service.batch import reprocessing
from nrespipe.service.masters import redo, review
from nrespipe.service.reduction import frame_reduction


@pytest.fixture
def reduced(archive, run):
    """Two nights that are reduced, and one that is not asked for."""
    for day in ("20190405", "20190406", "20190407"):
        archive.calibrations(day)
        archive.add("e", "STAR A&thar&none", day=day)
    run()


@pytest.mark.slow
def test_frames_and_masters_are_made_again_in_the_order_of_their_needs(reduced, service, query):
    lines, path = reprocessing.reprocess(service, "lsc", "20190405", "20190406", why="new flat field")
    assert lines[0].startswith("18 frames reduced again")
    assert lines[1].startswith("2 velocities: median change +0.00 m/s")
    attempts = query.all(select(Attempt).join(Frame).where(Frame.day <= "20190406").order_by(Attempt.id))
    again = attempts[18:]
    with query.sessions() as session:
        kinds = [session.get_one(Attempt, attempt.id).frame.kind for attempt in again]
        assert kinds == sorted(kinds, key=list(Kind).index)
        star = session.get_one(Attempt, again[-1].id)
        made = {master.standing for master in star.masters}, {master.day for master in star.masters}
        newest = min(master.created for master in star.masters)
    assert made == ({Standing.CURRENT}, {"20190406"})
    assert newest > attempts[17].finished
    with open(path, newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["filename"][-8:] for row in rows] == ["0009-e00", "0018-e00"]
    assert {(row["before_ms"], row["after_ms"], row["change_ms"], row["why"]) for row in rows} == {
        ("100.0", "100.0", "0.0", "new flat field")
    }


@pytest.mark.slow
def test_other_nights_and_sites_are_left_alone(reduced, service, query):
    reprocessing.reprocess(service, "lsc", "20190405", "20190405")
    assert len(query.all(select(Attempt).join(Frame).where(Frame.day == "20190407"))) == 9
    with pytest.raises(LookupError, match="no frame of elp from 20190405 to 20190407"):
        reprocessing.reprocess(service, "elp", "20190405", "20190407")


@pytest.mark.slow
def test_an_interrupted_run_goes_on_where_it_was(reduced, service, query, monkeypatch):
    masters = reprocessing.runner.make_masters

    def interrupted(run, kind, nights, **options):
        if kind is Kind.FLAT:
            raise KeyboardInterrupt
        masters(run, kind, nights, **options)

    monkeypatch.setattr(reprocessing.runner, "make_masters", interrupted)
    with pytest.raises(KeyboardInterrupt):
        reprocessing.reprocess(service, "lsc", "20190405", "20190406")
    monkeypatch.undo()
    lines, _ = reprocessing.reprocess(service, "lsc", "20190405", "20190406")
    assert lines[0].startswith("6 frames reduced again")
    assert len(query.all(select(Attempt).join(Frame).where(Frame.day <= "20190406"))) == 36
    (row,) = query.all(select(Reprocessing))
    assert row.finished is not None
    assert len(query.all(select(Master).where(Master.day == "20190405", Master.kind == Kind.BIAS))) == 2


@pytest.fixture
def interrupted(reduced, service, monkeypatch):
    """A run that was interrupted at the last of its stars; return a function that asks for it again."""
    finish = reprocessing.runner.execute

    def stop(run, label, orders, **options):
        if not label.startswith("science"):
            return finish(run, label, orders, **options)
        finish(run, label, orders[:1])
        raise KeyboardInterrupt

    monkeypatch.setattr(reprocessing.runner, "execute", stop)
    with pytest.raises(KeyboardInterrupt):
        reprocessing.reprocess(service, "lsc", "20190405", "20190406", why="new flat field")
    monkeypatch.undo()
    return lambda **asked: reprocessing.reprocess(service, "lsc", "20190405", "20190406", **asked)[0]


@pytest.mark.slow
def test_a_run_that_goes_on_says_so(interrupted, query):
    (row,) = query.all(select(Reprocessing))
    first, *_ = interrupted(why="new flat field")
    assert first.startswith("1 frames reduced again")
    assert first.endswith(f"going on with the run of {row.begun:%Y-%m-%d %H:%M} UTC")


@pytest.mark.slow
def test_what_is_asked_for_again_for_another_reason_is_another_run(interrupted, query):
    first, *_ = interrupted(why="new catalog")
    assert first.startswith("18 frames reduced again")
    assert "going on" not in first
    assert [row.why for row in query.all(select(Reprocessing))] == ["new flat field", "new catalog"]


@pytest.mark.slow
def test_a_run_that_goes_on_leaves_nothing_with_a_master_that_was_called_bad_meanwhile(interrupted, service, query):
    name = "flat_lsc_nres01_fa09_20190405"
    with service.sessions.begin() as session:
        review.decide(session, name, Standing.REJECTED, "lamp flickered")
    first, *others = interrupted(why="new flat field")
    # arcs and star of this night, and the star of the other one
    assert first.startswith("4 frames reduced again")
    assert others[-2:] == ["to be looked at:", f"{name}  rejected  {others[-1].split('  ')[-1]}"]
    with query.sessions() as session:
        bad = master_list.find(session, name)
        assert redo.affected_by_rejection(session, bad) == ({}, [])
        arc = master_list.find(session, "arc_lsc_nres01_fa09_20190405")
        assert arc.created > max(frame.attempts[-1].finished for frame in arc.inputs)


@pytest.mark.slow
def test_a_verdict_holds_for_what_is_reduced_after_it_in_a_run_under_way(
    reduced, archive, run, service, query, monkeypatch
):
    star = archive.add("e", "STAR A&thar&none", day="20190405")
    run()
    reduce = frame_reduction.reduce

    def judged_meanwhile(job, **others):
        if job.path == str(star):
            return reduce(job, **others)
        with service.sessions.begin() as session:
            review.decide(session, "flat_lsc_nres01_fa09_20190405", Standing.REJECTED, "lamp flickered")
        return reduce(job, **others)

    monkeypatch.setattr(frame_reduction, "reduce", judged_meanwhile)
    reprocessing.reprocess(service, "lsc", "20190405", "20190405", kinds=(Kind.SCIENCE,))
    with query.sessions() as session:
        last = session.scalars(select(Attempt).order_by(Attempt.id.desc())).first()
        assert last.frame.filename == star.stem
        assert {master.day for master in last.masters if master.kind is Kind.FLAT} == {"20190406"}


@pytest.mark.slow
def test_what_could_not_be_done_again_is_told_and_keeps_its_result(reduced, archive, service, query):
    (star,) = archive.root.rglob("*20190405*e00.fits")
    star.unlink()
    first, _, _, *told = reprocessing.reprocess(service, "lsc", "20190405", "20190405")[0]
    assert first.startswith("9 frames reduced again")
    assert told[0] == "to be looked at:"
    assert [line.split("  ")[:2] for line in told[1:]] == [[star.stem, "retry"]]
    (frame,) = query.all(select(Frame).where(Frame.filename == star.stem))
    assert (frame.state, frame.quality > 0) == (State.DONE, True)


@pytest.mark.slow
def test_a_master_of_frames_that_are_bad_now_serves_nobody(reduced, service, query, monkeypatch):
    recipe = type(service.recipes[Kind.FLAT])
    reduce = recipe.reduce

    def strict(self, raw, refs, spectrograph):
        if raw.kind is Kind.FLAT:
            raise BadFrame(f"{raw.filename}: the lamp was off")
        return reduce(self, raw, refs, spectrograph)

    monkeypatch.setattr(recipe, "reduce", strict)
    *_, told, _, _ = reprocessing.reprocess(service, "lsc", "20190405", "20190405")[0]
    monkeypatch.undo()
    why = "2 of the 2 frames of the one made before are bad now, a master needs 2"
    assert told == f"flat_lsc_nres01_fa09_20190405    rejected  {why}"
    with query.sessions() as session:
        star = session.scalars(select(Attempt).order_by(Attempt.id.desc())).first()
        assert {master.day for master in star.masters if master.kind is Kind.FLAT} == {"20190406"}
    # frames that are good after all make a master again
    reprocessing.reprocess(service, "lsc", "20190405", "20190405")
    flats = query.all(select(Master).where(Master.kind == Kind.FLAT, Master.day == "20190405").order_by(Master.id))
    assert [flat.standing for flat in flats] == [Standing.REPLACED, Standing.REJECTED, Standing.CURRENT]


@pytest.mark.slow
def test_a_night_takes_a_master_out_of_use_when_a_new_version_of_its_frame_is_bad(reduced, archive, run, query):
    flat = sorted(archive.root.rglob("*20190405*w00.fits"))[0]
    with fits.open(flat, mode="update") as hdus:
        hdus[0].data[:] = 40_000
    run()
    flats = query.all(select(Master).where(Master.kind == Kind.FLAT, Master.day == "20190405").order_by(Master.id))
    assert [flat.standing for flat in flats] == [Standing.REPLACED, Standing.REJECTED]
    assert flats[-1].reason == "1 of the 2 frames of the one made before are bad now, a master needs 2"


@pytest.mark.slow
def test_only_what_is_asked_for_is_done_again(reduced, service, query):
    lines, _ = reprocessing.reprocess(service, "lsc", "20190405", "20190406", kinds=(Kind.SCIENCE,))
    assert lines[0].startswith("2 frames reduced again")
    assert len(query.all(select(Master))) == 12


@pytest.mark.slow
def test_a_night_reduced_again_keeps_the_bytes_of_its_products(reduced, service, snapshot):
    before = {path: data for path, data in snapshot(service.output).items() if path.suffix == ".fz"}
    reprocessing.reprocess(replace(service, processes=0), "lsc", "20190405", "20190407")
    after = {path: data for path, data in snapshot(service.output).items() if path.suffix == ".fz"}
    assert before == after
