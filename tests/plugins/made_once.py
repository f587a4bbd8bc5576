"""Expensive objects, made once in a run of the tests and shared by its processes."""

import fcntl
import mmap
import os
import pickle
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

#: Arrays begin at a multiple of this in a file, as in memory [byte].
_ALIGNED = 64


class Shelf:
    """A directory in which processes share the objects that they have made.

    Parameters
    ----------
    folder : Path
        Of this run of the tests.
    """

    def __init__(self, folder):
        self.folder = folder
        self._known = {}

    def get(self, name, make):
        """Return the object of a name; the first process that asks makes it, the others wait.

        Parameters
        ----------
        name : str
            Of the thing.
        make : callable
            Makes it; it may ask for other things.

        Returns
        -------
        object
            Its arrays are read from the file, and nobody can change them.
        """
        if name not in self._known:
            with self.locked(name):
                path = self.folder / f"{name}.pickle"
                if not path.exists():
                    _write(path, make())
            self._known[name] = _read(path)
        return self._known[name]

    def place(self, name, make):
        """Return a directory that is filled once, by the first process that asks.

        Parameters
        ----------
        name : str
            Of the directory.
        make : callable
            Fills it; takes its path.

        Returns
        -------
        Path
        """
        path, done = self.folder / name, self.folder / f"{name}.done"
        with self.locked(name):
            if not done.exists():
                shutil.rmtree(path, ignore_errors=True)
                path.mkdir()
                make(path)
                done.touch()
        return path

    @contextmanager
    def locked(self, name):
        """Keep other processes from making the object of this name."""
        self.folder.mkdir(exist_ok=True)
        with open(self.folder / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _write(path, thing):
    """Write an object, and after it its arrays, one after the other."""
    buffers = []
    head = pickle.dumps(thing, protocol=5, buffer_callback=buffers.append)
    views = [buffer.raw() for buffer in buffers]
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        pickle.dump((head, [view.nbytes for view in views]), file)
        for view in views:
            file.seek(-(-file.tell() // _ALIGNED) * _ALIGNED)
            file.write(view)
        file.truncate(file.tell() + 1)
    os.replace(partial, path)


def _read(path):
    """Read an object; its arrays stay on disk until they are used."""
    with path.open("rb") as file:
        head, sizes = pickle.load(file)
        place, content = file.tell(), memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    buffers = []
    for size in sizes:
        place = -(-place // _ALIGNED) * _ALIGNED
        buffers.append(content[place : place + size])
        place += size
    return pickle.loads(head, buffers=buffers)


@pytest.fixture(scope="session")
def shelf(tmp_path_factory):
    """The shared objects of this run."""
    base = Path(tmp_path_factory.getbasetemp())
    return Shelf((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared")
