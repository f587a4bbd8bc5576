"""The name of a node of workers: one live process has it, and rows of a dead one of that name are released."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from nrespipe.database import nodes
from nrespipe.database.tables import Node
from nrespipe.errors import Unavailable
from nrespipe.service.work import owners
from nrespipe.service.work.abandoned_rows import Rows, log_released, release_owners
from nrespipe.service.work.leases import persist

if TYPE_CHECKING:
    from nrespipe.service.assembly import Assembly

_log = structlog.get_logger(__name__)

#: Why rows of a former node of a name are released, in the words that a person reads later.
RESTARTED = "its worker was started anew"
STOPPED = "its worker was stopped"
#: A node retries its heartbeat at least this often while the database is away [second].
_TURN_S = 2.0


@contextmanager
def register(assembly: "Assembly", name: str, processes: int, queues: str) -> Iterator[Event]:
    """Register the name of a node for as long as the block lasts, and send its heartbeat meanwhile.

    Parameters
    ----------
    name
        Name of the node, with that of its host.
    processes
        How many frames it works on at a time.
    queues
        Queues that it serves, with commas between them.

    Yields
    ------
    threading.Event
        Set when the name was lost: this process was frozen for so long that it was taken for dead, and another has the
        name. It is asked to end (TERM) then.

    Raises
    ------
    Unavailable
        If a live process has the name; then nothing was taken.

    Notes
    -----
    A former process that provably is dead (`owners.is_dead`) loses the name at once. Of one in another
    container, or on another machine, that cannot be known: it counts as dead if no heartbeat comes for
    ``pace.stale_s``. That time is measured here and not from its last heartbeat, as the database may have been away
    since.
    """
    mine, stopped, lost = owners.this_process(name), threading.Event(), threading.Event()
    _acquire(assembly, name, mine, processes, queues)
    arguments = (assembly, name, mine, processes, queues, stopped, lost)
    thread = threading.Thread(target=_beat, args=arguments, daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        stopped.set()
        # not while it writes: it would take a name that was given back for one that was lost
        thread.join(assembly.pace.patience_s)
        try:
            log_released(
                persist(assembly.sessions, lambda session: _leave(session, name, mine), time.monotonic()), STOPPED
            )
        except DBAPIError as error:
            _log.warning("name of this node not given back", node=name, reason=str(error.orig).strip())


def _acquire(assembly: "Assembly", name: str, mine: str, processes: int, queues: str) -> None:
    """Acquire the name when it is free; refuse to if its holder lives."""
    pace, since = assembly.pace, time.monotonic()
    seen: Node | None = None

    def attempt(session: Session) -> tuple[bool, Node | None, Rows]:
        holder = nodes.find(session, name)
        is_stale = holder is not None and _same(holder, seen) and time.monotonic() - since > pace.stale_s
        if holder is not None and not is_stale and not owners.is_dead(holder.owner):
            return False, holder, []
        if not nodes.register(session, name, mine, holder, processes=processes, queues=queues):
            # another was faster, who may be gone again by now
            return False, nodes.find(session, name), []
        # together with the name, or the owner of the rows could not be found any more
        if holder is None:
            return True, None, []
        former = holder.owner
        return True, holder, release_owners(session, lambda one: owners.is_of_node(one, former), RESTARTED)

    while True:
        is_mine, holder, rows = persist(assembly.sessions, attempt, time.monotonic() + pace.patience_s)
        if is_mine:
            return log_released(rows, RESTARTED)
        if holder is None:
            continue
        if seen is None:
            seen, since = holder, time.monotonic()
            _log.warning(
                "another process has the name of this node: waiting for its heartbeat",
                node=name, owner=holder.owner, heartbeat=holder.heartbeat.isoformat(), longest_s=pace.stale_s,
            )  # fmt: skip
        elif not _same(holder, seen):
            raise Unavailable(
                f"a node {name} runs already, as {holder.owner}, with a heartbeat at "
                f"{holder.heartbeat:%Y-%m-%d %H:%M:%S} UTC; expected a name that no other node has. Nothing was taken; "
                "start this one with another --name, or on a host of another name, or stop the other one first"
            )
        time.sleep(min(pace.beat_s, _TURN_S) / 2)


def _same(holder: Node, seen: Node | None) -> bool:
    return seen is not None and (holder.owner, holder.heartbeat) == (seen.owner, seen.heartbeat)


def _beat(assembly: "Assembly", name: str, mine: str, processes: int, queues: str, stopped: Event, lost: Event) -> None:
    pause_s = assembly.pace.beat_s
    while not stopped.wait(pause_s):
        try:
            with assembly.sessions.begin() as session:
                # a node that was forgotten, as the database was away for days, keeps its name if no other has it
                keeps = nodes.record_heartbeat(session, name, mine) or nodes.register(
                    session, name, mine, processes=processes, queues=queues
                )
        except Exception as error:
            # the node goes on, and sends its heartbeat soon after the database is back
            pause_s = min(assembly.pace.beat_s, _TURN_S)
            _log.warning("heartbeat of this node not sent", node=name, reason=f"{type(error).__name__}: {error}")
            continue
        pause_s = assembly.pace.beat_s
        if not keeps:
            lost.set()
            _log.error("another process has the name of this node by now: it ends", node=name)
            os.kill(os.getpid(), signal.SIGTERM)
            return


def _leave(session: Session, name: str, mine: str) -> Rows:
    # rows that are left are those of processes that were asked to end without their frames
    if not nodes.unregister(session, name, mine):
        return []
    return release_owners(session, lambda one: owners.is_of_node(one, mine), STOPPED)
