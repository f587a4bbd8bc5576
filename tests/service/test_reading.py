"""Nobody waits for ever for a disk that does not answer."""

import os
import threading

import pytest

from nrespipe.errors import BadFrame, Unavailable
from nrespipe.service import reading


@pytest.fixture
def hanging(tmp_path):
    """A file that nobody can open before somebody writes into it."""
    path = tmp_path / "hanging.fits"
    os.mkfifo(path)
    yield path
    # let go of the threads that still wait
    os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))


def test_what_was_read_comes_back_and_an_error_is_raised(tmp_path):
    def refuse(path):
        raise BadFrame(f"{path.name}: is empty")

    reader = reading.Reader(10.0)
    assert reader.do(lambda path: path.name, tmp_path / "some.fits") == "some.fits"
    with pytest.raises(BadFrame, match="is empty"):
        reader.do(refuse, tmp_path / "some.fits")


def test_a_file_that_hangs_is_given_up_and_others_are_read(tmp_path, hanging):
    good = tmp_path / "good.fits"
    good.write_bytes(b"light")
    reader = reading.Reader(0.1)
    with pytest.raises(Unavailable, match=r"hanging.fits: the disk does not answer within 0.1 s"):
        reader.do(lambda path: path.read_bytes(), hanging)
    assert reader.do(lambda path: path.read_bytes(), good) == b"light"


def test_where_many_hang_no_other_is_begun_until_the_disk_is_back(tmp_path):
    back, begun = threading.Event(), []

    def hang(path):
        begun.append(path)
        assert back.wait(30)

    reader = reading.Reader(0.05)
    for _ in range(reading.MOST_HUNG + 3):
        with pytest.raises(Unavailable, match="does not answer"):
            reader.do(hang, tmp_path / "some.fits")
    assert len(begun) == reading.MOST_HUNG
    back.set()
    for thread in reader._hung:
        thread.join(30)
    assert reader.do(lambda path: "read", tmp_path / "some.fits") == "read"


def test_who_waits_looks_after_other_things(tmp_path, hanging, monkeypatch):
    monkeypatch.setattr(reading, "_TURN_S", 0.01)
    looked = []
    with pytest.raises(Unavailable):
        reading.Reader(0.2, lambda: looked.append(1)).do(lambda path: path.read_bytes(), hanging)
    assert len(looked) > 1


def test_the_touch_of_a_file_waits_for_its_disk_and_does_not_mind_that_there_is_none(tmp_path):
    reading.touch(tmp_path / "none.fits")
    path = tmp_path / "some.fits"
    path.write_bytes(b"light")
    reading.touch(path)
