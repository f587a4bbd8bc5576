"""Work for several processors: one process each, one frame at a time."""

import os
import signal
import threading
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib import import_module
from multiprocessing import get_context, parent_process
from multiprocessing.reduction import ForkingPickler
from types import ModuleType

import structlog

from nrespipe import logs
from nrespipe.database.columns import State, now
from nrespipe.errors import Unavailable
from nrespipe.service import outcome

_log = structlog.get_logger(__name__)

#: More processes than this starve for memory and disk before they help.
MOST_PROCESSES = 16

#: One frame a core: a library that starts threads of its own would only get in the way of the other processes, and
#: sums that are split over threads differ in their last digits.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

_NONE = object()

# recipes are modules, and travel to a process by their names
ForkingPickler.register(ModuleType, lambda module: (import_module, (module.__name__,)))


def default_processes():
    """Return how many processes to start where nobody says.

    Returns
    -------
    int
        One for each core that this process may use, `MOST_PROCESSES` at most.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_PROCESSES)


@contextmanager
def team(processes, log_level="INFO"):
    """Keep processes at hand for as long as the block lasts.

    Parameters
    ----------
    processes : int
        How many. 0 does the work in this process, one piece after the other, and starts none.
    log_level : str
        Least severe lines that they log.

    Yields
    ------
    callable
        ``run(work, jobs)`` yields a pair (job, Outcome) for each job as it ends, in any order. Jobs are fetched from
        `jobs` as there is room for them, one more than there are processes. A process that dies
        takes no other job with it: those that it may have held are tried again alone, and one that kills its process
        again ends in state retry. An interrupt or an exit while it waits is put off until the jobs that have begun
        are handed on; a second one is not.
    """
    if processes == 0:
        yield in_turn
        return
    with _environment(_ONE_THREAD):
        crew = _Crew(processes, log_level)
        try:
            yield crew.run
        finally:
            crew.dismiss()


def in_turn(work, jobs):
    """Do what ``run`` of a `team` does, in this process, one job after the other.

    Parameters
    ----------
    work : callable
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


def values(results):
    """Return what was made, or fail.

    Parameters
    ----------
    results : iterable of (object, Outcome)
        As ``run`` of a `team` yields them.

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


class _Crew:
    """A pool of processes that is replaced when one of them dies."""

    def __init__(self, processes, log_level):
        self.processes, self.log_level, self.pool = processes, log_level, None

    def run(self, work, jobs):
        suspects = []
        for job, result in self._together(work, jobs):
            if result is None:
                suspects.append(job)
            else:
                yield job, result
        for job in suspects:
            (_, loaded), *_ = self._together(_load, [(work, job)])
            if loaded is None:
                result = outcome.of(
                    Unavailable("a process could not start: it died while it loaded the program"), now()
                )
            else:
                (_, result), *_ = self._together(work, [job])
            yield job, result or outcome.of(Unavailable("the process died at it twice (out of memory?)"), now())

    def dismiss(self):
        if self.pool is not None:
            self.pool.shutdown(wait=True, cancel_futures=True)
            self.pool = None

    def _together(self, work, jobs):
        """Yield (job, outcome), the outcome being None for every job that a dying process may have held."""
        jobs, pending, leaving = iter(jobs), {}, None
        while True:
            try:
                # one more than there are processes: the next is at hand when one of them is ready
                while leaving is None and len(pending) <= self.processes and (job := next(jobs, _NONE)) is not _NONE:
                    pending[self._submit(work, job)] = job
                if not pending:
                    break
                finished, _ = wait(pending, return_when=FIRST_COMPLETED)
            except (KeyboardInterrupt, SystemExit) as asked:
                if leaving is not None:
                    raise
                # what the processes have begun is finished and handed on, or it would be done once more
                leaving = asked
                pending = {future: job for future, job in pending.items() if not future.cancel()}
                continue
            for future in finished:
                job = pending.pop(future)
                error = future.exception()
                if isinstance(error, BrokenProcessPool):
                    self.dismiss()
                    yield job, None
                else:
                    yield job, future.result() if error is None else outcome.of(error, now())
        if leaving is not None:
            raise leaving

    def _submit(self, work, job):
        self.pool = self.pool or self._hire()
        try:
            return self.pool.submit(outcome.attempt, work, job)
        except BrokenProcessPool:
            # a process died since the last job was handed over; this one has not begun
            self.dismiss()
            self.pool = self._hire()
            return self.pool.submit(outcome.attempt, work, job)

    def _hire(self):
        # forked children would inherit the locks of threads that do not exist in them
        context = get_context("spawn")
        return ProcessPoolExecutor(self.processes, context, initializer=_enter, initargs=(self.log_level,))


def _load(_work):
    """Do nothing: what came with this call has imported all that the work needs."""


def _enter(log_level):
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
