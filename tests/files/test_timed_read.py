"""Nobody waits for ever for a disk that does not answer."""

import os
import threading
from pathlib import Path

import pytest

from nrespipe.errors import BadFrame, Unavailable
from nrespipe.files import timed_read


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

    assert timed_read.call(lambda path: path.name, tmp_path / "some.fits", 10.0) == "some.fits"
    with pytest.raises(BadFrame, match="is empty"):
        timed_read.call(refuse, tmp_path / "some.fits", 10.0)


def test_a_file_that_hangs_is_given_up_and_others_are_read(tmp_path, hanging):
    good = tmp_path / "good.fits"
    good.write_bytes(b"light")
    with pytest.raises(Unavailable, match=r"hanging.fits: the disk at / does not answer within 0.1 s"):
        timed_read.call(lambda path: path.read_bytes(), hanging, 0.1)
    assert timed_read.call(lambda path: path.read_bytes(), good, 10.0) == b"light"


def test_where_many_hang_no_other_is_begun_until_the_disk_is_back_and_other_disks_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(timed_read, "mount_of", lambda path: path.parts[1])
    back, begun = threading.Event(), []

    def hang(path):
        begun.append(path)
        assert back.wait(30)

    for _ in range(timed_read.MOST_HUNG + 3):
        with pytest.raises(Unavailable, match="does not answer"):
            timed_read.call(hang, Path("/away/some.fits"), 0.05)
    assert len(begun) == timed_read.MOST_HUNG
    assert timed_read.call(lambda path: "read", Path("/here/some.fits"), 10.0) == "read"
    waiting = list(timed_read._hung["away"])
    back.set()
    for thread in waiting:
        thread.join(30)
    assert timed_read.call(lambda path: "read", Path("/away/some.fits"), 10.0) == "read"


def test_a_machine_that_starts_no_thread_is_no_fault_of_the_file(monkeypatch):
    def full(_thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", full)
    with pytest.raises(Unavailable, match="no more threads"):
        timed_read.call(lambda path: "read", Path("/here/some.fits"), 1.0)


TABLE = """22 1 8:1 / / rw - ext4 /dev/sda1 rw
30 22 0:40 / /archive rw - nfs4 server:/archive rw
31 30 0:41 / /archive/new\\040disk rw - nfs4 server:/new rw
32 22 0:42 / /arch rw - nfs4 server:/arch rw
odd
"""


@pytest.mark.parametrize(
    ("path", "mount"),
    [
        ("/archive/lsc/a.fits", "/archive"),
        ("/archive/new disk/a.fits", "/archive/new disk"),
        ("/archives/a.fits", "/"),
        ("/archive/../arch/a.fits", "/arch"),
        ("/data/a.fits", "/"),
    ],
)
def test_the_disk_of_a_file_is_the_nearest_mount_above_it(path, mount):
    assert timed_read.mount_of(Path(path), TABLE) == mount


def test_a_link_on_the_disk_of_the_system_leads_to_the_disk_behind_it(tmp_path):
    (tmp_path / "link").symlink_to("/archive/new disk")
    (tmp_path / "loop").symlink_to("loop")
    assert timed_read.mount_of(tmp_path / "link/lsc/a.fits", TABLE) == "/archive/new disk"
    assert timed_read.mount_of(tmp_path / "loop/a.fits", TABLE) == "/"


def test_the_mounts_of_this_machine_are_known(tmp_path):
    assert timed_read.mount_of(Path("/proc/self/stat")) == "/proc"
    assert tmp_path.is_relative_to(timed_read.mount_of(tmp_path / "some.fits"))


def test_the_touch_of_a_file_waits_for_its_disk_and_does_not_mind_that_there_is_none(tmp_path):
    timed_read.touch(tmp_path / "none.fits")
    path = tmp_path / "some.fits"
    path.write_bytes(b"light")
    timed_read.touch(path)
