"""The Celery application: its queues and tasks, how workers are notified, and the release of rows when one dies."""

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from celery import Celery, signals
from kombu.exceptions import OperationalError as BrokerError

from nrespipe import logs
from nrespipe.database.administration import failures
from nrespipe.database.tables import WorkTable
from nrespipe.service.assembly import RECIPES, Assembly
from nrespipe.service.ingest import messages
from nrespipe.service.operations import kernels, progress_bar
from nrespipe.service.outcome import NoOutcome, Outcome
from nrespipe.service.work import abandoned_rows, execution, memory_guard, owners, process_pool
from nrespipe.service.work.queues import ROUTES, IsEmpty, Route, Send

if TYPE_CHECKING:
    from nrespipe.settings import Settings

_log = structlog.get_logger(__name__)


def application(settings: "Settings") -> Celery:
    """Return a Celery application that sends work to the workers.

    Parameters
    ----------
    settings
        They name the broker and the limits.
    """
    # a task is a message too, and anybody may write to a broker
    messages.limit_decompression()
    broker_url = settings.broker_url.get_secret_value()
    app = Celery("nrespipe", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_acks_late=True,
        # a task whose process died would come back at once, and hide from the signal that releases its row
        task_reject_on_worker_lost=False,
        task_acks_on_failure_or_timeout=True,
        task_ignore_result=True,
        # a soft limit has no effect within compiled code; what else must follow from this one: service/time_limits
        task_time_limit=settings.time_limit_s,
        task_routes={route.task: {"queue": route.queue} for route in ROUTES.values()},
        # a sender finds out quickly that the broker is away; the sweep sends again
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0},
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_redirect_stdouts=False,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_heartbeat=20,
    )
    if broker_url.startswith(("amqp", "pyamqp")):
        app.conf.broker_transport_options = {"confirm_publish": True, "connect_timeout": 5}
        # elsewhere a recycled process is killed at the end of the program
        app.conf.worker_max_tasks_per_child = 50
        if settings.memory_limit_mb:
            # after a frame, and long before the guard would end the process in the middle of a frame
            app.conf.worker_max_memory_per_child = settings.memory_limit_mb * 1024 // 2
    return app


def sender(app: Celery) -> Send:
    """Return the function that notifies a worker of a row."""
    return lambda table, row_id: app.send_task(ROUTES[table].task, args=[row_id], queue=ROUTES[table].queue)


def queue_length(app: Celery, table: WorkTable) -> int | None:
    """Return how many messages wait for a worker.

    Returns
    -------
    int or None
        None where the broker does not answer.
    """
    connection = app.connection_for_write()
    try:
        with connection:
            return int(connection.default_channel.queue_declare(ROUTES[table].queue, passive=True).message_count)
    except (*connection.connection_errors, *connection.channel_errors, BrokerError):
        return None


def emptiness_check(app: Celery) -> IsEmpty:
    """Return the function that returns whether no message waits."""
    return lambda table: queue_length(app, table) == 0


def configure_worker(app: Celery, assembly: Assembly, name: str) -> None:
    """Load and compile the recipes, define the tasks of a worker, and release the row of a process that dies.

    Parameters
    ----------
    assembly
        Built before the processes of the worker start, and inherited by them.
    name
        Name of this node, with that of its host.
    """
    mine = owners.this_process(name)
    # loaded once, by the parent: each of its processes would load them anew
    list(assembly.recipes)
    if assembly.recipes is RECIPES:
        kernels.prepare(process_pool.run_serially, progress_bar.lines)
    for table, route in ROUTES.items():
        _define(app, route, partial(execution.execute, assembly, table))

    @signals.setup_logging.connect(weak=False)
    def _configure_logs(**_: object) -> None:
        logs.configure(*logs.chosen())
        # two lines for each message, with less in them than ours
        for name in ("celery.worker.strategy", "celery.app.trace"):
            logging.getLogger(name).setLevel(logging.WARNING)

    def _release_rows_of(process: str, reason: str) -> None:
        abandoned_rows.release(assembly, lambda one: owners.is_of_process(one, process), reason)

    @signals.worker_ready.connect(weak=False)
    def _guard_memory(**_: object) -> None:
        if assembly.settings.memory_limit_mb:
            memory_guard.start(assembly.settings.memory_limit_mb, _release_rows_of)

    @signals.worker_process_init.connect(weak=False)
    def _begin(**_: object) -> None:
        memory_guard.keep_freed_memory()
        # connections are not to be shared with the parent
        assembly.sessions.kw["bind"].dispose(close=False)

    @signals.worker_process_shutdown.connect(weak=False)
    def _end(**_: object) -> None:
        assembly.recorder.flush()

    @signals.task_failure.connect(weak=False)
    def _release_row(task_id: str, exception: BaseException, **_: object) -> None:
        # a message that came twice has one number, and two nodes may work on it
        def is_gone(one: str) -> bool:
            return owners.is_of_node(one, mine) and one.endswith(f"/{task_id}")

        # a database that stayed away for longer than anybody waits is no fault of the frame
        abandoned_rows.release(assembly, is_gone, _words(exception), is_death=not failures.is_temporary(exception))


def _define(app: Celery, route: Route, work: Callable[[int, str], Outcome[object] | NoOutcome]) -> None:
    def run(task: Any, row_id: int) -> None:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(node=task.request.hostname)
        ended = work(row_id, f"{owners.this_process(task.request.hostname)}/{task.request.id}")
        if isinstance(ended, Outcome):
            _log.info(route.title, **ended.log_facts())

    app.task(run, name=route.task, bind=True)


def _words(exception: BaseException) -> str:
    name = type(exception).__name__
    if name == "TimeLimitExceeded":
        return "it took longer than it may and was stopped"
    if name == "WorkerLostError":
        return f"its process died: {exception}"
    return f"the program failed around it: {name}: {exception}"
