"""Versions of the zero points of nights; the velocities themselves stay as they are."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from nrespipe.database.tables import ZeroPointVersion


def listed(session: Session) -> list[ZeroPointVersion]:
    """Return all versions, the oldest first."""
    return list(session.scalars(select(ZeroPointVersion).order_by(ZeroPointVersion.id)))


def find(session: Session, number: int | None = None) -> ZeroPointVersion:
    """Return one version.

    Parameters
    ----------
    number
        Number of the version; the last one if not given.

    Raises
    ------
    LookupError
        If there is none.
    """
    query = select(ZeroPointVersion).order_by(ZeroPointVersion.id.desc()).limit(1)
    found = session.scalar(query if number is None else query.where(ZeroPointVersion.id == number))
    if found is None:
        which = "no zero points were measured so far" if number is None else f"there are no zero points {number}"
        raise LookupError(f"{which}: see nrespipe zeropoints list")
    return found
