"""The client of opentsdb-py, corrected where it takes the answer of a server for a failure."""

import gzip
import json
import logging
import time
from typing import Any

import structlog
from opentsdb import TSDBClient
from opentsdb.protocols import HttpTSDBConnect
from opentsdb.push_thread import HTTPPushThread

#: How many points wait at most while the server is away; the oldest go first.
_MOST_POINTS = 10_000
#: Points at which a server failed so often, a second between two tries, are dropped: they may be the cause, and all
#: others wait behind them. While the server does not answer at all, none are dropped.
_MOST_FAILURES = 60
#: The failure of a server is logged this often [second].
_LOG_S = 600.0

_log = structlog.get_logger(__name__)
# the library logs a traceback each second while the server is away; we log one line now and then
logging.getLogger("opentsdb-py").setLevel(logging.CRITICAL)


class _Connection(HttpTSDBConnect):
    """Accepts an answer 204 without a body, as of InfluxDB; the library would send the points again for ever."""

    _n_lost, _n_failures = 0, 0
    _logged_at: float | None = None

    def sendall(self, *points: dict[str, Any]) -> dict[str, int]:
        """Send points; return how many the server has taken and refused."""
        body = gzip.compress(json.dumps(points).encode())
        try:
            response = self.connect.post(
                self.tsdb_urls.put, data=body, timeout=self.SEND_TIMEOUT, allow_redirects=False
            )
        except OSError as error:
            self._complain(f"does not answer: {type(error).__name__}")
            raise
        code = response.status_code
        if code < 300:
            self._n_failures = 0
            if self._logged_at is not None:
                _log.info("metrics server takes points again", lost=self._n_lost)
                self._n_lost, self._logged_at = 0, None
            return {"success": len(points), "failed": 0}
        # the library comes again with the same points until they are taken or dropped
        self._n_failures += 1
        is_final = code < 500 or self._n_failures >= _MOST_FAILURES
        if is_final:
            self._n_lost, self._n_failures = self._n_lost + len(points), 0
        self._complain(f"answers {code} {' '.join(response.text[:200].split())}")
        if not is_final:
            raise OSError(f"the metrics server answers {code}")
        return {"success": 0, "failed": len(points)}

    def _complain(self, reason: str) -> None:
        now = time.monotonic()
        if self._logged_at is None or now > self._logged_at + _LOG_S:
            self._logged_at = now
            server = self.tsdb_urls.put.removesuffix("/api/put?details=true")
            _log.warning("metrics server takes no points", reason=reason, lost=self._n_lost, server=server)


class Client(TSDBClient):
    """A thread that sends points to a server, and drops the oldest while the server is away.

    Parameters
    ----------
    port
        Where the server takes ``/api/put``.
    """

    def __init__(self, hostname: str, port: int) -> None:
        super().__init__(run_at_once=False, max_queue_size=_MOST_POINTS)
        self._tsdb_connect = _Connection(hostname, port, False, "gzip", None)
        self._metric_send_thread = HTTPPushThread(
            self._tsdb_connect, self._metrics_queue, self._close_client, 0, self.send_metrics_batch_limit, self.statuses
        )
        self._metric_send_thread.daemon = True
        self._metric_send_thread.start()

    def has_sent_all(self) -> bool:
        """Return whether the server has taken or refused every point."""
        return bool(self.statuses["success"] + self.statuses["failed"] >= self.statuses["queued"])
