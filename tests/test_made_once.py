"""What the tests themselves lean on: one process makes a thing, and all read it."""

from concurrent.futures import ProcessPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from made_once import Shelf


def ask(folder):
    """Ask for a thing in a process of its own; return its numbers, and how often it was made."""
    made = Shelf(folder).get("thing", lambda: _make(folder))
    return made.numbers.sum(), made.words


def _make(folder):
    with (folder / "made").open("a") as file:
        file.write("once\n")
    return SimpleNamespace(numbers=np.arange(10_000.0).reshape(100, 100)[:, ::2], words=("a", "b"))


def test_a_thing_is_made_once_however_many_processes_ask_at_the_same_time(tmp_path):
    with ProcessPoolExecutor(4) as pool:
        answers = list(pool.map(ask, [tmp_path] * 8))
    assert set(answers) == {(np.arange(0, 10_000, 2.0).sum(), ("a", "b"))}
    assert (tmp_path / "made").read_text() == "once\n"


def test_what_was_shared_is_the_same_and_nobody_can_change_it(tmp_path):
    given = {"plain": np.arange(7, dtype=np.uint8), "turned": np.ones((3, 5), np.float32).T, "empty": np.zeros((0, 3))}
    found = Shelf(tmp_path).get("arrays", lambda: given)
    for name, array in given.items():
        np.testing.assert_array_equal(found[name], array)
        assert (found[name].dtype, found[name].flags.f_contiguous) == (array.dtype, array.flags.f_contiguous)
    with pytest.raises(ValueError, match="read-only"):
        found["plain"][0] = 1


def test_a_directory_is_filled_once_and_a_try_that_failed_is_made_again(tmp_path):
    shelf = Shelf(tmp_path)

    def fails(path):
        (path / "half").touch()
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk is full"):
        shelf.place("night", fails)
    place = shelf.place("night", lambda path: (path / "whole").touch())
    assert [entry.name for entry in place.iterdir()] == ["whole"]
    assert shelf.place("night", fails) == place
