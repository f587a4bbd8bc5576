"""The programs that do not end by themselves: listener, workers, scheduler, and all of them in one."""

import os
import signal
import socket
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import structlog
from celery import signals

from nrespipe import settings
from nrespipe.database import nodes
from nrespipe.database.dialects import clock
from nrespipe.service import isolated, limits, metrics
from nrespipe.service.calibrations import master_schedule
from nrespipe.service.ingest.listener import Listener
from nrespipe.service.operations import night_summary
from nrespipe.service.work import celery_app, dispatch, node
from nrespipe.service.work.leases import persist

if TYPE_CHECKING:
    from nrespipe.service.assembly import Assembly

_log = structlog.get_logger(__name__)

#: How often the scheduler looks what is owed [second].
PERIOD_S = 60.0
#: A node of workers that was silent for so long will not come again under its name [day].
_GONE_DAYS = 3
#: How long the service that is one program pauses before it looks whether it is time for something [second].
_TURN_S = 0.5


def listen(assembly: "Assembly") -> None:
    """Write down what the broker tells of, until the program is told to stop."""
    app = celery_app.application(assembly.settings)
    timer = dispatch.Timer(assembly, celery_app.sender(app), celery_app.emptiness_check(app))
    listener = Listener(assembly, dispatch.notifier(assembly, celery_app.sender(app)), timer)
    signal.signal(signal.SIGTERM, lambda *_: listener.stop())
    listener.listen()


def work(assembly: "Assembly", name: str, tables: Sequence[type]) -> int:
    """Reduce frames, make masters and deliver as messages tell, until the program is told to stop.

    Parameters
    ----------
    name
        Name of this node, unique on its host and the same after a new start.
    tables
        Whose queues to serve: `Frame`, `Stacking`, `Delivery`, or several.

    Returns
    -------
    int
        Exit status: 0 where it was told to stop, and ended what it had in hand.

    Raises
    ------
    DoNotFit
        If the broker, or whoever stops it, would end it before a frame may have ended.
    Unavailable
        If a live node has the name.
    """
    limits.require_fit(assembly.settings, assembly.pace)
    app = celery_app.application(assembly.settings)
    queues = ",".join(sorted({celery_app.QUEUES[table] for table in tables}))
    processes, full_name = max(assembly.processes, 1), f"{name}@{socket.gethostname()}"
    options = {
        "--pool": "prefork",
        "--concurrency": str(processes),
        "--queues": queues,
        "--hostname": full_name,
    }
    words = [word for pair in options.items() for word in pair]
    made = []
    signals.worker_init.connect(lambda sender, **_: made.append(sender), weak=False)
    # before the library connects: of two nodes of one name it ends one, as if all were well
    with node.register(assembly, full_name, processes, queues) as lost:
        celery_app.configure_worker(app, assembly, full_name)
        app.worker_main(["--quiet", "worker", *words, "--without-gossip", "--without-mingle"])
    # the library itself forgets how its worker ended
    return 1 if lost.is_set() or not made else int(made[0].exitcode or 0)


def schedule(assembly: "Assembly", once: bool = False) -> None:
    """Write down what is owed and tell the workers, until the program is told to stop; two of these do no harm.

    Parameters
    ----------
    once
        Whether to do it once and end.
    """
    app = celery_app.application(assembly.settings)
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    timer = dispatch.Timer(assembly, celery_app.sender(app), celery_app.emptiness_check(app))
    if assembly.settings.metrics_port and not once:
        given = assembly.settings
        points = lambda: _numbers(assembly, app)
        # a port that another program has, a second scheduler perhaps, holds up no frame
        isolated.do("numbers for Prometheus", metrics.serve, given.metrics_port, points, given.metrics_address)
    next_plan = 0.0
    while True:
        if time.monotonic() >= next_plan:
            _look_ahead(assembly)
            isolated.do("metrics", lambda: assembly.recorder.send(_numbers(assembly, app)))
            next_plan = time.monotonic() + PERIOD_S
        timer.tick()
        if once or stopped.wait(assembly.pace.sweep_s):
            assembly.recorder.flush()
            return


def run(assembly: "Assembly") -> int:
    """Be the whole service: workers, sweep, scheduler, and a listener where a broker is set.

    Returns
    -------
    int
        Exit status, as that of `work`; 1 too if a part of it has ended: then the others finish what they have in hand,
        and end as well.

    Raises
    ------
    DoNotFit
        As `work` does.
    Unavailable
        If a live node has the name: the service runs on this host already.
    """
    ended = []

    @signals.worker_ready.connect(weak=False)
    def _accompany(sender, **_):
        # threads of the parent: started after it has made its processes, which must not inherit them
        parts = [_attend] + [_listen_beside] * (assembly.settings.fits_broker != settings.MEMORY)
        for part in parts:
            threading.Thread(target=_beside, args=(ended, part, assembly, sender.app), daemon=True).start()

    status = work(assembly, "nrespipe", list(celery_app.QUEUES))
    return 1 if ended else status


def _beside(ended, part, *arguments) -> None:
    """Be a part of the service that never ends by itself; if it does, the whole service ends, to be started anew."""
    try:
        part(*arguments)
    except BaseException:
        _log.exception("a part of the service failed", part=part.__name__)
    ended.append(part)
    _log.error("a part of the service has ended: the others finish what they have in hand", part=part.__name__)
    os.kill(os.getpid(), signal.SIGTERM)


def _numbers(assembly, app):
    """Return how things stand in the database and in the queues."""
    points = isolated.do("numbers of the database", _patiently, assembly, assembly.readers, metrics.of_database) or []
    tables = {queue: table for table, queue in celery_app.QUEUES.items()}
    depths = ((queue, celery_app.queue_length(app, table)) for queue, table in tables.items())
    known = [(queue, depth) for queue, depth in depths if depth is not None]
    return [*points, *(metrics.Point("nrespipe.queue_length", float(n), {"queue": queue}) for queue, n in known)]


def _patiently(assembly, sessions, work):
    """Do something in a transaction, and wait a while for a database that is away."""
    return persist(sessions, work, time.monotonic() + assembly.pace.patience_s)


def _look_ahead(assembly) -> None:
    """Write down what is owed, and wake what was overlooked; each by itself, whatever becomes of the others."""
    owe_all, mine = partial(master_schedule.add_all, assembly=assembly), assembly.sessions
    isolated.do("masters that are owed", _patiently, assembly, mine, owe_all)
    isolated.do("frames that were overlooked", _patiently, assembly, mine, master_schedule.release_waiting)
    isolated.do("summaries that are owed", night_summary.schedule, assembly)
    isolated.do("nodes that are gone", _patiently, assembly, mine, _forget_nodes)


def _forget_nodes(session):
    for name in nodes.delete_silent(session, clock(session) - timedelta(days=_GONE_DAYS)):
        _log.info("a node is gone for good", node=name)


def _attend(assembly, app):
    timer = dispatch.Timer(assembly, celery_app.sender(app), celery_app.emptiness_check(app))
    next_plan = 0.0
    if assembly.settings.broker_url == settings.MEMORY:
        # messages in memory do not survive a program
        isolated.do("messages of an earlier program", _patiently, assembly, assembly.sessions, dispatch.forget_messages)
    while True:
        timer.tick()
        if time.monotonic() >= next_plan:
            _look_ahead(assembly)
            next_plan = time.monotonic() + PERIOD_S
        time.sleep(min(_TURN_S, assembly.pace.sweep_s))


def _listen_beside(assembly, app):
    timer = dispatch.Timer(assembly, celery_app.sender(app), celery_app.emptiness_check(app))
    Listener(assembly, dispatch.notifier(assembly, celery_app.sender(app)), timer).listen()
