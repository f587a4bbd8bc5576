"""Rows in the hands of this process: taken one by one as there is room for them, given back if nothing came of it."""

from contextlib import contextmanager
from itertools import count

from nrespipe.database import claims
from nrespipe.service import owner

#: Why rows are taken away, in the words that a person reads later.
OUT_OF_TIME = "its process took longer than it may, or its machine went away"
DEAD = "its process died"


_numbers = count(1)


class Hold:
    """What one process has taken and not yet finished.

    Parameters
    ----------
    sessions : sessionmaker
        Of the database.
    name : str
        As for `owner.here`.

    Attributes
    ----------
    owner : str
        Who has it.
    """

    def __init__(self, sessions, name):
        self._sessions, self._rows = sessions, set()
        self.owner = f"{owner.here(name)}/{next(_numbers)}"

    def take(self, table, row_id, seen):
        """Take a row that nobody has tried since it was seen.

        Parameters
        ----------
        table : type
            `Frame` or `Stacking`.
        row_id, seen : int
            The row, and how often it had been tried.

        Returns
        -------
        bool
            Whether it was free.
        """
        # noted first: an interrupt may come between the two
        self._rows.add((table, row_id))
        with self._sessions.begin() as session:
            taken = claims.claim(session, table, row_id, self.owner, seen=seen)
        if not taken:
            self._rows.discard((table, row_id))
        return taken

    def keeps(self, session, table, row_id):
        """Tell, at the end of the work, whether the row was not taken away meanwhile.

        Parameters
        ----------
        session : sqlalchemy.orm.Session
            An open session; the caller records the result in it and commits.
        table : type
            `Frame` or `Stacking`.
        row_id : int
            The row; it leaves these hands.

        Returns
        -------
        bool
        """
        self._rows.discard((table, row_id))
        return claims.holds(session, table, row_id, self.owner)

    def give_back(self):
        """Let go of all that was taken and not finished."""
        while self._rows:
            table, row_id = self._rows.pop()
            with self._sessions.begin() as session:
                claims.give_back(session, table, row_id, self.owner)


@contextmanager
def holding(sessions, name):
    """Take rows in the block; what is not finished at its end is given back.

    Parameters
    ----------
    sessions : sessionmaker
        Of the database.
    name : str
        As for `owner.here`.

    Yields
    ------
    Hold
    """
    hold = Hold(sessions, name)
    try:
        yield hold
    finally:
        hold.give_back()


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
