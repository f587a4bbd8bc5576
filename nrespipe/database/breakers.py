"""What goes to others, beside the deliveries: the summaries of nights; and which server is left alone."""

from datetime import timedelta
from typing import Literal

from sqlalchemy import update
from sqlalchemy.orm import Session

from nrespipe.database.dialects import clock, insert
from nrespipe.database.tables import Breaker

#: Pauses of the circuit breaker before the first and before many of the next questions [second].
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 30.0, 900.0
#: Whatever a server asks for, it is asked again after this time [second].
_LONGEST_WISH_S = 3600.0


def allowed_requests(session: Session, server: str) -> int | None:
    """Return how many processes may ask a server now.

    Returns
    -------
    int or None
        None for any number; 0 while it is left alone, 1 when it is time to ask whether it is back.
    """
    breaker = session.get(Breaker, server, populate_existing=True)
    if breaker is None or breaker.next_try is None:
        return None
    return int(breaker.next_try <= clock(session))


def request_permission(session: Session, server: str, lease_s: float) -> Literal["yes", "probe", "no"]:
    """Ask whether this process may ask a server; of several that ask at once one is told yes, where it is left alone.

    Parameters
    ----------
    lease_s
        After this time another process may ask, where nobody has told what became of this one [second].

    Returns
    -------
    {'yes', 'probe', 'no'}
        Yes where it serves everybody, as far as is known; a probe finds out whether it does again.
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
    """Write down that a server served nobody; it is left alone, for longer each time.

    Parameters
    ----------
    admitted
        As `request_permission` said. Of many that asked at once and in vain the first counts.
    wish_s
        For how long it asked to be left alone [second].
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
    """Write down that a server has answered: everybody may ask it."""
    left_alone = update(Breaker).where(Breaker.server == server, Breaker.next_try.is_not(None))
    values = {"failures": 0, "since": None, "next_try": None, "reason": ""}
    session.execute(left_alone.values(**values).execution_options(synchronize_session=False))


def cancel_probe(session: Session, server: str) -> None:
    """Write down that a probe has not asked the server: another may at once."""
    left_alone = update(Breaker).where(Breaker.server == server, Breaker.next_try.is_not(None))
    session.execute(left_alone.values(next_try=clock(session)).execution_options(synchronize_session=False))
