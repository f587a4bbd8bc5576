"""Lists of the master calibrations in the database, and the master of a file name."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from nrespipe.database.states import Standing
from nrespipe.database.tables import Master
from nrespipe.files import layout
from nrespipe.files.plain_table import aligned
from nrespipe.files.raw import identity
from nrespipe.frames.quality import Quality

_LAST = (Standing.REPLACED, Standing.RETRY)


def listing(session: Session, kind: str = "", site: str = "", every: bool = False) -> list[str]:
    """List masters.

    Parameters
    ----------
    kind, site
        Only these; all if empty.
    every
        Whether those that were replaced are listed too.

    Returns
    -------
    list of str
        Lines: name, standing, number of inputs, quality flags, reason; in the order of nights.
    """
    query = select(Master).order_by(Master.day, Master.instrument, Master.camera, Master.kind, Master.id)
    if kind:
        query = query.where(Master.kind == kind)
    if site:
        query = query.where(Master.site == site)
    rows = [
        [name_of(m), str(m.standing), str(m.n_inputs), " ".join(Quality(m.quality).names()) or "-", m.reason]
        for m in session.scalars(query)
        if every or m.standing not in _LAST
    ]
    return aligned([["master", "standing", "inputs", "flags", "reason"], *rows])


def find(session: Session, name: str) -> Master:
    """Return the last master of a name that has a file.

    Parameters
    ----------
    name
        File name; directory and extension do not matter.

    Raises
    ------
    LookupError
        If there is none.
    """
    stem = identity.stem(name)
    query = select(Master).where(Master.path != "", Master.standing != Standing.REPLACED).order_by(Master.id.desc())
    for row in session.scalars(query):
        if name_of(row) == stem:
            return row
    raise LookupError(f"there is no master {stem}")


def name_of(master: Master) -> str:
    """Return the file name of a master, without extension."""
    return identity.stem(layout.master_name(master))
