"""The client of an OpenTSDB server: that of the library, mended where it misunderstands an answer."""

import gzip
import json
import logging

from opentsdb import TSDBClient
from opentsdb.protocols import HttpTSDBConnect
from opentsdb.push_thread import HTTPPushThread

#: How many points wait at most while the server is away; the oldest go first.
_MOST_POINTS = 10_000
# a full traceback each second while the server is away
logging.getLogger("opentsdb-py").setLevel(logging.CRITICAL)


class _Connect(HttpTSDBConnect):
    """InfluxDB and others answer 204 and no body, which the library takes for a failure and sends again for ever."""

    def sendall(self, *points):
        body = gzip.compress(json.dumps(points).encode())
        response = self.connect.post(self.tsdb_urls.put, data=body, timeout=self.SEND_TIMEOUT)
        if response.status_code >= 500:
            raise OSError(f"the metrics server answers {response.status_code}")
        # what it refuses it would refuse again
        refused = len(points) if response.status_code >= 400 else 0
        return {"success": len(points) - refused, "failed": refused}


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

    def has_sent_all(self):
        """Return whether the server has taken or refused every number.

        Returns
        -------
        bool
        """
        return self.statuses["success"] + self.statuses["failed"] >= self.statuses["queued"]
