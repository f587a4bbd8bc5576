"""How much memory the processes of a worker hold; one that takes too much is ended before the machine suffers."""

import threading
from collections.abc import Callable, Iterable
from typing import Any

import psutil
import structlog

from nrespipe.service.work import owner

_log = structlog.get_logger(__name__)

#: How often to look [second]: a frame that runs away takes some hundred megabytes in that time.
_PERIOD_S = 0.5


def start(limit_mb: int, tell: Callable[..., Any]) -> Callable[..., Any]:
    """End children of this process that hold too much memory, in a thread, until that is ended itself.

    Parameters
    ----------
    limit_mb
        How much one may hold [MB].
    tell
        As for `check`.

    Returns
    -------
    callable
        Ends it.

    Notes
    -----
    The parent looks, in a thread: a child within compiled code runs no thread of its own. A limit of the system
    (``RLIMIT_AS``, ``RLIMIT_DATA``) counts addresses and not memory, and would end frames that do no harm.
    """
    ended = threading.Event()
    threading.Thread(target=_watch, args=(limit_mb, tell, ended), daemon=True).start()
    return ended.set


def check(
    limit_mb: int, tell: Callable[..., Any], children: Callable[[], Iterable[psutil.Process]] | None = None
) -> None:
    """End every child that holds too much now.

    Parameters
    ----------
    limit_mb
        How much one may hold [MB].
    tell
        ``tell(process, reason)`` is called for each child that was ended, named as by `owner.process`, with the reason
        in plain words. Whatever it raises is logged.
    children
        Returns them; all children of this process if not given.
    """
    for child in (children or psutil.Process().children)():
        try:
            process, held_mb = owner.process(child.pid), child.memory_info().rss / 1e6
            if held_mb <= limit_mb:
                continue
            # not where the number belongs to another process by now
            child.kill()
            tell(process, f"it took {held_mb:.0f} MB of memory, {limit_mb} MB are allowed, and was stopped")
        except psutil.NoSuchProcess:
            # it has ended by itself meanwhile
            continue
        except Exception:
            _log.exception("a process that may hold too much memory could not be dealt with", pid=child.pid)


def _watch(limit_mb, tell, ended):
    while not ended.wait(_PERIOD_S):
        try:
            check(limit_mb, tell)
        except Exception:
            # the children could not be listed at this moment; who would look after them from now on?
            _log.exception("the memory of the processes could not be looked at")
