"""Release the rows of processes that died, and give up a row at which they die again and again."""

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from nrespipe import __version__
from nrespipe.database.dialects import clock
from nrespipe.database.states import State
from nrespipe.database.tables import WORK_TABLES, Attempt, Delivery, Frame, NightSummary, Work
from nrespipe.database.work import claims
from nrespipe.database.work.attempts import SHORTEST_PAUSE_S, record_attempt

#: After so many deaths of its process a row is given up: the row is taken for the cause.
MOST_DEATHS = 3


def owners(session: Session) -> set[str]:
    """Return the processes that own rows."""
    return {
        name
        for table in WORK_TABLES
        for name in session.scalars(select(table.owner).where(table.owner != "").distinct())
    }


def release(
    session: Session, reason: str, owners: Collection[str] = (), is_death: bool = True
) -> list[tuple[type[Work], int]]:
    """Release the rows of processes that died, or that could not end their work.

    Parameters
    ----------
    reason
        How the processes ended, in plain words.
    owners
        Whose rows; those whose lease has run out if empty.
    is_death
        Whether this counts as a death of the process: after `MOST_DEATHS` the row is given up.

    Returns
    -------
    list of tuple
        Table and key of each row that was released. A row whose lease has run out but that is locked at this moment is
        left to the next call.
    """
    released: list[tuple[type[Work], int]] = []
    for table in WORK_TABLES:
        lost = select(table.id, table.owner)
        if owners:
            # asked for once: this waits for a server that still ends the statements of the dead process
            lost = lost.where(table.owner.in_(owners))
        else:
            lost = lost.where(table.owner != "", table.lease < clock(session)).with_for_update(skip_locked=True)
        for row_id, owner in session.execute(lost).all():
            if not claims.confirm_owner(session, table, row_id, owner):
                continue
            if is_death:
                record_death(session, session.get_one(table, row_id, populate_existing=True), reason)
            else:
                claims.give_back(session, table, row_id, owner)
            released.append((table, row_id))
    return released


def record_death(session: Session, work: Work, reason: str) -> None:
    """Record that the process that worked on a row died; another may claim it, up to `MOST_DEATHS` times.

    Parameters
    ----------
    work
        The row.
    reason
        How the process died, in plain words.
    """
    moment = clock(session)
    work.deaths += 1
    given_up = work.deaths >= MOST_DEATHS
    if given_up:
        reason = f"given up: the process died at it {work.deaths} times; the last time: {reason}"
    if isinstance(work, Frame):
        outcome = State.FAILED if given_up else State.RETRY
        # the time of the claim is not known any more; the lease was counted from it
        attempt = Attempt(
            frame_id=work.id,
            started=moment,
            finished=moment,
            outcome=outcome,
            reason=reason,
            traceback="",
            code_version=__version__,
            measurements={},
        )
        # or after too many attempts of any kind
        given_up |= record_attempt(session, attempt).state is State.FAILED
    else:
        work.tries += 1
        work.owner, work.lease = "", None
        if isinstance(work, Delivery | NightSummary):
            work.reason = reason
    work.next_try = None if given_up else moment + timedelta(seconds=SHORTEST_PAUSE_S * (work.deaths - 1))
