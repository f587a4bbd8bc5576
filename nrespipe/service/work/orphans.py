"""Rows of processes that died are taken away from them."""

from nrespipe.database import claims
from nrespipe.service.work import owner

#: Why rows are taken away, in the words that a person reads later.
OUT_OF_TIME = "its process took longer than it may, or its machine went away"
DEAD = "its process died"


def bury(session):
    """Take rows away from processes that died or have run out of time.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session; the caller commits.

    Returns
    -------
    list of tuple (type, int)
        Table and key of each row that is free again.
    """
    released = claims.release(session, OUT_OF_TIME)
    dead = [name for name in claims.owners(session) if owner.is_dead(name)]
    return released + (claims.release(session, DEAD, dead) if dead else [])
