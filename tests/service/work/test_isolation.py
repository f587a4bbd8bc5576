"""Nothing that lies in the database or on the disk ends a program of the service, or holds up what is beside it."""

import signal
import socket
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from nrespipe import instruments
from nrespipe.analysis import catalog_deployment
from nrespipe.database.dialects import clock
from nrespipe.database.masters import scheduled_masters
from nrespipe.database.states import State
from nrespipe.database.tables import Frame, ScheduledMaster
from nrespipe.files.catalog import targets
from nrespipe.service import metrics
from nrespipe.service.batch import night
from nrespipe.service.ingest import raw_files, registration
from nrespipe.service.masters import master_schedule
from nrespipe.service.operations import night_summary
from nrespipe.service.work import dispatch, execution, programs
from nrespipe.settings import change

YESTERDAY = f"{datetime.now(UTC) - timedelta(days=2):%Y%m%d}"


def did(service, row, owner="me"):
    """Let a worker do a row; return what came of it."""
    result = execution.execute(service, Frame, row, owner)
    return getattr(result, "state", result)


@pytest.fixture
def two_sites(archive, service, tmp_path):
    """An archive of two spectrographs, that of one with a table of its own; returns service and table."""
    real = service.spectrographs
    folder = tmp_path / "out/instruments"
    folder.mkdir()
    table = folder / "nres02.toml"
    text_of = (instruments.files("nrespipe.instruments") / "nres02.toml").read_text(encoding="utf-8")
    table.write_text(text_of, encoding="utf-8")
    instruments.load.cache_clear()

    def load(name):
        checked = instruments.load(name, folder)
        return replace(checked, detector=real(name).detector)

    yield replace(service, spectrographs=load), table, text_of
    instruments.load.cache_clear()


DAMAGED = {
    "no text": b"\xff\xfe\x00",
    "no table": b"name = ",
    "another name": None,
    "words for numbers": (b"gain_e_per_adu = 3.2", b'gain_e_per_adu = "much"'),
    "a number for a table": (b"[optics.fiber_shifts]", b"[optics.fibre_shifts]"),
    "an hour that is none": (b"restart_hour_utc = 18", b"restart_hour_utc = 1e300"),
    "brackets without an end": b"a = " + b"[" * 100_000,
}


@pytest.mark.parametrize("damage", list(DAMAGED))
def test_a_damaged_table_is_told_by_its_file_and_holds_up_no_other_spectrograph(
    archive, two_sites, query, damage, caplog
):
    service, table, whole = two_sites
    content = DAMAGED[damage]
    if isinstance(content, tuple):
        content = whole.encode().replace(*content)
    table.write_bytes(whole.replace("nres02", "nres01").encode() if content is None else content)
    bad, good = archive.add("b", site="elp", camera="fa17"), archive.add("b")
    rows = [registration.register_file(service.sessions, path, *raw_files.identify(path)).id for path in (bad, good)]
    assert [did(service, row, "me") for row in rows] == [State.RETRY, State.DONE]
    (reason,) = query.all(select(Frame.reason).where(Frame.id == rows[0]))
    assert f"{bad.stem}: the table of nres02 cannot be used, correct it: " in reason
    assert str(table) in reason
    assert catalog_deployment.site_of(service.output, "lsc") == "lsc"
    table.write_text(whole, encoding="utf-8")
    with service.sessions.begin() as session:
        session.execute(update(Frame).values(next_try=datetime(2020, 1, 1, tzinfo=UTC), state=State.RETRY))
    assert did(service, rows[0], "me") is State.DONE


def test_a_directory_in_place_of_a_table_is_a_damaged_table(two_sites):
    _, table, _ = two_sites
    table.unlink()
    table.mkdir()
    with pytest.raises(ValueError, match=r"nres02.toml: cannot be read: Is a directory"):
        instruments.load("nres02", table.parent)


def test_one_strange_night_keeps_no_other_from_its_master_and_its_summary(archive, service, query):
    """A spectrograph without a table, a day that is none, a kind that this program does not know."""
    paths = [archive.add("b", day="20190405") for _ in range(2)]
    for path in paths:
        did(service, registration.register_file(service.sessions, path, *raw_files.identify(path)).id, "me")
    with service.sessions.begin() as session:
        session.execute(update(Frame).values(day=YESTERDAY))
        session.execute(update(ScheduledMaster).values(next_try=None, day=YESTERDAY, sent=None))
        columns = ", ".join(column.name for column in Frame.__table__.columns if column.name not in ("id", "filename"))
        for name, changed in (("x", "instrument = 'nres99'"), ("y", "day = '99999999'"), ("z", "kind = 'skyflat'")):
            copied = f"insert into frames (filename, {columns}) select '{name}' || filename, {columns} from frames"
            session.execute(text(f"{copied} where filename like 'lsc%'"))
            session.execute(text(f"update frames set {changed} where filename like '{name}%'"))
    with service.sessions.begin() as session:
        assert master_schedule.add_all(session, service) == 1
        owed = session.scalars(select(ScheduledMaster).where(ScheduledMaster.next_try.is_not(None))).all()
        assert [(row.instrument, row.day) for row in owed] == [("nres01", YESTERDAY)]
        assert ("lsc", YESTERDAY) in night_summary.finished_nights(session, service)
        assert metrics.of_database(session)


def test_a_master_that_cannot_be_scheduled_keeps_no_other_from_being(archive, service, query, monkeypatch):
    for day in ("20190405", "20190406"):
        for path in [archive.add("b", day=day) for _ in range(2)]:
            did(service, registration.register_file(service.sessions, path, *raw_files.identify(path)).id, "me")
    with service.sessions.begin() as session:
        session.execute(update(ScheduledMaster).values(next_try=None))
    of = scheduled_masters.get_or_create

    def strange(session, kind, night):
        if night.day == "20190405":
            raise LookupError("a strange row")
        return of(session, kind, night)

    monkeypatch.setattr(master_schedule.scheduled_masters, "get_or_create", strange)
    with service.sessions.begin() as session:
        assert master_schedule.add_all(session, service) == 1


def test_a_damaged_catalog_stops_the_stars_alone_and_the_summary_goes_without_it(archive, service, query):
    archive.calibrations()
    star = archive.add("e", "STAR A&thar&none")
    path = targets.deployed(service.output)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"name,ra_deg,dec_deg\n" + b"x" * 200_000 + b",1,2\n")
    done = night.reduce_all(service, archive.root)
    assert done.counts == {State.DONE: 8, State.RETRY: 1}
    ((_, _, reason),) = done.unhappy
    assert f"the catalog of stars {path} cannot be used, correct it: " in reason
    with service.sessions.begin() as session:
        assert night_summary.gather(session, "lsc", "20190405", service.output).counts
    path.unlink()
    assert night.reduce_all(service, archive.root).counts == {State.DONE: 9}
    assert star.is_file()


JOBS = {"add_all": master_schedule, "make_waiting_due": master_schedule, "schedule": night_summary}


@pytest.mark.parametrize("failing", list(JOBS))
def test_a_job_that_fails_is_logged_and_the_others_are_done(service, monkeypatch, failing):
    done = []
    for name, module in JOBS.items():
        work = (lambda *_, **__: 1 / 0) if name == failing else (lambda *_, name=name, **__: done.append(name))
        monkeypatch.setattr(module, name, work)
    with capture_logs() as lines:
        programs._schedule(service)
    assert done == [name for name in JOBS if name != failing]
    assert [(line["event"], line["exc_info"]) for line in lines] == [("job failed", True)]


def test_a_database_that_is_away_ends_no_job_and_a_table_that_fails_keeps_no_other_from_its_workers(
    archive, service, monkeypatch
):
    registration.register_file(service.sessions, path := archive.add("b"), *raw_files.identify(path))

    def away(*_):
        raise OperationalError("select", {}, Exception("server closed the connection"))

    monkeypatch.setattr(dispatch.abandoned_rows, "release_abandoned", away)
    pick = dispatch.notifications.select

    def strange(session, table, *others, **more):
        if table is ScheduledMaster:
            raise LookupError("a strange row")
        return pick(session, table, *others, **more)

    monkeypatch.setattr(dispatch.notifications, "select", strange)
    told = []
    dispatch.SweepTimer(service, lambda *work: told.append(work), lambda _: True).tick()
    assert told == [(Frame, 1)]


def test_the_numbers_of_a_frame_never_stop_it(archive, service):
    class Broken:
        def send(self, _points):
            raise RuntimeError("can't start new thread")

    row = registration.register_file(service.sessions, path := archive.add("b"), *raw_files.identify(path)).id
    assert did(replace(service, recorder=Broken()), row, "me") is State.DONE


def test_where_a_part_of_the_service_ends_the_whole_ends_and_says_so(service, monkeypatch):
    told, begin = threading.Event(), []
    ready = SimpleNamespace(connect=lambda weak: begin.append)
    before = signal.signal(signal.SIGTERM, lambda *_: told.set())
    try:

        def work(*_):
            begin[0](sender=SimpleNamespace(app=None))
            assert told.wait(30)

        monkeypatch.setattr(programs, "signals", SimpleNamespace(worker_ready=ready))
        monkeypatch.setattr(programs, "work", work)
        monkeypatch.setattr(programs, "_sweep_and_schedule", lambda *_: 1 / 0)
        assert programs.run(service) == 1
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_scheduler_whose_port_for_numbers_another_program_has_goes_on(service, monkeypatch):
    looked = []
    monkeypatch.setattr(programs, "_schedule", lambda *_, **__: looked.append(1))
    monkeypatch.setattr(programs.signal, "signal", lambda *_: None)
    monkeypatch.setattr(programs.threading, "Event", lambda: SimpleNamespace(wait=lambda _: True, set=None))
    monkeypatch.setattr(programs.dispatch, "SweepTimer", lambda *_: SimpleNamespace(tick=lambda: None))
    with socket.create_server(("127.0.0.1", 0)) as taken, capture_logs() as log:
        given = change(service.settings, metrics_port=taken.getsockname()[1])
        programs.schedule(replace(service, settings=given))
    assert len(looked) == 1
    assert [line["job"] for line in log if line["event"] == "job failed"] == ["numbers for Prometheus"]


def test_a_master_that_cannot_be_planned_is_tried_later_and_its_process_has_not_died(archive, service, query, run):
    for _ in range(2):
        archive.add("b")
    run()
    with service.sessions.begin() as session:
        session.execute(update(ScheduledMaster).values(next_try=clock(session), kind="skyflat"))
    (before,) = query.all(select(ScheduledMaster))
    with capture_logs() as log:
        assert execution.execute(service, ScheduledMaster, before.id, "me").state is State.RETRY
    (row,) = query.all(select(ScheduledMaster))
    assert (row.owner, row.deaths, row.next_try > before.next_try) == ("", 0, True)
    assert ["KeyError" in line["exception"] for line in log if line["event"] == "failed"] == [True]


def test_a_frame_whose_master_cannot_be_scheduled_keeps_its_result(archive, service, query, monkeypatch):
    path = archive.add("b")
    row = registration.register_file(service.sessions, path, *raw_files.identify(path)).id
    monkeypatch.setattr(master_schedule, "add", lambda *_: 1 / 0)
    with capture_logs() as log:
        assert did(service, row) is State.DONE
    assert [frame.state for frame in query.all(select(Frame))] == [State.DONE]
    assert [line["job"] for line in log if line["event"] == "job failed"] == ["schedule of the master"]
