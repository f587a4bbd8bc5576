"""A worker that is frozen in the middle of a transaction: others go on, and it does no harm when it wakes."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from nrespipe.database.columns import State
from nrespipe.database.tables import Attempt
from nrespipe.service import assembly, duty, intake, sweep
from nrespipe.service.pace import Pace
from nrespipe.settings import Settings

FAKES = Path(__file__).parent / "fakes"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def service(tmp_path, postgres, build):
    """An assembly with the database of a server."""
    fakes = build(tmp_path / "fakes")
    settings = Settings(processes=0, database_url=postgres.create())
    built = assembly.build(tmp_path / "out", settings, fakes.recipes, fakes.spectrographs)
    yield replace(built, pace=Pace(quiet_s=0.0, past_s=0.0))
    built.sessions.kw["bind"].dispose()


@pytest.fixture
def freeze(service):
    """Start a worker that takes a row and freezes within a transaction; return it, frozen."""
    started = []

    def start(row, where):
        words = [service.output, service.settings.database_url, row, where]
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
        sweep.sweep(service, lambda *row: told.append(row))
        outcomes = [duty.frame(service, row, "another") for table, row in told if table.__tablename__ == "frames"]
        if outcomes:
            return outcomes
        assert time.monotonic() < end, "nobody was told of the frame"
        time.sleep(0.1)


@pytest.mark.parametrize("where", ["take", "record"])
@pytest.mark.slow
def test_a_worker_that_is_frozen_within_a_transaction_loses_its_frame_and_does_no_harm(service, archive, freeze, where):
    path = archive.add("b")
    intake.submit(service, [path])
    frozen = freeze(1, where)
    assert finished_by_another(service) == [State.DONE]
    frozen.send_signal(signal.SIGCONT)
    told, _ = frozen.communicate(timeout=60)
    assert frozen.returncode == 0, told
    assert "database away" in told, "it was told that its transaction is over"
    assert ("taken away" in told) == (where == "record"), "what it had reduced is not written down"
    with service.sessions.begin() as session:
        done = select(Attempt).where(Attempt.outcome == State.DONE)
        assert len(list(session.scalars(done))) == 1
