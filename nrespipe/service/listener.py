"""The queue of raw frames: a message becomes a row, is acknowledged, and wakes a worker."""

import sys
import time
from pathlib import Path

import structlog
from kombu import Connection, Exchange, Queue
from kombu.mixins import ConsumerMixin
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from nrespipe.database import frames
from nrespipe.database.columns import State, clock
from nrespipe.database.tables import Frame
from nrespipe.errors import Skipped
from nrespipe.files import identity, layout
from nrespipe.service import arrivals, messages, outcome, reading

_log = structlog.get_logger(__name__)

#: Queue in which the messages wait while nobody listens.
QUEUE = "nres_pipeline"
_PREFETCH = 50
#: A broker that is silent for twice as long is taken for dead [second].
_HEARTBEAT_S = 20
_LONGEST_PAUSE_S = 5.0


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
    finds the row. While the database is away messages stay unacknowledged and are tried again.
    """

    def __init__(self, assembly, wake, timer, queue=QUEUE):
        settings = assembly.settings
        url = settings.fits_broker.get_secret_value()
        self.connection = Connection(url, heartbeat=_HEARTBEAT_S, connect_timeout=5)
        exchange = Exchange(settings.fits_exchange, type="fanout", durable=True)
        # no arguments: a queue that exists with others would be refused; quorum, dead letters by policy of the broker
        self._queue = Queue(queue, exchange, durable=True)
        self._assembly, self._wake, self._timer = assembly, wake, timer
        self._reader = reading.Reader(assembly.pace.read_s, self._beat)
        self._pending, self._pause_s, self._not_before, self._live = [], 0.0, 0.0, None

    def listen(self):
        """Write down what comes until `stop` is called."""
        # a message is taken at once; this is how often the timer is asked while none comes
        self.run(safety_interval=min(self._assembly.pace.sweep_s, 1.0))

    def get_consumers(self, Consumer, channel):  # noqa: N803
        """Return the one consumer, which hands over messages as they are."""
        return [Consumer([self._queue], on_message=self.on_message, prefetch_count=_PREFETCH)]

    def on_consume_ready(self, connection, channel, consumers, **_):
        """Forget what came over a connection that is lost: it comes once more."""
        self._pending.clear()
        self._live = connection
        _log.info("listening", queue=self._queue.name, exchange=self._queue.exchange.name)

    def on_connection_error(self, exc, interval):
        """Tell that the broker is away."""
        self._live = None
        _log.warning("broker away", reason=str(exc), pause_s=interval)

    def on_message(self, message):
        """Take a message in.

        Parameters
        ----------
        message : kombu.Message
            As it came.
        """
        self._pending.append(message)
        self._flush()

    def on_iteration(self):
        """Do what is due between two messages."""
        self._beat()
        self._flush()
        self._timer.tick()

    def stop(self):
        """End after the message in hand; at once where the broker is away, as nobody looks then."""
        self.should_stop = True
        if self._live is None or not self._live.connected:
            sys.exit(0)

    def _beat(self):
        """Let the broker know that we live."""
        if self._live is not None and self._live.supports_heartbeats:
            self._live.heartbeat_check()

    def _flush(self):
        while self._pending and time.monotonic() >= self._not_before:
            message = self._pending[0]
            try:
                self._settle(message)
            except (OperationalError, InterfaceError) as error:
                self._pause_s = min(max(1.0, 2 * self._pause_s), _LONGEST_PAUSE_S)
                self._not_before = time.monotonic() + self._pause_s
                _log.warning("database away", reason=str(error.orig).strip(), pause_s=self._pause_s)
                return
            self._pause_s = 0.0
            self._pending.pop(0)

    def _settle(self, message):
        """Write a message down and acknowledge it, or refuse it."""
        try:
            arrival = messages.read(message.body)
            row_id, is_due = write_down(self._assembly, arrival, self._reader)
        except Skipped as foreign:
            _log.debug("not ours", reason=str(foreign))
            message.ack()
        except messages.Malformed as error:
            _log.warning("message refused", reason=str(error), body=repr(message.body)[:300])
            message.reject()
        except DBAPIError as error:
            if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
                raise OperationalError(error.statement, None, error.orig) from error
            # the database is there and does not take this one: it would never take it
            _log.error("message refused", reason=str(error.orig), body=repr(message.body)[:300])
            message.reject()
        else:
            message.ack()
            if is_due:
                self._tell(row_id)

    def _tell(self, row_id):
        try:
            self._wake(Frame, row_id)
        except Exception as error:
            # the row is there: the next sweep tells of it
            _log.warning("no worker could be told", reason=f"{type(error).__name__}: {error}")


def write_down(assembly, arrival, reader):
    """Make the row of a raw frame that somebody tells of, if there is none.

    Parameters
    ----------
    assembly : Assembly
        What to work with.
    arrival : Arrival
        What has arrived.
    reader : Reader
        Reads the file.

    Returns
    -------
    row_id : int
        The row.
    is_due : bool
        Whether it was made now and is to be worked on.
    """
    if arrival.path:
        path = Path(arrival.path)
        # before the transaction begins: it takes long
        looked = outcome.attempt(reader.do, arrivals.examine, path)
        # the value of the attempt is itself a look at the file
        facts, result = looked.value or ({**arrivals.named(path.name), "md5": ""}, looked)
        with assembly.sessions.begin() as session:
            moment = clock(session)
            told = {"sent": moment, "next_try": moment, "body": arrival.body}
            frame = arrivals.record(session, path, facts | told, result)
            return frame.id, frame.state == State.QUEUED and frame.sent == moment
    facts = arrivals.named(arrival.name)
    with assembly.sessions.begin() as session:
        path = layout.fetched_path(assembly.output, Frame(**{**_NOWHERE, **facts}), arrival.name)
        moment = clock(session)
        others = {"archive_id": arrival.archive_id, "body": arrival.body, "sent": moment, "next_try": moment}
        stem = identity.stem(arrival.name)
        frame, is_new = frames.arrive(session, stem, arrival.md5, path=str(path), **facts, **others)
        return frame.id, is_new


_NOWHERE = {"site": "", "instrument": "", "day": ""}
