"""The master calibrations of the database: which there are, and the one of a name."""

from sqlalchemy import select

from nrespipe.database.columns import Standing
from nrespipe.database.tables import Master
from nrespipe.files import layout
from nrespipe.files.plain_table import aligned
from nrespipe.files.raw import identity
from nrespipe.frames.quality import Quality

_LAST = (Standing.REPLACED, Standing.RETRY)


def listing(session, kind="", site="", every=False):
    """List masters.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session.
    kind, site : str, optional
        Only these; all if empty.
    every : bool, optional
        Whether those that were replaced are listed too.

    Returns
    -------
    list of str
        Lines: name, standing, number of inputs, doubts, what was said of it; in the order of nights.
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
    return aligned([["master", "standing", "inputs", "doubts", "what was said of it"], *rows])


def find(session, name):
    """Return the last master of a name that has a file.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session.
    name : str
        File name; directory and extension do not matter.

    Returns
    -------
    Master

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


def name_of(master):
    """Return the file name of a master, without extension.

    Parameters
    ----------
    master : Master
        Its row.

    Returns
    -------
    str
    """
    return identity.stem(layout.master_name(master))
