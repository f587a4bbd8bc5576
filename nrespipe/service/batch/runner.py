"""What the commands that end by themselves share: rows go to a team of processes, and what they leave is told."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial
from itertools import count
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import select

from nrespipe import __version__
from nrespipe.database import claims
from nrespipe.database.dialects import clock
from nrespipe.database.masters import calibrations, stackings
from nrespipe.database.states import State
from nrespipe.database.tables import Delivery, Frame, Product
from nrespipe.service import outcome
from nrespipe.service.assembly import RECIPES, Assembly
from nrespipe.service.operations import kernels
from nrespipe.service.reduction import master_making
from nrespipe.service.work import execution, leases, orphans, owner, process_pool

if TYPE_CHECKING:
    from nrespipe.database.masters.calibrations import Night
    from nrespipe.frames.raw import Kind
    from nrespipe.service.operations.kernels import Compiled

_log = structlog.get_logger(__name__)

#: How often to look whether another run has finished what it is doing [second].
POLL_S = 0.5

_numbers = count(1)


@dataclass(frozen=True)
class Order:
    """One row that is to be done.

    Attributes
    ----------
    name
        What a person calls it.
    table
        One of ``claims.KINDS_OF_WORK``.
    row_id, seen
        The row, and how often it had been tried when that was decided: it is done if nobody has tried it since.
    owner
        Who does it.
    """

    name: str
    table: type
    row_id: int
    seen: int
    owner: str


@dataclass(frozen=True)
class Batch:
    """What every part of a run works with.

    Attributes
    ----------
    assembly
        What to work with.
    run
        Runs a function on jobs, as ``process_pool.open`` gives it.
    report
        Shows progress: ``progress.bar`` or ``progress.lines``.
    owner
        Beginning of the names by which this run has rows.
    """

    assembly: Assembly
    run: Callable
    report: Callable
    owner: str = field(repr=False)

    @cached_property
    def kernels(self) -> "Compiled | None":
        """The kernels, which all processes compile together before the first frame."""
        return kernels.prepare(self.run, self.report) if self.assembly.recipes is RECIPES else None

    def order(self, name: str, row) -> Order:
        """Return the order to do a row.

        Parameters
        ----------
        name
            What a person calls it.
        row : Frame, Stacking or Delivery
            The row as it is now.
        """
        return Order(name, type(row), row.id, row.tries, f"{self.owner}.{next(_numbers)}")


@contextmanager
def start(assembly: Assembly, name: str, report: Callable[..., Any], processes: int | None = None) -> Iterator[Batch]:
    """Keep processes at hand for a run; rows that it has at the end, because it was interrupted, are given back.

    Parameters
    ----------
    name
        Of the run, for others that see its rows.
    report
        Shows progress: ``progress.bar`` or ``progress.lines``.
    processes
        How many; those of the assembly if not given.
    """
    processes, settings = assembly.processes if processes is None else processes, assembly.settings
    mine = f"{owner.this_process(name)}/{next(_numbers)}"
    try:
        with process_pool.open(processes, assembly.log_level, settings.time_limit_s, settings.memory_limit_mb) as run:
            yield Batch(assembly, run, report, mine)
    finally:
        leases.persist(assembly.sessions, partial(_give_back, mine=mine), monotonic() + assembly.pace.patience_s)


def execute(batch: Batch, label: str, orders: Sequence[Order], **options: object) -> int:
    """Do rows that nobody else does first; one whose process died is tried once more.

    Parameters
    ----------
    **options
        For the function of ``execution.WORK``.

    Returns
    -------
    int
        How many were done, and not by others.
    """
    if not orders:
        return 0
    _ = batch.kernels
    done, again = 0, []
    with batch.report(label, len(orders)) as advance:
        for order, result in batch.run(partial(_do, batch.assembly, options), orders):
            if result.state is not State.DONE:
                again += _lost(batch, order, result)
            ended = result.value if result.state is State.DONE else result
            if ended is not None:
                done += 1
                advance(order.name, **ended.told())
    return done + execute(batch, f"{label} again", again, **options)


def make_masters(
    batch: Batch, kind: "Kind", nights: "Sequence[Night]", version: str = __version__, since: datetime | None = None
) -> None:
    """Make the masters of some nights, or wait until another run has made them.

    Parameters
    ----------
    nights
        Which; of each camera one after the other, because a master is judged by the one of the night before.
    version
        Version of the program: what another version failed on is tried again.
    since
        Masters that were made before are made again.
    """
    options = {"version": version, "since": since}
    while nights:
        first = _first_of_each_camera(nights)
        with batch.assembly.sessions.begin() as session:
            orphans.bury(session)
            rows = {night: stackings.get_or_create(session, kind, night) for night in first}
            orders = {n: batch.order(f"{n.instrument} {n.day}", row) for n, row in rows.items() if not row.owner}
        # files are read for this, and whoever writes need not wait for that
        with batch.assembly.readers.begin() as session:
            jobs = {n for n in orders if _is_to_be_made(session, batch.assembly, rows[n], options)}
        # whose turn has passed: no process needs to be started, and no kernel loaded
        for night in orders.keys() - jobs:
            _do(batch.assembly, options, orders[night])
        execute(batch, f"master {kind}", [orders[night] for night in orders if night in jobs], **options)
        with batch.assembly.sessions.begin() as session:
            moment = clock(session)
            now = {night: stackings.get_or_create(session, kind, night) for night in first}
        # in the hands of another run; or its own masters were at fault, and there are others
        left = [n for n, row in now.items() if row.owner or (row.next_try is not None and row.next_try <= moment)]
        nights = [night for night in nights if night not in first or night in left]
        if left and not orders:
            sleep(POLL_S)


def deliver(batch: Batch) -> None:
    """Deliver what is due; what a server does not take now is left to the next run, or to the service."""
    with batch.assembly.sessions.begin() as session:
        due = (Delivery.owner == "", Delivery.next_try <= clock(session))
        rows = session.execute(select(Delivery, Product.path).join(Product).where(*due).order_by(Delivery.id)).all()
    execute(batch, "deliveries", [batch.order(path, row) for row, path in rows])


def frame_orders(batch: Batch, frames: Sequence[Frame]) -> list[Order]:
    """Return the orders to reduce frames."""
    return [batch.order(frame.filename, frame) for frame in frames]


def _do(assembly, options, order):
    """Do a row; runs in any process."""
    structlog.contextvars.clear_contextvars()
    _, work = execution.WORK[order.table]
    try:
        return work(assembly, order.row_id, order.owner, seen=order.seen, **options)
    finally:
        structlog.contextvars.clear_contextvars()
        # this process may be ended before its next piece of work
        assembly.recorder.flush()


def _give_back(session, mine):
    for table in claims.KINDS_OF_WORK:
        kept = session.execute(select(table.id, table.owner).where(table.owner.startswith(f"{mine}."))).all()
        for row_id, owner_of_order in kept:
            claims.give_back(session, table, row_id, owner_of_order)


def _lost(batch, order, result):
    """Take a row away from a process that died, or failed around it; return the order to do it once more, if any."""
    if result.traceback:
        _log.error("a piece of work failed", name=order.name, exception=result.traceback)

    # a database that stayed away for longer than anybody waits is no fault of the row
    is_death = result.state is not State.RETRY or not result.traceback

    def release(session):
        claims.release(session, result.reason, [order.owner], is_death)
        return session.get(order.table, order.row_id, populate_existing=True)

    row = leases.persist(batch.assembly.sessions, release, monotonic() + batch.assembly.pace.patience_s)
    # none: the product of a delivery was replaced meanwhile
    return [batch.order(order.name, row)] if row is not None and row.deaths == 1 and not row.owner else []


def _is_to_be_made(session, assembly, row, options):
    """Whether there is anything to make; where that cannot be told, a process finds out why."""
    night, inputs = calibrations.night_of(row), stackings.inputs(session, row)
    planned = outcome.attempt(partial(master_making.plan, **options), session, row.kind, night, inputs, assembly)
    return planned.state is not State.DONE or planned.value is not None


def _first_of_each_camera(nights):
    first = {}
    for night in sorted(nights, key=lambda night: night.day):
        first.setdefault(night._replace(site="", day=""), night)
    return list(first.values())
