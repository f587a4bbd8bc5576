"""What a verdict on a master touches: what comes from a bad one, and what had to do without a good one."""

from sqlalchemy import func, select

from nrespipe.database import calibrations
from nrespipe.database.columns import Standing, State
from nrespipe.database.frames import latest
from nrespipe.database.tables import Attempt, Frame, Master, master_inputs
from nrespipe.frames.raw import Kind


def of_bad(session, row, recipes):
    """Return the masters that come from a bad one, and what was reduced with any of them.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session; the verdict is not yet written down.
    row : Master
        The bad one.
    recipes : mapping of Kind to module
        Whose ``NEEDS`` tell which masters are made with it.

    Returns
    -------
    masters : dict of Master to str
        In use or held, and how each comes from it: ``frames`` where frames of its night have joined in, ``with`` where
        it was made with it or with one of these.
    frames : list of (str, str, Master or None)
        Name and night of each frame whose last result was made with one of them, and with which; None for the bad one.
    """
    family = list(session.scalars(select(Master).where(Master.kind == row.kind, Master.path == row.path)))
    found = dict.fromkeys(_joined(session, row), "frames")
    # what was called bad before serves nobody since
    serving = [*([row] if row.standing is Standing.CURRENT else []), *found]
    for kind in Kind:
        needs = getattr(recipes[kind], "NEEDS", ())
        if kind is Kind.SCIENCE or row.kind not in needs:
            continue
        for master in _in_use(session, kind, row):
            if any(one.kind in needs and _served(session, one, master) for one in serving):
                found[master] = "with"
        serving += [master for master in found if master.kind is kind]
    bad = {one.id: None for one in family} | {one.id: one for one in found}
    return found, _reduced(session, bad)


def of_good(session, row):
    """Return the frames of its night that a master serves, and that were last reduced with another one.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session; the verdict is written down.
    row : Master
        The good one.

    Returns
    -------
    list of (str, str)
        Name and night of each.
    """
    another = Attempt.masters.any((Master.kind == row.kind) & (Master.id != row.id))
    here = (Frame.site == row.site, Frame.day == row.day, *calibrations.same_detector(Frame, row))
    query = _last().where(*here, another, ~Attempt.masters.contains(row))
    return [
        (frame.filename, frame.day)
        for frame, _ in session.execute(query)
        if calibrations.nearest(session, row.kind, frame) is row
    ]


def _joined(session, row):
    """Masters of other nights that frames of the night of this one have joined in."""
    own = [frame.id for frame in row.inputs if frame.day == row.day]
    shared = select(master_inputs.c.master_id).where(master_inputs.c.frame_id.in_(own))
    return [
        master
        for master in _in_use(session, row.kind, row)
        if master.day != row.day and _is_in(session, master, shared)
    ]


def _is_in(session, master, query):
    return session.scalar(query.where(master_inputs.c.master_id == master.id).limit(1)) is not None


def _in_use(session, kind, row):
    """Masters of a detector that are used or held, in the order of their nights."""
    found = [
        *session.scalars(calibrations.alike(kind, row)),
        *session.scalars(calibrations.alike(kind, row, Standing.HELD)),
    ]
    return sorted(found, key=lambda master: (master.day, master.id))


def _served(session, one, master):
    """Whether a master was made with another one: it was there, and none was nearer."""
    return master.created > one.created and calibrations.nearest(session, one.kind, master, far=True) is one


def _reduced(session, bad):
    query = _last().where(Attempt.masters.any(Master.id.in_(bad)))
    return [
        (frame.filename, frame.day, next(bad[master.id] for master in attempt.masters if master.id in bad))
        for frame, attempt in session.execute(query)
    ]


def _last():
    """Query of the frames that are done, each with the attempt that its result comes from."""
    last = select(func.max(Attempt.id)).where(Attempt.outcome == State.DONE).group_by(Attempt.frame_id)
    done = select(Frame, Attempt).join(Attempt.frame).where(Frame.state == State.DONE, latest(), Attempt.id.in_(last))
    return done.order_by(Frame.filename)
