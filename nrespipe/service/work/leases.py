"""Leases of rows: claim a row, and record the outcome while it is still ours."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from nrespipe.database.administration import failures
from nrespipe.database.tables.base import Work
from nrespipe.database.work import claims
from nrespipe.errors import Unavailable
from nrespipe.service.assembly import Assembly

if TYPE_CHECKING:
    from nrespipe.service.outcome import Outcome

R = TypeVar("R", bound=Work)
T = TypeVar("T")

_log = structlog.get_logger(__name__)


class LeaseLost(Exception):
    """The row was taken away from this process, which took too long: another does the work."""


@dataclass(frozen=True)
class Lease(Generic[R]):
    """A row that this process has claimed.

    Attributes
    ----------
    assembly
        What to work with.
    row
        The row as it was when it was claimed.
    owner
        Name of this process.
    end
        Moment of the monotonic clock at which the lease ends.
    is_insisted_on
        Whether somebody decided that it is to be done, due or not.
    """

    assembly: Assembly
    row: R
    owner: str
    end: float
    is_insisted_on: bool = False

    def ask(self, work: Callable[[Session], T]) -> T:
        """Do something in a transaction, also where the row is not ours any more; retry until the lease ends."""
        return persist(self.assembly.sessions, work, self.end)

    def write(self, work: Callable[[Session, R], T]) -> T:
        """Do something in a transaction if the row is still ours; retry while the database is away.

        Parameters
        ----------
        work
            ``work(session, row)``, with the row as it is now.

        Returns
        -------
        object
            Return value of the work.

        Raises
        ------
        LeaseLost
            If the row was taken away; then nothing was done.
        sqlalchemy.exc.SQLAlchemyError
            As `persist` does.
        """
        table, row_id = type(self.row), self.row.id

        def if_ours(session: Session) -> T:
            if not claims.confirm_owner(session, table, row_id, self.owner):
                raise LeaseLost
            return work(session, session.get_one(table, row_id, populate_existing=True))

        return self.ask(if_ours)

    def is_ours(self) -> bool:
        """Return whether the row is still ours; called just before files are replaced.

        Raises
        ------
        Unavailable
            If the database stays away.
        """
        table, row_id = type(self.row), self.row.id
        try:
            return self.ask(lambda session: claims.is_owner(session, table, row_id, self.owner))
        except SQLAlchemyError as error:
            # not the fault of the frame
            raise Unavailable(f"the database is away: {failures.message(error)}") from error

    def finish(self, ended: "Outcome[T]", record: Callable[[Session, R], object]) -> "Outcome[T]":
        """Record the outcome of the work, and return it.

        Parameters
        ----------
        record
            ``record(session, row)`` records it, and gives up the ownership of the row.

        Raises
        ------
        LeaseLost
            If the row was taken away.
        """
        self.log_defect(ended)
        self.write(record)
        return ended

    def log_defect(self, ended: "Outcome[object]") -> None:
        """Log where the program failed, if it did: not every table has a place for it."""
        if ended.traceback:
            _log.error("failed", table=self.row.__tablename__, row=self.row.id, exception=ended.traceback)


def claim(
    assembly: Assembly, table: type[R], row_id: int, owner: str, tries_seen: int | None = None
) -> Lease[R] | None:
    """Claim a row: this process works on it until it is recorded, or the lease ends.

    Parameters
    ----------
    table
        One of ``tables.WORK_TABLES``.
    tries_seen
        How often it had been tried when somebody decided that it is to be done; it need not be due then. Without it the
        row must be due now.

    Returns
    -------
    Lease or None
        None where it is not to be done, or another process has it.

    Raises
    ------
    sqlalchemy.exc.SQLAlchemyError
        If the database is away for longer than ``pace.patience_s``.
    """
    # a task is a message too, and anybody may write to a broker
    if type(row_id) is not int or not 0 < row_id < 1 << 63:
        _log.error("a task names no row", table=table.__tablename__, row=repr(row_id)[:100])
        return None
    lease_s, begun = assembly.limits.lease_s, time.monotonic()

    def claimed(session: Session) -> R | None:
        is_claimed = claims.claim(session, table, row_id, owner, lease_s, tries_seen)
        return session.get_one(table, row_id, populate_existing=True) if is_claimed else None

    row = persist(assembly.sessions, claimed, begun + assembly.pace.patience_s)
    return None if row is None else Lease(assembly, row, owner, begun + lease_s, tries_seen is not None)


def persist(sessions: sessionmaker[Session], work: Callable[[Session], T], end: float) -> T:
    """Do something in a transaction; retry while the database is away.

    Parameters
    ----------
    work
        Takes a session; done from the beginning each time.
    end
        Moment of the monotonic clock after which no more than one try is begun.

    Returns
    -------
    object
        Return value of the work.

    Raises
    ------
    sqlalchemy.exc.SQLAlchemyError
        If the database does not come back in time, or the query itself is wrong.
    """
    pause_s = 1.0
    while True:
        # taken before the try: a process that was frozen in it checks once more whether its work was recorded
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
