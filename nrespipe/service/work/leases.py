"""A row in the hands of one process, from the moment it is taken until its outcome is written down."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from nrespipe.database import claims
from nrespipe.database.administration import failures
from nrespipe.database.tables.base import Work
from nrespipe.errors import Unavailable
from nrespipe.service import limits
from nrespipe.service.assembly import Assembly

if TYPE_CHECKING:
    from nrespipe.service.outcome import Outcome

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Lease:
    """A row that this process has taken.

    Attributes
    ----------
    assembly
        What to work with.
    row
        The row as it was when it was taken.
    owner
        Who has it.
    end
        Moment of the monotonic clock at which its lease ends.
    """

    assembly: Assembly
    row: Work
    owner: str
    end: float

    def write(self, work: Callable[..., Any]) -> object:
        """Do something in a transaction if the row is still ours; while the database is away, again and again.

        Parameters
        ----------
        work
            ``work(session, row)``, with the row as it is now.

        Returns
        -------
        object
            What the work returns; None where the row was taken away.

        Raises
        ------
        sqlalchemy.exc.SQLAlchemyError
            As `persist` does.
        """
        table, row_id = type(self.row), self.row.id

        def if_ours(session):
            if not claims.confirm_owner(session, table, row_id, self.owner):
                return None
            return work(session, session.get_one(table, row_id, populate_existing=True))

        return persist(self.assembly.sessions, if_ours, self.end)

    def is_ours(self) -> bool:
        """Tell whether the row is still ours, for those that are about to replace files.

        Raises
        ------
        Unavailable
            If the database stays away.
        """
        table, row_id = type(self.row), self.row.id
        try:
            asked = self.assembly.sessions
            return persist(asked, lambda session: claims.is_owner(session, table, row_id, self.owner), self.end)
        except SQLAlchemyError as error:
            # not the fault of the frame
            raise Unavailable(f"the database is away: {failures.message(error)}") from error

    def ended(self, result: "Outcome", kept: object) -> "Outcome | None":
        """Return what came of the work.

        Parameters
        ----------
        kept
            What `write` returned when it was written down.

        Returns
        -------
        Outcome or None
            Without its value; None where the row was taken away.
        """
        if result.traceback:
            # not every table has a place for it
            _log.error("failed", table=self.row.__tablename__, row=self.row.id, exception=result.traceback)
        if not kept:
            _log.warning("taken away: another does it", table=self.row.__tablename__, row=self.row.id)
            return None
        return replace(result, value=None)


def acquire(assembly: Assembly, table: type, row_id: int, owner: str, seen: int | None = None) -> Lease | None:
    """Take a row.

    Parameters
    ----------
    table
        One of ``claims.KINDS_OF_WORK``.
    seen
        How often it had been tried when somebody decided that it is to be done; it need not be due then. Without it the
        row must be due now.

    Returns
    -------
    Lease or None
        None where it is not to be done, or another has it.

    Raises
    ------
    sqlalchemy.exc.SQLAlchemyError
        If the database is away for longer than ``pace.patience_s``.
    """
    # a task is a message too, and anybody may write to a broker
    if type(row_id) is not int or not 0 < row_id < 1 << 63:
        _log.error("a task names no row", table=table.__tablename__, row=repr(row_id)[:100])
        return None
    lease_s, begun = limits.of(assembly.settings, assembly.pace).lease_s, time.monotonic()

    def claimed(session):
        taken = claims.claim(session, table, row_id, owner, lease_s, seen)
        return session.get_one(table, row_id, populate_existing=True) if taken else None

    row = persist(assembly.sessions, claimed, begun + assembly.pace.patience_s)
    return None if row is None else Lease(assembly, row, owner, begun + lease_s)


def persist(sessions: sessionmaker[Session], work: Callable[..., Any], end: float) -> object:
    """Do something in a transaction; while the database is away, again and again.

    Parameters
    ----------
    work
        Takes a session; done from the beginning each time.
    end
        Moment of the monotonic clock after which no more than one try is begun.

    Returns
    -------
    object
        What the work returns.

    Raises
    ------
    sqlalchemy.exc.SQLAlchemyError
        If the database does not come back in time, or what was asked of it is wrong.
    """
    pause_s = 1.0
    while True:
        # not when it failed: a process that was frozen meanwhile looks once more what has become of its work
        last = time.monotonic() > end
        try:
            with sessions.begin() as session:
                return work(session)
        except SQLAlchemyError as error:
            if last or not failures.is_temporary(error):
                raise
            _log.warning("database away", reason=failures.message(error), pause_s=pause_s)
            # many workers that come back at once would push it over again
            time.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(2 * pause_s, 30.0)
