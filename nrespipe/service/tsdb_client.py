"""The client of an OpenTSDB server: that of the library, mended where it misunderstands an answer."""

import gzip
import json
import logging
import time

import structlog
from opentsdb import TSDBClient
from opentsdb.protocols import HttpTSDBConnect
from opentsdb.push_thread import HTTPPushThread

#: How many points wait at most while the server is away; the oldest go first.
_MOST_POINTS = 10_000
#: Numbers at which a server failed so often, a second between two tries, are dropped: they may be the cause, and all
#: others wait behind them. While it does not answer at all none are.
_MOST_TRIES = 60
#: How often it is said that the server takes no numbers [second].
_TELL_S = 600.0

_log = structlog.get_logger(__name__)
# a full traceback each second while the server is away; we say it in a line now and then
logging.getLogger("opentsdb-py").setLevel(logging.CRITICAL)


class _Connect(HttpTSDBConnect):
    """InfluxDB and others answer 204 and no body, which the library takes for a failure and sends again for ever."""

    _lost, _told, _tries = 0, None, 0

    def sendall(self, *points):
        body = gzip.compress(json.dumps(points).encode())
        try:
            response = self.connect.post(
                self.tsdb_urls.put, data=body, timeout=self.SEND_TIMEOUT, allow_redirects=False
            )
        except OSError as error:
            self._complain(f"does not answer: {type(error).__name__}")
            raise
        code = response.status_code
        # of these numbers: whoever calls this comes with the same until they are taken or dropped
        self._tries += 1
        if code < 300:
            self._tries = 0
            if self._told is not None:
                _log.info("the metrics server takes numbers again", lost=self._lost)
                self._lost, self._told = 0, None
            return {"success": len(points), "failed": 0}
        # such as: the database does not exist
        words = " ".join(response.text[:200].split())
        is_tried_again = code >= 500 and self._tries < _MOST_TRIES
        if not is_tried_again:
            # what it refuses it would refuse again
            self._lost, self._tries = self._lost + len(points), 0
        self._complain(f"answers {code} {words}")
        if is_tried_again:
            raise OSError(f"the metrics server answers {code}")
        return {"success": 0, "failed": len(points)}

    def _complain(self, reason):
        now = time.monotonic()
        if self._told is None or now > self._told + _TELL_S:
            self._told = now
            _log.warning("the metrics server takes no numbers", reason=reason, lost=self._lost, server=self._server)

    @property
    def _server(self):
        return self.tsdb_urls.put.removesuffix("/api/put?details=true")


class Client(TSDBClient):
    """A thread that sends numbers to a server, and drops the oldest while it is away.

    Parameters
    ----------
    hostname : str
        Of the server.
    port : int
        Where it takes ``/api/put``.
    """

    def __init__(self, hostname, port):
        super().__init__(run_at_once=False, max_queue_size=_MOST_POINTS)
        self._tsdb_connect = _Connect(hostname, port, False, "gzip", None)
        self._metric_send_thread = HTTPPushThread(
            self._tsdb_connect, self._metrics_queue, self._close_client, 0, self.send_metrics_batch_limit, self.statuses
        )
        self._metric_send_thread.daemon = True
        self._metric_send_thread.start()

    def has_sent_all(self) -> bool:
        """Return whether the server has taken or refused every number."""
        return self.statuses["success"] + self.statuses["failed"] >= self.statuses["queued"]
