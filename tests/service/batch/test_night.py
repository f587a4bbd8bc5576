"""Whole nights through the service, with recipes that take no time."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from nrespipe.database import measurements
from nrespipe.database.states import Standing, State
from nrespipe.database.tables import Attempt, Frame, Master, Product, StarVelocity
from nrespipe.files.layout import OutputRefused
from nrespipe.frames.raw import Kind
from nrespipe.service.batch import night


def states(query):
    return {frame.filename.split("-", 3)[3]: frame.state for frame in query.all(select(Frame))}


@pytest.mark.slow
def test_every_frame_of_a_complete_night_is_done_in_one_run(archive, run, query):
    archive.calibrations()
    archive.add("e", "STAR A&thar&none")
    summary = run()
    assert set(states(query).values()) == {State.DONE}
    assert summary.exit_status == 0
    assert summary.new == 9
    made = query.all(select(Master).order_by(Master.id))
    assert [(master.kind, master.standing, master.n_inputs) for master in made] == [
        (kind, Standing.CURRENT, 2) for kind in (Kind.BIAS, Kind.DARK, Kind.FLAT, Kind.ARC)
    ]


@pytest.mark.slow
def test_an_attempt_tells_the_masters_and_the_measurements(archive, run, query):
    archive.calibrations()
    archive.add("e", "STAR A&thar&none")
    run()
    with query.sessions.begin() as session:
        (attempt,) = session.scalars(select(Attempt).join(Attempt.frame).where(Frame.kind == Kind.SCIENCE))
        assert {master.kind for master in attempt.masters} == {Kind.BIAS, Kind.DARK, Kind.FLAT, Kind.ARC}
        assert attempt.measurements == {
            "trace_shift_px": 0.25, "hopeless": None, "rv_ms_fiber0": 100.0, "rv_err_ms_fiber0": 5.0,
        }  # fmt: skip
        assert attempt.started <= attempt.finished
        assert attempt.frame.velocities[0].rv_ms == 100.0
        assert attempt.frame.velocities[0].drift_ms == 5.0
        assert attempt.frame.velocities[0].bisector_ms is None
        assert {product.attempt_id for product in attempt.frame.products} == {attempt.id}
        assert [product.level for product in attempt.frame.products] == ["L2", "L4"]


@pytest.mark.slow
def test_running_a_night_again_does_nothing_and_changes_no_file(archive, run, service, snapshot, query):
    archive.calibrations()
    archive.add("e", "STAR A&thar&none")
    run()
    products = service.output / "lsc"
    before, attempts = snapshot(products), len(query.all(select(Attempt)))
    assert before
    assert run().new == 0
    assert snapshot(products) == before
    assert len(query.all(select(Attempt))) == attempts


@pytest.mark.slow
def test_raw_files_are_left_as_they_were(archive, run, snapshot):
    archive.calibrations()
    archive.add("e", "STAR A&thar&none")
    before = snapshot(archive.root)
    run()
    assert snapshot(archive.root) == before


def test_a_frame_without_its_master_waits_with_a_reason_and_is_done_when_the_master_exists(archive, run, query):
    archive.add("b")
    archive.add("d")
    summary = run()
    assert summary.exit_status == 3
    ((name, state, reason),) = summary.unhappy
    assert (name[-3:], state) == ("d00", State.WAITING)
    assert "no master bias of nres01 fa09" in reason
    assert reason.endswith("this night has 1 good bias frame, a master needs 2")
    archive.add("b")
    assert run().exit_status == 0
    assert set(states(query).values()) == {State.DONE}


def test_a_star_without_any_master_is_told_the_root_cause_only(archive, run):
    archive.add("b")
    for code, objects in [("d", ""), ("w", "tung&tung&none"), ("a", "thar&thar&none")]:
        archive.add(code, objects)
        archive.add(code, objects)
    archive.add("e", "STAR A&thar&none")
    reasons = {reason for _, _, reason in run().unhappy}
    assert reasons == {
        "no master bias of nres01 fa09 within 30 days of 20190405: this night has 1 good bias frame, a master needs 2"
    }


def test_a_night_of_stars_alone_is_told_what_it_lacks_in_one_sentence(archive, run):
    archive.add("e", "STAR A&thar&none")
    ((_, _, reason),) = run().unhappy
    assert reason == (
        "no master bias of nres01 fa09 within 30 days of 20190405: this night has no good bias frames, "
        "a master needs 2; there is no master dark, flat, arc either"
    )


def test_a_frame_that_goes_on_waiting_is_not_tried_again(archive, run, query):
    archive.add("d")
    run()
    assert run().new == 0
    assert len(query.all(select(Attempt))) == 1


def test_a_bad_calibration_never_enters_a_master(archive, run, query):
    archive.calibrations(count=3)
    bright = archive.add("b", adu=40_000)
    assert run().exit_status == 1
    with query.sessions.begin() as session:
        master = session.scalar(select(Master).where(Master.kind == Kind.BIAS))
        assert bright.stem not in {frame.filename for frame in master.inputs}
        assert master.n_inputs == 3


@pytest.mark.slow
def test_frames_that_come_later_make_a_new_master_of_the_same_night(archive, run, query):
    archive.calibrations()
    run()
    archive.add("b")
    run()
    made = query.all(select(Master).where(Master.kind == Kind.BIAS).order_by(Master.id))
    assert [(master.standing, master.n_inputs) for master in made] == [(Standing.REPLACED, 2), (Standing.CURRENT, 3)]


@pytest.mark.slow
def test_a_master_whose_file_was_lost_or_damaged_is_made_again(archive, run, service, query):
    archive.calibrations()
    run()
    (bias,) = query.all(select(Master).where(Master.kind == Kind.BIAS))
    path = service.output / bias.path
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    run()
    assert path.read_bytes() == whole


@pytest.mark.slow
def test_a_master_of_another_night_serves_within_its_reach_and_the_same_night_comes_first(archive, run, query):
    archive.calibrations(day="20190405")
    archive.add("e", "STAR A&thar&none", day="20190408")
    archive.add("e", "STAR A&thar&none", day="20190425")
    run()
    assert sorted(states(query).values()) == [State.DONE] * 9 + [State.WAITING]
    archive.calibrations(day="20190425")
    archive.add("e", "STAR A&thar&none", day="20190425")
    run()
    with query.sessions.begin() as session:
        for frame in session.scalars(select(Frame).where(Frame.kind == Kind.SCIENCE)):
            used = {master.day for master in frame.attempts[-1].masters}
            assert used == {"20190405" if frame.day == "20190408" else "20190425"}


@pytest.mark.slow
def test_masters_of_another_camera_do_not_serve(archive, run):
    archive.calibrations(camera="fa09")
    archive.add("e", "STAR A&thar&none", camera="fl09")
    ((_, state, reason),) = run().unhappy
    assert state is State.WAITING
    assert "nres01 fl09" in reason


@pytest.mark.slow
def test_a_frame_waits_for_a_flat_that_covers_its_fibers(archive, run, query):
    archive.calibrations()
    archive.add("e", "none&thar&STAR A")
    ((_, state, reason),) = run().unhappy
    assert state is State.WAITING
    assert "covers the lit fibers" in reason
    for _ in range(2):
        archive.add("w", "none&tung&tung")
        archive.add("a", "none&thar&thar")
    assert run().exit_status == 0


@pytest.mark.parametrize(
    ("word", "state", "status"),
    [
        ("BAD", State.BAD, 1),
        ("SKIPPED", State.SKIPPED, 0),
        ("MISSING", State.WAITING, 3),
        ("AWAY", State.RETRY, 3),
        ("CRASH", State.FAILED, 1),
    ],
)
@pytest.mark.slow
def test_what_a_recipe_raises_decides_what_follows_and_the_night_goes_on(archive, run, query, word, state, status):
    archive.calibrations()
    archive.add("e", f"STAR {word}&thar&none")
    archive.add("e", "STAR A&thar&none")
    assert run().exit_status == status
    with query.sessions.begin() as session:
        sad, happy = session.scalars(select(Frame).where(Frame.kind == Kind.SCIENCE).order_by(Frame.filename))
        assert (sad.state, happy.state) == (state, State.DONE)
        assert "asked for" in sad.reason
        assert ("Traceback" in sad.attempts[0].traceback) == (state is State.FAILED)


@pytest.mark.slow
def test_a_frame_that_could_not_be_read_from_the_disk_is_tried_again(archive, run, query):
    archive.calibrations()
    archive.add("e", "STAR AWAY&thar&none")
    run()
    assert run().new == 1
    assert len(query.all(select(Attempt).join(Attempt.frame).where(Frame.kind == Kind.SCIENCE))) == 2


@pytest.mark.slow
def test_a_failure_of_the_program_is_tried_again_by_another_version_only(archive, run, query, monkeypatch):
    archive.calibrations()
    archive.add("e", "STAR CRASH&thar&none")
    run()
    assert run().new == 0
    assert run(again=True).new == 1
    monkeypatch.setattr(night, "__version__", "99.0")
    assert run().new == 1


@pytest.mark.slow
def test_a_master_on_which_the_program_failed_is_told_and_tried_again_when_asked(archive, run, query):
    archive.calibrations()
    for path in archive.root.rglob("*-a00.fits"):
        path.unlink()
    for _ in range(2):
        archive.add("a", "thar&thar&none", PROPID="CRASH")
    archive.add("e", "STAR A&thar&none")
    summary = run()
    assert summary.exit_status == 1
    ((name, standing, reason),) = summary.masters
    assert (name, standing) == ("arc_lsc_nres01_fa09_20190405.fits.fz", Standing.FAILED)
    assert "ZeroDivisionError" in reason
    run()
    assert len(query.all(select(Master).where(Master.kind == Kind.ARC))) == 1
    run(again=True)
    assert len(query.all(select(Master).where(Master.kind == Kind.ARC))) == 2


@pytest.mark.slow
def test_a_file_that_was_replaced_is_a_new_version_and_is_reduced(archive, run, query):
    archive.calibrations()
    path = archive.add("e", "STAR A&thar&none")
    run()
    archive.number -= 1
    path.unlink()
    archive.add("e", "STAR B&thar&none")
    assert run().new == 1
    old, new = query.all(select(Frame).where(Frame.kind == Kind.SCIENCE).order_by(Frame.version))
    assert (old.filename, old.version) == (new.filename, 1)
    assert new.version == 2
    with query.sessions.begin() as session:
        assert {v.object for v in session.scalars(select(StarVelocity))} == {"STAR A", "STAR B"}


@pytest.mark.slow
def test_only_the_last_version_of_a_calibration_enters_a_master(archive, run, query):
    archive.calibrations()
    run()
    archive.number = 0
    (archive.root / "lsc/nres01/20190405/raw/lscnrs01-fa09-20190405-0001-b00.fits").unlink()
    archive.add("b", adu=1500)
    run()
    with query.sessions.begin() as session:
        master = session.scalar(select(Master).where(Master.kind == Kind.BIAS, Master.standing == Standing.CURRENT))
        assert [(frame.filename[-8:], frame.version) for frame in master.inputs] == [("0001-b00", 2), ("0002-b00", 1)]


def test_sites_and_days_choose_frames(archive, run, query):
    archive.calibrations(day="20190405", count=1)
    archive.calibrations(day="20190406", count=1)
    run(days=["20190406"])
    assert {frame.day for frame in query.all(select(Frame))} == {"20190406"}
    with pytest.raises(LookupError, match=r"no raw frame of site elp below .*: lsc has 20190405, 20190406"):
        run(sites=["elp"])
    assert {frame.day for frame in query.all(select(Frame))} == {"20190406"}


def test_an_output_directory_among_raw_files_is_refused_before_anything_is_written(archive, build, snapshot):
    path = archive.add("b")
    service = build(archive.root.parent / "elsewhere")
    before = snapshot(archive.root)
    for output in (path.parent, path.parent / "reduced", path.parent / "deep" / "er"):
        inside = replace(service, output=output)
        with pytest.raises(OutputRefused, match="raw"):
            night.reduce_all(inside, archive.root)
        with pytest.raises(OutputRefused, match="raw"):
            night.reduce_files(inside, [path])
    assert snapshot(archive.root) == before


@pytest.mark.slow
def test_an_archive_may_hold_its_own_products_and_they_are_not_taken_for_raw_frames(archive, build, query):
    archive.calibrations()
    archive.add("e", "STAR A&thar&none")
    service = build(archive.root)
    assert night.reduce_all(service, archive.root).exit_status == 0
    again = night.reduce_all(service, archive.root)
    assert (sum(again.counts.values()), again.new) == (9, 0)


@pytest.mark.slow
def test_two_processes_come_to_the_same_result_as_one(archive, build, tmp_path, snapshot):
    archive.calibrations()
    archive.add("e", "STAR A&thar&none")
    archive.add("e", "STAR B&thar&none")
    files = []
    for processes in (1, 2):
        output = tmp_path / f"with-{processes}"
        service = build(output, processes=processes)
        assert night.reduce_all(service, archive.root).exit_status == 0
        files.append({path.relative_to(output): content for path, content in snapshot(output / "lsc").items()})
    assert files[0] == files[1]
    assert len(files[0]) > 4


@pytest.mark.slow
def test_a_frame_that_kills_its_process_takes_no_other_with_it(archive, build, tmp_path):
    archive.calibrations()
    for word in ("A", "KILL", "B", "C"):
        archive.add("e", f"STAR {word}&thar&none")
    service = build(tmp_path / "out", processes=2)
    summary = night.reduce_all(service, archive.root)
    ((_, state, reason),) = summary.unhappy
    assert state is State.RETRY
    assert "process died" in reason
    assert summary.counts[State.DONE] == 11


@pytest.mark.slow
def test_reducing_a_file_again_adds_an_attempt_and_replaces_its_rows(archive, run, service, query):
    archive.calibrations()
    path = archive.add("e", "STAR A&thar&none")
    run()
    products, velocities = (len(query.all(select(table))) for table in (Product, StarVelocity))
    assert night.reduce_files(service, [path]).new == 1
    assert len(query.all(select(Attempt).join(Attempt.frame).where(Frame.kind == Kind.SCIENCE))) == 2
    assert [len(query.all(select(table))) for table in (Product, StarVelocity)] == [products, velocities]


def test_an_interrupted_night_keeps_what_is_done_and_the_next_run_does_the_rest(archive, run, query):
    archive.calibrations()
    archive.add("e", "STAR A&thar&none")

    class Stop(BaseException):
        pass

    def report(label, total):
        if label == "flat frames":
            raise Stop
        return night.progress_bar.lines(label, total)

    with pytest.raises(Stop):
        run(report=report)
    done = [name for name, state in states(query).items() if state is State.DONE]
    assert sorted(name[-3] for name in done) == ["b", "b", "d", "d"]
    assert run().new == 5
    assert set(states(query).values()) == {State.DONE}


@pytest.mark.slow
def test_an_output_directory_that_was_copied_uses_its_own_masters_and_one_that_was_moved_lacks_nothing(
    archive, build, run, service, tmp_path
):
    archive.calibrations()
    archive.add("e", "STAR A&thar&none")
    run()
    shutil.copytree(service.output, tmp_path / "copy")
    for path in service.output.rglob("*.fits.fz"):
        path.write_bytes(b"not what the copy is to read")
    archive.add("e", "STAR B&thar&none")
    copy = build(tmp_path / "copy")
    summary = night.reduce_all(copy, archive.root)
    assert (summary.exit_status, summary.new) == (0, 1)
    with copy.sessions.begin() as session:
        recorded = [row.path for table in (Master, Product) for row in session.scalars(select(table))]
    assert len(recorded) > 6
    assert all((copy.output / path).is_file() and not Path(path).is_absolute() for path in recorded)
    copy.output.rename(tmp_path / "moved")
    assert night.reduce_all(build(tmp_path / "moved"), archive.root).new == 0


@pytest.mark.slow
def test_a_good_result_survives_a_later_attempt_that_must_wait(archive, run, service, query):
    archive.calibrations()
    path = archive.add("e", "STAR A&thar&none")
    run()
    with service.sessions.begin() as session:
        for master in session.scalars(select(Master)):
            master.standing = Standing.REPLACED
        before = measurements.velocity_table(session)
    summary = night.reduce_files(service, [path])
    assert (summary.exit_status, summary.counts) == (3, {State.DONE: 1})
    ((_, _, reason),) = summary.unhappy
    assert "the last attempt ended waiting: no master" in reason
    with service.sessions.begin() as session:
        (frame,) = session.scalars(select(Frame).where(Frame.kind == Kind.SCIENCE))
        assert [attempt.outcome for attempt in frame.attempts] == [State.DONE, State.WAITING]
        assert len(frame.products) == 2
        assert measurements.velocity_table(session) == before
    assert len(before) == 1
