"""The queue of raw frames: each message becomes a row, is acknowledged, and a worker is notified."""

import sys
import time
import traceback as tracebacks
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from kombu import Connection, Exchange, Queue
from kombu.mixins import ConsumerMixin
from sqlalchemy.exc import SQLAlchemyError

from nrespipe.database.administration import failures
from nrespipe.database.tables import Frame
from nrespipe.errors import Skipped
from nrespipe.service.ingest import messages

if TYPE_CHECKING:
    from kombu import Message

    from nrespipe.service.assembly import Assembly

#: A message, and the error of the library that could not unpack it.
_Pending = tuple[Any, Exception | None]

_log = structlog.get_logger(__name__)

#: Queue in which the messages wait while no listener runs.
QUEUE = "nres_pipeline"
_PREFETCH = 50
#: A broker that is silent for twice as long counts as dead [second].
_HEARTBEAT_S = 20
_LONGEST_PAUSE_S = 5.0
#: How long the broker may take to store a refused message [second].
_PATIENCE_S = 5.0
#: Refused messages that are kept: their number and bytes in all, the oldest go first; bytes and traceback of each.
_MOST_REFUSED, _MOST_BYTES, _KEPT_BYTES, _KEPT_TRACE = 10_000, 100_000_000, 1 << 16, 8_000


class _Notifier(Protocol):
    """Notifies workers of rows, while few messages wait."""

    def has_room(self, table: type[Frame], /) -> bool:
        """Return whether a message about a row may be sent at once."""

    def notify(self, table: type[Frame], row_id: int, /) -> object:
        """Send a message about a row."""


class _Timer(Protocol):
    """Periodic work."""

    def tick(self) -> object:
        """Do it if it is time."""


class Listener(ConsumerMixin):
    """Registers the raw frames that messages of the broker announce.

    Parameters
    ----------
    assembly
        Its settings name the broker and the exchange.
    notifier
        Notifies a worker of a row, as ``dispatch.Notifier``; whatever it raises, the row stays.
    timer
        Periodic work between messages, the sweep for rows that are due: ``dispatch.SweepTimer``.
    queue
        Name of the queue.

    Notes
    -----
    A message is acknowledged when its row is committed, not before: a listener that dies in between gets it once more,
    and finds the row. While the database is away, or this machine has no memory, messages stay unacknowledged and are
    tried again. A message of which no row can be made for any other reason is moved to the queue ``<queue>.refused``,
    with the reason in its headers. No disk is read: the worker that claims the row inspects the file.
    """

    def __init__(
        self,
        assembly: "Assembly",
        notifier: _Notifier,
        timer: _Timer,
        queue: str = QUEUE,
    ) -> None:
        messages.limit_decompression()
        settings = assembly.settings
        url = settings.fits_broker.get_secret_value()
        self.connection = Connection(url, heartbeat=_HEARTBEAT_S, connect_timeout=5)
        exchange = Exchange(settings.fits_exchange, type="fanout", durable=True)
        # no arguments: a queue that exists with others would be refused; quorum, dead letters by policy of the broker
        self._queue = Queue(queue, exchange, durable=True)
        aside = Exchange(f"{queue}.refused", type="fanout", durable=True)
        self._refused = Queue(
            aside.name, aside, durable=True,
            max_length=_MOST_REFUSED, max_length_bytes=_MOST_BYTES, queue_arguments={"x-overflow": "drop-head"},
        )  # fmt: skip
        self._assembly, self._notifier, self._timer = assembly, notifier, timer
        self._below = None if settings.any_path else settings.raw_root
        self._pending: list[_Pending] = []
        self._pause_s, self._not_before = 0.0, 0.0
        self._live: Connection | None = None
        # refused messages that the broker has not stored yet; others do not wait for them, unless these are _PREFETCH,
        # which is all that the broker hands out at a time
        self._refusals: list[_Pending] = []
        self._refuse_from = 0.0

    def listen(self) -> None:
        """Register raw frames until `stop` is called."""
        # a message is handled at once; this is how often the timer ticks while none comes
        self.run(safety_interval=min(self._assembly.pace.sweep_s, 1.0))

    def get_consumers(self, Consumer: Callable[..., Any], channel: object) -> list[Any]:  # noqa: N803
        """Return the one consumer, which hands over messages as they are."""
        return [Consumer([self._queue], on_message=self.on_message, prefetch_count=_PREFETCH)]

    def on_consume_ready(self, connection: Connection, channel: object, consumers: object, **_: object) -> None:
        """Drop messages of a lost connection, which come once more, and make the queue of refused messages."""
        self._pending.clear()
        self._refusals.clear()
        self._live = connection
        try:
            # on a channel of its own, which the broker closes where it says no
            with connection.channel() as other:
                self._refused(other).declare()
        except connection.channel_errors as error:
            _log.warning("no queue for refused messages", queue=self._refused.name, reason=str(error))
        _log.info("listening", queue=self._queue.name, exchange=self._queue.exchange.name)

    def on_decode_error(self, message: "Message", exc: Exception) -> None:
        """Handle a message that the library cannot unpack."""
        self._pending.append((message, exc))
        self._flush()

    def on_connection_error(self, exc: Exception, interval: float) -> None:
        """Log that the broker is away."""
        self._live = None
        _log.warning("broker away", reason=str(exc), pause_s=interval)

    def on_message(self, message: "Message") -> None:
        """Handle a message."""
        self._pending.append((message, None))
        self._flush()

    def on_iteration(self) -> None:
        """Send the heartbeat and do periodic work between two messages."""
        self._beat()
        self._flush()
        self._timer.tick()

    def stop(self) -> None:
        """End after the current message; at once where the broker is away, as the loop waits for it then."""
        self.should_stop = True
        if self._live is None or not self._live.connected:
            sys.exit(0)

    def _beat(self) -> None:
        """Send the heartbeat to the broker."""
        if self._live is not None and self._live.supports_heartbeats:
            self._live.heartbeat_check()

    def _flush(self) -> None:
        if self._refusals and time.monotonic() >= self._refuse_from:
            self._pending.append(self._refusals.pop(0))
        while self._pending and time.monotonic() >= self._not_before:
            try:
                self._handle(*self._pending[0])
            except _NotStored as error:
                _log.warning("broker does not store a refused message", reason=str(error), pause_s=_LONGEST_PAUSE_S)
                self._refuse_from = time.monotonic() + _LONGEST_PAUSE_S
                self._refusals.append(self._pending.pop(0))
                continue
            except (SQLAlchemyError, _MachineFails) as error:
                self._pause_s = min(max(1.0, 2 * self._pause_s), _LONGEST_PAUSE_S)
                self._not_before = time.monotonic() + self._pause_s
                event = "this machine fails" if isinstance(error, _MachineFails) else "database away"
                _log.warning(event, reason=failures.message(error), pause_s=self._pause_s)
                return
            self._pause_s = 0.0
            self._pending.pop(0)

    def _handle(self, message: "Message", defect: Exception | None) -> None:
        """Register the frame of a message and acknowledge it, or refuse it."""
        try:
            if defect is not None:
                raise defect
            arrival = messages.read(message.body, self._below)
            has_room = self._has_room()
            with self._assembly.sessions.begin() as session:
                row_id, is_due = messages.register(session, arrival, self._assembly.output, is_notified=has_room)
        except Skipped as foreign:
            _log.debug("not ours", reason=str(foreign))
            message.ack()
        except Exception as error:
            if failures.is_temporary(error):
                raise
            if defect is None and isinstance(error, OSError | MemoryError):
                # no fault of the message: its body is short, and no disk was read
                raise _MachineFails(f"{type(error).__name__}: {error}") from error
            self._refuse(message, error)
        else:
            message.ack()
            if is_due and has_room:
                self._notify_worker(row_id)

    def _refuse(self, message: "Message", error: Exception) -> None:
        """Move a message of which no row can be made to the queue of refused messages, and acknowledge it."""
        if time.monotonic() < self._refuse_from:
            # each try takes long
            self._refusals.append((message, error))
            return
        trace = "" if isinstance(error, messages.Malformed) else "".join(tracebacks.format_exception(error))
        facts = {"reason": failures.message(error)[:1000], "body": repr(message.body[:300] if message.body else "")}
        _log.warning("message refused", **facts, **({"exception": trace} if trace else {}))
        headers: dict[str, str | int] = {
            "reason": facts["reason"],
            "exception": type(error).__name__,
            "traceback": trace[-_KEPT_TRACE:],
            "bytes": len(message.body or ""),
        }
        try:
            self._store(message.body or b"", {name: _plain(value) for name, value in headers.items()})
        except _NotStored:
            raise
        except Exception:
            # it is in the log; a policy of the broker may take what is rejected
            _log.exception("refused message not stored", queue=self._refused.name)
            message.reject()
        else:
            message.ack()

    def _store(self, body: bytes | str, headers: dict[str, str | int]) -> None:
        """Publish a refused message, and wait until the broker has stored it."""
        raw = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body)
        # a connection of its own: while it waits, no other message must come over it
        connection = Connection(
            self._assembly.settings.fits_broker.get_secret_value(),
            connect_timeout=_PATIENCE_S,
            transport_options={"confirm_publish": True},
        )
        try:
            with connection:
                connection.connect()
                connection.Producer().publish(
                    raw[:_KEPT_BYTES],
                    exchange=self._refused.exchange,
                    declare=[self._refused],
                    headers=headers,
                    content_type="application/octet-stream",
                    content_encoding="binary",
                    confirm_timeout=_PATIENCE_S,
                )
        except (*connection.connection_errors, *connection.recoverable_connection_errors) as error:
            raise _NotStored(f"{type(error).__name__}: {error}") from error

    def _has_room(self) -> bool:
        """Return whether a worker may be notified at once; the sweeps notify one of the row where not."""
        try:
            return self._notifier.has_room(Frame)
        except Exception as error:
            if failures.is_temporary(error):
                raise
            # no fault of the message
            _log.exception("workers not notified")
            return False

    def _notify_worker(self, row_id: int) -> None:
        try:
            self._notifier.notify(Frame, row_id)
        except Exception as error:
            # the row is there: the next sweep notifies a worker
            _log.warning("workers not notified", reason=f"{type(error).__name__}: {error}")


class _MachineFails(Exception):
    """This machine lacks memory, or its system refuses something; it may not do so later."""


class _NotStored(Exception):
    """The broker does not store a refused message; it may do so later."""


def _plain(value: str | int) -> str | int:
    """Return a value that can be in the header of a message."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
