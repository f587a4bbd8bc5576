"""The programs that do not end by themselves: listener, workers, scheduler, and all of them in one."""

import signal
import threading
import time

import structlog
from celery import signals
from sqlalchemy.exc import DBAPIError

from nrespipe import settings
from nrespipe.service import metrics, plan, summary, sweep, tasks
from nrespipe.service.duty import persist
from nrespipe.service.listener import Listener

_log = structlog.get_logger(__name__)

#: How often the scheduler looks what is owed [second].
PERIOD_S = 60.0
#: How long the service that is one program pauses before it looks whether it is time for something [second].
_TURN_S = 0.5


def listen(assembly):
    """Write down what the broker tells of, until the program is told to stop.

    Parameters
    ----------
    assembly : Assembly
        What to work with.
    """
    app = tasks.application(assembly.settings)
    timer = sweep.Timer(assembly, tasks.sender(app), tasks.emptiness(app))
    listener = Listener(assembly, tasks.sender(app), timer)
    signal.signal(signal.SIGTERM, lambda *_: listener.stop())
    listener.listen()


def work(assembly, name, tables):
    """Reduce frames and make masters as messages tell, until the program is told to stop.

    Parameters
    ----------
    assembly : Assembly
        What to work with.
    name : str
        Name of this node, unique on its host and the same after a new start.
    tables : sequence of type
        Whose queues to serve: `Frame`, `Stacking`, or both.
    """
    app = tasks.application(assembly.settings)
    tasks.serve(app, assembly)
    queues = ",".join(sorted({tasks.QUEUES[table] for table in tables}))
    options = {
        "--pool": "prefork",
        "--concurrency": str(max(assembly.processes, 1)),
        "--queues": queues,
        "--hostname": f"{name}@%h",
    }
    words = [word for pair in options.items() for word in pair]
    app.worker_main(["--quiet", "worker", *words, "--without-gossip", "--without-mingle"])


def schedule(assembly, once=False):
    """Write down what is owed and tell the workers, until the program is told to stop; two of these do no harm.

    Parameters
    ----------
    assembly : Assembly
        What to work with.
    once : bool
        Whether to do it once and end.
    """
    app = tasks.application(assembly.settings)
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    timer = sweep.Timer(assembly, tasks.sender(app), tasks.emptiness(app))
    if assembly.settings.metrics_port and not once:
        metrics.serve(assembly.settings.metrics_port, lambda: _numbers(assembly, app))
    while True:
        _look_ahead(assembly)
        timer.tick()
        assembly.recorder.send(_numbers(assembly, app))
        if once or stopped.wait(PERIOD_S):
            assembly.recorder.flush()
            return


def run(assembly):
    """Be the whole service: workers, sweep, scheduler, and a listener where a broker is set.

    Parameters
    ----------
    assembly : Assembly
        What to work with.
    """

    @signals.worker_ready.connect(weak=False)
    def _accompany(sender, **_):
        # threads of the parent: started after it has made its processes, which must not inherit them
        threading.Thread(target=_attend, args=(assembly, sender.app), daemon=True).start()
        if assembly.settings.fits_broker != settings.MEMORY:
            threading.Thread(target=_listen_beside, args=(assembly, sender.app), daemon=True).start()

    work(assembly, "nrespipe", list(tasks.QUEUES))


def _numbers(assembly, app):
    """Return how things stand in the database and in the queues."""
    points = _patiently(assembly, assembly.readers, metrics.of_database) or []
    tables = {queue: table for table, queue in tasks.QUEUES.items()}
    depths = ((queue, tasks.depth(app, table)) for queue, table in tables.items())
    known = [(queue, depth) for queue, depth in depths if depth is not None]
    return [*points, *(metrics.Point("nrespipe.queue_length", float(n), {"queue": queue}) for queue, n in known)]


def _patiently(assembly, sessions, work):
    """Do something in a transaction and return what it returns; None if the database stays away."""
    try:
        return persist(sessions, work, time.monotonic() + assembly.pace.patience_s)
    except DBAPIError as error:
        _log.warning("database away", reason=str(error.orig).strip())
        return None


def _look_ahead(assembly):
    """Write down what is owed, and wake what was overlooked."""
    _patiently(assembly, assembly.sessions, lambda session: plan.owe_all(session, assembly))
    _patiently(assembly, assembly.sessions, plan.remind)
    try:
        with assembly.readers.begin() as session:
            nights = summary.ended(session, assembly)
        summary.owed(assembly, nights)
    except (OSError, DBAPIError) as error:
        _log.warning("no summary could be written", reason=str(error))


def _attend(assembly, app):
    timer = sweep.Timer(assembly, tasks.sender(app), tasks.emptiness(app))
    next_plan = 0.0
    if assembly.settings.broker_url == settings.MEMORY:
        # messages in memory do not survive a program
        _patiently(assembly, assembly.sessions, sweep.forget_messages)
    while True:
        timer.tick()
        if time.monotonic() >= next_plan:
            _look_ahead(assembly)
            next_plan = time.monotonic() + PERIOD_S
        time.sleep(min(_TURN_S, assembly.pace.sweep_s))


def _listen_beside(assembly, app):
    timer = sweep.Timer(assembly, tasks.sender(app), tasks.emptiness(app))
    Listener(assembly, tasks.sender(app), timer).listen()
