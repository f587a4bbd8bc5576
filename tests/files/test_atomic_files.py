"""Nobody sees a part of a file, and a process whose work is another's by now replaces nothing."""

import os
import re
from pathlib import Path

import pytest
from astropy.io import fits

from nrespipe.errors import Unavailable
from nrespipe.files import atomic_files, fits_io


def hdus(value):
    return fits.HDUList([fits.PrimaryHDU(header=fits.Header([("VALUE", value)]))])


@pytest.fixture
def paths(tmp_path):
    """Two files of an earlier attempt."""
    made = [tmp_path / "night/a.fits", tmp_path / "night/b.fits"]
    fits_io.write_together([(hdus(1), path) for path in made])
    return made


def values(paths):
    return [fits.getheader(path)["VALUE"] for path in paths]


def test_it_is_asked_once_when_all_files_are_written_and_none_is_replaced(paths):
    asked = []

    def still_mine():
        whole = [fits.getheader(path)["VALUE"] for path in paths[0].parent.glob(".*.partial")]
        asked.append((values(paths), whole))
        return True

    fits_io.write_together([(hdus(2), path) for path in paths], still_mine)
    assert asked == [([1, 1], [2, 2])]
    assert values(paths) == [2, 2]
    assert sorted(os.listdir(paths[0].parent)) == ["a.fits", "b.fits"]


def test_what_is_not_ours_any_more_is_left_as_it_is(paths):
    with pytest.raises(
        Unavailable, match=r"a.fits, b.fits: another process does this work by now; nothing was replaced"
    ):
        fits_io.write_together([(hdus(2), path) for path in paths], lambda: False)
    assert values(paths) == [1, 1]
    assert sorted(os.listdir(paths[0].parent)) == ["a.fits", "b.fits"]


def test_where_one_file_cannot_be_written_none_is_replaced(paths, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match=r"c.fits: the disk does not take the file"):
        fits_io.write_together([(hdus(2), paths[0]), (hdus(2), tmp_path / "file/c.fits")])
    assert values(paths) == [1, 1]
    assert sorted(os.listdir(paths[0].parent)) == ["a.fits", "b.fits"]


def test_two_processes_of_one_number_write_one_file_without_mixing(tmp_path):
    path = tmp_path / "a.fits"
    one, two = atomic_files.temporary_path(path), atomic_files.temporary_path(path)
    assert one != two
    assert one.parent == path.parent
    assert one.name.startswith(".a.fits.")
    assert one.suffix == ".partial"


def test_no_file_that_is_not_whole_yet_is_named_by_the_number_of_a_process():
    """Two containers that share an output directory have processes of the same numbers."""
    package = Path(atomic_files.__file__).parents[1]
    texts = {path.name: path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    assert [name for name, text in texts.items() if re.search(r"getpid\(\).*partial|\(\"\.partial\"\)", text)] == []


def test_a_file_that_cannot_be_finished_leaves_nothing_behind(tmp_path):
    path = tmp_path / "night" / "a.csv"
    with atomic_files.replacing(path) as written:
        written.write_text("1")

    def fail():
        with atomic_files.replacing(path) as written:
            written.write_text("2")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert path.read_text() == "1"
    assert os.listdir(path.parent) == ["a.csv"]
