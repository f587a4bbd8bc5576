"""Batch runs: do the work of rows in a pool of processes, without messages."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial
from itertools import count
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from nrespipe import __version__
from nrespipe.database.dialects import clock
from nrespipe.database.masters import calibrations, scheduled_masters
from nrespipe.database.states import State
from nrespipe.database.tables import (
    WORK_TABLES,
    Delivery,
    Frame,
    NightSummary,
    Product,
    Row,
    ScheduledMaster,
    WorkTable,
)
from nrespipe.database.work import claims, releases
from nrespipe.service import outcome
from nrespipe.service.assembly import RECIPES, Assembly
from nrespipe.service.operations import kernels
from nrespipe.service.operations.progress_bar import Report
from nrespipe.service.outcome import NoOutcome, Outcome, RunJobs
from nrespipe.service.reduction import master_making
from nrespipe.service.work import abandoned_rows, execution, leases, owners, process_pool

if TYPE_CHECKING:
    from nrespipe.database.masters.calibrations import Night
    from nrespipe.frames.raw import Kind
    from nrespipe.service.operations.kernels import Compiled

_log = structlog.get_logger(__name__)

#: How often to check whether another run has finished [second].
POLL_S = 0.5

_numbers = count(1)


@dataclass(frozen=True)
class Order:
    """Order to do the work of one row.

    Attributes
    ----------
    name
        Name for a person.
    table
        One of ``tables.WORK_TABLES``.
    row_id, tries_seen
        Key of the row, and how often it had been tried when the order was given: it is done if nobody has tried it
        since.
    owner
        Process that does it, as the row names it.
    """

    name: str
    table: WorkTable
    row_id: int
    tries_seen: int
    owner: str


@dataclass(frozen=True)
class Batch:
    """A batch run.

    Attributes
    ----------
    assembly
        Parts of the service.
    run
        Runs a function on jobs, as ``process_pool.open`` gives it.
    report
        Shows progress.
    owner
        Beginning of the names under which this run owns rows.
    """

    assembly: Assembly
    run: RunJobs
    report: Report
    owner: str = field(repr=False)

    @cached_property
    def kernels(self) -> "Compiled | None":
        """The kernels, which all processes compile together before the first frame."""
        return kernels.prepare(self.run, self.report) if self.assembly.recipes is RECIPES else None

    def order(self, name: str, row: Frame | ScheduledMaster | Delivery | NightSummary) -> Order:
        """Return the order to do the work of a row as it is now."""
        return Order(name, type(row), row.id, row.tries, f"{self.owner}.{next(_numbers)}")


@contextmanager
def start(assembly: Assembly, name: str, report: Report, processes: int | None = None) -> Iterator[Batch]:
    """Open a pool of processes for a run; rows that it still owns at the end, after an interrupt, are given back.

    Parameters
    ----------
    name
        Name of the run, for others that see its rows.
    report
        Shows progress.
    processes
        How many; those of the assembly if not given.
    """
    processes, settings = assembly.processes if processes is None else processes, assembly.settings
    mine = f"{owners.this_process(name)}/{next(_numbers)}"
    try:
        with process_pool.open(processes, settings.time_limit_s, settings.memory_limit_mb) as run:
            yield Batch(assembly, run, report, mine)
    finally:
        leases.persist(assembly.sessions, partial(_give_back, mine=mine), monotonic() + assembly.pace.patience_s)


def execute(batch: Batch, label: str, orders: Sequence[Order], **options: object) -> int:
    """Do the work of rows that no other process does first; a row whose process died is tried once more.

    Parameters
    ----------
    **options
        For ``execution.execute``.

    Returns
    -------
    int
        How many were done here.
    """
    if not orders:
        return 0
    _ = batch.kernels
    done = 0
    again: list[Order] = []
    with batch.report(label, len(orders)) as advance:
        for order, of_process in batch.run(partial(_do, batch.assembly, options), orders):
            if of_process.state is not State.DONE:
                again += _release(batch, order, of_process)
            ended = of_process.value if of_process.state is State.DONE else of_process
            if isinstance(ended, Outcome):
                done += 1
                advance(order.name, **ended.log_facts())
    return done + execute(batch, f"{label} again", again, **options)


def make_masters(
    batch: Batch, kind: "Kind", nights: "Sequence[Night]", version: str = __version__, since: datetime | None = None
) -> None:
    """Make the masters of some nights, or wait until another run has made them.

    Parameters
    ----------
    nights
        Their nights; of each camera one after the other, because a master is compared with the one of the night before.
    version
        Version of the program: a master on which another version failed is tried again.
    since
        Masters that were made before are made again.
    """
    options: dict[str, Any] = {"version": version, "since": since}
    nights = list(nights)
    while nights:
        first = _first_of_each_camera(nights)
        with batch.assembly.sessions.begin() as session:
            abandoned_rows.release_abandoned(session)
            rows = {night: scheduled_masters.get_or_create(session, kind, night) for night in first}
            orders = {n: batch.order(f"{n.instrument} {n.day}", row) for n, row in rows.items() if not row.owner}
        # files are read for this, and writers need not wait for that
        with batch.assembly.readers.begin() as session:
            jobs = {n for n in orders if _is_to_be_made(session, batch.assembly, rows[n], options)}
        # rows with nothing to make: no process needs to be started, and no kernel loaded
        for night in orders.keys() - jobs:
            _do(batch.assembly, options, orders[night])
        execute(batch, f"master {kind}", [orders[night] for night in orders if night in jobs], **options)
        with batch.assembly.sessions.begin() as session:
            moment = clock(session)
            now = {night: scheduled_masters.get_or_create(session, kind, night) for night in first}
        # another run makes it; or its own masters were at fault, and there are others
        left = [n for n, row in now.items() if row.owner or (row.next_try is not None and row.next_try <= moment)]
        nights = [night for night in nights if night not in first or night in left]
        if left and not orders:
            sleep(POLL_S)


def deliver(batch: Batch) -> None:
    """Deliver products that are due; those that a server does not take now are left to the next run or the service."""
    with batch.assembly.sessions.begin() as session:
        due = (Delivery.owner == "", Delivery.next_try <= clock(session))
        rows = session.execute(select(Delivery, Product.path).join(Product).where(*due).order_by(Delivery.id)).all()
    execute(batch, "deliveries", [batch.order(path, row) for row, path in rows])


def frame_orders(batch: Batch, frames: Sequence[Frame]) -> list[Order]:
    """Return the orders to reduce frames."""
    return [batch.order(frame.filename, frame) for frame in frames]


def _do(assembly: Assembly, options: Mapping[str, Any], order: Order) -> Outcome[object] | NoOutcome:
    """Do the work of a row; runs in any process."""
    structlog.contextvars.clear_contextvars()
    try:
        return execution.execute(
            assembly, order.table, order.row_id, order.owner, tries_seen=order.tries_seen, **options
        )
    finally:
        structlog.contextvars.clear_contextvars()
        # this process may be ended before its next piece of work
        assembly.recorder.flush()


def _give_back(session: Session, mine: str) -> None:
    for table in WORK_TABLES:
        kept = session.execute(select(table.id, table.owner).where(table.owner.startswith(f"{mine}."))).all()
        for row_id, owner_of_order in kept:
            claims.give_back(session, table, row_id, owner_of_order)


def _release(batch: Batch, order: Order, ended: Outcome[object]) -> list[Order]:
    """Release the row of a process that died, or failed around it; return the order to do it once more, if any."""
    if ended.traceback:
        _log.error("job failed", name=order.name, exception=ended.traceback)

    # a database that stayed away for longer than anybody waits is no fault of the row
    is_death = ended.state is not State.RETRY or not ended.traceback

    def release(session: Session) -> Row | None:
        releases.release(session, ended.reason, [order.owner], is_death)
        return session.get(order.table, order.row_id, populate_existing=True)

    row = leases.persist(batch.assembly.sessions, release, monotonic() + batch.assembly.pace.patience_s)
    # None: the product of a delivery was replaced meanwhile
    if not isinstance(row, Frame | ScheduledMaster | Delivery | NightSummary):
        return []
    return [batch.order(order.name, row)] if row.deaths == 1 and not row.owner else []


def _is_to_be_made(session: Session, assembly: Assembly, row: ScheduledMaster, options: Mapping[str, Any]) -> bool:
    """Whether there is anything to make; where the plan fails, a process records why."""
    night, inputs = calibrations.night_of(row), scheduled_masters.inputs(session, row)
    planned = outcome.run(partial(master_making.plan, **options), session, row.kind, night, inputs, assembly)
    return planned.state is not State.DONE or planned.value is not None


def _first_of_each_camera(nights: "Sequence[Night]") -> "list[Night]":
    first: dict[Night, Night] = {}
    for night in sorted(nights, key=lambda night: night.day):
        first.setdefault(night._replace(site="", day=""), night)
    return list(first.values())
