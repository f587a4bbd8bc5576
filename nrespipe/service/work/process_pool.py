"""Work for several processors: one process each, one frame at a time."""

import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, TimeoutError, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib import import_module
from multiprocessing import get_context, parent_process
from multiprocessing.reduction import ForkingPickler
from types import ModuleType
from typing import TYPE_CHECKING, Any

import structlog
from pebble import ProcessExpired, ProcessPool

from nrespipe import logs
from nrespipe.database.dialects import now
from nrespipe.database.states import State
from nrespipe.errors import Unavailable
from nrespipe.service import outcome
from nrespipe.service.work import memory_guard

if TYPE_CHECKING:
    from nrespipe.service.outcome import Outcome

_log = structlog.get_logger(__name__)


#: One frame a core: a library that starts threads of its own would only get in the way of the other processes, and
#: sums that are split over threads differ in their last digits.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

_NONE = object()

# recipes are modules, and travel to a process by their names
ForkingPickler.register(ModuleType, lambda module: (import_module, (module.__name__,)))


@contextmanager
def open(
    processes: int, log_level: str = "INFO", time_limit_s: float | None = None, memory_limit_mb: int | None = None
) -> Iterator[Callable[..., Any]]:
    """Keep processes at hand for as long as the block lasts.

    Parameters
    ----------
    processes
        How many. 0 does the work in this process, one piece after the other and without limits, and starts none.
    log_level
        Least severe lines that they log.
    time_limit_s
        A piece of work that takes longer ends with its process [second]; none is ended for its time if not given.
    memory_limit_mb
        The same for a process that holds more memory than this [MB].

    Yields
    ------
    callable
        ``run(work, jobs)`` yields a pair (job, Outcome) for each job as it ends, in any order. Jobs are fetched from
        `jobs` as there is a process for them. A process that dies, or is ended by one of the limits, takes no other job
        with it; its own ends in state retry, with the reason. An interrupt or an exit while it waits is put off until
        the jobs that have begun are handed on; a second one is not.
    """
    if processes == 0:
        yield run_serially
        return
    with _environment(_ONE_THREAD):
        pool = _Pool(processes, log_level, time_limit_s)
        unguard = memory_guard.start(memory_limit_mb, pool.ended.__setitem__) if memory_limit_mb else lambda: None
        try:
            yield pool.run
        except BaseException:
            pool.dismiss(at_once=True)
            raise
        finally:
            unguard()
        pool.dismiss()


def run_serially(work: Callable[..., Any], jobs) -> "Iterator[tuple[object, Outcome]]":
    """Do what ``run`` of `open` does, in this process, one job after the other.

    Parameters
    ----------
    work
        What to do.
    jobs : iterable
        What to do it with.

    Yields
    ------
    job : object
        Each of them.
    result : Outcome
        What came of it.
    """
    for job in jobs:
        yield job, outcome.attempt(work, job)


def require_values(results: "Iterable[tuple[object, Outcome]]") -> Iterator[object]:
    """Return what was made, or fail.

    Parameters
    ----------
    results
        As ``run`` of `open` yields them.

    Yields
    ------
    object
        What the work returned for each job.

    Raises
    ------
    Unavailable
        If a job was not done; the message is its reason, and where the program failed is logged.
    """
    for _, result in results:
        if result.state is not State.DONE:
            if result.traceback:
                _log.error("a piece of work failed", exception=result.traceback)
            raise Unavailable(result.reason)
        yield result.value


class _Pool:
    """A pool of processes, and why some of them were ended."""

    def __init__(self, processes, log_level, time_limit_s):
        self._processes, self._log_level, self._time_limit_s, self._pool = processes, log_level, time_limit_s, None
        self.ended = {}

    def run(self, work, jobs):
        jobs, pending, leaving = iter(jobs), {}, None
        while True:
            try:
                while leaving is None and len(pending) < self._processes and (job := next(jobs, _NONE)) is not _NONE:
                    pending[self._submit(work, job)] = job
                if not pending:
                    break
                finished, _ = wait(pending, return_when=FIRST_COMPLETED)
            except (KeyboardInterrupt, SystemExit) as asked:
                if leaving is not None:
                    raise
                # what the processes have begun is finished and handed on, or it would be done once more
                leaving = asked
                continue
            for future in finished:
                yield pending.pop(future), self._outcome(future)
        if leaving is not None:
            raise leaving

    def dismiss(self, at_once=False):
        if self._pool is not None:
            (self._pool.stop if at_once else self._pool.close)()
            self._pool.join()
            self._pool = None

    def _submit(self, work, job):
        # packed here, and unpacked where an error is an outcome: a program that does not load, a result that does not
        # travel
        packed = bytes(ForkingPickler.dumps((work, job)))
        if self._pool is None:
            # forked children would inherit the locks of threads that do not exist in them
            self._pool = ProcessPool(
                self._processes, context=get_context("spawn"), initializer=_enter, initargs=(self._log_level,)
            )
        return self._pool.schedule(_perform, (packed,), timeout=self._time_limit_s)

    def _outcome(self, future):
        error = future.exception()
        if error is None:
            return pickle.loads(future.result())
        if isinstance(error, TimeoutError):
            return outcome.of(Unavailable("it took longer than it may and was stopped"), now())
        if isinstance(error, ProcessExpired):
            died = f"its process died with status {error.exitcode} (out of memory?)"
            # the process is gone, and its number is at the end of what it was called
            reasons = [reason for process, reason in self.ended.items() if f"/{error.pid}." in process]
            return outcome.of(Unavailable(reasons[-1] if reasons else died), now())
        if isinstance(error, BrokenProcessPool):
            self.dismiss(at_once=True)
            return outcome.of(Unavailable("no process could be started"), now())
        return outcome.of(error, now())


def _perform(packed):
    """Do a piece of work in a process of the team; packed it comes, and packed goes what came of it."""
    begun = now()
    try:
        work, job = pickle.loads(packed)
        return bytes(ForkingPickler.dumps(outcome.attempt(work, job)))
    except Exception as error:
        return pickle.dumps(outcome.of(error, begun))


def _enter(log_level) -> None:
    """Begin a process of the team."""
    # a Ctrl-C at the terminal reaches all: the parent alone decides, and lets the frames in flight finish
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    logs.configure(log_level)


def _leave_with_parent():
    # a parent that was killed cannot dismiss anybody
    parent_process().join()
    os._exit(1)


@contextmanager
def _environment(values):
    kept = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
