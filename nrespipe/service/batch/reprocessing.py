"""Reprocess nights: reduce frames and make masters again in order, and report how velocities change."""

import csv
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from nrespipe import __version__
from nrespipe.database import reprocessings
from nrespipe.database.dialects import clock
from nrespipe.database.masters import calibrations
from nrespipe.database.states import State
from nrespipe.database.tables import Attempt, Frame
from nrespipe.files import layout, plain_table
from nrespipe.files.atomic_files import replacing
from nrespipe.files.raw import identity
from nrespipe.frames.raw import Kind
from nrespipe.service import outcome
from nrespipe.service.batch import runner
from nrespipe.service.operations import progress_bar
from nrespipe.service.operations.progress_bar import Report
from nrespipe.service.reduction import frame_jobs
from nrespipe.service.work import abandoned_rows

if TYPE_CHECKING:
    from nrespipe.service.assembly import Assembly

#: A row of the table of velocities before and after, by column.
Row = Mapping[str, Any]
COLUMNS = (
    "filename", "fiber", "before_ms", "before_err_ms", "before_version", "after_ms", "after_err_ms", "after_version",
    "change_ms", "why",
)  # fmt: skip


def reprocess(
    assembly: "Assembly",
    site: str,
    first_day: str,
    last_day: str,
    kinds: Collection[Kind] = tuple(Kind),
    why: str = "",
    report: Report = progress_bar.lines,
) -> tuple[list[str], Path]:
    """Reduce the frames of some nights again, and make their masters again.

    Parameters
    ----------
    site
        ``lsc`` ...
    first_day, last_day
        Nights, both included, ``YYYYMMDD``.
    kinds
        Kinds of frames; all if not given. They are taken in the order in which they need each other.
    why
        The reason, which is stored.
    report
        Shows progress.

    Returns
    -------
    lines : list of str
        Numbers of frames, the changes of velocities, and the frames and masters that could not be redone.
    path : Path
        Table of the velocities before and after.

    Raises
    ------
    LookupError
        If no frame of these nights is known.

    Notes
    -----
    A run that was interrupted goes on where it was when the same nights are reprocessed for the same reason: a frame
    that was reduced since the run began is not reduced twice, unless it would have other masters now. Products are
    replaced one by one and whole; earlier results stay in the attempts of the database.
    """
    kinds, nights = [kind for kind in Kind if kind in kinds], (site, first_day, last_day)
    with assembly.sessions.begin() as session:
        started = clock(session)
        begun = reprocessings.begin(session, *nights, kinds, why)
        row_id, moment = begun.id, begun.begun
        if not _frames(session, *nights, tuple(Kind)):
            raise LookupError(
                f"no frame of {site} from {first_day} to {last_day} is known; check the site and the days"
            )
    done = 0
    with runner.start(assembly, "again", report) as run:
        for kind in kinds:
            done += _redo(run, kind, nights, moment)
        runner.deliver(run)
    path = assembly.output / site / "reprocessing" / f"{moment:%Y%m%dT%H%M%S}.csv"
    with assembly.sessions.begin() as session:
        reprocessings.finish(session, row_id)
        changes = _changes(_frames(session, *nights, (Kind.SCIENCE,)), moment, why)
        problems = _unsuccessful(session, _frames(session, *nights, kinds), kinds, moment)
    _write(path, changes)
    goes_on = f", going on with the run of {moment:%Y-%m-%d %H:%M} UTC" if moment < started else ""
    first = f"{done} frames reduced again with version {__version__}{goes_on}"
    return [first, *_change_lines(changes), f"before and after: {path}", *problems], path


def _redo(run: runner.Batch, kind: Kind, nights: tuple[str, str, str], moment: datetime) -> int:
    """Reduce frames of a kind and make its masters, where that was not done since the run began; return how many."""
    with run.assembly.sessions.begin() as session:
        abandoned_rows.release_abandoned(session)
        mine = _frames(session, *nights, (kind,))
        # one that cannot be planned fails once more in a process, which records it
        jobs = {f: outcome.run(frame_jobs.plan, session, f, run.assembly).value for f in mine}
        due = [f for f, job in jobs.items() if job is None or not _is_done(f, job, moment)]
        of_masters = sorted({calibrations.night_of(frame) for frame in mine})
    done = runner.execute(run, f"{kind} frames", runner.frame_orders(run, due))
    if hasattr(run.assembly.recipes[kind], "combine"):
        runner.make_masters(run, kind, of_masters, since=moment)
    return done


def _is_done(frame: Frame, job: frame_jobs.Job, moment: datetime) -> bool:
    """Whether a frame was tried since the run began, with the masters that it would have now."""
    last = frame.attempts[-1] if frame.attempts else None
    chosen = {file.row_id for file in job.masters.values()}
    return last is not None and last.finished >= moment and {master.id for master in last.masters} == chosen


def _unsuccessful(session: Session, tried: Sequence[Frame], kinds: Collection[Kind], moment: datetime) -> list[str]:
    """Lines about masters that could not be made or need review, and about frames whose last attempt failed."""
    nights = {calibrations.night_of(frame) for frame in tried}
    days = sorted(night.day for night in nights) or [""]
    masters = [
        (identity.stem(layout.master_name(master)), str(master.standing), master.reason)
        for master in calibrations.with_problems(session, first_day=days[0], last_day=days[-1])
        if master.kind in kinds and calibrations.night_of(master) in nights
    ]
    ends = [(frame.filename, frame.attempts[-1]) for frame in tried if frame.attempts]
    failed = [
        (name, str(last.outcome), identity.without_name(last.reason, name))
        for name, last in ends
        if last.outcome is not State.DONE and last.finished >= moment
    ]
    return ["to be looked at:", *plain_table.aligned([*masters, *failed])] if masters or failed else []


def _frames(session: Session, site: str, first_day: str, last_day: str, kinds: Collection[Kind]) -> list[Frame]:
    query = select(Frame).where(
        Frame.site == site, Frame.day >= first_day, Frame.day <= last_day, Frame.kind.in_(kinds),
        Frame.start_mjd.is_not(None), Frame.is_latest(),
    )  # fmt: skip
    return list(session.scalars(query.order_by(Frame.filename)))


def _changes(stars: Sequence[Frame], moment: datetime, why: str) -> list[Row]:
    """Rows of the table: velocities of the last attempt before the run, and of the last one since."""
    rows: list[Row] = []
    for frame in stars:
        done = [attempt for attempt in frame.attempts if attempt.outcome is State.DONE]
        before = [attempt for attempt in done if attempt.finished < moment]
        after = [attempt for attempt in done if attempt.finished >= moment]
        if before and after:
            rows += _pairs(frame.filename, before[-1], after[-1], why)
    return rows


def _pairs(filename: str, before: Attempt, after: Attempt, why: str) -> Iterator[Row]:
    measured = {**before.measurements, **after.measurements}
    for fiber in sorted({name[-1] for name in measured if name.startswith("rv_ms_fiber")}):
        old, old_error = (before.measurements.get(f"{name}_fiber{fiber}") for name in ("rv_ms", "rv_err_ms"))
        new, new_error = (after.measurements.get(f"{name}_fiber{fiber}") for name in ("rv_ms", "rv_err_ms"))
        change = None if old is None or new is None else new - old
        versions = before.code_version, after.code_version
        cells = (filename, int(fiber), old, old_error, versions[0], new, new_error, versions[1], change, why)
        yield dict(zip(COLUMNS, cells, strict=True))


def _change_lines(changes: Sequence[Row]) -> list[str]:
    known = np.array([row["change_ms"] for row in changes if row["change_ms"] is not None])
    if len(known) == 0:
        return ["no velocity can be compared"]
    n_once = sum(row["change_ms"] is None for row in changes)
    return [
        f"{len(known)} velocities: median change {np.median(known):+.2f} m/s, scatter {known.std():.2f} m/s, "
        f"largest {known[np.argmax(np.abs(known))]:+.2f} m/s" + (f"; {n_once} are known only once" if n_once else "")
    ]


def _write(path: Path, rows: Iterable[Row]) -> None:
    with replacing(path) as partial, open(partial, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
