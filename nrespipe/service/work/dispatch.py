"""Notify workers of rows that are due (``Work.sent`` tells of which), and release the rows of processes that died."""

import time
from collections.abc import Collection
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from nrespipe.database import breakers, nodes
from nrespipe.database.dialects import clock
from nrespipe.database.tables import WORK_TABLES, Delivery, Frame, WorkTable
from nrespipe.database.work import notifications
from nrespipe.service import outcome
from nrespipe.service.work import abandoned_rows
from nrespipe.service.work.queues import ROUTES, IsEmpty, Send

if TYPE_CHECKING:
    from nrespipe.service.assembly import Assembly
    from nrespipe.service.time_limits import Pace

_log = structlog.get_logger(__name__)

#: So many frames that are reduced again may come before a new one in the queue.
_MOST_LOW_PRIORITY = 4
#: So many messages may wait for each process of the workers, and for all together where few are known: enough to have
#: work until the next sweep, and a frame of tonight does not wait long behind those that were sent before it.
_EACH, _LEAST = 4, 16


def sweep(assembly: "Assembly", send: Send, is_empty: IsEmpty = lambda _table: False) -> int:
    """Notify workers of all rows that are due, and release those of processes that died; two at once do no harm.

    Parameters
    ----------
    send
        Notifies a worker of a row of one of ``tables.WORK_TABLES``.
    is_empty
        Returns whether no message about such rows waits for a worker.

    Returns
    -------
    int
        How many messages were sent.
    """
    outcome.run_or_log("rows of processes that died", _release_abandoned, assembly)
    sent = [
        outcome.run_or_log(f"sweep of {table.__tablename__}", _send, assembly, table, send, is_empty)
        for table in WORK_TABLES
    ]
    return sum(n for n in sent if n is not None)


class SweepTimer:
    """Sweep every now and then, from a loop that has other things to do as well.

    Parameters
    ----------
    assembly, send, is_empty
        As for `sweep`.
    """

    def __init__(self, assembly: "Assembly", send: Send, is_empty: IsEmpty) -> None:
        self._assembly, self._send, self._is_empty, self._next = assembly, send, is_empty, 0.0

    def tick(self) -> None:
        """Sweep if it is time; what fails is tried again the next time."""
        if time.monotonic() < self._next:
            return
        sweep(self._assembly, self._send, self._is_empty)
        # after the work, however long that took
        self._next = time.monotonic() + self._assembly.pace.sweep_s


class Notifier:
    """Notifies workers of rows that are just made, while few messages wait.

    Where many wait, the rows are left to the sweeps, which know what comes first.

    Parameters
    ----------
    assembly, send
        As for `sweep`.
    """

    def __init__(self, assembly: "Assembly", send: Send) -> None:
        self._assembly, self._send = assembly, send
        self._left: dict[WorkTable, int] = {}
        self._until: dict[WorkTable, float] = {}

    def has_room(self, table: WorkTable) -> bool:
        """Return whether a message about a row may be sent at once.

        Asked before the row is committed: a row that is stamped as sent without a message would let a sweep in between
        send others in its place.
        """
        # not at each of the many messages that come together
        if time.monotonic() >= self._until.get(table, 0.0):
            with self._assembly.sessions.begin() as session:
                pace = self._assembly.pace
                self._left[table] = capacity(session, table, pace, pace.queued_s)
            self._until[table] = time.monotonic() + self._assembly.pace.sweep_s
        return self._left[table] > 0

    def notify(self, table: WorkTable, row_id: int) -> None:
        """Send a message about a row that is stamped as sent; where that fails, the next sweep does."""
        self._left[table] = self._left.get(table, 0) - 1
        try:
            self._send(table, row_id)
        except Exception:
            _mark_unsent(self._assembly, table, [row_id])
            raise


def capacity(session: Session, table: WorkTable, pace: "Pace", lost_after_s: float) -> int:
    """Return how many more messages may wait for the workers.

    Parameters
    ----------
    table
        One of ``tables.WORK_TABLES``.
    lost_after_s
        Messages that were sent longer ago than this count as lost [second].

    Returns
    -------
    int
        0 or less where enough wait: what comes first is decided when a message is sent, not when it is received.
    """
    since = clock(session) - timedelta(seconds=pace.stale_s)
    processes = nodes.count_processes(session, ROUTES[table].queue, since)
    return max(_LEAST, _EACH * processes) - notifications.count(session, table, lost_after_s)


def _release_abandoned(assembly: "Assembly") -> None:
    with assembly.sessions.begin() as session:
        for table, row_id, reason in abandoned_rows.release_abandoned(session):
            _log.warning("row released", table=table.__tablename__, row=row_id, reason=reason)


def _send(assembly: "Assembly", table: WorkTable, send: Send, is_empty: IsEmpty) -> int:
    pace = assembly.pace
    # the broker is not queried at every sweep: only where it matters whether a message waits or was lost
    with assembly.readers.begin() as session:
        is_overdue = _is_overdue(session, table, pace.lost_s)
    lost_after_s = pace.lost_s if is_overdue and is_empty(table) else pace.queued_s
    with assembly.sessions.begin() as session:
        notifications.take_turns(session, table)
        most = capacity(session, table, pace, lost_after_s)
        if table is Delivery:
            # a server that takes nothing is tried by one delivery, now and then
            allowed = breakers.allowed_requests(session, assembly.settings.ingest_to)
            most = most if allowed is None else min(most, allowed)
        rows = notifications.select(session, table, lost_after_s, most) if most > 0 else []
    if table is Frame and most > 0 and not rows:
        rows = _low_priority(assembly, is_empty)
    for number, row_id in enumerate(rows):
        try:
            send(table, row_id)
        except Exception as error:
            # whatever a broker does wrong: the rows wait, and the next sweep tries again
            _log.warning("workers not notified", reason=f"{type(error).__name__}: {error}", rows=len(rows) - number)
            _mark_unsent(assembly, table, rows[number:])
            return number
    return len(rows)


def _mark_unsent(assembly: "Assembly", table: WorkTable, rows: Collection[int]) -> None:
    with assembly.sessions.begin() as session:
        notifications.mark_unsent(session, table, rows)


def _low_priority(assembly: "Assembly", is_empty: IsEmpty) -> list[int]:
    """Choose some frames that have a result and can have a better one, if the workers have nothing else to do."""
    with assembly.readers.begin() as session:
        due = (Frame.low_priority, Frame.owner == "", Frame.next_try <= clock(session), Frame.is_latest())
        waiting = session.scalar(select(Frame.id).where(*due).limit(1))
    if waiting is None or not is_empty(Frame):
        return []
    with assembly.sessions.begin() as session:
        return notifications.select(session, Frame, assembly.pace.lost_s, _MOST_LOW_PRIORITY, low_priority=True)


def _is_overdue(session: Session, table: WorkTable, lost_after_s: float) -> bool:
    """Whether a worker was notified of a row long ago and has not taken it."""
    moment = clock(session)
    overdue = (table.owner == "", table.next_try <= moment, table.sent < moment - timedelta(seconds=lost_after_s))
    return session.scalar(select(table.id).where(*overdue).limit(1)) is not None


def forget_messages(session: Session) -> None:
    """Mark all rows as not sent: the broker was started anew without the messages that waited in it."""
    for table in WORK_TABLES:
        notifications.mark_unsent(session, table)
