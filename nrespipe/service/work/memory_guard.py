"""Memory of each process of a worker: freed memory is kept for the next frame, and one that takes too much is ended."""

import ctypes
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

import psutil
import structlog

from nrespipe.service.work import owners

_log = structlog.get_logger(__name__)

#: How often to look [second]: a frame that runs away takes some hundred megabytes in that time.
_PERIOD_S = 0.5

#: Numbers of parameters of ``mallopt`` in the GNU C library.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4

Report = Callable[[str, str], object]


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees, where its C library can.

    Notes
    -----
    A frame allocates and frees some thirty arrays of the size of the detector. The C library gives such arrays back to
    the system at once, which then hands the same pages out again, emptied one by one.
    """
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def start(limit_mb: int, report: Report) -> Callable[[], None]:
    """End children of this process that take too much memory, in a thread, until it is stopped.

    Parameters
    ----------
    limit_mb
        How much one may take [MB].
    report
        As for `check`.

    Returns
    -------
    callable
        Stops the thread.

    Notes
    -----
    The parent looks, in a thread: a child within compiled code runs no thread of its own. A limit of the system
    (``RLIMIT_AS``, ``RLIMIT_DATA``) counts addresses and not memory, and would end frames that do no harm.
    """
    stopped = threading.Event()
    threading.Thread(target=_watch, args=(limit_mb, report, stopped), daemon=True).start()
    return stopped.set


def check(limit_mb: int, report: Report, children: Callable[[], Iterable[psutil.Process]] | None = None) -> None:
    """End every child that takes too much memory now.

    Parameters
    ----------
    limit_mb
        How much one may take [MB].
    report
        ``report(process, reason)`` is called for each child that was ended, named as by `owners.process`, with
        the reason in plain words. Whatever it raises is logged.
    children
        Returns them; all children of this process if not given.
    """
    for child in (children or psutil.Process().children)():
        try:
            process, taken_mb = owners.process(child.pid), child.memory_info().rss / 1e6
            if taken_mb <= limit_mb:
                continue
            # not where the number belongs to another process by now
            child.kill()
            report(process, f"it took {taken_mb:.0f} MB of memory, {limit_mb} MB are allowed, and was stopped")
        except psutil.NoSuchProcess:
            # it has ended by itself meanwhile
            continue
        except Exception:
            _log.exception("memory of a process not checked", pid=child.pid)


def _watch(limit_mb: int, report: Report, stopped: threading.Event) -> None:
    while not stopped.wait(_PERIOD_S):
        try:
            check(limit_mb, report)
        except Exception:
            # the children could not be listed at this moment; the thread must go on
            _log.exception("memory of the processes not checked")
