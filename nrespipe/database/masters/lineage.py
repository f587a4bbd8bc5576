"""Lineage of masters: the masters that they were made with, their versions, and the effects of a rejection."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from nrespipe.database.masters.calibrations import Night, night_of, of_night
from nrespipe.database.states import USABLE, Standing, State
from nrespipe.database.tables import Frame, Master

if TYPE_CHECKING:
    from nrespipe.frames.raw import Kind


def nights_to_remake(session: Session, kind: "Kind") -> list[Night]:
    """Return the nights whose masters are to be made again, because a master that they come from was rejected.

    Returns
    -------
    list of Night
        In the order of their days.
    """
    query = select(Master).where(Master.kind == kind, Master.outdated, Master.standing.in_(USABLE))
    return sorted({night_of(master) for master in session.scalars(query)}, key=lambda night: night.day)


def unreviewed(session: Session, masters: Sequence[Master]) -> list[Master]:
    """Return the masters that need review, among some masters and all that these were made with.

    Parameters
    ----------
    masters
        Masters with which a frame is reduced.

    Returns
    -------
    list of Master
        Those that need review, and those that were rejected or come from one that was, in the order of their keys. For
        a replaced one the decision on its successor counts.
    """
    found: dict[int, Master] = {}
    generation = list(masters)
    while generation:
        found |= {master.id: master for master in generation}
        generation = [parent for master in generation for parent in master.parents if parent.id not in found]
    return [master for _, master in sorted(found.items()) if master.outdated or _is_unreviewed(session, master)]


def _is_unreviewed(session: Session, master: Master) -> bool:
    last = versions(session, master)[-1] if master.standing is Standing.REPLACED else master
    return last.standing in (Standing.REVIEW, Standing.REJECTED)


def versions(session: Session, master: Master) -> list[Master]:
    """Return the versions of a master: all that were made of its night and have the same file.

    Parameters
    ----------
    master
        One of them; it has a file.

    Returns
    -------
    list of Master
        The last one at the end.
    """
    same = of_night(master.kind, night_of(master)).where(Master.path == master.path)
    return list(session.scalars(same.order_by(Master.id)))


def rejections(session: Session, kind: "Kind", night: Night) -> list[Master]:
    """Return the attempts at the master of a night that its recipe has rejected.

    Returns
    -------
    list of Master
        The last one at the end.
    """
    refused = of_night(kind, night).where(Master.standing == Standing.REJECTED, Master.path == "")
    return list(session.scalars(refused.order_by(Master.id)))


def suspects(session: Session, row: Frame | Master) -> set[int]:
    """Return the masters that need review and with which a frame was found bad, or a master could not be made.

    Parameters
    ----------
    row
        The frame, or a master that is to be made.

    Returns
    -------
    set of int
        Their keys.
    """
    if isinstance(row, Frame):
        used = [master for attempt in row.attempts if attempt.outcome is State.BAD for master in attempt.masters]
    else:
        used = [master for one in rejections(session, row.kind, night_of(row)) for master in one.parents]
    return {master.id for master in used if master.standing is Standing.REVIEW}
