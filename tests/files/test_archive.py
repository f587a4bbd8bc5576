"""A frame is fetched whole or not at all, whatever the archive does."""

import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from nrespipe.errors import Unavailable
from nrespipe.files import archive

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
        elif way == "trickle":
            self.send_response(200)
            self.end_headers()
            for _ in range(100):
                self.wfile.write(b"x")
                time.sleep(0.05)
        else:
            self.answer(CONTENT)

    def answer(self, content, length=None):
        self.send_response(200)
        self.send_header("Content-Length", str(length or len(content)))
        self.end_headers()
        self.wfile.write(content)


ANSWERS = {
    "no json": "<html>",
    "no url": "{}",
    "list": "[]",
    "odd url": '{"url": "file:///etc/passwd"}',
    "none": '{"url": null}',
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
        given = {"api_root": server.url + "/api", "token": "secret", "patience_s": 0.3, "longest_s": 1.0, **options}
        archive.fetch(17, tmp_path / "deep" / "a.fits.fz", MD5, **given)

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
    ],
)
@pytest.mark.slow
def test_whatever_the_archive_does_wrong_leaves_no_file_and_is_tried_again(fetch, tmp_path, way, words):
    with pytest.raises(Unavailable, match=words):
        fetch(way)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    fetch("well")


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
