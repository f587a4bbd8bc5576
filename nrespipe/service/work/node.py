"""The name of a node of workers: one live process has it, and what a dead one of that name had in hand is free."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy.exc import DBAPIError

from nrespipe.database import claims, nodes
from nrespipe.errors import Unavailable
from nrespipe.service.work import owner
from nrespipe.service.work.leases import persist

if TYPE_CHECKING:
    from nrespipe.service.assembly import Assembly

_log = structlog.get_logger(__name__)

#: Why rows are taken from a former node of a name, in the words that a person reads later.
RESTARTED = "its worker was started anew"
STOPPED = "its worker was stopped"
#: How often a node tries to say that it lives while the database is away [second], at most.
_TURN_S = 2.0


@contextmanager
def register(assembly: "Assembly", name: str, processes: int, queues: str) -> Iterator[Event]:
    """Have the name of a node in the block, and say all the while that it lives.

    Parameters
    ----------
    name
        Name of the node, with that of its host.
    processes
        How many frames it works on at a time.
    queues
        What it serves, with commas between them.

    Yields
    ------
    threading.Event
        Set when the name was lost: this process was frozen for so long that it was taken for dead, and another has the
        name. It is told to end (TERM) then.

    Raises
    ------
    Unavailable
        If a live process has the name; then nothing was taken.

    Notes
    -----
    A former process that provably is dead (`owner.is_dead`) loses the name at once. Of one in another container, or on
    another machine, that cannot be told: it is dead if it is not seen to say that it lives for ``pace.stale_s``. That
    is watched here and not reckoned from the moment when it did so last, as the database may have been away since.
    """
    mine, stopped, lost = owner.this_process(name), threading.Event(), threading.Event()
    _take(assembly, name, mine, processes, queues)
    facts = {"processes": processes, "queues": queues}
    thread = threading.Thread(target=_beat, args=(assembly, name, mine, facts, stopped, lost), daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        stopped.set()
        # not while it writes: it would take a name that was given back for one that was lost
        thread.join(assembly.pace.patience_s)
        try:
            _told(persist(assembly.sessions, lambda session: _leave(session, name, mine), time.monotonic()), STOPPED)
        except DBAPIError as error:
            _log.warning("the name of this node could not be given back", node=name, reason=str(error.orig).strip())


def release(assembly: "Assembly", lost: Callable[..., Any], reason: str, is_death: bool = True) -> None:
    """Take rows away from those that are gone, and let the next sweep tell of them.

    Parameters
    ----------
    lost
        ``lost(owner)`` tells whether the rows of an owner are taken.
    reason
        Why, in plain words.
    is_death
        As for ``claims.release``.

    Raises
    ------
    sqlalchemy.exc.DBAPIError
        If the database stays away.
    """
    end = time.monotonic() + assembly.pace.patience_s
    _told(persist(assembly.sessions, lambda session: _release(session, lost, reason, is_death), end), reason)


def _take(assembly, name, mine, processes, queues):
    """Take the name when it is free; refuse to if who has it lives."""
    pace, seen, since = assembly.pace, None, time.monotonic()

    def attempt(session):
        held = nodes.find(session, name)
        is_stale = held is not None and _same(held, seen) and time.monotonic() - since > pace.stale_s
        if held is not None and not is_stale and not owner.is_dead(held.owner):
            return False, held, []
        if not nodes.register(session, name, mine, held, processes=processes, queues=queues):
            # another was faster, who may be gone again by now
            return False, nodes.find(session, name), []
        # with the name, or nobody would know any more whose they are
        rows = _release(session, lambda one: owner.is_of_node(one, held.owner), RESTARTED) if held is not None else []
        return True, held, rows

    while True:
        is_mine, held, rows = persist(assembly.sessions, attempt, time.monotonic() + pace.patience_s)
        if is_mine:
            return _told(rows, RESTARTED)
        if held is None:
            continue
        if seen is None:
            seen, since = held, time.monotonic()
            _log.warning(
                "another process has the name of this node: waiting whether it lives",
                node=name, owner=held.owner, heartbeat=held.heartbeat.isoformat(), longest_s=pace.stale_s,
            )  # fmt: skip
        elif not _same(held, seen):
            raise Unavailable(
                f"a node {name} runs already, as {held.owner}, and said at {held.heartbeat:%Y-%m-%d %H:%M:%S} UTC that "
                "it lives; expected a name that no other node has. Nothing was taken; start this one with another "
                "--name, or on a host of another name, or stop the other one first"
            )
        time.sleep(min(pace.beat_s, _TURN_S) / 2)


def _same(held, seen):
    return seen is not None and (held.owner, held.heartbeat) == (seen.owner, seen.heartbeat)


def _beat(assembly, name, mine, facts, stopped, lost):
    pause_s = assembly.pace.beat_s
    while not stopped.wait(pause_s):
        try:
            with assembly.sessions.begin() as session:
                # one that was taken for gone, as the database was away for days, has its name still if nobody else has
                keeps = nodes.record_heartbeat(session, name, mine) or nodes.register(session, name, mine, **facts)
        except Exception as error:
            # the node goes on, and is quick to say so when the database is back
            pause_s = min(assembly.pace.beat_s, _TURN_S)
            _log.warning("cannot say that this node lives", node=name, reason=f"{type(error).__name__}: {error}")
            continue
        pause_s = assembly.pace.beat_s
        if not keeps:
            lost.set()
            _log.error("another process has the name of this node by now: it ends", node=name)
            os.kill(os.getpid(), signal.SIGTERM)
            return


def _leave(session, name, mine):
    # rows that are left are those of processes that were told to end without their frames
    if not nodes.unregister(session, name, mine):
        return []
    return _release(session, lambda one: owner.is_of_node(one, mine), STOPPED)


def _release(session, lost, reason, is_death=True):
    names = [one for one in claims.owners(session) if lost(one)]
    return claims.release(session, reason, names, is_death) if names else []


def _told(rows, reason):
    for table, row_id in rows:
        _log.warning("taken from a process that died", table=table.__tablename__, row=row_id, reason=reason)
