"""Masters before a person: which there are, how two of them differ, and the last word on each."""

import getpass
from datetime import UTC, datetime

from sqlalchemy import select

from nrespipe import instruments
from nrespipe.database import calibrations, neighbors
from nrespipe.database.columns import Standing
from nrespipe.database.tables import Attempt, Frame, Master
from nrespipe.files import identity, layout, masters
from nrespipe.frames.quality import Quality
from nrespipe.service.assembly import RECIPES
from nrespipe.service.inquiry import aligned

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
        [_name(m), str(m.standing), str(m.n_inputs), " ".join(Quality(m.quality).names()) or "-", m.reason]
        for m in session.scalars(query)
        if every or m.standing not in _LAST
    ]
    return aligned([["master", "standing", "inputs", "doubts", "what was said of it"], *rows])


def compare(session, name, output, other=""):
    """Hold a master against another, number by number.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session.
    name : str
        The master.
    output : Path
        Output directory, below which masters lie.
    other : str, optional
        The other one; the last good one of its camera if not given.

    Returns
    -------
    list of str
        Lines: what was measured, its limits, and the verdict.

    Raises
    ------
    LookupError
        If there is no such master, or no file of it.
    """
    row = find(session, name)
    peer = find(session, other) if other else _peer(session, row)
    if peer is not None and peer.kind != row.kind:
        raise LookupError(f"{_name(row)} and {_name(peer)} are masters of different kinds")
    new, last = (masters.read(output / one.path) if one else None for one in (row, peer))
    judged = RECIPES[row.kind].judge(new, last, instruments.load(row.instrument, layout.instruments(output)))
    numbers = [
        [f.name, f"{f.value:.4g}", f"{f.usual:.4g}", f"{f.worst:.4g}", str(f.verdict), f.words] for f in judged.findings
    ]
    against = f"against {_name(peer)}" if peer else "by itself: there is no other one of its camera"
    return [
        f"{_name(row)} {against}: {judged.verdict}",
        *aligned([["number", "value", "flagged at", "held at", "verdict", "in words"], *numbers]),
    ]


def decide(session, name, standing, why):
    """Say the last word on a master.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session; the caller commits.
    name : str
        The master.
    standing : Standing
        CURRENT or BAD.
    why : str
        The reason; it is kept with the name of the person and the day.

    Returns
    -------
    list of str
        What has changed, the frames that were reduced with a master that is bad now, or with another one than that of
        their night, and how to reduce them again.

    Raises
    ------
    LookupError
        If there is no such master, or no file of it.
    """
    row = find(session, name)
    before = row.standing
    said = f"{getpass.getuser()} on {datetime.now(UTC):%Y-%m-%d}: {why}"
    calibrations.judge(session, row, standing, "; ".join(filter(None, (row.reason, said))))
    lines = [f"{_name(row)}: {before} -> {standing}"]
    if standing is Standing.BAD:
        touched, said = _reduced(Attempt.masters.contains(row)), "was used for"
    else:
        another = Attempt.masters.any((Master.kind == row.kind) & (Master.id != row.id))
        same_night = (Frame.site == row.site) & (Frame.camera == row.camera) & (Frame.day == row.day)
        touched, said = _reduced(another & same_night), "another one was used for"
    frames = session.execute(touched).all()
    lines += [f"{said} {filename}" for filename, _ in frames]
    if frames:
        days = [day for _, day in frames]
        again = f"nrespipe reprocess --site {row.site} --from {min(days)} --to {max(days)}"
        lines.append(f"reduce these frames again: {again}")
    return lines


def _reduced(which):
    """Query of names and nights of the frames of which an attempt is of some kind."""
    return select(Frame.filename, Frame.day).join(Attempt).where(which).distinct().order_by(Frame.filename)


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
        if _name(row) == stem:
            return row
    raise LookupError(f"there is no master {stem}")


def _peer(session, row):
    return neighbors.peer(session, row.kind, calibrations.night_of(row), row.mean_mjd)


def _name(master):
    return identity.stem(layout.master_name(master))
