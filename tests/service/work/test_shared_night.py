"""Several runs on one output share the work, and the death of one is mended by the next."""

import os
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select

from nrespipe.database.states import Standing, State
from nrespipe.database.tables import Attempt, Frame, Master, ScheduledMaster
from nrespipe.service.batch import night
from nrespipe.service.work import owners

ROOT = Path(__file__).parents[3]
FAKES = ROOT / "tests/plugins/fakes"


@pytest.fixture
def start(archive, tmp_path):
    """Start a night over the archive in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": f"{FAKES}:{ROOT}"}
    command = [sys.executable, FAKES / "run_night.py", archive.root, tmp_path / "out"]
    started = []

    def begin():
        started.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_two_runs_at_once_do_no_work_twice(archive, service, query):
    archive.calibrations(count=3)
    for _ in range(6):
        archive.add("e", "STAR SLOW&thar&none")
    with ThreadPoolExecutor(3) as pool:
        summaries = list(pool.map(lambda _: night.reduce_all(service, archive.root), range(3)))
    assert [summary.exit_status for summary in summaries] == [0, 0, 0]
    assert sum(summary.new for summary in summaries) == 18
    assert Counter(attempt.outcome for attempt in query.all(select(Attempt))) == {State.DONE: 18}
    assert [(m.standing, m.n_inputs) for m in query.all(select(Master))] == [(Standing.CURRENT, 3)] * 4
    assert {(row.owner, row.next_try) for table in (Frame, ScheduledMaster) for row in query.all(select(table))} == {
        ("", None)
    }


@pytest.mark.slow
def test_a_run_that_was_killed_leaves_nothing_that_the_next_does_not_finish(archive, start, query):
    archive.calibrations()
    archive.add("e", "STAR SLEEPER&thar&none")
    first = start()
    assert first.stdout.readline().strip().endswith("e00")
    (frame,) = query.all(select(Frame).where(Frame.state == State.RUNNING))
    assert not owners.is_dead(frame.owner)
    first.kill()
    first.wait()
    assert owners.is_dead(frame.owner)
    second = start()
    # it takes the frame at once, long before the lease ends
    assert second.stdout.readline().strip() == frame.filename
    (attempt,) = query.all(select(Attempt).where(Attempt.frame_id == frame.id))
    assert (attempt.outcome, attempt.reason) == (State.RETRY, "its process died")
    second.send_signal(signal.SIGKILL)
