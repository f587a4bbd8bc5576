"""A frame is fetched whole or not at all, whatever the archive does."""

import gzip
import hashlib
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trustme

from nrespipe.errors import Unavailable
from nrespipe.files.exchange import archive_download

CONTENT = bytes(range(256)) * 1000
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """An archive that misbehaves as ``server.way`` tells."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        way = self.server.way
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        if self.path.startswith("/api/"):
            if way in (401, 404, 500, 503):
                self.send_error(way)
            elif way == "moved" and "again" not in self.path:
                self.send_response(302)
                self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/api/frames/again/")
                self.end_headers()
            else:
                self.answer(ANSWERS.get(way, json.dumps({"url": self.server.url + "/store/a"})).encode())
        else:
            self.store(way)

    def store(self, way):
        if way == "silent":
            time.sleep(1.0)
        elif way == "no file":
            self.send_error(500)
        elif way == "truncated":
            self.answer(CONTENT[:5000], len(CONTENT))
        elif way == "wrong":
            self.answer(CONTENT[::-1])
        elif way in LENGTHS:
            self.answer(CONTENT, LENGTHS[way])
        elif way == "compressed":
            self.answer(gzip.compress(CONTENT), encoding="gzip")
        elif way in PLACES and self.path == "/store/a":
            self.send_response(302)
            self.send_header("Location", PLACES[way].format(port=self.server.server_port))
            self.end_headers()
        elif way in ("no length", "endless", "chunks", "few chunks"):
            self.protocol_version = "HTTP/1.1"
            self.send_response(200)
            self.send_header(*(("Transfer-Encoding", "chunked") if "chunks" in way else ("X-Way", way)))
            self.end_headers()
            pieces = {"few chunks": [CONTENT[:5000]], "endless": [CONTENT] * 50}.get(way, [CONTENT])
            for piece in pieces:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if "chunks" in way else piece)
            self.wfile.write(b"0\r\n\r\n" if way == "chunks" else b"")
            self.close_connection = True
        elif way == "trickle":
            self.send_response(200)
            self.end_headers()
            for _ in range(100):
                self.wfile.write(b"x")
                time.sleep(0.05)
        else:
            self.answer(CONTENT)

    def answer(self, content, length=None, encoding=""):
        self.send_response(200)
        self.send_header("Content-Length", str(length or len(content)))
        if encoding:
            self.send_header("Content-Encoding", encoding)
        self.end_headers()
        self.wfile.write(content)


ANSWERS = {
    "no json": "<html>",
    "no url": "{}",
    "list": "[]",
    "odd url": '{"url": "file:///etc/passwd"}',
    "none": '{"url": null}',
    "deep": "[" * 100_000,
    "long": " " * (1 << 21),
    "elsewhere": '{"url": "https://169.254.169.254/latest/meta-data/?key=secret"}',
    "password": '{"url": "https://user:secret@127.0.0.1/a"}',
    "no host": '{"url": "https:///a"}',
    "odd port": '{"url": "https://127.0.0.1:secret/a"}',
    "surrogate": '{"url": "http://127.0.0.1:1/\\ud800"}',
    "two lines": '{"url": "http://127.0.0.1:1/a\\nX: secret"}',
}
LENGTHS = {
    "length of words": "some",
    "negative": "-5",
    "hexadecimal": "0x10",
    "huge": "9" * 14,
    "long number": "9" * 5000,
}
PLACES = {
    "loop": "/store/a",
    "away": "https://169.254.169.254/?key=secret",
    "another name": "http://localhost:{port}/store/b",
    "another scheme": "file:///etc/passwd",
    "a mistake": "http://[::1",
}


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        served.way, served.asked, served.url = "well", [], f"http://127.0.0.1:{served.server_port}"
        served.handle_error = lambda *_: None
        thread = threading.Thread(target=served.serve_forever, args=(0.01,))
        thread.start()
        yield served
        served.shutdown()
        thread.join()


@pytest.fixture
def fetch(server, tmp_path):
    def call(way, **options):
        server.way = way
        given = {
            "api_root": server.url + "/api",
            "token": "secret",
            "patience_s": 0.3,
            "longest_s": 1.0,
            "most_bytes": 10**6,
        }
        given |= options
        archive_download.fetch(17, tmp_path / "deep" / "a.fits.fz", given.pop("md5", MD5), **given)

    return call


def test_a_frame_is_fetched_and_the_token_is_shown_to_the_archive_alone(fetch, server, tmp_path):
    fetch("well")
    assert (tmp_path / "deep/a.fits.fz").read_bytes() == CONTENT
    assert server.asked == [("/api/frames/17/", "Token secret"), ("/store/a", None)]


def test_a_token_is_not_passed_on_where_the_archive_sends_us_elsewhere(fetch, server):
    fetch("moved")
    assert server.asked[1] == ("/api/frames/again/", None)


@pytest.mark.parametrize(
    ("way", "words"),
    [
        (401, "401"),
        (404, "404"),
        (500, "500"),
        (503, "503"),
        ("no json", "does not tell where frame 17 lies"),
        ("no url", "does not tell"),
        ("list", "does not tell"),
        ("odd url", "does not tell"),
        ("none", "does not tell"),
        ("no file", "500"),
        ("silent", "timed out"),
        ("truncated", "truncated on its way: 5000 bytes of 256000"),
        ("wrong", "has the checksum"),
        ("trickle", "too slowly"),
        ("deep", "does not tell"),
        ("long", "expected no more than"),
        ("elsewhere", "sends us to https://169.254.169.254: expected a host of NRES_ARCHIVE_HOSTS"),
        ("password", "not one of the web"),
        ("no host", "not one of the web"),
        ("odd port", "not one of the web"),
        ("surrogate", "cannot be fetched"),
        ("two lines", "cannot be fetched"),
        ("length of words", "a length that is no number"),
        ("negative", "a length that is no number"),
        ("hexadecimal", "a length that is no number"),
        ("long number", "a length that is no number"),
        ("huge", "expected no more than 1000000"),
        ("endless", "longer than the 1000000 bytes"),
        ("compressed", "as 'gzip', which nobody asked for"),
        ("few chunks", "cannot be fetched"),
        ("loop", "more than 5 redirects"),
        ("away", "sends us to https://169.254.169.254: expected a host"),
        ("another name", "sends us to http://localhost:[0-9]+: expected a host"),
        ("another scheme", "not one of the web"),
        ("a mistake", "not one of the web"),
    ],
)
@pytest.mark.slow
def test_whatever_the_archive_does_wrong_leaves_no_file_and_is_tried_again(fetch, tmp_path, way, words):
    with pytest.raises(Unavailable, match=words) as refusal:
        fetch(way)
    assert "secret" not in str(refusal.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    fetch("well")


@pytest.mark.parametrize("way", ["chunks", "no length"])
def test_a_file_may_come_without_a_length_where_its_checksum_or_its_end_is_told(fetch, way):
    fetch(way)


def test_a_file_of_which_nobody_could_tell_whether_it_is_whole_is_refused(fetch):
    fetch("chunks", md5="")
    with pytest.raises(Unavailable, match="neither a length nor a checksum"):
        fetch("no length", md5="")


def test_a_host_that_the_settings_name_may_send_the_file(fetch, server):
    fetch("another name", hosts=["local*"])
    assert server.asked[-1] == ("/store/b", None)


def test_a_token_is_shown_to_no_server_without_tls_but_one_on_this_machine(fetch):
    for allow_http in (False, True):
        with pytest.raises(Unavailable, match=r"http://192\.0\.2\.1: the token is not sent without TLS") as refusal:
            fetch("well", api_root="http://192.0.2.1/", allow_http=allow_http)
        assert "secret" not in str(refusal.value)
    with pytest.raises(Unavailable, match="is not asked without TLS"):
        fetch("well", api_root="http://192.0.2.1/", token="")


@pytest.mark.parametrize("issuer", ["known", "unknown", "another host"])
def test_a_server_is_believed_only_with_a_certificate_of_its_own_from_an_issuer_that_we_know(
    fetch, server, monkeypatch, tmp_path, issuer
):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example.org" if issuer == "another host" else "127.0.0.1").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.url = server.url.replace("http:", "https:")
    known = trustme.CA() if issuer == "unknown" else authority
    known.cert_pem.write_to_path(str(tmp_path / "known.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "known.pem"))
    if issuer == "known":
        fetch("well")
        return
    with pytest.raises(Unavailable, match="certificate verify failed"):
        fetch("well")
    assert server.asked == []


def test_an_archive_that_is_away_is_told_without_the_token(fetch):
    with pytest.raises(Unavailable, match=r"a\.fits\.fz: cannot be fetched: .*refused") as refusal:
        fetch("well", api_root="http://127.0.0.1:1/")
    assert "secret" not in str(refusal.value)


def test_without_an_archive_the_reason_names_the_variable(fetch):
    with pytest.raises(Unavailable, match="set API_ROOT"):
        fetch("well", api_root="")


def test_a_file_that_was_there_is_replaced_only_by_a_whole_one(fetch, tmp_path):
    path = tmp_path / "deep/a.fits.fz"
    path.parent.mkdir()
    path.write_bytes(b"old")
    with pytest.raises(Unavailable):
        fetch("truncated")
    assert path.read_bytes() == b"old"
    fetch("well")
    assert path.read_bytes() == CONTENT
