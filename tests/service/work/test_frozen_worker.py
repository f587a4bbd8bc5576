"""A worker that is frozen in the middle of a transaction: others go on, and it does no harm when it wakes."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from nrespipe.database.states import Standing, State
from nrespipe.database.tables import Attempt, Frame, ScheduledMaster
from nrespipe.database.work import announcements
from nrespipe.frames.raw import Kind
from nrespipe.service import assembly
from nrespipe.service.ingest import submission
from nrespipe.service.masters import review
from nrespipe.service.reduction import frame_reduction
from nrespipe.service.time_limits import Pace
from nrespipe.service.work import dispatch, execution
from nrespipe.settings import Settings

ROOT = Path(__file__).parents[3]
FAKES = ROOT / "tests/plugins/fakes"


@pytest.fixture
def service(tmp_path, postgres, build):
    """An assembly with the database of a server."""
    fakes = build(tmp_path / "fakes")
    settings = Settings(processes=0, database_url=postgres.create())
    built = assembly.build(tmp_path / "out", settings, fakes.recipes, fakes.spectrographs, fakes.judge)
    yield replace(built, pace=Pace(quiet_s=0.0, past_s=0.0))
    built.sessions.kw["bind"].dispose()


@pytest.fixture
def freeze(service):
    """Start a worker that takes a row and freezes within a transaction; return it, frozen."""
    started = []

    def start(row, where):
        words = [service.output, service.settings.database_url.get_secret_value(), row, where]
        process = subprocess.Popen(
            [sys.executable, FAKES / "frozen_worker.py", *map(str, words)],
            env={**os.environ, "PYTHONPATH": f"{FAKES}:{ROOT}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), process.stdout.read()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def finished_by_another(service):
    """Sweep and work until something is done."""
    end, told = time.monotonic() + 60, []
    while True:
        told.clear()
        dispatch.sweep(service, lambda *row: told.append(row))
        outcomes = [
            execution.execute(service, Frame, row, "another") for table, row in told if table.__tablename__ == "frames"
        ]
        if outcomes:
            return outcomes
        assert time.monotonic() < end, "nobody was told of the frame"
        time.sleep(0.1)


@pytest.mark.parametrize("where", ["take", "record"])
@pytest.mark.slow
def test_a_worker_that_is_frozen_within_a_transaction_loses_its_frame_and_does_no_harm(service, archive, freeze, where):
    path = archive.add("b")
    submission.submit(service, [path])
    frozen = freeze(1, where)
    assert [ended.state for ended in finished_by_another(service)] == [State.DONE]
    frozen.send_signal(signal.SIGCONT)
    told, _ = frozen.communicate(timeout=60)
    assert frozen.returncode == 0, told
    assert "database away" in told, "it was told that its transaction is over"
    assert ("taken away" in told) == (where == "record"), "what it had reduced is not written down"
    with service.sessions.begin() as session:
        done = select(Attempt).where(Attempt.outcome == State.DONE)
        assert len(list(session.scalars(done))) == 1


@pytest.mark.slow
def test_a_frame_that_is_finished_while_its_master_is_called_bad_comes_again(service, archive, monkeypatch):
    paths = [archive.add("b", day=day) for day in ("20190405", "20190406") for _ in range(2)]
    submission.submit(service, paths)
    finished_by_another(service)
    with service.sessions.begin() as session:
        stackings = list(session.scalars(select(ScheduledMaster.id)))
    assert [execution.execute(service, ScheduledMaster, row, "another").state for row in stackings] == [State.DONE] * 2
    submission.submit(service, [archive.add("d", day="20190406")])
    finished_by_another(service)
    with service.sessions.begin() as session:
        dark = session.scalars(select(Frame).where(Frame.kind == Kind.DARK)).one()
        announcements.request(session, dark)
    taken, said = threading.Event(), threading.Event()
    reduce = frame_reduction.reduce

    def meanwhile(job, **others):
        taken.set()
        assert said.wait(60)
        return reduce(job, **others)

    monkeypatch.setattr(frame_reduction, "reduce", meanwhile)
    worker = threading.Thread(target=execution.execute, args=(service, Frame, dark.id, "another"))
    worker.start()
    assert taken.wait(60)
    with service.sessions.begin() as session:
        review.decide(session, "bias_lsc_nres01_fa09_20190406", Standing.REJECTED, "said")
        # it is written down, and nobody can see it yet
        said.set()
        worker.join(2.0)
    worker.join(60)
    with service.sessions.begin() as session:
        assert session.get_one(Frame, dark.id).next_try is not None
