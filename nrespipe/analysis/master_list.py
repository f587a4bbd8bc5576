"""Lists of the master calibrations in the database, and the master of a file name."""

import re

from sqlalchemy import select
from sqlalchemy.orm import Session, defer

from nrespipe.database import frames
from nrespipe.database.states import Standing
from nrespipe.database.tables import Master
from nrespipe.files import layout
from nrespipe.files.raw import identity
from nrespipe.frames.quality import Quality

_LAST = (Standing.REPLACED, Standing.RETRY)


#: Columns of the list, as `plain_table.listed` takes them.
COLUMNS = dict.fromkeys(("master", "standing", "inputs", "flags", "reason"))


def listing(
    session: Session,
    kind: str = "",
    site: str = "",
    every: bool = False,
    *,
    first_day: str = "",
    last_day: str = "",
) -> list[dict[str, object]]:
    """List masters.

    Parameters
    ----------
    kind, site
        Only these; all if empty.
    every
        Whether those that were replaced are listed too.
    first_day, last_day
        Only these nights, ``YYYYMMDD``, both included.

    Returns
    -------
    list of dict
        Values by column, in the order of nights.
    """
    query = select(Master).where(*frames.of_nights(Master, site, first_day, last_day))
    query = query.order_by(Master.day, Master.instrument, Master.camera, Master.kind, Master.id)
    if kind:
        query = query.where(Master.kind == kind)
    return [
        {
            "master": name_of(master),
            "standing": str(master.standing),
            "inputs": master.n_inputs,
            "flags": list(Quality(master.quality).names()),
            "reason": master.reason,
        }
        for master in session.scalars(query.options(defer(Master.findings), defer(Master.traceback)))
        if every or master.standing not in _LAST
    ]


def of_name(session: Session, name: str) -> list[Master]:
    """Return the masters of a name, the newest first, and the attempts at one.

    Parameters
    ----------
    name
        File name; directory and extension do not matter.
    """
    stem = identity.stem(name)
    # the night is a part of the name, and few masters are of the same night
    days = re.findall(r"(?<!\d)\d{8}(?!\d)", stem)
    query = select(Master).where(Master.day.in_(days)).order_by(Master.id.desc())
    return [row for row in session.scalars(query) if name_of(row) == stem]


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
    for row in of_name(session, name):
        if row.path and row.standing is not Standing.REPLACED:
            return row
    raise LookupError(f"there is no master {identity.stem(name)}")


def name_of(master: Master) -> str:
    """Return the file name of a master, without extension."""
    return identity.stem(layout.master_name(master))
