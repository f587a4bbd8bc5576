"""Answers for a person: where things stand, why a frame is not reduced, which velocities there are."""

import csv
import io
from pathlib import Path
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from nrespipe.database import frames, measurements
from nrespipe.database.masters import calibrations
from nrespipe.database.states import State
from nrespipe.database.tables import Master
from nrespipe.files import layout
from nrespipe.files.plain_table import aligned
from nrespipe.files.raw import identity
from nrespipe.files.raw.identity import without_name as bare
from nrespipe.frames.quality import Quality
from nrespipe.service.operations import queue_status

#: Digits after the point in a table for the eye, where not as usual.
_DIGITS = {"bjd_tdb": 6, "mid_mjd": 6, "pressure_psi": 4}


def status(session: Session) -> list[str]:
    """Count frames by night, kind and state, tell how the work goes on, and list what is not done, with the reason.

    Returns
    -------
    list of str
        Lines.
    """
    nights = {}
    for site, instrument, camera, day, kind, state, count in frames.counts(session):
        where = " ".join(word for word in (site, instrument, camera, day) if word) or "(unknown)"
        nights.setdefault((where, str(kind or "unknown")), {})[state] = count
    rows = [[where, kind, *(str(states.get(state, "")) for state in State)] for (where, kind), states in nights.items()]
    lines = aligned([["night", "kind", *State], *rows])
    unhappy = [[_name(master), master.standing, master.reason] for master in calibrations.with_problems(session)]
    unhappy += [[f.filename, f.state, bare(f.reason, f.filename)] for f in frames.with_problems(session)]
    return lines + ["", *queue_status.told(session)] + (["", *aligned(unhappy)] if unhappy else [])


def why(session: Session, name: str, output: Path) -> list[str]:
    """Tell all that is known of a frame or of a master.

    Parameters
    ----------
    name
        File name; directory and extension do not matter.
    output
        Output directory, below which masters and products lie.

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
    made = [m for m in session.scalars(select(Master).order_by(Master.id.desc())) if _name(m) == stem]
    if not found and not made:
        raise LookupError(f"nothing is known of {stem}: no such frame was found so far")
    return [line for one in found for line in _frame(one, output)] + [
        line for one in made for line in _master(one, output)
    ]


def velocity_table(session: Session, form: Literal["csv", "table"]) -> str:
    """Return the velocities of all frames that are done.

    Parameters
    ----------
    form
        Comma-separated with all digits, or aligned for the eye.

    Returns
    -------
    str
        A line for each star of each frame, after one with the names of the columns. Doubts are words joined by ``|``.
    """
    rows = [{**row, "quality": "|".join(row["quality"])} for row in measurements.velocity_table(session)]
    return _listed(measurements.VELOCITY_COLUMNS, rows, form)


def drift_table(session: Session, form: Literal["csv", "table"]) -> str:
    """Return the drift of the spectrograph in all frames that are done.

    Parameters
    ----------
    form
        Comma-separated with all digits, or aligned for the eye.

    Returns
    -------
    str
        A line for each frame, after one with the names of the columns.
    """
    return _listed(measurements.DRIFT_COLUMNS, measurements.drift_table(session), form)


def _listed(columns, rows, form):
    """Write rows as a table for the eye or as CSV."""
    if form == "table":
        return "\n".join(aligned([columns, *([_shown(row[c], c) for c in columns] for row in rows)]))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")


def _frame(frame, output):
    told = [str(frame.kind or "unknown"), frame.site, frame.instrument, frame.camera, frame.day, frame.objects]
    reason = bare(frame.reason, frame.filename)
    exposure = "" if frame.exposure_s is None else f"{frame.exposure_s:g} s from MJD {frame.start_mjd:.6f}"
    facts = [
        ("frame", f"{frame.filename}, {f'version {frame.version}' if frame.version else 'announced'}"),
        ("file", f"{frame.path} (md5 {frame.md5 or 'unknown'})"),
        ("is", " ".join(word for word in (*told, exposure) if word)),
        ("state", f"{frame.state}: {reason}" if reason else str(frame.state)),
        ("quality", " ".join(Quality(frame.quality).names()) or "nothing against it"),
    ]
    facts += [line for number, attempt in enumerate(frame.attempts, 1) for line in _attempt(number, attempt, output)]
    facts += [("product", str(output / product.path)) for product in frame.products]
    facts += [("velocity", _velocity(velocity)) for velocity in frame.velocities]
    return [f"{label:<12}{text}" for label, text in facts]


def _velocity(velocity):
    measured = "no velocity"
    if velocity.rv_ms is not None:
        measured = f"{velocity.rv_ms:.2f} +- {_shown(velocity.rv_err_ms, 'rv_err_ms')} m/s"
    doubts = " ".join(Quality(velocity.quality).names())
    return f"fiber {velocity.fiber} {velocity.object}: {measured}{f' ({doubts})' if doubts else ''}"


def _name(master):
    return identity.stem(layout.master_name(master))


def _attempt(number, attempt, output):
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


def _chosen(master, frame):
    """Say why a master was chosen for a frame."""
    if master.day == frame.day:
        return "of the same night"
    days = calibrations.distance_days(master, frame)
    reach = calibrations.REACH_DAYS[master.kind]
    within = f"within {reach:g} days" if abs(days) <= reach else f"because there was none within {reach:g} days"
    return f"the nearest, {abs(days):.1f} days {'later' if days > 0 else 'earlier'}, {within}"


def _master(master, output):
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


def _finding(finding):
    value = "not measured" if finding["value"] is None else f"{finding['value']:.4g}"
    limits = f"flagged beyond {finding['usual']:.4g}, needs review beyond {finding['worst']:.4g}"
    limits += ", the last good one shows the same" * bool(finding.get("known"))
    return f"{finding['name']} = {value}, {finding['verdict']} ({limits})"


def _shown(value, column):
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.{_DIGITS.get(column, 5 if column.endswith('_px') else 2)}f}"
