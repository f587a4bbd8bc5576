"""Frames and masters one by one, in whatever order workers are told of them."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from astropy.io import fits
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError

from nrespipe.database.dialects import clock
from nrespipe.database.masters import lineage
from nrespipe.database.states import Standing, State
from nrespipe.database.tables import Attempt, Breaker, Delivery, Frame, Master, ScheduledMaster
from nrespipe.database.work import announcements, claims, releases
from nrespipe.errors import BadFrame, MissingCalibration, Unavailable
from nrespipe.files import layout
from nrespipe.files.exchange import archive_download as remote
from nrespipe.files.raw import identity
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind
from nrespipe.service.batch import night
from nrespipe.service.ingest import raw_files, registration, submission
from nrespipe.service.masters import master_schedule, review
from nrespipe.service.outcome import NoOutcome
from nrespipe.service.reduction import frame_jobs, frame_reduction, frame_results, master_making, recipe_references
from nrespipe.service.time_limits import Pace
from nrespipe.service.work import dispatch, execution, leases
from nrespipe.settings import change


def submit(service, *paths):
    for path in paths:
        registration.register_file(service.sessions, path, *raw_files.identify(path))


@pytest.fixture
def work(service):
    """Sweep and work until nothing is due; return what was done, in order."""

    def until_quiet(owner="me", quiet_s=0.0):
        paced = replace(service, pace=Pace(quiet_s=quiet_s, past_s=quiet_s))
        done, told = [], []
        for _ in range(50):
            told.clear()
            dispatch.sweep(service, lambda *row: told.append(row), lambda _: True)
            for table, row in told:
                ended = execution.execute(paced, table, row, owner)
                done.append((table, row, getattr(ended, "state", ended)))
            if not told:
                return done
        raise AssertionError("it never ends")

    return until_quiet


def states(query):
    return sorted(frame.state for frame in query.all(select(Frame)))


@pytest.mark.slow
def test_a_night_in_any_order_is_done_with_all_its_masters(archive, service, work, query):
    archive.add("e", "STAR A&thar&none")
    archive.calibrations()
    submit(service, *sorted(archive.root.rglob("*.fits"), reverse=True))
    work()
    assert states(query) == [State.DONE] * 9
    assert [m.standing for m in query.all(select(Master))] == [Standing.CURRENT] * 4
    assert night.reduce_all(service, archive.root).new == 0, "a night finds nothing left to do"
    assert {row.next_try for row in query.all(select(ScheduledMaster))} == {None}


def test_a_master_waits_until_the_sequence_is_complete(archive, service, work, query):
    submit(service, *[archive.add("b") for _ in range(3)])
    work(quiet_s=600.0)
    assert query.all(select(Master)) == []
    with service.sessions.begin() as session:
        row = session.scalars(select(ScheduledMaster)).one()
        assert timedelta(seconds=500) < row.next_try - clock(session) < timedelta(seconds=700)
        row.next_try = clock(session)
        # one more that nobody has reduced yet
    submit(service, archive.add("b"))
    with service.sessions.begin() as session:
        (stacking,) = session.scalars(select(ScheduledMaster.id))
    assert (
        execution.execute(replace(service, pace=Pace(quiet_s=0.0, past_s=0.0)), ScheduledMaster, stacking, "me")
        is NoOutcome.FRAMES_MISSING
    )
    work()
    assert [m.n_inputs for m in query.all(select(Master))] == [4]


def test_where_another_master_serves_the_next_is_made_after_the_night(archive, service, work, query):
    submit(service, archive.add("b"), archive.add("b"))
    work()
    assert len(query.all(select(Master))) == 1
    submit(service, archive.add("b"))
    with service.sessions.begin() as session:
        session.execute(update(Frame).values(day=f"{datetime.now(UTC):%Y%m%d}"))
        session.execute(update(Master).values(day="20190405"))
    work()
    with service.sessions.begin() as session:
        owed = session.scalars(select(ScheduledMaster).where(ScheduledMaster.next_try.is_not(None))).one()
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        # nres01 begins its night at 16 h, and the delay is 4 h
        assert owed.next_try == today + timedelta(days=1, hours=20)


@pytest.mark.parametrize("row", [None, "1", -1, 2**64, True, [1]])
def test_a_task_that_names_no_row_is_passed_over(service, row):
    assert execution.execute(service, Frame, row, "me") is NoOutcome.NOT_DUE
    assert execution.execute(service, ScheduledMaster, row, "me") is NoOutcome.NOT_DUE


def test_a_frame_told_twice_is_done_once(archive, service, query):
    submit(service, archive.add("b"))
    (row,) = query.all(select(Frame))
    assert execution.execute(service, Frame, row.id, "me").state is State.DONE
    assert execution.execute(service, Frame, row.id, "me") is NoOutcome.NOT_DUE
    assert execution.execute(service, Frame, 4711, "me") is NoOutcome.NOT_DUE
    assert len(query.all(select(Attempt))) == 1


def test_a_frame_that_goes_on_waiting_is_one_attempt_and_is_woken_by_its_master(archive, service, work, query):
    submit(service, archive.add("d"), archive.add("d"))
    for _ in range(3):
        with service.sessions.begin() as session:
            session.execute(update(Frame).values(next_try=clock(session)))
        work()
    assert states(query) == [State.WAITING] * 2
    assert len(query.all(select(Attempt))) == 2
    submit(service, archive.add("b"), archive.add("b"))
    work()
    assert states(query) == [State.DONE] * 4


@pytest.fixture
def rob(service, monkeypatch):
    """Return a function that lets another process take a row just before files are replaced."""
    ask = claims.is_owner

    def meanwhile(session, table, row, owner):
        session.execute(update(table).where(table.id == row).values(owner="another"))
        return ask(session, table, row, owner)

    return lambda: monkeypatch.setattr(claims, "is_owner", meanwhile)


def test_a_process_whose_frame_was_given_to_another_replaces_no_product(archive, service, work, query, snapshot, rob):
    archive.calibrations()
    submit(service, *sorted(archive.root.rglob("*.fits")), archive.add("e", "STAR A&thar&none"))
    work()
    (star,) = query.all(select(Frame).where(Frame.kind == Kind.SCIENCE))
    products = snapshot(service.output / "lsc")
    assert [path for path in products if path.name.endswith("-L2.fits.fz")]
    # another result than before, if it were written
    fits.setval(star.path, "EXPTIME", value=30.0)
    with service.sessions.begin() as session:
        announcements.request(session, session.get_one(Frame, star.id))
    rob()
    assert execution.execute(service, Frame, star.id, "me") is NoOutcome.LEASE_LOST
    assert snapshot(service.output / "lsc") == products
    assert query.all(select(Frame.owner).where(Frame.id == star.id)) == ["another"]
    assert len(query.all(select(Attempt).where(Attempt.frame_id == star.id, Attempt.outcome == State.DONE))) == 1


def test_a_process_whose_master_was_given_to_another_replaces_none(archive, service, work, query, snapshot, rob):
    submit(service, archive.add("b"), archive.add("b"))
    work()
    masters = snapshot(service.output / "lsc")
    submit(service, archive.add("b", adu=1010))
    (row,) = query.all(select(ScheduledMaster))
    (bias,) = query.all(select(Frame).where(Frame.next_try.is_not(None)))
    execution.execute(service, Frame, bias.id, "me")
    with service.sessions.begin() as session:
        session.execute(update(ScheduledMaster).values(next_try=clock(session)))
    rob()
    assert execution.execute(service, ScheduledMaster, row.id, "me") is NoOutcome.LEASE_LOST
    assert snapshot(service.output / "lsc") == masters
    assert len(query.all(select(Master))) == 1


def test_a_frame_waits_where_the_database_does_not_tell_whose_it_is(archive, service, work, query, monkeypatch):
    archive.calibrations()
    submit(service, *sorted(archive.root.rglob("*.fits")))
    work()
    submit(service, archive.add("e", "STAR A&thar&none"))

    def away(*_):
        raise OperationalError("select", None, Exception("gone"))

    monkeypatch.setattr(claims, "is_owner", away)
    (star,) = query.all(select(Frame).where(Frame.kind == Kind.SCIENCE))
    given = service.settings.model_copy(update={"time_limit_s": 0.1})
    given = replace(service, settings=given, pace=Pace(margin_s=0.0))
    assert execution.execute(given, Frame, star.id, "me").state is State.RETRY
    (star,) = query.all(select(Frame).where(Frame.kind == Kind.SCIENCE))
    assert (star.state, star.reason) == (State.RETRY, "the database is away: gone")
    assert not list(service.output.rglob("*-L2.fits.fz"))


def test_a_result_that_comes_too_late_is_not_recorded(archive, service, query, monkeypatch):
    submit(service, archive.add("b"))
    (row,) = query.all(select(Frame))

    def slow(job, **others):
        with service.sessions.begin() as session:
            session.execute(update(Frame).values(lease=clock(session) - timedelta(seconds=1)))
        dispatch.sweep(service, lambda *_: None)
        with service.sessions.begin() as session:
            assert claims.claim(session, Frame, row.id, "another")
        raise Unavailable("too late")

    monkeypatch.setattr(frame_reduction, "reduce", slow)
    assert execution.execute(service, Frame, row.id, "me") is NoOutcome.LEASE_LOST
    (row,) = query.all(select(Frame))
    assert (row.owner, row.state) == ("another", State.RUNNING)
    assert ["ran" in a.reason or "took longer" in a.reason for a in query.all(select(Attempt))] == [True]


def test_a_result_survives_a_database_that_is_away_for_a_while(archive, service, query, monkeypatch):
    submit(service, archive.add("b"))
    (row,) = query.all(select(Frame))
    monkeypatch.setattr(leases.time, "sleep", lambda _: None)
    record, away = frame_results.record_result, iter(range(3))

    def fail(session, job, result, assembly):
        for _ in away:
            raise OperationalError("insert", {}, Exception("server closed the connection"))
        return record(session, job, result, assembly)

    monkeypatch.setattr(frame_results, "record_result", fail)
    assert execution.execute(service, Frame, row.id, "me").state is State.DONE
    assert states(query) == [State.DONE]


def test_a_sweep_that_nobody_hears_sends_again_the_next_time(archive, service):
    submit(service, archive.add("b"), archive.add("b"))

    def deaf(table, row):
        raise ConnectionRefusedError("no broker")

    assert dispatch.sweep(service, deaf) == 0
    told = []
    assert dispatch.sweep(service, lambda *work: told.append(work)) == 2
    assert dispatch.sweep(service, lambda *work: told.append(work)) == 0
    assert len(told) == 2


def test_a_message_that_was_lost_is_sent_again_once_the_queue_is_empty(archive, service):
    submit(service, archive.add("b"))
    told = []
    dispatch.sweep(service, lambda *work: told.append(work))
    with service.sessions.begin() as session:
        session.execute(update(Frame).values(sent=Frame.sent, next_try=clock(session) - timedelta(minutes=5)))
        session.execute(update(Frame).values(sent=clock(session) - timedelta(minutes=2)))
    assert dispatch.sweep(service, lambda *work: told.append(work), lambda _: False) == 0
    assert dispatch.sweep(service, lambda *work: told.append(work), lambda _: True) == 1


def test_frames_that_have_a_result_come_when_no_other_is_due_and_few_at_a_time(archive, service, query):
    submit(service, *(archive.add("b") for _ in range(7)))
    for row in query.all(select(Frame)):
        assert execution.execute(service, Frame, row.id, "me").state is State.DONE
    with service.sessions.begin() as session:
        for frame in session.scalars(select(Frame).order_by(Frame.id).limit(6)):
            announcements.request(session, frame, low_priority=True)
        announcements.request(session, session.get_one(Frame, 7))
    told = []
    for empty in (True, True, False, True):
        dispatch.sweep(service, lambda table, row: told.append(row), lambda _, empty=empty: empty)
    # the seventh first, then four while nothing waits, and two when nothing waits again
    assert told == [7, 1, 2, 3, 4, 5, 6]
    assert execution.execute(service, Frame, 1, "me").state is State.DONE
    (first, *_) = query.all(select(Frame).order_by(Frame.id))
    assert (first.state, first.low_priority, first.next_try) == (State.DONE, False, None)


@pytest.mark.slow
def test_a_master_that_needs_review_is_used_by_the_workers_too_and_the_next_night_clears_its_stars(
    archive, service, work, query
):
    for day, adu in (("20190405", 1000), ("20190406", 6000), ("20190407", 6010)):
        submit(service, *(archive.add("b", day=day, adu=adu) for _ in range(2)))
        for code, objects in [("d", ""), ("w", "tung&tung&none"), ("a", "thar&thar&none")] * 2:
            submit(service, archive.add(code, objects, day=day))
        submit(service, archive.add("e", "STAR A&thar&none", day=day))
        work()
        stars = query.all(select(Frame).where(Frame.kind == Kind.SCIENCE).order_by(Frame.day))
        flagged = [Quality.UNREVIEWED_MASTER in Quality(star.quality) for star in stars]
        assert all(star.state is State.DONE for star in stars)
        assert flagged == {"20190405": [False], "20190406": [False, True], "20190407": [False] * 3}[day]


def test_a_frame_of_the_archive_is_fetched_looked_at_and_reduced(archive, service, query, monkeypatch):
    path = archive.add("b")
    store = archive.root.parent / path.name
    path.rename(store)
    md5, fetched = raw_files.md5(store), []
    target = layout.fetched_path(service.output, store.name)

    def fetch(frame_id, path, _md5, **_):
        fetched.append(frame_id)
        if len(fetched) == 1:
            raise Unavailable("the archive answers 500")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(store, path)

    monkeypatch.setattr(remote, "fetch", fetch)
    with service.sessions.begin() as session:
        facts = {"archive_id": 17, **identity.parse_name(store.name)}
        frame, _ = announcements.announce(session, store.stem, str(target), **facts)
    assert execution.execute(service, Frame, frame.id, "me").state is State.RETRY
    with service.sessions.begin() as session:
        session.execute(update(Frame).values(next_try=clock(session)))
    assert execution.execute(service, Frame, frame.id, "me").state is State.DONE
    (row,) = query.all(select(Frame))
    assert (row.md5, row.version, row.kind, fetched) == (md5, 1, Kind.BIAS, [17, 17])
    assert row.path == str(target)
    with service.sessions.begin() as session:
        again, is_due = announcements.announce(session, store.stem, str(target), **facts)
        assert is_due, "without its checksum nobody knows that it is the same"
    assert execution.execute(service, Frame, again.id, "me") is NoOutcome.CONTENT_KNOWN
    assert [row.id for row in query.all(select(Frame))] == [frame.id]


def test_a_file_that_cannot_be_read_when_it_is_told_of_is_read_later(archive, service, work, query):
    path = archive.add("b")
    hidden = path.rename(path.with_suffix(".hidden"))
    submit(service, path)
    assert states(query) == [State.RETRY]
    hidden.rename(path)
    with service.sessions.begin() as session:
        session.execute(update(Frame).values(next_try=clock(session)))
    work()
    assert states(query) == [State.DONE]
    (row,) = query.all(select(Frame))
    assert row.md5 == raw_files.md5(path)
    with service.sessions.begin() as session:
        assert session.scalar(select(func.count()).select_from(Attempt)) == 2


@pytest.mark.slow
def test_what_nobody_has_written_down_is_found_to_be_owed_once(archive, service, work, query):
    submit(service, archive.add("b"), archive.add("b"))
    work(quiet_s=600.0)
    with service.sessions.begin() as session:
        session.execute(update(ScheduledMaster).values(next_try=None))
        assert master_schedule.add_all(session, replace(service, pace=Pace(quiet_s=0.0, past_s=0.0))) == 1
    work()
    assert len(query.all(select(Master))) == 1
    with service.sessions.begin() as session:
        assert master_schedule.add_all(session, replace(service, pace=Pace(quiet_s=0.0, past_s=0.0))) == 0
        # a frame that was done once more changes nothing either, once a worker has looked
        session.execute(update(Frame).values(updated=clock(session)))
        assert master_schedule.add_all(session, replace(service, pace=Pace(quiet_s=0.0, past_s=0.0))) == 1
    work()
    assert len(query.all(select(Master))) == 1
    with service.sessions.begin() as session:
        assert master_schedule.add_all(session, replace(service, pace=Pace(quiet_s=0.0, past_s=0.0))) == 0
    late = replace(service, recipes={Kind.SCIENCE: service.recipes[Kind.SCIENCE]})
    with service.sessions.begin() as session:
        assert master_schedule.add_all(session, late) == 0


@pytest.mark.parametrize("of", [Kind.FLAT, Kind.BIAS])
@pytest.mark.slow
def test_a_master_whose_file_is_gone_is_made_again_for_what_waits_for_it(archive, service, work, query, of):
    archive.calibrations()
    submit(service, *sorted(archive.root.rglob("*.fits")))
    work()
    (made,) = query.all(select(Master).where(Master.kind == of))
    (service.output / made.path).unlink()
    recipe_references._master.cache_clear()
    submit(service, archive.add("e", "STAR A&thar&none"), archive.add("a", "thar&thar&none"))
    work()
    assert states(query) == [State.DONE] * 10
    assert [m.standing for m in query.all(select(Master).where(Master.kind == of).order_by(Master.id))] == [
        Standing.REPLACED, Standing.CURRENT,
    ]  # fmt: skip
    assert {row.next_try for row in query.all(select(ScheduledMaster))} == {None}


def test_a_calibration_that_is_bad_when_it_is_looked_at_again_leaves_its_master(archive, service, work, query):
    archive.calibrations(count=3)
    paths = sorted(archive.root.rglob("*.fits"))
    submit(service, *paths)
    work()
    flat = next(path for path in paths if path.name.endswith("w00.fits"))
    with fits.open(flat, mode="update") as hdus:
        hdus[0].data[:] = 40_000
    with service.sessions.begin() as session:
        assert submission.requeue(session, [flat.name]) == [flat.stem]
    work()
    made = query.all(select(Master).where(Master.kind == Kind.FLAT).order_by(Master.id))
    assert [(m.standing, m.n_inputs) for m in made] == [(Standing.REPLACED, 3), (Standing.CURRENT, 2)]
    submit(service, bright := archive.add("w", "tung&tung&none", adu=40_000))
    work()
    assert query.all(select(Frame.state).where(Frame.filename == bright.stem)) == [State.BAD]
    assert len(query.all(select(Master).where(Master.kind == Kind.FLAT))) == 2


def test_a_frame_that_was_asked_for_again_stays_done_and_is_done_again(archive, service, work, query):
    submit(service, archive.add("b"))
    work()
    with service.sessions.begin() as session:
        announcements.request(session, session.scalars(select(Frame)).one())
    assert states(query) == [State.DONE]
    assert [state for table, _, state in work() if table is Frame] == [State.DONE]
    assert json.dumps([a.outcome for a in query.all(select(Attempt))]) == '["done", "done"]'


@pytest.mark.slow
def test_products_are_delivered_and_a_disk_that_is_away_is_tried_again(archive, service, work, query, tmp_path):
    archive.calibrations()
    submit(service, *sorted(archive.root.rglob("*.fits")))
    work()
    submit(service, archive.add("e", "STAR A&thar&none"))
    target = tmp_path / "deliveries"
    target.write_bytes(b"not a directory yet")
    given = change(service.settings, do_ingest=True, ingest_to=f"file://{target}")
    delivering = replace(service, settings=given)
    (star,) = query.all(select(Frame).where(Frame.kind == Kind.SCIENCE))
    assert execution.execute(delivering, Frame, star.id, "me").state is State.DONE
    rows = query.all(select(Delivery))
    assert execution.execute(delivering, Delivery, rows[0].id, "me").state is State.RETRY
    # the directory takes nothing now: the other is not even tried
    assert execution.execute(delivering, Delivery, rows[1].id, "me") is NoOutcome.SERVER_AWAY
    assert ["cannot be delivered" in row.reason for row in query.all(select(Delivery))] == [True, False]
    assert all(row.next_try for row in query.all(select(Delivery)))
    target.unlink()
    with service.sessions.begin() as session:
        session.execute(update(Delivery).values(next_try=clock(session)))
        session.execute(update(Breaker).values(next_try=clock(session)))
    assert [execution.execute(delivering, Delivery, row.id, "me").state for row in rows] == [State.DONE] * 2
    assert all(row.delivered and not row.reason and not row.next_try for row in query.all(select(Delivery)))
    delivered = {path.relative_to(target) for path in target.rglob("*.fz")}
    assert delivered == {path.relative_to(service.output) for path in service.output.rglob("*-L[24].fits.fz")}


def test_products_that_are_made_again_are_delivered_again(archive, service, work, query, tmp_path):
    archive.calibrations()
    submit(service, *sorted(archive.root.rglob("*.fits")), archive.add("e", "STAR A&thar&none"))
    work()
    given = change(service.settings, do_ingest=True, ingest_to=f"file://{tmp_path}/deliveries")
    (star,) = query.all(select(Frame).where(Frame.kind == Kind.SCIENCE))
    for _ in range(2):
        with service.sessions.begin() as session:
            announcements.request(session, session.get_one(Frame, star.id))
        assert execution.execute(replace(service, settings=given), Frame, star.id, "me").state is State.DONE
    assert len(query.all(select(Delivery))) == 2


def test_a_frame_whose_master_is_made_while_it_is_looked_at_does_not_wait_for_it(
    archive, service, work, query, monkeypatch
):
    submit(service, archive.add("b"), archive.add("b"))
    work(quiet_s=600.0)
    submit(service, archive.add("d"))
    (stacking,) = query.all(select(ScheduledMaster))
    (dark,) = query.all(select(Frame).where(Frame.kind == Kind.DARK))
    reduce = frame_reduction.reduce

    def meanwhile(job, **others):
        # another worker makes the master bias between the plan of the dark and its end
        assert execution.execute(service, ScheduledMaster, stacking.id, "another").state is State.DONE
        return reduce(job, **others)

    with service.sessions.begin() as session:
        session.execute(update(ScheduledMaster).values(next_try=clock(session)))
    monkeypatch.setattr(frame_reduction, "reduce", meanwhile)
    assert execution.execute(service, Frame, dark.id, "me").state is State.WAITING
    monkeypatch.setattr(frame_reduction, "reduce", reduce)
    assert work()[0] == (Frame, dark.id, State.DONE)


def test_a_master_whose_own_master_is_made_while_it_is_looked_at_does_not_wait_for_it(
    archive, service, work, query, monkeypatch
):
    archive.calibrations()
    submit(service, *sorted(archive.root.rglob("*.fits")))
    work()
    with service.sessions.begin() as session:
        session.execute(
            update(ScheduledMaster).where(ScheduledMaster.kind == Kind.DARK).values(next_try=clock(session))
        )
        session.execute(
            update(Master).where(Master.kind.in_((Kind.BIAS, Kind.DARK))).values(standing=Standing.REPLACED)
        )
    (stacking,) = query.all(select(ScheduledMaster).where(ScheduledMaster.kind == Kind.DARK))
    combine = master_making.combine

    def meanwhile(job, **others):
        with service.sessions.begin() as session:
            session.execute(update(Master).where(Master.kind == Kind.BIAS).values(standing=Standing.CURRENT))
        return combine(job, **others)

    monkeypatch.setattr(master_making, "combine", meanwhile)
    assert execution.execute(service, ScheduledMaster, stacking.id, "me").state is State.WAITING
    monkeypatch.setattr(master_making, "combine", combine)
    assert (ScheduledMaster, stacking.id, State.DONE) in work()


def test_a_frame_that_was_overlooked_when_its_master_was_made_is_woken_once(archive, service, work, query):
    archive.calibrations()
    submit(service, *sorted(archive.root.rglob("*.fits")), archive.add("e", "STAR MISSING&thar&none"))
    work()
    assert states(query) == [State.DONE] * 8 + [State.WAITING]
    star = Frame.kind == Kind.SCIENCE
    with service.sessions.begin() as session:
        # it looked at the moment when the last master was made
        session.execute(update(Master).values(created=session.scalar(select(Frame.updated).where(star))))
        assert master_schedule.make_waiting_due(session) == 1
        assert master_schedule.make_waiting_due(session) == 0, "it is due"
    assert [(row, state) for _, row, state in work()] == [(query.all(select(Frame.id).where(star))[0], State.WAITING)]
    with service.sessions.begin() as session:
        session.execute(update(Master).values(created=clock(session) - timedelta(minutes=1)))
        assert master_schedule.make_waiting_due(session) == 0, "it has looked since"


def test_without_velocities_a_star_gets_no_masks_and_all_else(archive, service, work, query):
    archive.calibrations()
    submit(service, *sorted(archive.root.rglob("*.fits")))
    work()
    submit(service, archive.add("e", "STAR A&thar&none"))
    (star,) = query.all(select(Frame).where(Frame.kind == Kind.SCIENCE))
    fetched = {}
    for do_rv in (True, False):
        assembly = replace(service, settings=change(service.settings, do_rv=do_rv))
        with service.sessions.begin() as session:
            job = frame_jobs.plan(session, session.get_one(Frame, star.id), assembly)
        raw = frame_reduction.raw_file.read(job.path)
        real = service.spectrographs("nres01")
        find = frame_reduction.recipe_references.fetch
        refs = find(job.masters, raw.kind, real, raw, job.output, job.with_velocities)
        fetched[do_rv] = (bool(refs.masks), bool(refs.tellurics), bool(refs.stars), bool(refs.lamp), bool(refs.arc))
    assert fetched == {True: (True,) * 5, False: (False, False, True, True, True)}


@pytest.fixture
def no_flat_with(service, monkeypatch):
    """Return a function that lets flats be refused where their bias is of some nights; it returns the nights tried."""
    recipe = type(service.recipes[Kind.FLAT])
    combine = recipe.combine

    def refuse(*days):
        tried = []

        def strict(self, frames, refs, spectrograph):
            if self.kind is Kind.FLAT and refs.bias.origin.day in days:
                tried.append(refs.bias.origin.day)
                raise BadFrame("no trace can be found")
            return combine(self, frames, refs, spectrograph)

        monkeypatch.setattr(recipe, "combine", strict)
        return tried

    return refuse


@pytest.mark.slow
def test_a_master_that_no_other_master_helps_is_tried_with_each_of_them_once(archive, service, work, no_flat_with):
    tried = no_flat_with("20190405", "20190406")
    for day, adu in (("20190405", 15_000), ("20190406", 20_000)):
        archive.calibrations(day, adu=adu)
    submit(service, *sorted(archive.root.rglob("*.fits")))
    work()
    # two flats
    assert sorted(tried) == ["20190405"] * 2 + ["20190406"] * 2


@pytest.mark.slow
def test_a_master_that_could_not_be_made_is_tried_when_there_is_another_to_make_it_with(
    archive, service, work, query, no_flat_with
):
    no_flat_with("20190406")
    archive.calibrations("20190406", adu=15_000)
    submit(service, *sorted(archive.root.rglob("*.fits")), archive.add("e", "STAR A&thar&none", day="20190406"))
    work()
    assert states(query)[-1] is State.WAITING
    submit(service, *(archive.add("b", day="20190407") for _ in range(2)))
    work()
    assert set(states(query)) == {State.DONE}


@pytest.mark.slow
def test_what_comes_from_a_bad_master_is_made_again_in_whatever_order_it_comes(archive, service, work, query):
    for day in ("20190405", "20190406"):
        archive.calibrations(day)
        submit(service, *sorted(archive.root.rglob(f"*{day}*.fits")), archive.add("e", "STAR A&thar&none", day=day))
    work()
    with service.sessions.begin() as session:
        review.decide(session, "bias_lsc_nres01_fa09_20190406", Standing.REJECTED, "said")
        calibrations_again = select(Frame).where(Frame.low_priority, Frame.kind != Kind.SCIENCE)
        rows = [frame.id for frame in session.scalars(calibrations_again)]
        last_first = select(ScheduledMaster.id).where(
            ScheduledMaster.day == "20190406", ScheduledMaster.next_try.is_not(None)
        )
        owed = list(
            session.scalars(last_first.order_by(ScheduledMaster.kind == Kind.DARK, ScheduledMaster.kind == Kind.FLAT))
        )
    paced = replace(service, pace=Pace(quiet_s=0.0, past_s=0.0))
    assert [execution.execute(paced, Frame, row, "me").state for row in rows] == [State.DONE] * 6
    # the arc with a flat and the flat with a dark that come from the bad bias
    assert [execution.execute(paced, ScheduledMaster, row, "me").state for row in owed] == [State.DONE] * 3
    work()
    with query.sessions() as session:
        star = session.scalars(select(Frame).where(Frame.kind == Kind.SCIENCE, Frame.day == "20190406")).one()
        assert [master.day for master in star.attempts[-1].masters].count("20190406") == 3
        assert not lineage.unreviewed(session, star.attempts[-1].masters)
        assert not Quality(star.quality) & Quality.UNREVIEWED_MASTER


@pytest.mark.slow
def test_a_frame_that_is_reduced_again_comes_once_more_when_the_file_of_a_master_was_gone(
    archive, service, work, query
):
    for day in ("20190405", "20190406"):
        archive.calibrations(day)
    submit(service, *sorted(archive.root.rglob("*.fits")), archive.add("e", "STAR A&thar&none", day="20190406"))
    work()
    (flat,) = query.all(select(Master).where(Master.kind == Kind.FLAT, Master.day == "20190406"))
    (service.output / flat.path).unlink()
    recipe_references._master.cache_clear()
    with service.sessions.begin() as session:
        review.decide(session, "arc_lsc_nres01_fa09_20190406", Standing.REJECTED, "said")
    work()
    (star,) = query.all(select(Frame).where(Frame.kind == Kind.SCIENCE))
    assert star.reason.startswith("an earlier result is kept; the last attempt ended waiting: ")
    with service.sessions.begin() as session:
        session.execute(update(Frame).where(Frame.next_try.is_not(None)).values(next_try=clock(session)))
    work()
    (star,) = query.all(select(Frame).where(Frame.kind == Kind.SCIENCE))
    assert (star.state, star.reason, star.low_priority) == (State.DONE, "", False)


@pytest.mark.parametrize("end", ["CRASH", "MISSING"])
def test_a_frame_whose_master_is_called_bad_while_it_is_reduced_again_comes_once_more_however_that_ends(
    archive, service, work, query, monkeypatch, end
):
    submit(service, *(archive.add("b", day=day) for day in ("20190405", "20190406") for _ in range(2)))
    submit(service, archive.add("d", day="20190406"))
    work()
    (dark,) = query.all(select(Frame).where(Frame.kind == Kind.DARK))
    reduce = frame_reduction.reduce

    def meanwhile(job, **others):
        with service.sessions.begin() as session:
            review.decide(session, "bias_lsc_nres01_fa09_20190406", Standing.REJECTED, "said")
        raise {"CRASH": ValueError, "MISSING": MissingCalibration}[end]("asked for")

    with service.sessions.begin() as session:
        announcements.request(session, session.get_one(Frame, dark.id))
    monkeypatch.setattr(frame_reduction, "reduce", meanwhile)
    execution.execute(service, Frame, dark.id, "me")
    monkeypatch.setattr(frame_reduction, "reduce", reduce)
    assert work()[0] == (Frame, dark.id, State.DONE)
    with query.sessions() as session:
        assert [one.day for one in session.get_one(Frame, dark.id).attempts[-1].masters] == ["20190405"]


def test_what_fails_around_the_recipe_is_told_with_its_traceback_and_the_frame_is_tried_again(
    archive, service, query, monkeypatch
):
    submit(service, archive.add("b"))

    def fail(*_):
        raise KeyError("a strange row")

    monkeypatch.setattr(frame_jobs, "plan", fail)
    assert execution.execute(service, Frame, 1, "me").state is State.RETRY
    (frame,) = query.all(select(Frame))
    (attempt,) = query.all(select(Attempt))
    assert (frame.state, frame.owner, frame.deaths) == (State.RETRY, "", 0)
    assert "a strange row" in frame.reason
    assert "in fail" in attempt.traceback


def test_a_row_whose_process_could_write_nothing_for_lack_of_a_database_is_due_and_nobody_died(archive, service, query):
    submit(service, archive.add("b"))
    with service.sessions.begin() as session:
        assert claims.claim(session, Frame, 1, "me")
        assert releases.release(session, "the database was away", ["me"], is_death=False) == [(Frame, 1)]
    (frame,) = query.all(select(Frame))
    assert (frame.state, frame.owner, frame.deaths) == (State.QUEUED, "", 0)
    assert query.all(select(Attempt)) == []
