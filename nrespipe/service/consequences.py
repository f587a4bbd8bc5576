"""What a verdict on a master, or a new master, touches; and how that is made or reduced again by itself."""

from sqlalchemy import func, select

from nrespipe.database import calibrations, claims, stackings
from nrespipe.database.columns import USABLE, Standing, State, clock
from nrespipe.database.frames import latest
from nrespipe.database.tables import Attempt, Frame, Master, master_inputs, master_parents
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind

_KINDS = list(Kind)


def of_bad(session, row):
    """Return the masters that come from a bad one, and what was reduced with any of them.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session.
    row : Master
        The bad one.

    Returns
    -------
    masters : dict of Master to str
        In use, and how each comes from it: ``frames`` where frames of its night have joined in, ``with`` where it was
        made with it or with one of these.
    frames : list of (Frame, Master or None)
        The frames whose last result, or refusal, was found with one of them, and with which; None for the bad one.
    """
    family = list(session.scalars(select(Master).where(Master.kind == row.kind, Master.path == row.path)))
    joined = _joined(session, row)
    made_with = _descendants(session, [*family, *joined])
    # the nearest cause first
    bad = {one.id: None for one in family} | {master.id: master for master in (*joined, *made_with)}
    found = []
    for frame, attempt in session.execute(_last().where(Attempt.masters.any(Master.id.in_(bad)))):
        used = {master.id for master in attempt.masters}
        found.append((frame, next(way for row_id, way in bad.items() if row_id in used)))
    in_use = dict.fromkeys(joined, "frames") | {one: "with" for one in made_with if one.standing in USABLE}
    return in_use, found


def of_good(session, row):
    """Return the frames of its night that a master serves, and whose results come from another one.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session; the verdict is written down.
    row : Master
        The good one.

    Returns
    -------
    list of Frame
        By their names.
    """
    another = Attempt.masters.any((Master.kind == row.kind) & (Master.id != row.id))
    query = _last().where(*_its_night(row), another, ~Attempt.masters.contains(row))
    return [frame for frame, _ in session.execute(query) if calibrations.nearest(session, row.kind, frame) is row]


def redo_for_bad(session, row):
    """Have all that comes from a bad master made and reduced again.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session; the verdict is written down, the caller commits.
    row : Master
        The bad one.

    Notes
    -----
    Its frames come when nothing else is due; those that another process has in hand look at their end what they were
    reduced with.
    """
    masters, frames = of_bad(session, row)
    for master in masters:
        master.outdated = True
        stackings.of(session, master.kind, calibrations.night_of(master)).next_try = clock(session)
    _ask_again(session, [frame for frame, _ in frames])


def redo_for_good(session, row):
    """Have the stars reduced again that had to do without a master of their night, or with one that needed review.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session; the caller commits.
    row : Master
        One that was accepted.
    """
    flagged = Frame.quality.op("&")(int(Quality.UNREVIEWED_MASTER)) != 0
    family = [row.id, *(one.id for one in _descendants(session, [row]))]
    query = _last().where(Frame.kind == Kind.SCIENCE, flagged, Attempt.masters.any(Master.id.in_(family)))
    cleared = [
        frame for frame, attempt in session.execute(query) if not calibrations.unreviewed(session, attempt.masters)
    ]
    _ask_again(session, [*cleared, *_with_stand_ins(session, row)])


def redo_for_new(session, row, replaced=None):
    """Have the stars reduced again that had to do without a new master.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session; the caller commits.
    row : Master
        The new one, which is used.
    replaced : Master, optional
        The one that was made of its night before.
    """
    frames = _with_stand_ins(session, row)
    if replaced is not None and replaced.outdated:
        query = _last().where(Frame.kind == Kind.SCIENCE, Attempt.masters.contains(replaced))
        frames += [frame for frame, _ in session.execute(query)]
    _ask_again(session, frames)


def _with_stand_ins(session, row):
    """Stars of its night that a master serves, and that were reduced with one of another night or with a bad one."""
    stand_in = (Master.day != row.day) | (Master.standing == Standing.REJECTED)
    another = Attempt.masters.any((Master.kind == row.kind) & stand_in)
    query = _last().where(*_its_night(row), Frame.kind == Kind.SCIENCE, another)
    return [frame for frame, _ in session.execute(query) if calibrations.nearest(session, row.kind, frame) is row]


def _ask_again(session, frames):
    for frame in dict.fromkeys(frames):
        if frame.owner == "":
            claims.request(session, frame, low_priority=True)


def _its_night(row):
    return Frame.site == row.site, Frame.day == row.day, *calibrations.same_detector(Frame, row)


def _joined(session, row):
    """Masters of other nights that frames of the night of this one have joined in."""
    own = [frame.id for frame in row.inputs if frame.day == row.day]
    shared = select(master_inputs.c.master_id).where(master_inputs.c.frame_id.in_(own))
    found = session.scalars(calibrations.alike(row.kind, row).where(Master.day != row.day, Master.id.in_(shared)))
    return sorted(found, key=lambda master: (master.day, master.id))


def _descendants(session, masters):
    """Masters that were made with some others, or with what was made with them, in the order in which they are made."""
    known, found = {master.id for master in masters}, {}
    generation = known
    while generation:
        with_one = select(master_parents.c.master_id).where(master_parents.c.parent_id.in_(generation))
        children = {master.id: master for master in session.scalars(select(Master).where(Master.id.in_(with_one)))}
        generation = set(children) - set(found) - known
        found |= children
    return sorted(found.values(), key=lambda master: (_KINDS.index(master.kind), master.day, master.id))


def _last():
    """Query of the frames that are done, or were found bad, each with the attempt that this comes from."""
    last = select(func.max(Attempt.id)).join(Attempt.frame).where(Attempt.outcome == Frame.state)
    last = last.group_by(Attempt.frame_id)
    settled = (Frame.state.in_((State.DONE, State.BAD)), latest(), Attempt.id.in_(last))
    return select(Frame, Attempt).join(Attempt.frame).where(*settled).order_by(Frame.filename)
