"""Work is spread over processes, and survives the death of one."""

import os
import pickle
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from nrespipe.database.states import State
from nrespipe.errors import Unavailable
from nrespipe.service import time_limits
from nrespipe.service.work import process_pool


@pytest.fixture
def work(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "plugins/fakes")
    return __import__("fake_work")


def test_no_processes_means_the_work_is_done_here(work):
    with process_pool.open(0) as run:
        assert [result.value for _, result in run(work.process, [1, 2])] == [os.getpid()] * 2


def test_a_process_uses_one_thread_for_linear_algebra_and_ours_keeps_its_own(work, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with process_pool.open(1) as run:
        ((_, result),) = run(work.environment, ["OMP_NUM_THREADS"])
    assert result.value == "1"
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_a_process_that_dies_takes_no_other_work_with_it(work):
    jobs = ["a", "death", "b", "c"]
    with process_pool.open(2) as run:
        results = dict(run(work.die_at, jobs))
        # and the team goes on
        assert [result.value for _, result in run(work.die_at, ["d"])] == ["d"]
    assert {job: result.value for job, result in results.items()} == {"a": "a", "b": "b", "c": "c", "death": None}
    assert results["death"].state is State.RETRY
    assert "died" in results["death"].reason


@pytest.mark.slow
def test_a_program_that_does_not_load_is_told_as_such(work):
    import broken_work

    with process_pool.open(1) as run:
        results = dict(run(broken_work.same, [1, 2]))
        assert [result.value for _, result in run(work.die_at, ["c"])] == ["c"]
    assert {result.state for result in results.values()} == {State.FAILED}
    assert {result.reason for result in results.values()} == {"ImportError: broken on purpose"}


@pytest.mark.slow
def test_work_that_takes_too_long_or_too_much_memory_is_ended_with_its_reason_and_takes_no_other_with_it(work):
    with process_pool.open(2, time_limit_s=2.0, memory_limit_mb=400) as run:
        results = dict(run(work.exceed, ["time", "a", "memory", "b"]))
    assert {job: result.value for job, result in results.items()} == {"a": "a", "b": "b", "time": None, "memory": None}
    assert results["time"].reason == "it took longer than it may and was stopped"
    assert results["memory"].reason.endswith(" MB of memory, 400 MB are allowed, and was stopped")
    assert results["time"].state is results["memory"].state is State.RETRY


@pytest.mark.slow
def test_work_in_flight_is_handed_on_when_the_program_is_asked_to_end(work, tmp_path):
    jobs = [str(tmp_path / f"job-{number}") for number in range(9)]

    def ask_to_end():
        while not Path(jobs[0]).exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    def spread():
        with process_pool.open(1) as run:
            threading.Thread(target=ask_to_end, daemon=True).start()
            for job, result in run(work.take_time, jobs):
                assert result.value == job
                handed_on.append(job)

    handed_on = []
    kept = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with pytest.raises(SystemExit):
            spread()
    finally:
        signal.signal(signal.SIGTERM, kept)
    begun = [job for job in jobs if Path(job).exists()]
    assert handed_on == begun
    assert 1 <= len(begun) < len(jobs)


def handlers():
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


@pytest.mark.slow
def test_a_second_signal_ends_the_program_while_work_is_in_flight(work, tmp_path):
    jobs = [str(tmp_path / f"job-{number}") for number in range(9)]

    def interrupt_twice():
        with process_pool.open(1) as run:
            for _ in run(work.take_time, jobs):
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)

    before = handlers()
    with pytest.raises(KeyboardInterrupt):
        interrupt_twice()
    assert handlers() == before
    assert len([job for job in jobs if Path(job).exists()]) < len(jobs)


def test_the_signals_are_given_back_where_results_are_not_asked_for_and_none_is_lost(work):
    def leave():
        with process_pool.open(1) as run:
            running.append(run(work.process, [1, 2, 3]))
            next(running[0])
            put_off.extend(handlers())
            signal.raise_signal(signal.SIGINT)

    before, running, put_off = handlers(), [], []
    with pytest.raises(KeyboardInterrupt):
        leave()
    assert put_off != before
    assert handlers() == before


def test_the_signals_are_given_back_where_a_job_cannot_be_packed(work):
    before = handlers()
    with process_pool.open(1) as run:
        with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
            list(run(work.process, [lambda: None]))
        assert handlers() == before


def test_a_run_in_another_thread_leaves_the_signals_alone(work):
    before, seen = handlers(), []

    def elsewhere():
        with process_pool.open(1) as run:
            seen.extend((handlers(), result.state) for _, result in run(work.process, [1]))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [(before, State.DONE)]


def test_a_result_that_cannot_travel_is_a_failure_of_the_program(work):
    with process_pool.open(1) as run:
        ((_, result),) = run(work.unpicklable, [1])
    assert result.state is State.FAILED
    assert "pickle" in result.reason


def test_there_is_at_least_one_process_and_never_too_many():
    assert 1 <= time_limits.default_processes() <= time_limits.MOST_PROCESSES


def fail(job):
    raise {"disk": OSError, "program": KeyError}[job](job)


def test_work_that_must_not_fail_says_why_it_did_and_where_the_program_is_at_fault():
    for job, logged in (("disk", False), ("program", True)):
        with capture_logs() as lines, pytest.raises(Unavailable, match=job):
            list(process_pool.require_values(process_pool.run_serially(fail, [job])))
        assert any("in fail" in line["exception"] for line in lines) is logged
