"""Rows that are due, overdue or orphaned -> work again."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from nrespipe.database import breakers, claims, nodes
from nrespipe.database.dialects import clock
from nrespipe.database.frames import latest
from nrespipe.database.tables import Delivery, Frame
from nrespipe.service import isolated
from nrespipe.service.work import orphans
from nrespipe.service.work.celery_app import QUEUES

if TYPE_CHECKING:
    from nrespipe.service.assembly import Assembly
    from nrespipe.service.pace import Pace

_log = structlog.get_logger(__name__)

#: So many frames that are reduced again may stand before a new one in the queue.
_SPARE = 4
#: So many messages may wait for each process of the workers, and for all together where few are known: enough to have
#: work until the next sweep, and a frame of tonight does not wait long behind those that were sent before it.
_EACH, _LEAST = 4, 16


def sweep(assembly: "Assembly", send: Callable[..., Any], is_empty: Callable[..., Any] = lambda _table: False) -> int:
    """Wake workers for all that is due, and take rows away from processes that died; two at once do no harm.

    Parameters
    ----------
    send
        ``send(table, row_id)`` wakes a worker for a row of one of ``claims.KINDS_OF_WORK``.
    is_empty
        ``is_empty(table)`` tells whether no message about such rows waits for a worker; False where nobody knows.

    Returns
    -------
    int
        How many messages were sent.
    """
    isolated.do("rows of processes that died", _bury, assembly)
    told = [
        isolated.do(f"sweep of {table.__tablename__}", _send, assembly, table, send, is_empty)
        for table in claims.KINDS_OF_WORK
    ]
    return sum(filter(None, told))


class Timer:
    """Sweep every now and then, from a loop that has other things to do as well.

    Parameters
    ----------
    assembly, send, is_empty : Assembly, callable, callable
        As for `sweep`.
    """

    def __init__(self, assembly, send, is_empty):
        self._arguments, self._pause_s, self._next = (assembly, send, is_empty), assembly.pace.sweep_s, 0.0

    def tick(self) -> None:
        """Sweep if it is time; what fails is tried again the next time."""
        if time.monotonic() < self._next:
            return
        sweep(*self._arguments)
        # after the work, however long that took
        self._next = time.monotonic() + self._pause_s


def notifier(assembly: "Assembly", send: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that wakes a worker for a row that was just made, if few messages wait.

    Parameters
    ----------
    assembly, send
        As for `sweep`.

    Returns
    -------
    callable
        ``wake(table, row_id)``. Where many messages wait the row is left to the sweeps, which know what comes first.
        Whatever sending raises is raised, and the next sweep tells of the row.
    """
    left, until = {}, {}

    def has_room(table):
        # not at each of the many messages that come together
        if time.monotonic() >= until.get(table, 0.0):
            with assembly.sessions.begin() as session:
                left[table] = capacity(session, table, assembly.pace, assembly.pace.queued_s)
            until[table] = time.monotonic() + assembly.pace.sweep_s
        left[table] -= 1
        return left[table] >= 0

    def wake(table, row_id):
        try:
            if not has_room(table):
                _untell(assembly, table, [row_id])
                return
            send(table, row_id)
        except Exception:
            _untell(assembly, table, [row_id])
            raise

    return wake


def capacity(session: Session, table: type, pace: "Pace", patience_s: float) -> int:
    """Return how many more messages may wait for the workers.

    Parameters
    ----------
    table
        One of ``claims.KINDS_OF_WORK``.
    pace
        How fast the service goes on.
    patience_s
        Messages that were sent longer ago than this count as lost [second].

    Returns
    -------
    int
        0 or less where enough wait: what comes first is decided when a message is sent, not when it is received.
    """
    since = clock(session) - timedelta(seconds=pace.stale_s)
    processes = nodes.count_processes(session, QUEUES[table], since)
    return max(_LEAST, _EACH * processes) - claims.count_dispatched(session, table, patience_s)


def _bury(assembly):
    with assembly.sessions.begin() as session:
        for table, row_id in orphans.bury(session):
            _log.warning("taken from a process that died", table=table.__tablename__, row=row_id)


def _send(assembly, table, send, is_empty):
    pace = assembly.pace
    # a broker is not asked at every sweep: only where it matters whether a message waits or was lost
    with assembly.readers.begin() as session:
        doubtful = _is_overdue(session, table, pace.lost_s)
    patience_s = pace.lost_s if doubtful and is_empty(table) else pace.queued_s
    with assembly.sessions.begin() as session:
        most = capacity(session, table, pace, patience_s)
        if table is Delivery:
            # a server that serves nobody is asked by one, now and then
            allowed = breakers.allowed_requests(session, assembly.settings.ingest_to)
            most = most if allowed is None else min(most, allowed)
        rows = claims.select_for_dispatch(session, table, patience_s, most) if most > 0 else []
    if table is Frame and most > 0 and not rows:
        rows = _spare(assembly, is_empty)
    for number, row_id in enumerate(rows):
        try:
            send(table, row_id)
        except Exception as error:
            # whatever a broker does wrong: the rows wait, and the next sweep tries again
            _log.warning("no worker could be told", reason=f"{type(error).__name__}: {error}", rows=len(rows) - number)
            _untell(assembly, table, rows[number:])
            return number
    return len(rows)


def _untell(assembly, table, rows):
    with assembly.sessions.begin() as session:
        claims.cancel_dispatch(session, table, rows)


def _spare(assembly, is_empty):
    """Choose some frames that have a result and can have a better one, if the workers have nothing else to do."""
    with assembly.readers.begin() as session:
        due = (Frame.low_priority, Frame.owner == "", Frame.next_try <= clock(session), latest())
        waiting = session.scalar(select(Frame.id).where(*due).limit(1))
    if waiting is None or not is_empty(Frame):
        return []
    with assembly.sessions.begin() as session:
        return claims.select_for_dispatch(session, Frame, assembly.pace.lost_s, _SPARE, low_priority=True)


def _is_overdue(session, table, patience_s):
    """Whether a worker that was told of a row has left it alone for long."""
    moment = clock(session)
    told = (table.owner == "", table.next_try <= moment, table.sent < moment - timedelta(seconds=patience_s))
    return session.scalar(select(table.id).where(*told).limit(1)) is not None


def forget_messages(session: Session) -> None:
    """Note that no message that was ever sent waits for a worker: the broker that held them began anew."""
    for table in claims.KINDS_OF_WORK:
        claims.cancel_dispatch(session, table)
