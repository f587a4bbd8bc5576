"""The masters to be made, one row for each kind and night."""

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from nrespipe.database.dialects import insert
from nrespipe.database.masters.calibrations import Night, night_of
from nrespipe.database.states import State
from nrespipe.database.tables import Frame, ScheduledMaster

if TYPE_CHECKING:
    from nrespipe.frames.raw import Kind


def get_or_create(session: Session, kind: "Kind", night: Night) -> ScheduledMaster:
    """Return the row of a master to be made, and create it if there is none; all callers get the same row."""
    place = {"kind": kind, **night._asdict()}
    session.execute(insert(session, ScheduledMaster).values(place).on_conflict_do_nothing())
    return session.scalars(select(ScheduledMaster).filter_by(**place)).one()


def finish(scheduled: ScheduledMaster, next_try: datetime | None = None) -> None:
    """Record that no process works on a master any more.

    Parameters
    ----------
    next_try
        When it is due again; only on request if not given.
    """
    scheduled.owner, scheduled.lease, scheduled.deaths = "", None, 0
    scheduled.tries += 1
    scheduled.next_try = next_try


def inputs(session: Session, scheduled: ScheduledMaster) -> list[Frame]:
    """Return the frames from which a master can be made.

    Returns
    -------
    list of Frame
        Frames of its night that are done, last versions only, by file name.
    """
    same = [getattr(Frame, name) == value for name, value in night_of(scheduled)._asdict().items()]
    query = select(Frame).where(Frame.kind == scheduled.kind, Frame.state == State.DONE, *same, Frame.is_latest())
    return list(session.scalars(query.order_by(Frame.filename)))
