"""What a verdict on a master, or a new master, touches; and how that is made or reduced again by itself."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from nrespipe.database import claims
from nrespipe.database.dialects import clock
from nrespipe.database.frames import latest
from nrespipe.database.masters import calibrations, lineage, stackings
from nrespipe.database.states import USABLE, Standing, State
from nrespipe.database.tables import Attempt, Frame, Master, attempt_masters, master_inputs, master_parents
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind

_KINDS = list(Kind)


def affected_by_rejection(session: Session, row: Master) -> tuple[dict[Master, str], list[tuple[Frame, Master | None]]]:
    """Return the masters that come from a bad one, and what was reduced with any of them.

    Returns
    -------
    masters : dict of Master to str
        In use, and how each comes from it: ``frames`` where frames of its night have joined in, ``with`` where it was
        made with it or with one of these.
    frames : list of (Frame, Master or None)
        The frames whose last result, or refusal, was found with one of them, and with which; None for the bad one.
    """
    family = lineage.versions(session, row)
    joined = _joined(session, row)
    made_with = _descendants(session, [*family, *joined])
    # the nearest cause first
    bad = {one.id: None for one in family} | {master.id: master for master in (*joined, *made_with)}
    found = []
    for frame, attempt in session.execute(_last().where(_used(bad))):
        used = {master.id for master in attempt.masters}
        found.append((frame, next(way for row_id, way in bad.items() if row_id in used)))
    in_use = dict.fromkeys(joined, "frames") | {one: "with" for one in made_with if one.standing in USABLE}
    return in_use, found


def affected_by_acceptance(session: Session, row: Master) -> list[Frame]:
    """Return the frames of its night that a master serves, and whose results come from another one.

    Parameters
    ----------
    session
        An open session; the verdict is written down.

    Returns
    -------
    list of Frame
        By their names.
    """
    another = Attempt.masters.any((Master.kind == row.kind) & (Master.id != row.id))
    query = _last().where(*_its_night(row), another, ~Attempt.masters.contains(row))
    return [frame for frame, _ in session.execute(query) if calibrations.nearest(session, row.kind, frame) is row]


def after_rejection(session: Session, row: Master) -> None:
    """Have all that comes from a bad master made and reduced again.

    Parameters
    ----------
    session
        An open session; the verdict is written down, the caller commits.

    Notes
    -----
    Its frames come when nothing else is due; those that another process has in hand look at their end what they were
    reduced with. A master that could not be made with it is tried once more.
    """
    masters, frames = affected_by_rejection(session, row)
    _ask_again(session, [frame for frame, _ in frames])
    _make_again(session, masters)
    _try_again(session, [row.id])


def after_acceptance(session: Session, row: Master) -> None:
    """Have the stars reduced again that had to do without an accepted master, or with one that needed review.

    Parameters
    ----------
    row
        One that was accepted.
    """
    _ask_again(session, [*_cleared(session, row), *_with_stand_ins(session, row)])


def after_new_master(session: Session, row: Master, replaced: Master | None = None) -> None:
    """Have the stars reduced again, and the masters tried again, that had to do without a new master.

    Parameters
    ----------
    row
        The new one, which is used.
    replaced
        The one that was made of its night before.
    """
    frames = _with_stand_ins(session, row)
    if replaced is not None and row.standing is Standing.CURRENT:
        frames += _cleared(session, row)
    if replaced is not None and replaced.outdated:
        query = _last().where(Frame.kind == Kind.SCIENCE, _used([replaced.id]))
        frames += [frame for frame, _ in session.execute(query)]
    _ask_again(session, frames)
    if replaced is not None and replaced.outdated:
        # one that was made with it although it was known to be bad: there was no other yet
        _make_again(session, [one for one in _made_with(session, [replaced.id]) if one.standing in USABLE])
    _try_again(session, [one.id for one in _doubted(session, row)])


def _cleared(session, row):
    """Stars that are flagged because a master of this night needed review, and that no other gives a reason for."""
    versions = lineage.versions(session, row)
    family = [one.id for one in (*versions, *_descendants(session, versions))]
    # no more conditions: with these a database begins with all frames, and not with the few of these masters
    return [
        frame
        for frame, attempt in session.execute(_last().where(_used(family)))
        if Quality.UNREVIEWED_MASTER in Quality(frame.quality) and not lineage.unreviewed(session, attempt.masters)
    ]


def _with_stand_ins(session, row):
    """Frames that a master serves now, and that had to do with another.

    Stars of its night that were reduced with one of another night, stars of any night that were reduced with one that
    was called bad, and frames that were refused with one that needs review or was called bad.
    """
    other = Attempt.masters.any((Master.kind == row.kind) & (Master.day != row.day))
    queries = [_last().where(*_its_night(row), Frame.kind == Kind.SCIENCE, other)]
    if doubted := _doubted(session, row):
        bad = [one.id for one in doubted if one.standing is Standing.REJECTED]
        queries.append(_last().where(Frame.kind == Kind.SCIENCE, Frame.state == State.DONE, _used(bad)))
        queries.append(_last().where(Frame.state == State.BAD, _used([one.id for one in doubted])))
    return [
        frame
        for query in queries
        for frame, _ in session.execute(query)
        if calibrations.nearest(session, row.kind, frame, without=lineage.suspects(session, frame)) is row
    ]


def _doubted(session, row):
    """Other masters of the same detector that need review or were called bad, near enough to serve the same frames."""
    alike = calibrations.of_detector(row.kind, row, (Standing.REVIEW, Standing.REJECTED)).where(Master.id != row.id)
    reach = 2 * calibrations.REACH_DAYS[row.kind]
    return list(session.scalars(alike.where(Master.mean_mjd.between(row.mean_mjd - reach, row.mean_mjd + reach))))


def _ask_again(session, frames) -> None:
    """Ask for frames, but for those that are in hand or due anyway."""
    rows = {frame.id for frame in frames}
    # locked, and read once more: one in hand is looked at when it is finished, which must not happen at this moment
    query = select(Frame).where(Frame.id.in_(rows)).order_by(Frame.id).with_for_update()
    for frame in session.scalars(query.execution_options(populate_existing=True)):
        if frame.owner == "" and frame.next_try is None:
            claims.request(session, frame, low_priority=True)


def _make_again(session, masters) -> None:
    """Have masters made anew that come from a bad one."""
    for master in masters:
        master.outdated = True
        stackings.get_or_create(session, master.kind, calibrations.night_of(master)).next_try = clock(session)


def _try_again(session, rows) -> None:
    """Have the masters tried again that could not be made with some others."""
    for one in _made_with(session, rows):
        if one.standing is Standing.REJECTED and not one.path:
            stackings.get_or_create(session, one.kind, calibrations.night_of(one)).next_try = clock(session)


def _its_night(row):
    return Frame.site == row.site, Frame.day == row.day, *calibrations.same_detector(Frame, row)


def _joined(session, row):
    """Masters of other nights that frames of the night of this one have joined in."""
    own = [frame.id for frame in row.inputs if frame.day == row.day]
    shared = select(master_inputs.c.master_id).where(master_inputs.c.frame_id.in_(own))
    found = session.scalars(calibrations.of_detector(row.kind, row).where(Master.day != row.day, Master.id.in_(shared)))
    return sorted(found, key=lambda master: (master.day, master.id))


def _descendants(session, masters):
    """Masters that were made with some others, or with what was made with them, in the order in which they are made."""
    known, found = {master.id for master in masters}, {}
    generation = known
    while generation:
        children = {master.id: master for master in _made_with(session, generation)}
        generation = set(children) - set(found) - known
        found |= children
    return sorted(found.values(), key=lambda master: (_KINDS.index(master.kind), master.day, master.id))


def _made_with(session, rows):
    """Masters that were made, or tried, with some others."""
    with_one = select(master_parents.c.master_id).where(master_parents.c.parent_id.in_(rows))
    return list(session.scalars(select(Master).where(Master.id.in_(with_one)).order_by(Master.id)))


def _used(rows):
    """Condition that an attempt used one of some masters."""
    return Attempt.id.in_(select(attempt_masters.c.attempt_id).where(attempt_masters.c.master_id.in_(rows)))


def _last():
    """Query of the frames that are done, or were found bad, each with the attempt that this comes from."""
    later = aliased(Attempt)
    # of each frame by itself: the cost must not grow with the number of all attempts
    last = select(func.max(later.id)).where(later.frame_id == Frame.id, later.outcome == Frame.state)
    last = last.correlate(Frame).scalar_subquery()
    settled = (Frame.state.in_((State.DONE, State.BAD)), latest(), Attempt.id == last)
    return select(Frame, Attempt).join(Attempt.frame).where(*settled).order_by(Frame.filename)
