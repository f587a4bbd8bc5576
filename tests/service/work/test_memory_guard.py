"""A process that takes too much memory is ended, and it is told why."""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from nrespipe.service.work import memory_guard, owners

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
    known = owners.process(large.pid)
    memory_guard.check(150, lambda *words: told.append(words))
    assert large.wait(10) == -signal.SIGKILL
    ((process, reason),) = told
    assert process == known
    assert reason.endswith("MB of memory, 150 MB are allowed, and was stopped")
    assert small.poll() is None


def test_a_child_that_ends_or_cannot_be_looked_at_or_told_of_does_not_spare_the_next(child):
    large, told = [child(200), child(200)], []

    def vanish():
        raise psutil.NoSuchProcess(7)

    def forbid():
        raise PermissionError("no /proc today")

    held = SimpleNamespace(rss=1e9)
    gone = SimpleNamespace(pid=7, memory_info=vanish)
    lost = SimpleNamespace(pid=7, memory_info=lambda: held, kill=vanish)
    hidden = SimpleNamespace(pid=7, memory_info=forbid)
    children = [gone, lost, hidden, *map(psutil.Process, [process.pid for process in large])]

    def tell(process, reason):
        told.append(process)
        raise RuntimeError("the database is upset")

    memory_guard.check(150, tell, lambda: children)
    assert [process.wait(10) for process in large] == [-signal.SIGKILL] * 2
    assert len(told) == 2


def test_a_number_that_was_given_to_another_process_meanwhile_is_left_alone(child):
    former, told = psutil.Process(child(200).pid), []
    # as psutil remembers a process that has ended: by its number and its start
    former._ident = (former.pid, 1.0)
    former._create_time = 1.0
    memory_guard.check(1, lambda *words: told.append(words), lambda: [former])
    assert psutil.pid_exists(former.pid)
    assert psutil.Process(former.pid).status() != psutil.STATUS_ZOMBIE
    assert not told


def test_the_guard_goes_on_after_a_look_that_failed(monkeypatch):
    looks = []

    def look(*_):
        looks.append(None)
        if len(looks) == 3:
            # as far as this test goes
            raise SystemExit
        raise OSError("/proc: too many open files")

    monkeypatch.setattr(memory_guard, "check", look)
    monkeypatch.setattr(memory_guard, "_PERIOD_S", 0.0)
    with pytest.raises(SystemExit):
        memory_guard._watch(150, None, memory_guard.threading.Event())


def test_a_process_that_keeps_freed_memory_gets_it_again_without_new_pages():
    program = (
        "import resource, numpy as np, sys\n"
        "from nrespipe.service.work import memory_guard\n"
        "if sys.argv[1] == 'kept': memory_guard.keep_freed_memory()\n"
        "np.ones(1 << 24)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "for _ in range(5): np.ones(1 << 24)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)"
    )
    # 128 MB an array; without huge pages each would be 32,768 pages
    environment = {**os.environ, "NUMPY_MADVISE_HUGEPAGE": "0"}
    command = [sys.executable, "-c", program]
    kept, given_back = (
        int(subprocess.run([*command, word], capture_output=True, check=True, env=environment).stdout)
        for word in ("kept", "given back")
    )
    assert given_back > 100_000
    assert kept < 1000
