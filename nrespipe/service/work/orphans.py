"""Rows of processes that died are taken away from them."""

from typing import TYPE_CHECKING

from nrespipe.database import claims
from nrespipe.service.work import owner

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

#: Why rows are taken away, in the words that a person reads later.
OUT_OF_TIME = "its process took longer than it may, or its machine went away"
DEAD = "its process died"


def bury(session: "Session") -> list[tuple[type, int]]:
    """Take rows away from processes that died or have run out of time.

    Returns
    -------
    list of tuple (type, int)
        Table and key of each row that is free again.
    """
    released = claims.release(session, OUT_OF_TIME)
    dead = [name for name in claims.owners(session) if owner.is_dead(name)]
    return released + (claims.release(session, DEAD, dead) if dead else [])
