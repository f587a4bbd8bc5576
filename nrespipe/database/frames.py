"""Queries of the rows of raw frames: which are to be reduced, their numbers, and those with problems."""

from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from nrespipe.database.dialects import clock
from nrespipe.database.states import UNFINISHED, State
from nrespipe.database.tables import Frame

if TYPE_CHECKING:
    from nrespipe.database.tables import Master, ScheduledMaster
    from nrespipe.frames.raw import Kind

#: The last nights: lists and metrics are about these unless others are asked for.
RECENT_NIGHTS = 14
#: So many frames are asked for by their keys at once.
_PART = 500
#: First night that a frame can be of.
_OLDEST = "20000101"
#: After all nights.
_LAST = "99999999"


def pending(session: Session, kind: "Kind", code_version: str) -> list[Frame]:
    """Return the frames of one kind that are still to be reduced.

    Parameters
    ----------
    code_version
        Version of the program: a frame on which another version failed is tried again.

    Returns
    -------
    list of Frame
        Last versions only, by file name; without those of which only the name is known, and those that a process is
        working on. The time of the last attempt does not matter.
    """
    open_again = (Frame.state == State.FAILED) & (Frame.code_version != code_version)
    is_due = (Frame.state.in_(UNFINISHED) | open_again) & Frame.start_mjd.is_not(None) & (Frame.owner == "")
    query = select(Frame).where(Frame.is_not_done(), Frame.kind == kind, is_due, Frame.is_latest())
    # sorted here: SQLite would read all frames in the order of their names
    return sorted(session.scalars(query), key=lambda frame: frame.filename)


def to_reduce_again(session: Session, kind: "Kind") -> list[Frame]:
    """Return the frames of one kind that are to be reduced again because a better result is possible.

    Returns
    -------
    list of Frame
        The oldest request first.
    """
    asked = (Frame.low_priority, Frame.next_try <= clock(session), Frame.owner == "")
    query = select(Frame).where(Frame.kind == kind, *asked, Frame.is_latest())
    return list(session.scalars(query.order_by(Frame.next_try, Frame.filename)))


def find(session: Session, name: str) -> list[Frame]:
    """Return all versions of a frame.

    Parameters
    ----------
    name
        Base name without ``.fits`` or ``.fits.fz``.

    Returns
    -------
    list of Frame
        Newest first; before them announcements that were not read yet.
    """
    newest_first = (Frame.version.desc().nulls_first(), Frame.id.desc())
    return list(session.scalars(select(Frame).where(Frame.filename == name).order_by(*newest_first)))


def of_keys(session: Session, keys: Collection[int], *conditions: ColumnElement[bool]) -> list[Frame]:
    """Return the frames of some keys, by their keys.

    Parameters
    ----------
    *conditions
        That they fulfil as well.
    """
    ordered = sorted(keys)
    # a statement has a limit of values
    parts = [ordered[begin : begin + _PART] for begin in range(0, len(ordered), _PART)]
    query = select(Frame).where(*conditions).order_by(Frame.id)
    return [frame for part in parts for frame in session.scalars(query.where(Frame.id.in_(part)))]


def of_nights(
    table: "type[Frame] | type[Master] | type[ScheduledMaster]", site: str = "", first_day: str = "", last_day: str = ""
) -> list[ColumnElement[bool]]:
    """Return the conditions that a row is of some nights.

    Parameters
    ----------
    site
        '' for all.
    first_day, last_day
        Nights, ``YYYYMMDD``, both included; '' for no limit.
    """
    conditions = [table.site == site] if site else []
    if first_day or last_day:
        # always with two ends: SQLite takes a range with one for a fourth of a table, and reads all of it
        conditions += [table.day >= first_day, table.day <= (last_day or _LAST)]
    return conditions


def last_nights(session: Session, site: str, first_day: str, last_day: str) -> tuple[dict[str, str], str]:
    """Return which nights a list is about: those that were asked for, or else the last nights.

    Parameters
    ----------
    site, first_day, last_day
        As for `of_nights`.

    Returns
    -------
    nights : dict of str to str
        The same three. Where neither night is given `first_day` is the first of the last nights.
    cut : str
        That first night if there are frames of earlier ones that are left out; '' otherwise.
    """
    since = first_day if first_day or last_day else first_of_last_nights(session)
    oldest = session.scalar(select(func.min(Frame.day))) if since != first_day else None
    cut = since if oldest is not None and oldest < since else ""
    return {"site": site, "first_day": since, "last_day": last_day}, cut


def newest_night(session: Session) -> str:
    """Return the last night, ``YYYYMMDD``, of which there are frames; one that is yet to come is an error of a header.

    Returns
    -------
    str
        '' where there is none.
    """
    tomorrow = f"{clock(session) + timedelta(days=1):%Y%m%d}"
    return session.scalar(select(func.max(Frame.day)).where(Frame.day <= tomorrow)) or ""


def first_of_last_nights(session: Session, nights: int = RECENT_NIGHTS) -> str:
    """Return the first, ``YYYYMMDD``, of the last nights of which there are frames.

    Parameters
    ----------
    nights
        How many, up to the newest one.

    Returns
    -------
    str
        '' where there is none, or the newest one is not a day.
    """
    try:
        newest = datetime.strptime(newest_night(session), "%Y%m%d")
    except ValueError:
        return ""
    return f"{newest - timedelta(days=nights - 1):%Y%m%d}"


def spans(session: Session, first_day: str = "", last_day: str = "", nights: int = 7) -> list[tuple[str, str]]:
    """Return all nights in parts of so few that one query has few rows.

    Parameters
    ----------
    first_day, last_day
        As for `of_nights`.
    nights
        Nights of each part.

    Returns
    -------
    list of (str, str)
        First and last night of each part, ``YYYYMMDD``, the newest first; '' without a limit. The first part has all
        nights that are yet to come, and the last one the frames whose night is not known.
    """
    begin = clock(session)
    with suppress(ValueError):
        begin = min(begin, datetime.strptime(last_day, "%Y%m%d").replace(tzinfo=UTC) + timedelta(days=1))
    # a name may have any eight digits
    oldest = max(session.scalar(select(func.min(Frame.day)).where(Frame.day >= _OLDEST)) or _LAST, first_day)
    found: list[tuple[str, str]] = []
    while True:
        begin -= timedelta(days=nights)
        day = f"{begin:%Y%m%d}"
        if oldest >= day:
            return [*found, (first_day, last_day)]
        found.append((day, last_day))
        last_day = f"{begin - timedelta(days=1):%Y%m%d}"


def counts(
    session: Session, *, site: str = "", first_day: str = "", last_day: str = "", states: Collection[State] = ()
) -> list[tuple[Any, ...]]:
    """Count the frames by night, kind and state.

    Parameters
    ----------
    site, first_day, last_day
        As for `of_nights`.
    states
        Only these; all if empty.

    Returns
    -------
    list of tuple
        (site, instrument, camera, day, kind, state, count), sorted; last versions only.
    """
    columns = (Frame.site, Frame.instrument, Frame.camera, Frame.day, Frame.kind, Frame.state)
    within = [*of_nights(Frame, site, first_day, last_day), *([Frame.state.in_(states)] if states else [])]
    rows = session.execute(select(*columns, func.count()).where(*within, Frame.is_latest()).group_by(*columns))
    return sorted(
        (tuple(row) for row in rows), key=lambda row: tuple("" if cell is None else str(cell) for cell in row)
    )


def with_problems(
    session: Session,
    *,
    site: str = "",
    first_day: str = "",
    last_day: str = "",
    states: Collection[State] = (),
    most: int | None = None,
) -> list[Frame]:
    """Return the frames that were tried and are not done.

    Parameters
    ----------
    site, first_day, last_day, states
        As for `counts`.
    most
        Largest number, of the last nights.

    Returns
    -------
    list of Frame
        Last versions only, by file name.
    """
    of_states = [Frame.state.in_(states)] if states else []
    tried = Frame.is_not_done() & Frame.state.not_in((State.QUEUED, State.RUNNING))
    query = select(Frame).where(tried, *of_states, *of_nights(Frame, site, first_day, last_day), Frame.is_latest())
    found = session.scalars(query.order_by(Frame.day.desc(), Frame.filename.desc()).limit(most))
    return sorted(found, key=lambda frame: frame.filename)
