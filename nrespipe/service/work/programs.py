"""Programs that run until they are stopped: listener, workers, scheduler, and all of them in one."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from celery import Celery, signals
from sqlalchemy.orm import Session, sessionmaker

from nrespipe import settings
from nrespipe.database import frames, nodes
from nrespipe.database.dialects import clock
from nrespipe.database.tables import WorkTable
from nrespipe.service import metrics, outcome, time_limits
from nrespipe.service.ingest.listener import Listener
from nrespipe.service.masters import master_schedule
from nrespipe.service.operations import night_summary
from nrespipe.service.work import celery_app, dispatch, node
from nrespipe.service.work.leases import persist
from nrespipe.service.work.queues import ROUTES

if TYPE_CHECKING:
    from nrespipe.service.assembly import Assembly

_log = structlog.get_logger(__name__)

#: How often the scheduler adds masters and summaries [second].
PERIOD_S = 60.0
#: A node of workers that was silent for so long is forgotten [day].
_GONE_DAYS = 3
#: Pause of the loop of the service in one program [second].
_TURN_S = 0.5

T = TypeVar("T")


def listen(assembly: "Assembly") -> None:
    """Register the raw frames that messages announce, until the program is stopped."""
    listener = _listener(assembly, celery_app.application(assembly.settings))
    signal.signal(signal.SIGTERM, lambda *_: listener.stop())
    listener.listen()


def work(assembly: "Assembly", name: str, tables: Sequence[WorkTable]) -> int:
    """Do the work of the rows that messages name, until the program is stopped.

    Parameters
    ----------
    name
        Name of this node, unique on its host and the same after a new start.
    tables
        Tables whose queues are served: `Frame`, `ScheduledMaster`, `NightSummary`, `Delivery`.

    Returns
    -------
    int
        Exit status: 0 where it was asked to stop and finished its work.

    Raises
    ------
    DoNotFit
        If the broker or the supervisor would end it before the time limit of a frame.
    Unavailable
        If a live node has the name.
    """
    time_limits.require_fit(assembly.settings, assembly.pace)
    app = celery_app.application(assembly.settings)
    queues = ",".join(sorted({ROUTES[table].queue for table in tables}))
    processes, full_name = max(assembly.processes, 1), f"{name}@{socket.gethostname()}"
    options = {
        "--pool": "prefork",
        "--concurrency": str(processes),
        "--queues": queues,
        "--hostname": full_name,
    }
    words = [word for pair in options.items() for word in pair]
    workers: list[Any] = []
    signals.worker_init.connect(lambda sender, **_: workers.append(sender), weak=False)
    # before the library connects: of two nodes of one name it ends one, as if all were well
    with node.register(assembly, full_name, processes, queues) as lost:
        celery_app.configure_worker(app, assembly, full_name)
        app.worker_main(["--quiet", "worker", *words, "--without-gossip", "--without-mingle"])
    # the library itself forgets the exit status of its worker
    return 1 if lost.is_set() or not workers else int(workers[0].exitcode or 0)


def schedule(assembly: "Assembly", once: bool = False) -> None:
    """Schedule masters and summaries and notify workers, until the program is stopped; two of these do no harm.

    Parameters
    ----------
    once
        Whether to do it once and end.
    """
    app = celery_app.application(assembly.settings)
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    timer = _timer(assembly, app)
    if assembly.settings.metrics_port and not once:
        port, address = assembly.settings.metrics_port, assembly.settings.metrics_address
        points = partial(_points, assembly, app)
        # a port that another program has, a second scheduler perhaps, delays no frame
        outcome.run_or_log("numbers for Prometheus", metrics.serve, port, points, address)
    next_plan = 0.0
    while True:
        if time.monotonic() >= next_plan:
            _schedule(assembly, is_first=next_plan == 0.0)
            outcome.run_or_log("metrics", lambda: assembly.recorder.send(_points(assembly, app)))
            next_plan = time.monotonic() + PERIOD_S
        timer.tick()
        if once or stopped.wait(assembly.pace.sweep_s):
            assembly.recorder.flush()
            return


def run(assembly: "Assembly") -> int:
    """Run the whole service in one program: workers, sweep, scheduler, and a listener where a broker is set.

    Returns
    -------
    int
        Exit status, as that of `work`; 1 too if a part of it has ended: then the others finish their work and end as
        well.

    Raises
    ------
    DoNotFit
        As `work` does.
    Unavailable
        If a live node has the name: the service runs on this host already.
    """
    ended: list[str] = []

    @signals.worker_ready.connect(weak=False)
    def _start_threads(sender: Any, **_: object) -> None:
        # threads of the parent: started after it has made its processes, which must not inherit them
        parts = [_sweep_and_schedule] + [_listen] * (assembly.settings.fits_broker != settings.MEMORY)
        for part in parts:
            threading.Thread(target=_run_part, args=(ended, part, assembly, sender.app), daemon=True).start()

    status = work(assembly, "nrespipe", list(ROUTES))
    return 1 if ended else status


def _run_part(ended: list[str], part: "Callable[[Assembly, Celery], None]", assembly: "Assembly", app: Celery) -> None:
    """Run a part of the service that never ends by itself; if it does, the whole service ends, to be started anew."""
    try:
        part(assembly, app)
    except BaseException:
        _log.exception("a part of the service failed", part=part.__name__)
    ended.append(part.__name__)
    _log.error("a part of the service has ended: the others finish their work", part=part.__name__)
    os.kill(os.getpid(), signal.SIGTERM)


def _timer(assembly: "Assembly", app: Celery) -> dispatch.SweepTimer:
    return dispatch.SweepTimer(assembly, celery_app.sender(app), celery_app.emptiness_check(app))


def _listener(assembly: "Assembly", app: Celery) -> Listener:
    return Listener(assembly, dispatch.Notifier(assembly, celery_app.sender(app)), _timer(assembly, app))


def _listen(assembly: "Assembly", app: Celery) -> None:
    _listener(assembly, app).listen()


def _sweep_and_schedule(assembly: "Assembly", app: Celery) -> None:
    timer, next_plan = _timer(assembly, app), 0.0
    if assembly.settings.broker_url == settings.MEMORY:
        # messages in memory do not survive a program
        job = "messages of an earlier program"
        outcome.run_or_log(job, _persist, assembly, assembly.sessions, dispatch.forget_messages)
    while True:
        timer.tick()
        if time.monotonic() >= next_plan:
            _schedule(assembly, is_first=next_plan == 0.0)
            next_plan = time.monotonic() + PERIOD_S
        time.sleep(min(_TURN_S, assembly.pace.sweep_s))


def _schedule(assembly: "Assembly", is_first: bool = False) -> None:
    """Schedule masters and summaries, and release frames that were overlooked; an error of one stops no other.

    Where a program has just started all nights are looked at; later the recent ones, and in turn the others.
    """
    mine, choose = assembly.sessions, frames.spans if is_first else master_schedule.nights_to_check
    for first, last in outcome.run_or_log("nights", _persist, assembly, mine, choose) or ():
        add_all = partial(master_schedule.add_all, assembly=assembly, first_day=first, last_day=last)
        outcome.run_or_log("schedule of masters", _persist, assembly, mine, add_all)
    outcome.run_or_log("frames that were overlooked", _persist, assembly, mine, master_schedule.make_waiting_due)
    outcome.run_or_log("schedule of summaries", night_summary.schedule, assembly)
    outcome.run_or_log("nodes that are gone", _persist, assembly, mine, _forget_nodes)


def _points(assembly: "Assembly", app: Celery) -> list[metrics.Point]:
    """Return the numbers of the database and of the queues."""
    job = "numbers of the database"
    points = outcome.run_or_log(job, _persist, assembly, assembly.readers, metrics.of_database) or []
    # one table of each queue
    tables = {queue: table for table, (queue, _, _) in ROUTES.items()}
    lengths = ((queue, celery_app.queue_length(app, table)) for queue, table in tables.items())
    known = [(queue, length) for queue, length in lengths if length is not None]
    return [*points, *(metrics.Point("nrespipe.queue_length", float(n), {"queue": queue}) for queue, n in known)]


def _persist(assembly: "Assembly", sessions: sessionmaker[Session], work: Callable[[Session], T]) -> T:
    """Do something in a transaction, and wait a while for a database that is away."""
    return persist(sessions, work, time.monotonic() + assembly.pace.patience_s)


def _forget_nodes(session: Session) -> None:
    for name in nodes.delete_silent(session, clock(session) - timedelta(days=_GONE_DAYS)):
        _log.info("a node is gone for good", node=name)
