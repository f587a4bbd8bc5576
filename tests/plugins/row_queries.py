"""What service, commands and scrape ask a database, each by its real function, with the plans of the statements."""

import tempfile
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import event, select
from sqlalchemy.orm import Session, sessionmaker

from nrespipe.analysis import exports, master_list, series
from nrespipe.database import frames, measurements
from nrespipe.database.masters import calibrations, lineage, scheduled_masters
from nrespipe.database.states import Standing, State
from nrespipe.database.tables import Frame, Master, ScheduledMaster
from nrespipe.database.work import claims
from nrespipe.frames.raw import Kind
from nrespipe.service import assembly, metrics
from nrespipe.service.assembly import Assembly
from nrespipe.service.ingest import messages
from nrespipe.service.masters import master_schedule, review
from nrespipe.service.operations import health, night_summary, status
from nrespipe.service.outcome import Outcome
from nrespipe.service.reduction import frame_jobs, frame_results, master_making
from nrespipe.service.work import dispatch
from nrespipe.settings import Settings

#: Every so many instructions of its virtual machine SQLite reports.
STEPS = 1000
_STAR = {
    "fiber": 0, "object": "HD10001", "star": "HD10001", "mask": "G2", "bjd_tdb": 2458579.55, "rv_ms": 1.0,
    "rv_err_ms": 1.0,
}  # fmt: skip


@dataclass
class World:
    """A database with many rows, all changes of which are undone.

    Attributes
    ----------
    session
        Within the transaction that is undone.
    service
        The service on the same transaction.
    plain
        The service on connections of its own, which only reads.
    """

    session: Session
    service: Assembly
    plain: Assembly

    def frame(self, kind=Kind.SCIENCE, state=State.DONE):
        """Return the newest frame of a kind and a state."""
        query = select(Frame).where(Frame.kind == kind, Frame.state == state).order_by(Frame.id.desc())
        return self.session.scalars(query.limit(1)).one()

    def master(self, kind=Kind.FLAT, standing=Standing.CURRENT):
        """Return the newest master of a kind but that of the last night."""
        query = select(Master).where(Master.kind == kind, Master.standing == standing).order_by(Master.id.desc())
        return self.session.scalars(query.offset(4).limit(1)).one()


@dataclass
class Statement:
    """A statement that was sent.

    Attributes
    ----------
    text
        In SQL.
    ms
        Time from sending it to its answer [ms].
    steps
        Instructions of the virtual machine of SQLite, in units of `STEPS`.
    plan
        That of PostgreSQL, where it was asked for it.
    """

    text: str
    ms: float = 0.0
    steps: int = 0
    plan: dict = field(default_factory=dict)

    def nodes(self):
        """Yield the nodes of the plan."""
        todo = [self.plan] if self.plan else []
        while todo:
            node = todo.pop()
            todo += node.get("Plans", [])
            yield node

    def examined(self):
        """Return how many rows of each table were read."""
        read = defaultdict(int)
        for node in self.nodes():
            if "Relation Name" in node and node["Node Type"] != "ModifyTable":
                removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
                read[node["Relation Name"]] += (node["Actual Rows"] + removed) * node["Actual Loops"]
        return read

    def pages(self):
        """Return how many pages of 8 kB were read, from memory or disk."""
        return self.plan.get("Shared Hit Blocks", 0) + self.plan.get("Shared Read Blocks", 0)


class Watch:
    """Watches the statements of an engine."""

    def __init__(self, engine):
        self.statements, self._explain, self._on = [], False, False
        event.listen(engine, "before_cursor_execute", self._before)
        event.listen(engine, "after_cursor_execute", self._after)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", lambda driver, _: driver.set_progress_handler(self._step, STEPS))
            engine.dispose()

    @contextmanager
    def watching(self, explain=False):
        """Watch to the end of the block; where PostgreSQL is to explain each statement it is done twice."""
        self.statements, self._explain, self._on = [], explain, True
        try:
            yield self
        finally:
            self._on = False

    def _step(self):
        if self._on and self.statements:
            self.statements[-1].steps += STEPS
        return 0

    def _before(self, opened, _cursor, text, parameters, context, many):
        if not self._on or not text.lstrip().lower().startswith(("select", "update", "delete", "insert", "with")):
            return
        self.statements.append(Statement(text))
        if self._explain and not many:
            with opened.connection.driver_connection.cursor() as cursor:
                cursor.execute("savepoint explained")
                cursor.execute(f"explain (analyze, buffers, format json) {text}", parameters)
                self.statements[-1].plan = cursor.fetchone()[0][0]["Plan"]
                cursor.execute("rollback to savepoint explained")
        self._began = datetime.now(UTC)

    def _after(self, _opened, _cursor, _text, _parameters, _context, _many):
        if self._on and self.statements:
            self.statements[-1].ms = (datetime.now(UTC) - self._began).total_seconds() * 1e3


@contextmanager
def world(engine):
    """Open a database with many rows; all changes are undone at the end."""
    with tempfile.TemporaryDirectory() as folder, engine.connect() as opened:
        given = Settings(do_ingest=True, ingest_to=f"file://{folder}")
        plain = Assembly(sessionmaker(engine, expire_on_commit=False), Path(folder), assembly.RECIPES, settings=given)
        within = sessionmaker(opened, expire_on_commit=False, join_transaction_mode="create_savepoint")
        service = replace(plain, sessions=within)
        # the same transaction: what was changed within it is seen
        service.__dict__["readers"] = within
        outer = opened.begin()
        with within() as session:
            yield World(session, service, plain)
        outer.rollback()


def _arrive(at):
    name = "lscnrs01-fa09-20260101-0001-e00.fits.fz"
    messages.register(at.session, messages.Arrival(name=name, path=f"/data/{name}", body="{}"), at.service.output)


def _claim(at):
    row = at.frame(state=State.QUEUED)
    return lambda: claims.claim(at.session, Frame, row.id, "me/here")


def _reduce(at):
    """Plan a frame of a night that is long over, and record its result, as its process does."""
    frame = at.frame()

    def work():
        job = frame_jobs.plan(at.session, frame, at.service)
        result = frame_results.Result(0, {"number": 1.0}, (_STAR,), (("L2", "a-L2.fits", "0" * 32),))
        now = datetime.now(UTC)
        frame_results.record_result(at.session, job, Outcome(State.DONE, "", "", now, now, result), at.service)
        master_schedule.add(at.session, at.frame(Kind.ARC), at.service)
        at.session.flush()

    return work


def _make_master(at):
    """Plan a master of the last night and record it, as its process does."""
    last = at.master(Kind.FLAT)
    row = at.session.scalars(
        select(ScheduledMaster).where(ScheduledMaster.kind == last.kind, ScheduledMaster.day == last.day)
    ).first()

    def work():
        master_schedule.is_ready(at.session, row)
        found = scheduled_masters.inputs(at.session, row)
        night = calibrations.night_of(row)
        now = datetime.now(UTC)
        job = master_making.plan(at.session, row.kind, night, found, at.service, since=now)
        made = {name: getattr(last, name) for name in ("path", "md5", "mean_mjd", "fibers")}
        made |= {"standing": Standing.CURRENT, "findings": []}
        master_making.record_master(at.session, job, Outcome(State.DONE, "", "", now, now, made))
        at.session.flush()

    return work


def _of_master(act):
    def prepared(at):
        name = master_list.name_of(at.master())
        return lambda: act(at, name)

    return prepared


def _of_night(act):
    def prepared(at):
        frame = at.session.scalars(select(Frame).where(Frame.kind == Kind.SCIENCE).order_by(Frame.id).limit(1)).one()
        return lambda: act(at, frame)

    return prepared


def _recent(at):
    return frames.first_of_last_nights(at.session)


def _plain(act):
    return lambda at: lambda: act(at)


def _unknown_star(at):
    try:
        series.of_star(at.session, at.service.output, "Nobody")
    except LookupError:
        return
    raise AssertionError("a star that nobody has seen was found")


#: Name, and what prepares the function that is measured.
QUERIES = {
    "sweep, each 5 s": _plain(lambda at: dispatch.sweep(at.service, lambda *_: None, lambda _table: True)),
    "message of a frame": _plain(_arrive),
    "claim of a frame": _claim,
    "plan and result of a frame": _reduce,
    "plan and result of a master": _make_master,
    "schedule of masters, each minute": _plain(
        lambda at: [
            master_schedule.add_all(at.session, at.service, *nights)
            for nights in master_schedule.nights_to_check(at.session)
        ]
    ),
    "frames that wait, each minute": _plain(lambda at: master_schedule.make_waiting_due(at.session)),
    "schedule of summaries, each minute": _plain(lambda at: night_summary.schedule(at.service)),
    "summary of a night": _of_night(
        lambda at, frame: night_summary.gather(at.session, frame.site, frame.day, at.service.output)
    ),
    "metrics, each scrape": _plain(lambda at: metrics.of_database(at.session)),
    "doctor": _plain(lambda at: health.examine(at.plain)),
    "status": _plain(lambda at: status.status(at.session)),
    "why FRAME": _of_night(lambda at, frame: status.why(at.session, frame.filename, at.service.output)),
    "why MASTER": _of_master(lambda at, name: status.why(at.session, name, at.service.output)),
    "masters list": _plain(lambda at: master_list.listing(at.session, first_day=_recent(at))),
    "masters accept": _of_master(lambda at, name: review.decide(at.session, name, Standing.CURRENT, "as before")),
    "masters reject": _of_master(lambda at, name: review.decide(at.session, name, Standing.REJECTED, "a ghost")),
    "masters to remake": _plain(lambda at: [lineage.nights_to_remake(at.session, kind) for kind in Kind]),
    "velocities STAR": _plain(lambda at: series.of_star(at.session, at.service.output, "HD 10001")),
    "velocities of a star never seen": _plain(_unknown_star),
    "velocities": _plain(lambda at: measurements.velocity_table(at.session, first_day=_recent(at))),
    "drifts": _plain(lambda at: measurements.drift_table(at.session, first_day=_recent(at))),
    "export velocities of a night": _of_night(
        lambda at, frame: exports.velocities(at.session, site=frame.site, first_day=frame.day, last_day=frame.day)
    ),
    "export masters of a night": _of_night(
        lambda at, frame: exports.masters(at.session, site=frame.site, first_day=frame.day, last_day=frame.day)
    ),
    "night: frames to reduce": _plain(lambda at: [frames.pending(at.session, kind, "1.0.0") for kind in Kind]),
    "night: frames to reduce again": _plain(lambda at: [frames.to_reduce_again(at.session, kind) for kind in Kind]),
}


def measured(engine, watch, name, explain=False):
    """Do what a query does once, undo it, and return how long it took [ms]; `watch` has the statements."""
    with world(engine) as at:
        work = QUERIES[name](at)
        with watch.watching(explain):
            began = datetime.now(UTC)
            work()
            return (datetime.now(UTC) - began).total_seconds() * 1e3
