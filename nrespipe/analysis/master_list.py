"""Lists of the master calibrations in the database, and the master of a file name."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from nrespipe.database.states import Standing
from nrespipe.database.tables import Master
from nrespipe.files import layout
from nrespipe.files.raw import identity
from nrespipe.frames.quality import Quality

_LAST = (Standing.REPLACED, Standing.RETRY)


#: Columns of the list, as `plain_table.listed` takes them.
COLUMNS = dict.fromkeys(("master", "standing", "inputs", "flags", "reason"))


def listing(session: Session, kind: str = "", site: str = "", every: bool = False) -> list[dict[str, object]]:
    """List masters.

    Parameters
    ----------
    kind, site
        Only these; all if empty.
    every
        Whether those that were replaced are listed too.

    Returns
    -------
    list of dict
        Values by column, in the order of nights.
    """
    query = select(Master).order_by(Master.day, Master.instrument, Master.camera, Master.kind, Master.id)
    if kind:
        query = query.where(Master.kind == kind)
    if site:
        query = query.where(Master.site == site)
    return [
        {
            "master": name_of(master),
            "standing": str(master.standing),
            "inputs": master.n_inputs,
            "flags": list(Quality(master.quality).names()),
            "reason": master.reason,
        }
        for master in session.scalars(query)
        if every or master.standing not in _LAST
    ]


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
