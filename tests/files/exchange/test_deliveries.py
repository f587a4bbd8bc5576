"""A product is delivered whole or not at all."""

import base64
import hashlib
import socket
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from nrespipe.errors import BadFrame, Unavailable
from nrespipe.files.exchange import deliveries

CONTENT = bytes(range(256)) * 500
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
PATH = "lsc/nres01/20190405/processed/a b-e91-L2.fits.fz"


class Handler(BaseHTTPRequestHandler):
    """Takes files, or does not."""

    def log_message(self, *_):
        pass

    def do_PUT(self):
        if self.server.refuses:
            if not self.server.hangs_up:
                self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(self.server.refuses)
            self.send_header("Retry-After", self.server.later)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            return
        self.server.headers = self.headers
        self.server.taken[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.end_headers()


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        served.refuses, served.later, served.hangs_up, served.taken = 0, "", False, {}
        served.handle_error = lambda *_: None
        thread = threading.Thread(target=served.serve_forever, args=(0.01,))
        thread.start()
        yield served
        served.shutdown()
        thread.join()


@pytest.fixture
def output(tmp_path):
    path = tmp_path / "out" / PATH
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    return tmp_path / "out"


def test_a_file_is_copied_into_a_directory_under_its_own_path(output, tmp_path):
    deliveries.deliver(PATH, MD5, output, f"file://{tmp_path}/else%20where")
    assert (tmp_path / "else where" / PATH).read_bytes() == CONTENT
    assert len(list((tmp_path / "else where").rglob("*.fz*"))) == 1


def test_a_file_is_put_to_a_server_with_its_checksum_and_our_name(output, server):
    deliveries.deliver(PATH, MD5, output, f"http://127.0.0.1:{server.server_port}/nres/", token="secret")
    assert server.taken == {"/nres/lsc/nres01/20190405/processed/a%20b-e91-L2.fits.fz": CONTENT}
    assert server.headers["Content-MD5"] == base64.b64encode(bytes.fromhex(MD5)).decode()
    assert server.headers["Authorization"] == "Token secret"


@pytest.mark.parametrize("hangs_up", [False, True])
@pytest.mark.parametrize(
    ("code", "is_away"), [(302, True), (400, False), (401, True), (404, False), (409, False), (429, True), (503, True)]
)
def test_what_a_server_answers_is_the_fault_of_the_file_or_meets_everybody(output, server, code, is_away, hangs_up):
    # more than the buffers of a connection hold: the server hangs up while we are still sending
    long = CONTENT * 100
    (output / PATH).write_bytes(long)
    md5 = hashlib.md5(long, usedforsecurity=False).hexdigest()
    server.refuses, server.hangs_up = code, hangs_up
    place = f"http://127.0.0.1:{server.server_port}"
    with pytest.raises(Unavailable, match=f"{place} answers {code}") as refusal:
        deliveries.deliver(PATH, md5, output, place, token="secret")
    assert isinstance(refusal.value, deliveries.ServerAway) is is_away
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "least_s", "most_s"),
    [
        ("120", 120, 120),
        ("in an hour", 3000, 3600),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("soon", 0, 0),
        ("-5", 0, 0),
        ("9" * 5000, 1e8, 1e9),
        ("Fri, 99 Oct 99999 07:28:00 GMT", 0, 0),
    ],
)
def test_a_server_may_say_for_how_long_it_wants_to_be_left_alone(output, server, text, least_s, most_s):
    # not among the parameters, which are the same in every process of the tests
    moment = f"{datetime.now(UTC) + timedelta(hours=1):%a, %d %b %Y %H:%M:%S GMT}"
    server.refuses, server.later = 503, moment if text == "in an hour" else text
    with pytest.raises(deliveries.ServerAway) as away:
        deliveries.deliver(PATH, MD5, output, f"http://127.0.0.1:{server.server_port}")
    assert least_s <= away.value.pause_s <= most_s


def test_a_server_that_takes_a_connection_and_says_nothing_is_away(output):
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(deliveries.ServerAway, match="timed out"):
        deliveries.deliver(PATH, MD5, output, f"http://127.0.0.1:{silent.getsockname()[1]}", patience_s=0.2)


def test_a_file_that_takes_too_long_is_given_up(output, server):
    with pytest.raises(deliveries.ServerAway, match="too slowly"):
        deliveries.deliver(PATH, MD5, output, f"http://127.0.0.1:{server.server_port}", longest_s=-1.0)


def test_a_file_that_is_gone_is_its_own_fault(output, server):
    (output / PATH).unlink()
    with pytest.raises(Unavailable, match="cannot be delivered") as refusal:
        deliveries.deliver(PATH, MD5, output, f"http://127.0.0.1:{server.server_port}")
    assert not isinstance(refusal.value, deliveries.ServerAway)


def test_a_server_or_a_directory_that_is_away_is_tried_again_and_leaves_nothing(output, tmp_path):
    with pytest.raises(deliveries.ServerAway, match="refused"):
        deliveries.deliver(PATH, MD5, output, "http://127.0.0.1:1/")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(deliveries.ServerAway, match="cannot be delivered"):
        deliveries.deliver(PATH, MD5, output, f"file://{tmp_path}/file")


def test_a_file_that_was_replaced_is_not_delivered_for_another(output, tmp_path):
    with pytest.raises(BadFrame, match="was replaced"):
        deliveries.deliver(PATH, "0" * 32, output, f"file://{tmp_path}/there")
    assert not (tmp_path / "there").exists()
