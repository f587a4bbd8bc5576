"""Pools of processes: one frame at a time in each, with limits of time and memory."""

import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, TimeoutError, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from importlib import import_module
from multiprocessing import get_context, parent_process
from multiprocessing.reduction import ForkingPickler
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from pebble import ProcessExpired, ProcessPool

from nrespipe import logs
from nrespipe.database.dialects import now
from nrespipe.database.states import State
from nrespipe.errors import Unavailable
from nrespipe.service import outcome
from nrespipe.service.work import memory_guard

if TYPE_CHECKING:
    from nrespipe.service.outcome import Outcome, RunJobs

J = TypeVar("J")
T = TypeVar("T")

_log = structlog.get_logger(__name__)

#: One frame a core: a library that starts threads of its own would only get in the way of the other processes, and
#: sums that are split over threads differ in their last digits.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

#: How often to look whether the program was asked to end [second].
_LOOK_S = 0.2

# recipes are modules, and travel to a process by their names
ForkingPickler.register(ModuleType, lambda module: (import_module, (module.__name__,)))


@contextmanager
def open(processes: int, time_limit_s: float | None = None, memory_limit_mb: int | None = None) -> Iterator["RunJobs"]:
    """Open a pool of processes for as long as the block lasts.

    Parameters
    ----------
    processes
        How many. 0 does the work in this process, one piece after the other and without limits, and starts none.
    time_limit_s
        A piece of work that takes longer ends with its process [second]; none is ended for its time if not given.
    memory_limit_mb
        The same for a process that holds more memory than this [MB].

    Yields
    ------
    callable
        ``run(work, jobs)`` yields a pair (job, Outcome) for each job as it ends, in any order. Jobs are fetched from
        `jobs` as there is a process for them. A process that dies, or is ended by one of the limits, takes no other job
        with it; its own ends in state retry, with the reason. Ctrl-C and a plain kill are put off until the jobs that
        have begun are handed on; a second one is not.
    """
    if processes == 0:
        yield run_serially
        return
    with _environment(_ONE_THREAD):
        pool = _Pool(processes, time_limit_s)
        unguard = memory_guard.start(memory_limit_mb, pool.ended.__setitem__) if memory_limit_mb else lambda: None
        try:
            yield pool.run
        except BaseException:
            pool.close(at_once=True)
            raise
        finally:
            unguard()
        pool.close()
        pool.act_on_signals()


def run_serially(work: Callable[[J], T], jobs: Iterable[J]) -> "Iterator[tuple[J, Outcome[T]]]":
    """Run a function on jobs in this process, one after the other, as ``run`` of `open` does in several."""
    for job in jobs:
        yield job, outcome.run(work, job)


def require_values(results: "Iterable[tuple[J, Outcome[T]]]") -> Iterator[T | None]:
    """Yield the values of jobs that all must be done.

    Parameters
    ----------
    results
        As ``run`` of `open` yields them.

    Yields
    ------
    object
        Return value of the work for each job.

    Raises
    ------
    Unavailable
        If a job was not done; the message is its reason, and where the program failed is logged.
    """
    for _, ended in results:
        if ended.state is not State.DONE:
            if ended.traceback:
                _log.error("job failed", exception=ended.traceback)
            raise Unavailable(ended.reason)
        yield ended.value


class _Pool:
    """A pool of processes, and why some of them were ended."""

    def __init__(self, processes: int, time_limit_s: float | None) -> None:
        self._processes, self._time_limit_s = processes, time_limit_s
        self._pool: ProcessPool | None = None
        #: Signals that were put off, and what gives them back.
        self._asked: list[int] = []
        self._signals = ExitStack()
        #: Reasons by name of the process, as ``owners.process`` gives it.
        self.ended: dict[str, str] = {}

    def run(self, work: Callable[[J], T], jobs: Iterable[J]) -> "Iterator[tuple[J, Outcome[T]]]":
        # work that the processes have begun is finished and handed on, or it would be done once more
        self._put_off_signals()
        try:
            yield from self._run(work, iter(jobs))
        finally:
            self._signals.close()
        self.act_on_signals()

    def _run(self, work: Callable[[J], T], coming: Iterator[J]) -> "Iterator[tuple[J, Outcome[T]]]":
        pending: dict[Future[bytes], J] = {}
        is_exhausted = is_told = False
        while True:
            while not self._asked and not is_exhausted and len(pending) < self._processes:
                for job in coming:
                    pending[self._submit(work, job)] = job
                    break
                else:
                    is_exhausted = True
            if not pending:
                return
            finished, _ = wait(pending, timeout=_LOOK_S, return_when=FIRST_COMPLETED)
            if self._asked and not is_told:
                is_told = True
                at_work = [str(getattr(job, "name", job)) for job in pending.values()]
                _log.warning("stopping as soon as this is done; Ctrl-C again stops now", at_work=", ".join(at_work))
            for future in finished:
                yield pending.pop(future), self._outcome(future)

    def _put_off_signals(self) -> None:
        """Note the first interrupt or plain kill; the next one acts as before."""
        # no other thread gets signals
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            # without a function of Python for it, a signal ends the process or does nothing
            if callable(before := signal.getsignal(number)):
                self._signals.callback(signal.signal, number, before)
                signal.signal(number, self._note)

    def _note(self, number: int, _frame: object) -> None:
        self._asked.append(number)
        self._signals.close()

    def act_on_signals(self) -> None:
        """Act on the first signal that was put off, if there was one."""
        if self._asked:
            number, *_ = self._asked
            self._asked.clear()
            signal.raise_signal(number)

    def close(self, at_once: bool = False) -> None:
        # also where the results of a run were not all asked for
        self._signals.close()
        self._stop(at_once)

    def _stop(self, at_once: bool) -> None:
        if self._pool is not None:
            (self._pool.stop if at_once else self._pool.close)()
            self._pool.join()
            self._pool = None

    def _submit(self, work: Callable[[J], T], job: J) -> "Future[bytes]":
        # packed here, and unpacked where an error is an outcome: a program that does not load, a result that does not
        # travel
        packed = bytes(ForkingPickler.dumps((work, job)))
        if self._pool is None:
            # forked children would inherit the locks of threads that do not exist in them
            self._pool = ProcessPool(
                self._processes, context=get_context("spawn"), initializer=_enter, initargs=logs.chosen()
            )
        return self._pool.schedule(_perform, (packed,), timeout=self._time_limit_s)

    def _outcome(self, future: "Future[bytes]") -> "Outcome[Any]":
        error = future.exception()
        if error is None:
            ended: Outcome[Any] = pickle.loads(future.result())
            return ended
        if isinstance(error, TimeoutError):
            return outcome.of(Unavailable("it took longer than it may and was stopped"), now())
        if isinstance(error, ProcessExpired):
            died = f"its process died with status {error.exitcode} (out of memory?)"
            # the process is gone, and its number is at the end of its name
            reasons = [reason for process, reason in self.ended.items() if f"/{error.pid}." in process]
            return outcome.of(Unavailable(reasons[-1] if reasons else died), now())
        if isinstance(error, BrokenProcessPool):
            self._stop(at_once=True)
            return outcome.of(Unavailable("no process could be started"), now())
        return outcome.of(error, now())


def _perform(packed: bytes) -> bytes:
    """Do a job in a process of the pool; job and outcome travel packed."""
    begun = now()
    try:
        work, job = pickle.loads(packed)
        return bytes(ForkingPickler.dumps(outcome.run(work, job)))
    except Exception as error:
        return pickle.dumps(outcome.of(error, begun))


def _enter(log_level: str, log_form: logs.Form) -> None:
    """Begin a process of the pool."""
    # a Ctrl-C at the terminal reaches all: the parent alone decides, and lets the frames in flight finish
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    memory_guard.keep_freed_memory()
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    logs.configure(log_level, log_form)


def _leave_with_parent() -> None:
    # a parent that was killed cannot end anybody
    if (parent := parent_process()) is not None:
        parent.join()
    os._exit(1)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
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
