"""Nodes of workers: who has which name, and whether it still answers."""

from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from nrespipe.database.dialects import clock, insert
from nrespipe.database.tables import Node


def find(session: Session, name: str) -> Node | None:
    """Return who has a name.

    Parameters
    ----------
    name
        Name of a node.

    Returns
    -------
    Node or None
        None where nobody has it.
    """
    return session.scalar(select(Node).where(Node.name == name))


def register(session: Session, name: str, owner: str, seen: Node | None = None, *, processes: int, queues: str) -> bool:
    """Take a name that is free, or that of a node that is dead.

    Parameters
    ----------
    session
        An open session; the name is taken once the caller commits.
    name
        Name of the node.
    seen
        Who had it when that was last looked at, where it is taken for dead.
    processes, queues
        As in `Node`.

    Returns
    -------
    bool
        False where somebody else took it, or the one that had it has said that it lives, meanwhile.
    """
    values = {"owner": owner, "heartbeat": clock(session), "processes": processes, "queues": queues}
    if seen is None:
        made = insert(session, Node).values(name=name, **values).on_conflict_do_nothing().returning(Node.name)
    else:
        same = (Node.name == name, Node.owner == seen.owner, Node.heartbeat == seen.heartbeat)
        made = update(Node).where(*same).values(**values).returning(Node.name)
        made = made.execution_options(synchronize_session=False)
    return session.scalar(made) is not None


def record_heartbeat(session: Session, name: str, owner: str) -> bool:
    """Say that a node lives.

    Parameters
    ----------
    name, owner
        Name of the node, and who took it.

    Returns
    -------
    bool
        False where the name is another's by now.
    """
    mine = update(Node).where(Node.name == name, Node.owner == owner).values(heartbeat=clock(session))
    return session.scalar(mine.returning(Node.name).execution_options(synchronize_session=False)) is not None


def unregister(session: Session, name: str, owner: str) -> bool:
    """Give a name back.

    Parameters
    ----------
    name, owner
        Name of the node, and who took it.

    Returns
    -------
    bool
        False where it is another's by now; then nothing has changed.
    """
    mine = delete(Node).where(Node.name == name, Node.owner == owner).returning(Node.name)
    return session.scalar(mine.execution_options(synchronize_session=False)) is not None


def delete_silent(session: Session, before: datetime) -> list[str]:
    """Forget nodes that have not said for long that they live: their containers are gone for good.

    Parameters
    ----------
    before
        Those that have said so later are kept.

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
        Nodes that have not said since then that they live do not count.
    """
    alive = session.scalars(select(Node).where(Node.heartbeat >= since))
    return sum(node.processes for node in alive if queue in node.queues.split(","))
