"""How much memory the processes of a worker hold; one that takes too much is ended before the machine suffers."""

import os
import signal
import threading
import time
from pathlib import Path

_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6
#: How often to look [second]: a frame that runs away takes some hundred megabytes in that time.
_PERIOD_S = 0.5


class Guard:
    """Ends the children of this process that hold more memory than they may.

    Parameters
    ----------
    limit_mb : int
        How much one may hold [MB].
    tell : callable
        ``tell(pid, reason)`` hears of each that was ended, and why in plain words.
    children : callable, optional
        Returns their numbers; all children if not given.

    Notes
    -----
    The parent looks, in a thread: a child within compiled code runs no thread of its own. A limit of the system
    (``RLIMIT_AS``, ``RLIMIT_DATA``) counts addresses and not memory, and would end frames that do no harm.
    """

    def __init__(self, limit_mb, tell, children=None):
        self._limit_mb, self._tell, self._children = limit_mb, tell, children or _children

    def start(self):
        """Look every now and then, in a thread, for as long as this process lives."""
        threading.Thread(target=self._watch, daemon=True).start()

    def look(self):
        """End every child that holds too much now."""
        for pid in self._children():
            held = held_mb(pid)
            if held > self._limit_mb:
                os.kill(pid, signal.SIGKILL)
                self._tell(pid, f"it took {held:.0f} MB of memory, {self._limit_mb} MB are allowed, and was stopped")

    def _watch(self):
        while True:
            self.look()
            time.sleep(_PERIOD_S)


def held_mb(pid):
    """Return how much memory a process holds.

    Parameters
    ----------
    pid : int
        Its number.

    Returns
    -------
    float
        Resident, with what it shares [MB]; 0 where there is no such process.
    """
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE_MB
    except (OSError, IndexError, ValueError):
        return 0.0


def _children():
    """Numbers of the children of this process, whichever thread has made them."""
    for path in Path("/proc/self/task").glob("*/children"):
        try:
            words = path.read_text(encoding="ascii").split()
        except OSError:
            # the thread has ended meanwhile
            continue
        yield from map(int, words)
