"""Circuit breakers of servers: after failures a server gets no requests for a while, then one to try."""

from datetime import timedelta
from typing import Literal

from sqlalchemy import update
from sqlalchemy.orm import Session

from nrespipe.database.dialects import clock, insert
from nrespipe.database.tables import Breaker

#: Pauses after the first and after many failures [second].
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 30.0, 900.0
#: Longest pause that a server can ask for [second].
_LONGEST_WISH_S = 3600.0


def allowed_requests(session: Session, server: str) -> int | None:
    """Return how many processes may send requests to a server now.

    Returns
    -------
    int or None
        None for any number; 0 during a pause, 1 when it is time to try whether the server works again.
    """
    breaker = session.get(Breaker, server, populate_existing=True)
    if breaker is None or breaker.next_try is None:
        return None
    return int(breaker.next_try <= clock(session))


def request_permission(session: Session, server: str, lease_s: float) -> Literal["yes", "probe", "no"]:
    """Ask for permission to send a request to a server; after a pause one process at a time gets it.

    Parameters
    ----------
    lease_s
        Time after which another process may try, if the result of this request was not recorded [second].

    Returns
    -------
    {'yes', 'probe', 'no'}
        Yes where the server works as far as is known; a probe finds out whether it works again.
    """
    open_to = allowed_requests(session, server)
    if open_to is None:
        return "yes"
    moment = clock(session)
    due = update(Breaker).where(Breaker.server == server, Breaker.next_try <= moment)
    mine = due.values(next_try=moment + timedelta(seconds=lease_s)).returning(Breaker.server)
    return "probe" if session.scalar(mine.execution_options(synchronize_session=False)) is not None else "no"


def record_failure(
    session: Session, server: str, reason: str, admitted: Literal["yes", "probe"], wish_s: float = 0.0
) -> None:
    """Record that a server failed; it gets no requests for a while, longer each time.

    Parameters
    ----------
    admitted
        Answer of `request_permission`. Of many requests that failed at once the first counts.
    wish_s
        Pause that the server has asked for [second].
    """
    session.execute(insert(session, Breaker).values(server=server).on_conflict_do_nothing())
    breaker = session.get_one(Breaker, server, with_for_update=True, populate_existing=True)
    if admitted != "probe" and breaker.next_try is not None:
        return
    moment = clock(session)
    breaker.failures += 1
    pause_s = min(SHORTEST_PAUSE_S * 2.0 ** min(breaker.failures - 1, 30), LONGEST_PAUSE_S)
    breaker.next_try = moment + timedelta(seconds=max(pause_s, min(wish_s, _LONGEST_WISH_S)))
    breaker.since, breaker.reason = breaker.since or moment, reason


def record_success(session: Session, server: str) -> None:
    """Record that a server works: all processes may send requests."""
    left_alone = update(Breaker).where(Breaker.server == server, Breaker.next_try.is_not(None))
    values = {"failures": 0, "since": None, "next_try": None, "reason": ""}
    session.execute(left_alone.values(**values).execution_options(synchronize_session=False))


def cancel_probe(session: Session, server: str) -> None:
    """Record that a probe has sent no request: another process may at once."""
    left_alone = update(Breaker).where(Breaker.server == server, Breaker.next_try.is_not(None))
    session.execute(left_alone.values(next_try=clock(session)).execution_options(synchronize_session=False))
