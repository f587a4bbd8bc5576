"""Nodes of workers: register a node by its name, and record that it still runs."""

from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from nrespipe.database.dialects import clock, insert
from nrespipe.database.tables import Node


def find(session: Session, name: str) -> Node | None:
    """Return the node of a name; None where the name is free."""
    return session.scalar(select(Node).where(Node.name == name))


def register(session: Session, name: str, owner: str, seen: Node | None = None, *, processes: int, queues: str) -> bool:
    """Register a node under a name that is free, or that of a dead node.

    Parameters
    ----------
    session
        An open session; the node is registered once the caller commits.
    name
        Name of the node.
    seen
        Row of the dead node that has the name, as it was last read.
    processes, queues
        As in `Node`.

    Returns
    -------
    bool
        False where another process took the name meanwhile, or the other node has reported that it runs.
    """
    values = {"owner": owner, "heartbeat": clock(session), "processes": processes, "queues": queues}
    if seen is None:
        new = insert(session, Node).values(name=name, **values).on_conflict_do_nothing()
        return session.scalar(new.returning(Node.name)) is not None
    same = (Node.name == name, Node.owner == seen.owner, Node.heartbeat == seen.heartbeat)
    taken = update(Node).where(*same).values(**values).returning(Node.name)
    return session.scalar(taken.execution_options(synchronize_session=False)) is not None


def record_heartbeat(session: Session, name: str, owner: str) -> bool:
    """Record that a node runs; return False where its name belongs to another process by now."""
    mine = update(Node).where(Node.name == name, Node.owner == owner).values(heartbeat=clock(session))
    return session.scalar(mine.returning(Node.name).execution_options(synchronize_session=False)) is not None


def unregister(session: Session, name: str, owner: str) -> bool:
    """Delete the row of a node that ends; return False, and change nothing, where the name is another's by now."""
    mine = delete(Node).where(Node.name == name, Node.owner == owner).returning(Node.name)
    return session.scalar(mine.execution_options(synchronize_session=False)) is not None


def delete_silent(session: Session, before: datetime) -> list[str]:
    """Delete nodes that have not reported for long: their containers are gone for good.

    Parameters
    ----------
    before
        Nodes that have reported later are kept.

    Returns
    -------
    list of str
        Their names.
    """
    gone = delete(Node).where(Node.heartbeat < before).returning(Node.name)
    return sorted(session.scalars(gone.execution_options(synchronize_session=False)))


def count_processes(session: Session, queue: str, since: datetime) -> int:
    """Return how many processes serve a queue.

    Parameters
    ----------
    queue
        Name of the queue.
    since
        Nodes that have not reported since then do not count.
    """
    alive = session.scalars(select(Node).where(Node.heartbeat >= since))
    return sum(node.processes for node in alive if queue in node.queues.split(","))
