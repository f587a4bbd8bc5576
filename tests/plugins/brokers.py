"""A RabbitMQ server of our own for the tests: private, on free ports, and gone afterwards."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path

import pytest
from kombu import Connection
from servers import debian

_numbers = count()
_START_S = 90.0


class Rabbit:
    """A RabbitMQ node."""

    def __init__(self):
        debian("rabbitmq-server", "rabbitmq-server")
        self.folder = Path(tempfile.mkdtemp(prefix="mq-"))
        self.port, dist, epmd = free_ports(3)
        (self.folder / "enabled_plugins").write_text("[].", encoding="utf-8")
        self.environment = {
            **os.environ,
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": f"nres{os.getpid()}@localhost",
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(dist),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "ERL_EPMD_PORT": str(epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        self.process = None

    def start(self):
        """Start, and wait until it answers."""
        # the script of the package changes the user; the one below it does not
        command = ["/usr/lib/rabbitmq/bin/rabbitmq-server"]
        with open(self.folder / "out", "ab") as out:
            self.process = subprocess.Popen(
                command, env=self.environment, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True
            )
        end = time.monotonic() + _START_S
        while True:
            try:
                with Connection(self.url("/"), connect_timeout=2) as connection:
                    connection.connect()
                return
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise RuntimeError((self.folder / "out").read_text(encoding="utf-8")[-2000:]) from None
                time.sleep(0.2)

    def kill(self, how=signal.SIGKILL):
        """Send a signal to the server; a dead one is waited for."""
        os.killpg(self.process.pid, how)
        if how == signal.SIGKILL:
            self.process.wait()
            # epmd left the group, and remembers the node for a moment
            time.sleep(0.2)

    def control(self, *words):
        """Run rabbitmqctl."""
        command = ["/usr/lib/rabbitmq/bin/rabbitmqctl", "--quiet", *words]
        subprocess.run(command, env=self.environment, check=True, capture_output=True, stdin=subprocess.DEVNULL)

    def url(self, vhost):
        """Return the URL of a virtual host."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{'' if vhost == '/' else vhost}"

    def create(self):
        """Make an empty virtual host and return its URL."""
        name = f"night{next(_numbers)}"
        self.control("add_vhost", name)
        self.control("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
        return self.url(name)

    def remove(self):
        """Stop it and its name server, and leave nothing behind."""
        self.kill()
        # epmd is a daemon of its own; it ends when it is asked on its own port
        subprocess.run(["epmd", "-kill"], env=self.environment, capture_output=True, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def free_ports(number):
    """Return ports that nobody listens on."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [server.getsockname()[1] for server in held]
    for server in held:
        server.close()
    return ports


@pytest.fixture(scope="session")
def rabbit():
    """A RabbitMQ server for the whole session."""
    server = Rabbit()
    try:
        server.start()
        yield server
    finally:
        server.remove()
