"""A product is delivered whole or not at all."""

import base64
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from nrespipe.errors import BadFrame, Unavailable
from nrespipe.files import deliveries

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
            self.send_error(self.server.refuses)
            return
        self.server.headers = self.headers
        self.server.taken[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.end_headers()


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        served.refuses, served.hangs_up, served.taken, served.handle_error = 0, False, {}, lambda *_: None
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
@pytest.mark.parametrize("code", [302, 401, 500])
def test_a_server_that_refuses_is_tried_again(output, server, code, hangs_up):
    # more than the buffers of a connection hold: the server hangs up while we are still sending
    long = CONTENT * 100
    (output / PATH).write_bytes(long)
    md5 = hashlib.md5(long, usedforsecurity=False).hexdigest()
    server.refuses, server.hangs_up = code, hangs_up
    with pytest.raises(Unavailable, match=f"the server answers {code}"):
        deliveries.deliver(PATH, md5, output, f"http://127.0.0.1:{server.server_port}", token="secret")


def test_a_server_or_a_directory_that_is_away_is_tried_again_and_leaves_nothing(output, tmp_path):
    with pytest.raises(Unavailable, match="refused"):
        deliveries.deliver(PATH, MD5, output, "http://127.0.0.1:1/")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable, match="cannot be delivered"):
        deliveries.deliver(PATH, MD5, output, f"file://{tmp_path}/file")


def test_a_file_that_was_replaced_is_not_delivered_for_another(output, tmp_path):
    with pytest.raises(BadFrame, match="was replaced"):
        deliveries.deliver(PATH, "0" * 32, output, f"file://{tmp_path}/there")
    assert not (tmp_path / "there").exists()
