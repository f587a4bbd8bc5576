"""Release the rows of processes that died, were stopped, or have run out of time."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.orm import Session

from nrespipe.database.tables.base import Work
from nrespipe.database.work import releases
from nrespipe.service.work import owners
from nrespipe.service.work.leases import persist

if TYPE_CHECKING:
    from nrespipe.service.assembly import Assembly

#: Table and key of rows.
Rows = list[tuple[type[Work], int]]

_log = structlog.get_logger(__name__)

#: Why rows are released, in the words that a person reads later.
_OUT_OF_TIME = "its process took longer than it may, or its machine went away"
_DEAD = "its process died"


def release_abandoned(session: Session) -> list[tuple[type[Work], int, str]]:
    """Release the rows of processes that died or have run out of time.

    Returns
    -------
    list of tuple (type of Work, int, str)
        Table and key of each row that is free again, and the reason.
    """
    released = [(table, row_id, _OUT_OF_TIME) for table, row_id in releases.release(session, _OUT_OF_TIME)]
    dead = [name for name in releases.owners(session) if owners.is_dead(name)]
    more = releases.release(session, _DEAD, dead) if dead else []
    return released + [(table, row_id, _DEAD) for table, row_id in more]


def release(assembly: "Assembly", is_gone: Callable[[str], bool], reason: str, is_death: bool = True) -> None:
    """Release the rows of owners that are gone; the next sweep notifies workers of them.

    Parameters
    ----------
    is_gone
        Returns whether the rows of an owner are released.
    reason
        Why, in plain words.
    is_death
        As for ``releases.release``.

    Raises
    ------
    sqlalchemy.exc.DBAPIError
        If the database stays away.
    """
    end = time.monotonic() + assembly.pace.patience_s
    rows = persist(assembly.sessions, lambda session: release_owners(session, is_gone, reason, is_death), end)
    log_released(rows, reason)


def release_owners(session: Session, is_gone: Callable[[str], bool], reason: str, is_death: bool = True) -> Rows:
    """Release the rows of owners that are gone; as `release`, in a transaction of the caller.

    Returns
    -------
    list of tuple
        Table and key of each row that was released.
    """
    names = [one for one in releases.owners(session) if is_gone(one)]
    return releases.release(session, reason, names, is_death) if names else []


def log_released(rows: Rows, reason: str) -> None:
    """Log each row that was released."""
    for table, row_id in rows:
        _log.warning("row released", table=table.__tablename__, row=row_id, reason=reason)
