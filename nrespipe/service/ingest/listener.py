"""The queue of raw frames: a message becomes a row, is acknowledged, and wakes a worker."""

import sys
import time
import traceback as tracebacks
from typing import TYPE_CHECKING

import structlog
from kombu import Connection, Exchange, Queue
from kombu.mixins import ConsumerMixin
from sqlalchemy.exc import SQLAlchemyError

from nrespipe.database.administration import failures
from nrespipe.database.tables import Frame
from nrespipe.errors import Skipped
from nrespipe.service.ingest import messages, registration

if TYPE_CHECKING:
    from kombu import Message

_log = structlog.get_logger(__name__)

#: Queue in which the messages wait while nobody listens.
QUEUE = "nres_pipeline"
_PREFETCH = 50
#: A broker that is silent for twice as long is taken for dead [second].
_HEARTBEAT_S = 20
_LONGEST_PAUSE_S = 5.0
#: How long the broker may take to take a message that is put aside [second].
_PATIENCE_S = 5.0
#: What is kept of messages that were refused: so many, and so much of each; the oldest go first.
_MOST_REFUSED, _MOST_BYTES, _KEPT_BYTES, _KEPT_TRACE = 10_000, 100_000_000, 1 << 16, 8_000


class Listener(ConsumerMixin):
    """Writes down the raw frames that the broker tells of.

    Parameters
    ----------
    assembly : Assembly
        What to work with; its settings name the broker and the exchange.
    wake : callable
        ``wake(table, row_id)`` tells a worker; whatever it raises, the row stays.
    timer : Timer
        What else is to be done now and then.
    queue : str
        Name of the queue.

    Notes
    -----
    A message is acknowledged when its row is committed, not before: whoever dies in between gets it once more, and
    finds the row. While the database is away messages stay unacknowledged and are tried again. A message of which no
    row can be made, whatever the reason, is put aside: into the queue ``<queue>.refused``, with the reason in its
    headers. No disk is asked: the worker that takes the row looks at the file.
    """

    def __init__(self, assembly, wake, timer, queue=QUEUE):
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
        self._assembly, self._wake, self._timer = assembly, wake, timer
        self._below = None if settings.any_path else settings.raw_root
        self._pending, self._pause_s, self._not_before, self._live = [], 0.0, 0.0, None
        # to be put aside when the broker takes them; others do not wait for that
        self._refusals, self._refuse_from = [], 0.0

    def listen(self) -> None:
        """Write down what comes until `stop` is called."""
        # a message is taken at once; this is how often the timer is asked while none comes
        self.run(safety_interval=min(self._assembly.pace.sweep_s, 1.0))

    def get_consumers(self, Consumer, channel):  # noqa: N803
        """Return the one consumer, which hands over messages as they are."""
        return [Consumer([self._queue], on_message=self.on_message, prefetch_count=_PREFETCH)]

    def on_consume_ready(self, connection, channel, consumers, **_) -> None:
        """Forget what came over a connection that is lost: it comes once more. Make the queue of refused messages."""
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

    def on_decode_error(self, message, exc) -> None:
        """Take in a message that the library cannot unpack."""
        self._pending.append((message, exc))
        self._flush()

    def on_connection_error(self, exc, interval) -> None:
        """Tell that the broker is away."""
        self._live = None
        _log.warning("broker away", reason=str(exc), pause_s=interval)

    def on_message(self, message: "Message") -> None:
        """Take a message in."""
        self._pending.append((message, None))
        self._flush()

    def on_iteration(self) -> None:
        """Do what is due between two messages."""
        self._beat()
        self._flush()
        self._timer.tick()

    def stop(self) -> None:
        """End after the message in hand; at once where the broker is away, as nobody looks then."""
        self.should_stop = True
        if self._live is None or not self._live.connected:
            sys.exit(0)

    def _beat(self) -> None:
        """Let the broker know that we live."""
        if self._live is not None and self._live.supports_heartbeats:
            self._live.heartbeat_check()

    def _flush(self):
        if self._refusals and time.monotonic() >= self._refuse_from:
            self._pending.append(self._refusals.pop(0))
        while self._pending and time.monotonic() >= self._not_before:
            try:
                self._settle(*self._pending[0])
            except _NotTaken as error:
                _log.warning("broker takes nothing", reason=str(error), pause_s=_LONGEST_PAUSE_S)
                self._refuse_from = time.monotonic() + _LONGEST_PAUSE_S
                self._refusals.append(self._pending.pop(0))
                continue
            except SQLAlchemyError as error:
                self._pause_s = min(max(1.0, 2 * self._pause_s), _LONGEST_PAUSE_S)
                self._not_before = time.monotonic() + self._pause_s
                _log.warning("database away", reason=failures.message(error), pause_s=self._pause_s)
                return
            self._pause_s = 0.0
            self._pending.pop(0)

    def _settle(self, message, defect) -> None:
        """Write a message down and acknowledge it, or put it aside."""
        try:
            if defect is not None:
                raise defect
            arrival = messages.read(message.body, self._below)
            with self._assembly.sessions.begin() as session:
                row_id, is_due = registration.register_message(session, self._assembly, arrival)
        except Skipped as foreign:
            _log.debug("not ours", reason=str(foreign))
            message.ack()
        except Exception as error:
            if failures.is_temporary(error):
                raise
            self._refuse(message, error)
        else:
            message.ack()
            if is_due:
                self._tell(row_id)

    def _refuse(self, message, error) -> None:
        """Put a message aside of which no row can be made, and acknowledge it."""
        if time.monotonic() < self._refuse_from:
            # each question takes long
            self._refusals.append((message, error))
            return
        trace = "" if isinstance(error, messages.Malformed) else "".join(tracebacks.format_exception(error))
        facts = {"reason": failures.message(error)[:1000], "body": repr(message.body[:300] if message.body else "")}
        _log.warning("message refused", **facts, **({"exception": trace} if trace else {}))
        headers = {
            "reason": facts["reason"],
            "exception": type(error).__name__,
            "traceback": trace[-_KEPT_TRACE:],
            "bytes": len(message.body or ""),
        }
        try:
            self._put_aside(message.body or b"", {name: _plain(value) for name, value in headers.items()})
        except _NotTaken:
            raise
        except Exception:
            # it is in the log; a policy of the broker may take what is rejected
            _log.exception("a refused message cannot be kept", queue=self._refused.name)
            message.reject()
        else:
            message.ack()

    def _put_aside(self, body, headers) -> None:
        """Publish a message that was refused, and wait until the broker has it."""
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
            raise _NotTaken(f"{type(error).__name__}: {error}") from error

    def _tell(self, row_id):
        try:
            self._wake(Frame, row_id)
        except Exception as error:
            # the row is there: the next sweep tells of it
            _log.warning("no worker could be told", reason=f"{type(error).__name__}: {error}")


class _NotTaken(Exception):
    """The broker does not take a message that is put aside; it may do so later."""


def _plain(value):
    """Return a value that can stand in the header of a message."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
