"""A message is understood, passed over or refused, whatever it is."""

import bz2
import json
import lzma
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.message import Message

from nrespipe.errors import Skipped
from nrespipe.service.ingest import messages

NAME = "lscnrs01-fa09-20190405-0021-e00.fits.fz"
MD5 = "0123456789abcdef0123456789abcdef"


def body(**fields):
    return json.dumps(fields)


def test_a_message_with_a_path_tells_of_a_file_on_a_disk():
    text = body(path=f"/archive/lsc/{NAME}")
    assert messages.read(text) == messages.Arrival(NAME, path=f"/archive/lsc/{NAME}", body=text)
    assert messages.read(text.encode()) == messages.read(text)


def test_a_message_of_the_archive_tells_of_a_frame_to_fetch():
    text = body(filename=NAME, frameid=17, version_set=[{"md5": MD5.upper(), "key": "k"}], SITEID="lsc", EXPTIME=60.0)
    assert messages.read(text) == messages.Arrival(NAME, archive_id=17, md5=MD5, body=text)


def test_a_frame_of_the_archive_is_known_by_its_base_name_too():
    text = body(basename=NAME.removesuffix(".fits.fz"), id="17", version_set=[{"extension": ".fits.fz"}])
    arrival = messages.read(text)
    assert (arrival.name, arrival.archive_id, arrival.md5) == (NAME, 17, None)


def test_a_path_comes_before_a_number():
    assert messages.read(body(path=f"/a/{NAME}", filename=NAME, frameid=17)).archive_id is None


@pytest.mark.parametrize(
    "name",
    [
        "cpt1m010-fa16-20190405-0021-e00.fits.fz",
        NAME.replace("e00", "e91"),
        NAME.replace("e00", "g00"),
        NAME.replace("e00", "x00"),
        NAME.replace(".fits.fz", ".jpg"),
        NAME.replace("-e00.fits.fz", "-e92-1d.tar.gz"),
    ],
)
@pytest.mark.parametrize("form", ["path", "archive"])
def test_a_frame_that_is_not_ours_is_passed_over(name, form):
    text = body(path=f"/archive/{name}") if form == "path" else body(filename=name, frameid=1)
    with pytest.raises(Skipped, match=name):
        messages.read(text)


def test_a_frame_with_an_odd_name_is_ours_if_its_header_says_so():
    text = body(filename="test-0001-e00.fits", frameid=1, TELESCOP="nres01")
    assert messages.read(text).name == "test-0001-e00.fits"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe",
        b"not json",
        b"[" * 100_000,
        b"17",
        b"null",
        b"[]",
        b"{}",
        body(path=""),
        body(path=17),
        body(path=f"relative/{NAME}"),
        body(path=f"/archive/\0/{NAME}"),
        body(path=f"/{'a' * 5000}/{NAME}"),
        body(path="/archive/lscnrs01-a b-e00.fits"),
        body(filename=NAME),
        body(filename=NAME, frameid="many"),
        body(filename=NAME, frameid=True),
        body(filename=NAME, frameid=-1),
        body(filename=NAME, frameid=2**63),
        body(filename=NAME, frameid="²"),
        body(filename=NAME, frameid=1, version_set=[{"md5": "short"}]),
        body(filename=NAME, frameid=1, version_set=[{"md5": [1]}]),
        body(filename=["a"], frameid=1),
        body(filename=f"lscnrs01-{'9' * 300}-e00.fits", frameid=1),
        body(path=f"/archive/\ud800/{NAME}"),
        body(path=f"/archive/{'é' * 128}/{NAME}"),
        body(filename=NAME, frameid="9" * 5000),
        body(filename=NAME, frameid=1.0),
        body(filename=NAME, frameid=0).replace("0}", f"{'9' * 5000}}}"),
        body(filename=NAME, frameid=0).replace("0}", f"{'[' * 900}{']' * 900}}}"),
        "\ud800",
        " " * 5_000_000,
    ],
)
def test_a_message_that_names_no_file_is_refused(text):
    with pytest.raises(messages.Malformed):
        messages.read(text)


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        (f"/raw/lsc/{NAME}", f"/raw/lsc/{NAME}"),
        (f"//raw/./lsc/../{NAME}/", f"/raw/{NAME}"),
        (f"/raw/../raw/{NAME}", f"/raw/{NAME}"),
        (f"/raw/../etc/{NAME}", None),
        (f"/rawer/{NAME}", None),
        (f"/{NAME}", None),
        (f"/raw/lsc/../../../raw2/{NAME}", None),
    ],
)
def test_a_path_lies_below_the_raw_frames_or_is_refused(path, kept):
    if kept is None:
        with pytest.raises(messages.Malformed, match=r"is not below /raw, .* NRES_ANY_PATH"):
            messages.read(body(path=path), Path("/raw"))
    else:
        assert messages.read(body(path=path), Path("/raw")).path == kept


# halves of characters among the words, and numbers of any length
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.text(st.characters(categories=["Cs", "Cc", "Nd"]), max_size=5).map(lambda text: f"/{text}/{NAME}")
    | st.integers(1, 6000).map(lambda n: "9" * n),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)
KEYS = ("path", "filename", "basename", "frameid", "id", "version_set", "TELESCOP")


@given(st.dictionaries(st.sampled_from(KEYS), anything | st.sampled_from([f"/a/{NAME}", NAME, "nres01"])))
def test_whatever_comes_is_an_arrival_or_one_of_two_refusals(fields):
    for below in (None, Path("/a")):
        try:
            arrival = messages.read(json.dumps(fields), below)
        except (messages.Malformed, Skipped):
            continue
        assert arrival.name.endswith(("00.fits", "00.fits.fz"))
        assert bool(arrival.path) != (arrival.archive_id is not None)
        assert "\0" not in arrival.path + arrival.body
        assert (arrival.path + arrival.body).encode("utf-8")
        assert 0 <= (arrival.archive_id or 0) < 2**63


@given(st.binary())
def test_whatever_bytes_come_are_refused(raw):
    with pytest.raises((messages.Malformed, Skipped)):
        messages.read(raw)


@pytest.mark.parametrize(("name", "pack"), [("gzip", zlib.compress), ("bzip2", bz2.compress), ("xz", lzma.compress)])
def test_a_packed_message_is_unpacked_unless_it_is_far_longer_than_it_looks(name, pack):
    messages.limit_decompression()
    headers = {"compression": name}
    assert Message(body=pack(b'{"path": "/a"}'), headers=headers).body == b'{"path": "/a"}'
    for body in (pack(b"0" * 10_000_000), pack(b"0" * 1000)[:-5]):
        message = Message(body=body, headers=headers)
        assert message.body == body
        ((_, error, _),) = message.errors
        assert isinstance(error, messages.Malformed)
