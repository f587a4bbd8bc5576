"""A process that takes too much memory is ended, and it is told why."""

import signal
import subprocess
import sys
import time

import pytest

from nrespipe.service import memory

_HOG = "held = b'x' * int({mb}e6); print('held', flush=True); import time; time.sleep(60)"


@pytest.fixture
def child():
    """Start a child that holds some memory, and wait until it does."""
    started = []

    def start(mb):
        process = subprocess.Popen([sys.executable, "-c", _HOG.format(mb=mb)], stdout=subprocess.PIPE)
        started.append(process)
        process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_child_that_holds_too_much_is_ended_and_no_other(child):
    small, large, told = child(1), child(200), []
    guard = memory.Guard(150, lambda *words: told.append(words), lambda: [small.pid, large.pid])
    guard.look()
    assert large.wait(10) == -signal.SIGKILL
    ((pid, reason),) = told
    assert pid == large.pid
    assert reason.endswith("MB of memory, 150 MB are allowed, and was stopped")
    assert small.poll() is None


def test_the_children_of_this_process_are_known(child):
    assert child(1).pid in memory._children()


def test_what_a_process_holds_is_known_and_nothing_where_there_is_none(child):
    process = child(100)
    assert 100 < memory.held_mb(process.pid) < 150
    process.kill()
    process.wait()
    end = time.monotonic() + 10
    while memory.held_mb(process.pid):
        assert time.monotonic() < end
