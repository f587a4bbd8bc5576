"""Frames and masters that are redone after a decision on a master, or after a new master."""

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session, aliased

from nrespipe.database.dialects import clock
from nrespipe.database.masters import calibrations, lineage, scheduled_masters
from nrespipe.database.states import USABLE, Standing, State
from nrespipe.database.tables import Attempt, Frame, Master, attempt_masters, master_inputs, master_parents
from nrespipe.database.work import announcements
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind

_KINDS = list(Kind)


def affected_by_rejection(session: Session, row: Master) -> tuple[dict[Master, str], list[tuple[Frame, Master | None]]]:
    """Return the masters that come from a bad one, and the frames that were reduced with any of them.

    Returns
    -------
    masters : dict of Master to str
        In use, and how each comes from it: ``frames`` where it contains frames of its night, ``with`` where it was made
        with it or with one of these.
    frames : list of (Frame, Master or None)
        The frames whose last result, or refusal, was found with one of them, and with which; None for the bad one.
    """
    family = lineage.versions(session, row)
    joined = _joined(session, row)
    made_with = _descendants(session, [*family, *joined])
    # the nearest cause first
    bad: dict[int, Master | None] = {one.id: None for one in family}
    bad |= {master.id: master for master in (*joined, *made_with)}
    found: list[tuple[Frame, Master | None]] = []
    for frame, attempt in session.execute(_last().where(_used(bad))):
        used = {master.id for master in attempt.masters}
        found.append((frame, next(way for row_id, way in bad.items() if row_id in used)))
    in_use = dict.fromkeys(joined, "frames") | {one: "with" for one in made_with if one.standing in USABLE}
    return in_use, found


def affected_by_acceptance(session: Session, row: Master) -> list[Frame]:
    """Return the frames of its night that would use a master, and whose results come from another one.

    Parameters
    ----------
    session
        An open session; the decision is recorded.

    Returns
    -------
    list of Frame
        By their names.
    """
    another = Attempt.masters.any((Master.kind == row.kind) & (Master.id != row.id))
    query = _last().where(*_its_night(row), another, ~Attempt.masters.contains(row))
    return [frame for frame, _ in session.execute(query) if calibrations.nearest(session, row.kind, frame) is row]


def after_rejection(session: Session, row: Master) -> None:
    """Request everything again that comes from a bad master.

    Parameters
    ----------
    session
        An open session; the decision is recorded, the caller commits.

    Notes
    -----
    Its frames are reduced when nothing else is due; frames at work check their masters at the end. A master that could
    not be made with it is tried once more.
    """
    masters, frames = affected_by_rejection(session, row)
    _ask_again(session, [frame for frame, _ in frames])
    _make_again(session, masters)
    _try_again(session, [row.id])


def after_acceptance(session: Session, row: Master) -> None:
    """Request the stars again that were reduced without an accepted master, or with one that needed review.

    Parameters
    ----------
    row
        The accepted master.
    """
    _ask_again(session, [*_cleared(session, row), *_with_stand_ins(session, row)])


def after_new_master(session: Session, row: Master, replaced: Master | None = None) -> None:
    """Request the stars and the masters again that would have used a new master.

    Parameters
    ----------
    row
        The new master, which is in use.
    replaced
        Master that was made of its night before.
    """
    frames = _with_stand_ins(session, row)
    if replaced is not None and row.standing is Standing.CURRENT:
        frames += _cleared(session, row)
    if replaced is not None and replaced.outdated:
        query = _last().where(Frame.kind == Kind.SCIENCE, _used([replaced.id]))
        frames += [frame for frame, _ in session.execute(query)]
    _ask_again(session, frames)
    if replaced is not None and replaced.outdated:
        # masters that were made with it although it was known to be bad: there was no other yet
        _make_again(session, [one for one in _made_with(session, [replaced.id]) if one.standing in USABLE])
    _try_again(session, [one.id for one in _suspect(session, row)])


def _cleared(session: Session, row: Master) -> list[Frame]:
    """Stars that are flagged because a master of this night needed review, and for no other reason."""
    versions = lineage.versions(session, row)
    family = [one.id for one in (*versions, *_descendants(session, versions))]
    # no more conditions: with these a database begins with all frames, and not with the few of these masters
    return [
        frame
        for frame, attempt in session.execute(_last().where(_used(family)))
        if Quality.UNREVIEWED_MASTER in Quality(frame.quality) and not lineage.unreviewed(session, attempt.masters)
    ]


def _with_stand_ins(session: Session, row: Master) -> list[Frame]:
    """Frames that would use a master now, and that were reduced with another.

    Stars of its night that were reduced with one of another night, stars of any night that were reduced with one that
    was called bad, and frames that were refused with one that needs review or was called bad.
    """
    other = Attempt.masters.any((Master.kind == row.kind) & (Master.day != row.day))
    queries = [_last().where(*_its_night(row), Frame.kind == Kind.SCIENCE, other)]
    if suspect := _suspect(session, row):
        bad = [one.id for one in suspect if one.standing is Standing.REJECTED]
        queries.append(_last().where(Frame.kind == Kind.SCIENCE, Frame.state == State.DONE, _used(bad)))
        queries.append(_last().where(Frame.state == State.BAD, _used([one.id for one in suspect])))
    return [
        frame
        for query in queries
        for frame, _ in session.execute(query)
        if calibrations.nearest(session, row.kind, frame, without=lineage.suspects(session, frame)) is row
    ]


def _suspect(session: Session, row: Master) -> list[Master]:
    """Other masters of the same detector that need review or were called bad, near enough for the same frames."""
    if row.mean_mjd is None:
        return []
    alike = calibrations.of_detector(row.kind, row, (Standing.REVIEW, Standing.REJECTED)).where(Master.id != row.id)
    reach = 2 * calibrations.REACH_DAYS[row.kind]
    return list(session.scalars(alike.where(Master.mean_mjd.between(row.mean_mjd - reach, row.mean_mjd + reach))))


def _ask_again(session: Session, frames: Iterable[Frame]) -> None:
    """Request frames, except those that are at work or due anyway."""
    rows = {frame.id for frame in frames}
    # locked, and read once more: a frame at work checks its masters at the end, which must not happen at this moment
    query = select(Frame).where(Frame.id.in_(rows)).order_by(Frame.id).with_for_update()
    for frame in session.scalars(query.execution_options(populate_existing=True)):
        if frame.owner == "" and frame.next_try is None:
            announcements.request(session, frame, low_priority=True)


def _make_again(session: Session, masters: Iterable[Master]) -> None:
    """Schedule masters again that come from a bad one."""
    for master in masters:
        master.outdated = True
        scheduled_masters.get_or_create(session, master.kind, calibrations.night_of(master)).next_try = clock(session)


def _try_again(session: Session, rows: Collection[int]) -> None:
    """Schedule masters again that could not be made with some others."""
    for one in _made_with(session, rows):
        if one.standing is Standing.REJECTED and not one.path:
            scheduled_masters.get_or_create(session, one.kind, calibrations.night_of(one)).next_try = clock(session)


def _its_night(row: Master) -> tuple[ColumnElement[bool], ...]:
    return (Frame.site == row.site, Frame.day == row.day, *calibrations.same_detector(Frame, row))


def _joined(session: Session, row: Master) -> list[Master]:
    """Masters of other nights that contain frames of the night of this one."""
    own = [frame.id for frame in row.inputs if frame.day == row.day]
    shared = select(master_inputs.c.master_id).where(master_inputs.c.frame_id.in_(own))
    found = session.scalars(calibrations.of_detector(row.kind, row).where(Master.day != row.day, Master.id.in_(shared)))
    return sorted(found, key=lambda master: (master.day, master.id))


def _descendants(session: Session, masters: Sequence[Master]) -> list[Master]:
    """Masters that were made with some others, directly or through other masters, in the order of their making."""
    known = {master.id for master in masters}
    found: dict[int, Master] = {}
    generation = known
    while generation:
        children = {master.id: master for master in _made_with(session, generation)}
        generation = set(children) - set(found) - known
        found |= children
    return sorted(found.values(), key=lambda master: (_KINDS.index(master.kind), master.day, master.id))


def _made_with(session: Session, rows: Collection[int]) -> list[Master]:
    """Masters that were made, or tried, with some others."""
    with_one = select(master_parents.c.master_id).where(master_parents.c.parent_id.in_(rows))
    return list(session.scalars(select(Master).where(Master.id.in_(with_one)).order_by(Master.id)))


def _used(rows: Collection[int]) -> ColumnElement[bool]:
    """Condition that an attempt used one of some masters."""
    return Attempt.id.in_(select(attempt_masters.c.attempt_id).where(attempt_masters.c.master_id.in_(rows)))


def _last() -> "Select[Frame, Attempt]":
    """Query of the frames that are done, or were found bad, each with the attempt that this comes from."""
    later = aliased(Attempt)
    # of each frame by itself: the cost must not grow with the number of all attempts
    of_frame = select(func.max(later.id)).where(later.frame_id == Frame.id, later.outcome == Frame.state)
    last = of_frame.correlate(Frame).scalar_subquery()
    settled = (Frame.state.in_((State.DONE, State.BAD)), Frame.is_latest(), Attempt.id == last)
    return select(Frame, Attempt).join(Attempt.frame).where(*settled).order_by(Frame.filename)
