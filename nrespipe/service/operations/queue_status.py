"""How the work goes on, for a person: what is due, in hand, owed, and how much was done lately."""

from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nrespipe.database.dialects import clock
from nrespipe.database.frames import latest
from nrespipe.database.tables import Attempt, Breaker, Delivery, Frame, NightSummary, Stacking

_LATELY_H = (1, 24)
_RECENT = timedelta(days=14)


def told(session: Session) -> list[str]:
    """Tell how the work goes on.

    Returns
    -------
    list of str
        Lines: frames that are due, with the age of the oldest; frames that are to be reduced again; frames in hand and
        whose; masters that are owed; files that are to be delivered; nights whose summary was tried in vain; attempts
        of the last hour and day by outcome. What there is none of is left out.
    """
    moment = clock(session)
    lines = [_due(session, moment), _again(session, moment), _in_hand(session), _owed(session), _undelivered(session)]
    lines.append(_unmailed(session, moment))
    lines += [_done(session, moment, hours) for hours in _LATELY_H]
    return [line for line in lines if line]


def _due(session, moment):
    due = (Frame.owner == "", Frame.next_try <= moment, ~Frame.low_priority, latest())
    count, oldest = session.execute(select(func.count(), func.min(Frame.next_try)).where(*due)).one()
    return f"{_n(count, 'frame')} due, the oldest for {_span(moment - oldest)}" if count else ""


def _again(session, moment):
    again = (Frame.owner == "", Frame.next_try <= moment, Frame.low_priority, latest())
    count = session.scalar(select(func.count()).where(*again))
    return f"{_n(count, 'frame')} to be reduced again with better masters, when nothing else is due" if count else ""


def _in_hand(session):
    owners = list(session.scalars(select(Frame.owner).where(Frame.owner != "").order_by(Frame.owner)))
    names = sorted({owner.split("/")[0] for owner in owners})
    return f"{_n(len(owners), 'frame')} in the hands of {', '.join(names)}" if owners else ""


def _owed(session):
    owed = select(func.count(), func.min(Stacking.next_try)).where(Stacking.next_try.is_not(None))
    count, first = session.execute(owed).one()
    return f"{_n(count, 'master')} owed, the next at {first:%Y-%m-%d %H:%M} UTC" if count else ""


def _undelivered(session):
    waiting = select(func.count()).where(Delivery.delivered.is_(None))
    count, failed = (
        session.scalar(waiting),
        session.scalar(waiting.where(Delivery.next_try.is_(None), Delivery.owner == "")),
    )
    given_up = f", {failed} of them given up" if failed else ""
    alone = session.scalars(select(Breaker).where(Breaker.next_try.is_not(None)).order_by(Breaker.since)).first()
    away = f"; {alone.server} serves nobody since {alone.since:%Y-%m-%d %H:%M} UTC: {alone.reason}" if alone else ""
    return f"{_n(count, 'file')} not delivered yet{given_up}{away}" if count else ""


def _unmailed(session, moment):
    unsent = (
        NightSummary.tries > 0,
        NightSummary.owner == "",
        NightSummary.mailed.is_(None),
        NightSummary.reason != "",
    )
    # a person has seen those of long ago, which nobody tries any more
    recent = NightSummary.next_try.is_not(None) | (NightSummary.day >= f"{moment - _RECENT:%Y%m%d}")
    rows = session.scalars(select(NightSummary).where(*unsent, recent).order_by(NightSummary.day)).all()
    failed = sum(row.next_try is None for row in rows)
    given_up = f", {failed} of them given up" if failed else ""
    first = f"; {rows[0].site} {rows[0].day}: {rows[0].reason}" if rows else ""
    return f"{_n(len(rows), 'night')} not summed up yet{given_up}{first}" if rows else ""


def _done(session, moment, hours):
    since = select(Attempt.outcome, func.count()).where(Attempt.finished > moment - timedelta(hours=hours))
    counts = sorted(session.execute(since.group_by(Attempt.outcome)).all())
    words = ", ".join(f"{count} {outcome}" for outcome, count in counts)
    return f"attempts in the last {'hour' if hours == 1 else f'{hours} hours'}: {words}" if words else ""


def _n(count, word):
    return f"{count} {word}{'s' * (count != 1)}"


def _span(delta):
    seconds = delta.total_seconds()
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}s"
    return f"{seconds:.0f} s"
