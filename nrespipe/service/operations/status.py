"""Status for a person: progress of the service, history of a frame or master, tables of velocities and drifts."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from nrespipe.analysis.master_list import name_of, of_name
from nrespipe.database import frames, measurements
from nrespipe.database.dialects import clock
from nrespipe.database.masters import calibrations
from nrespipe.database.states import State
from nrespipe.database.tables import (
    Attempt,
    Breaker,
    Delivery,
    Frame,
    Master,
    NightSummary,
    ScheduledMaster,
    StarVelocity,
)
from nrespipe.files.plain_table import aligned
from nrespipe.files.raw import identity
from nrespipe.files.raw.identity import without_name as bare
from nrespipe.frames.quality import Quality

#: Periods for which attempts are counted [hour].
_PERIODS_H = (1, 24)
#: A night whose summary was given up is listed for so long.
_RECENT = timedelta(days=14)
#: So many rows are counted one by one.
_MOST_COUNTED = 5000
#: Digits after the point in a table for the eye, where not as usual.
_DIGITS = {"bjd_tdb": 6, "mid_mjd": 6, "pressure_psi": 4}


class Choice(NamedTuple):
    """Nights and states of a status.

    Attributes
    ----------
    site
        '' for all.
    first_day, last_day
        Nights, ``YYYYMMDD``, both included. If neither is given: the last nights of which there are frames.
    states
        Of frames; all if empty.
    most
        Largest number of lines of each of the three lists: nights, masters and frames with a problem.
    """

    site: str = ""
    first_day: str = ""
    last_day: str = ""
    states: tuple[State, ...] = ()
    most: int = 200


#: All of the last nights.
RECENT = Choice()


def status(session: Session, choice: Choice = RECENT) -> list[str]:
    """Return lines with counts of frames, the progress of the work, and whatever is not done, with the reason.

    Parameters
    ----------
    choice
        Which nights and states.
    """
    nights, cut = frames.last_nights(session, choice.site, choice.first_day, choice.last_day)
    lines = [*_nights(session, nights, choice), "", *progress_lines(session)]
    lines += [f"nights since {cut}; for earlier ones see --since and --day"] if cut else []
    # one more than are listed: whether there are more
    most = choice.most + 1
    masters = [] if choice.states else calibrations.with_problems(session, **nights, most=most)
    unhappy = _last([[name_of(master), master.standing, master.reason] for master in masters], choice)
    found = frames.with_problems(session, **nights, states=choice.states, most=most)
    unhappy += _last([[f.filename, f.state, bare(f.reason, f.filename)] for f in found], choice)
    return lines + (["", *aligned(unhappy)] if unhappy else [])


def _nights(session: Session, of: Mapping[str, str], choice: Choice) -> list[str]:
    """Return a line with the counts of each kind of frames of each night."""
    nights: dict[tuple[str, ...], dict[State, int]] = {}
    for site, instrument, camera, day, kind, state, count in frames.counts(session, **of, states=choice.states):
        where = " ".join(word for word in (site, instrument, camera, day) if word) or "(unknown)"
        nights.setdefault((day, where, str(kind or "unknown")), {})[state] = count
    # the last nights where there are too many, in the order of their places
    shown = sorted(sorted(nights)[-choice.most :], key=lambda night: night[1:])
    rows = [[*night[1:], *(str(nights[night].get(state, "")) for state in State)] for night in shown]
    cut = len(nights) - len(shown)
    more = [f"{cut} earlier lines: see --limit"] * (cut > 0)
    return [*aligned([["night", "kind", *State], *rows]), *more]


def _last(rows: list[list[str]], choice: Choice) -> list[list[str]]:
    """Return the last rows of a list, and one that says that there are more."""
    cut = len(rows) > choice.most
    return rows[-choice.most :] + [["...", "", "and more: see --limit"]] * cut


def progress_lines(session: Session) -> list[str]:
    """Return the progress of the work.

    Returns
    -------
    list of str
        Lines: frames that are due, with the age of the oldest; frames to reduce again; frames at work and
        where; scheduled masters; files to deliver; nights whose summary failed; attempts
        of the last hour and day by outcome. Zero counts are left out.
    """
    moment = clock(session)
    lines = [
        _due(session, moment),
        _again(session, moment),
        _in_hand(session),
        _scheduled(session),
        _undelivered(session),
    ]
    lines.append(_unmailed(session, moment))
    lines += [_done(session, moment, hours) for hours in _PERIODS_H]
    return [line for line in lines if line]


def _due(session: Session, moment: datetime) -> str:
    due = (Frame.owner == "", Frame.next_try <= moment, ~Frame.low_priority, Frame.is_latest())
    count = _count(session, select(Frame.id).where(*due))
    oldest = session.scalar(select(Frame.next_try).where(*due).order_by(Frame.next_try).limit(1))
    return f"{_n(count, 'frame')} due, the oldest for {_span(moment - oldest)}" if oldest is not None else ""


def _again(session: Session, moment: datetime) -> str:
    again = (Frame.owner == "", Frame.next_try <= moment, Frame.low_priority, Frame.is_latest())
    count = _count(session, select(Frame.id).where(*again))
    return f"{_n(count, 'frame')} to be reduced again with better masters, when nothing else is due" if count else ""


def _in_hand(session: Session) -> str:
    owners = list(session.scalars(select(Frame.owner).where(Frame.owner != "").order_by(Frame.owner)))
    names = sorted({owner.split("/")[0] for owner in owners})
    return f"{_n(len(owners), 'frame')} worked on by {', '.join(names)}" if owners else ""


def _scheduled(session: Session) -> str:
    open_yet = select(func.count(), func.min(ScheduledMaster.next_try)).where(ScheduledMaster.next_try.is_not(None))
    count, first = session.execute(open_yet).one()
    return f"{_n(count, 'master')} scheduled, the next at {first:%Y-%m-%d %H:%M} UTC" if count else ""


def _undelivered(session: Session) -> str:
    waiting = select(Delivery.id).where(Delivery.delivered.is_(None))
    count = _count(session, waiting)
    failed = _count(session, waiting.where(Delivery.next_try.is_(None), Delivery.owner == ""))
    given_up = f", {_number(failed)} of them given up" if failed else ""
    alone = session.scalars(select(Breaker).where(Breaker.next_try.is_not(None)).order_by(Breaker.since)).first()
    away = f"; {alone.server} takes nothing since {alone.since:%Y-%m-%d %H:%M} UTC: {alone.reason}" if alone else ""
    return f"{_n(count, 'file')} not delivered yet{given_up}{away}" if count else ""


def _unmailed(session: Session, moment: datetime) -> str:
    unsent = (
        NightSummary.tries > 0,
        NightSummary.owner == "",
        NightSummary.mailed.is_(None),
        NightSummary.reason != "",
    )
    # a person has seen those that were given up long ago
    recent = NightSummary.next_try.is_not(None) | (NightSummary.day >= f"{moment - _RECENT:%Y%m%d}")
    rows = session.scalars(select(NightSummary).where(*unsent, recent).order_by(NightSummary.day)).all()
    failed = sum(row.next_try is None for row in rows)
    given_up = f", {failed} of them given up" if failed else ""
    first = f"; {rows[0].site} {rows[0].day}: {rows[0].reason}" if rows else ""
    return f"{_n(len(rows), 'night')} not summed up yet{given_up}{first}" if rows else ""


def _done(session: Session, moment: datetime, hours: int) -> str:
    since = select(Attempt.outcome, func.count()).where(Attempt.finished > moment - timedelta(hours=hours))
    counts = sorted(session.execute(since.group_by(Attempt.outcome)).all())
    words = ", ".join(f"{count} {outcome}" for outcome, count in counts)
    return f"attempts in the last {'hour' if hours == 1 else f'{hours} hours'}: {words}" if words else ""


def _count(session: Session, rows: Select[Any]) -> int:
    """Count rows up to `_MOST_COUNTED`, and one more: the cost does not grow with the backlog."""
    return session.scalar(select(func.count()).select_from(rows.limit(_MOST_COUNTED + 1).subquery())) or 0


def _number(count: int) -> str:
    return str(count) if count <= _MOST_COUNTED else f"more than {_MOST_COUNTED}"


def _n(count: int, word: str) -> str:
    return f"{_number(count)} {word}{'s' * (count != 1)}"


def _span(delta: timedelta) -> str:
    seconds = delta.total_seconds()
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}s"
    return f"{seconds:.0f} s"


def why(session: Session, name: str, output: Path) -> list[str]:
    """Return all that is known of a frame or of a master.

    Parameters
    ----------
    name
        File name; directory and extension do not matter.
    output
        Output directory, of masters and products.

    Returns
    -------
    list of str
        Lines.

    Raises
    ------
    LookupError
        If nothing is known of it.
    """
    stem = identity.stem(name)
    found = frames.find(session, stem)
    made = of_name(session, stem)
    if not found and not made:
        raise LookupError(f"nothing is known of {stem}: no such frame was found so far")
    return [line for one in found for line in _frame(one, output)] + [
        line for one in made for line in _master(one, output)
    ]


def velocity_table(session: Session, form: Literal["csv", "table"], nights: Mapping[str, str]) -> str:
    """Return the velocities of the frames that are done.

    Parameters
    ----------
    form
        Comma-separated with all digits, or aligned for the eye.
    nights
        ``site``, ``first_day`` and ``last_day``, as for ``measurements.velocity_table``.

    Returns
    -------
    str
        A line for each star of each frame, after one with the names of the columns. Flags are words joined by ``|``.
    """
    rows = [{**row, "quality": "|".join(row["quality"])} for row in measurements.velocity_table(session, **nights)]
    return _listed(measurements.VELOCITY_COLUMNS, rows, form)


def drift_table(session: Session, form: Literal["csv", "table"], nights: Mapping[str, str]) -> str:
    """Return the drift of the spectrograph in the frames that are done.

    Parameters
    ----------
    form, nights
        As for `velocity_table`.

    Returns
    -------
    str
        A line for each frame, after one with the names of the columns.
    """
    return _listed(measurements.DRIFT_COLUMNS, measurements.drift_table(session, **nights), form)


def _listed(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], form: Literal["csv", "table"]) -> str:
    """Write rows as a table for the eye or as CSV."""
    if form == "table":
        return "\n".join(aligned([columns, *([_shown(row[c], c) for c in columns] for row in rows)]))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")


def _frame(frame: Frame, output: Path) -> list[str]:
    words = [str(frame.kind or "unknown"), frame.site, frame.instrument, frame.camera, frame.day, frame.objects]
    reason = bare(frame.reason, frame.filename)
    exposure = "" if frame.exposure_s is None else f"{frame.exposure_s:g} s from MJD {frame.start_mjd:.6f}"
    facts = [
        ("frame", f"{frame.filename}, {f'version {frame.version}' if frame.version else 'announced'}"),
        ("file", f"{frame.path} (md5 {frame.md5 or 'unknown'})"),
        ("is", " ".join(word for word in (*words, exposure) if word)),
        ("state", f"{frame.state}: {reason}" if reason else str(frame.state)),
        ("quality", " ".join(Quality(frame.quality).names()) or "nothing against it"),
    ]
    facts += [line for number, attempt in enumerate(frame.attempts, 1) for line in _attempt(number, attempt, output)]
    facts += [("product", str(output / product.path)) for product in frame.products]
    facts += [("velocity", _velocity(velocity)) for velocity in frame.velocities]
    return [f"{label:<12}{text}" for label, text in facts]


def _velocity(velocity: StarVelocity) -> str:
    measured = "no velocity"
    if velocity.rv_ms is not None:
        measured = f"{velocity.rv_ms:.2f} +- {_shown(velocity.rv_err_ms, 'rv_err_ms')} m/s"
        measured += f", absolute +- {_shown(velocity.rv_abs_err_ms, 'rv_abs_err_ms')}"
    flags = " ".join(Quality(velocity.quality).names())
    return f"fiber {velocity.fiber} {velocity.object}: {measured}{f' ({flags})' if flags else ''}"


def _attempt(number: int, attempt: Attempt, output: Path) -> Iterator[tuple[str, str]]:
    seconds = (attempt.finished - attempt.started).total_seconds()
    reason = bare(attempt.reason, attempt.frame.filename)
    end = f"{attempt.outcome}: {reason}" if reason else str(attempt.outcome)
    when = f"{attempt.started:%Y-%m-%d %H:%M:%S} UTC, {seconds:.1f} s, version {attempt.code_version}"
    yield f"attempt {number}", f"{when}: {end}"
    for master in attempt.masters:
        inputs = "1 input" if master.n_inputs == 1 else f"{master.n_inputs} inputs"
        yield (
            "  with",
            f"{master.kind} of {master.day}, {inputs}, {_chosen(master, attempt.frame)}: {output / master.path}",
        )
    for name, value in attempt.measurements.items():
        yield "  found", f"{name} = {value if value is None else format(value, 'g')}"
    for line in attempt.traceback.splitlines():
        yield "", line


def _chosen(master: Master, frame: Frame) -> str:
    """Return why a master was chosen for a frame."""
    if master.day == frame.day:
        return "of the same night"
    days = calibrations.distance_days(master, frame)
    reach = calibrations.REACH_DAYS[master.kind]
    within = f"within {reach:g} days" if abs(days) <= reach else f"because there was none within {reach:g} days"
    return f"the nearest, {abs(days):.1f} days {'later' if days > 0 else 'earlier'}, {within}"


def _master(master: Master, output: Path) -> list[str]:
    made = f"{master.created:%Y-%m-%d %H:%M:%S} UTC, version {master.code_version}"
    state = f"{master.standing}: {master.reason}" if master.reason else str(master.standing)
    facts = [
        ("master", f"{master.kind} of {master.site} {master.instrument} {master.camera} {master.day}"),
        ("file", f"{output / master.path} (md5 {master.md5})" if master.path else "none"),
        ("state", state),
        ("tried", made),
        ("quality", " ".join(Quality(master.quality).names()) or "nothing against it"),
        *(("judged by", _finding(finding)) for finding in master.findings or ()),
        *(("input", frame.filename) for frame in master.inputs),
        *(("", line) for line in master.traceback.splitlines()),
    ]
    return [f"{label:<12}{text}" for label, text in facts]


def _finding(finding: Mapping[str, Any]) -> str:
    value = "not measured" if finding["value"] is None else f"{finding['value']:.4g}"
    limits = f"flagged beyond {finding['usual']:.4g}, needs review beyond {finding['worst']:.4g}"
    limits += ", the last good one shows the same" * bool(finding.get("known"))
    return f"{finding['name']} = {value}, {finding['verdict']} ({limits})"


def _shown(value: object, column: str) -> str:
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.{_DIGITS.get(column, 5 if column.endswith('_px') else 2)}f}"
