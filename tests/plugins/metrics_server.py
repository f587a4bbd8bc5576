"""An InfluxDB of our own for the tests, which takes points as OpenTSDB does."""

import json
import shutil
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from brokers import free_ports
from servers import debian

CONFIGURATION = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
dir = "{folder}/meta"
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
[http]
bind-address = "127.0.0.1:{http}"
[[opentsdb]]
enabled = true
bind-address = "127.0.0.1:{port}"
database = "numbers"
batch-timeout = "100ms"
"""


class Influx:
    """An InfluxDB server."""

    def __init__(self):
        self.program = debian("influxd", "influxdb")
        self.folder = Path(tempfile.mkdtemp(prefix="influx-"))
        self.rpc, self.http, self.port = free_ports(3)
        text = CONFIGURATION.format(folder=self.folder, rpc=self.rpc, http=self.http, port=self.port)
        (self.folder / "conf").write_text(text, encoding="utf-8")
        self.process = None

    def start(self):
        """Start, and wait until it answers."""
        with open(self.folder / "out", "ab") as out:
            command = [self.program, "-config", self.folder / "conf"]
            self.process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while True:
            try:
                # the listener does not make its database
                self._ask("create database numbers", b"")
                return
            except OSError:
                assert time.monotonic() < end, (self.folder / "out").read_text(encoding="utf-8")[-2000:]
                time.sleep(0.1)

    def points(self, name):
        """Return the points of a name, each with its value and tags."""
        result = self._ask(f'select * from "{name}"')
        return [dict(zip(s["columns"], row)) for s in result.get("series", []) for row in s["values"]]

    def _ask(self, words, body=None):
        query = urllib.parse.urlencode({"db": "numbers", "q": words})
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/query?{query}", body, timeout=5) as answer:
            (result,) = json.load(answer)["results"]
        return result

    def remove(self):
        """Stop it and leave nothing behind."""
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def influx():
    """An InfluxDB server for the whole session."""
    server = Influx()
    try:
        server.start()
        yield server
    finally:
        server.remove()
