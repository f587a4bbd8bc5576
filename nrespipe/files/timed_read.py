"""Reads of files on disks that may hang: each ends after a time limit."""

import os
import re
import threading
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NoReturn, TypeVar

from nrespipe.errors import Unavailable

#: So many reads of one disk may hang at a time; after that no other is begun, which would hang as well.
MOST_HUNG = 4

_MOUNTS = Path("/proc/self/mountinfo")
# threads of this process that wait for a disk, by where it is mounted
_hung: defaultdict[str, list[threading.Thread]] = defaultdict(list)
_guard = threading.Lock()

T = TypeVar("T")


def call(work: Callable[[Path], T], path: Path, patience_s: float) -> T:
    """Call a function that reads a file, and give up where the disk does not answer in time.

    Parameters
    ----------
    work
        ``work(path)``.
    patience_s
        How long to wait [second].

    Returns
    -------
    object
        Return value of the work; an error of the work is raised.

    Raises
    ------
    Unavailable
        If the disk does not answer in time, or others wait for it already.

    Notes
    -----
    A read from a network disk that is away returns when the disk is back, be it after a week, and no signal ends it. It
    hangs in a thread of its own, which ends with the program. The reads that hang are counted for each disk by itself:
    one that is away holds up no file of another.
    """
    mount = mount_of(path)
    with _guard:
        _hung[mount] = [thread for thread in _hung[mount] if thread.is_alive()]
        if len(_hung[mount]) >= MOST_HUNG:
            raise Unavailable(f"{path.name}: the disk at {mount} does not answer: {MOST_HUNG} other files wait for it")
    answers: SimpleQueue[Callable[[], T]] = SimpleQueue()
    thread = threading.Thread(target=_answer, args=(answers, work, path), daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise Unavailable(f"{path.name}: this machine starts no more threads: {error}") from error
    try:
        answer = answers.get(timeout=patience_s)
    except Empty:
        with _guard:
            _hung[mount].append(thread)
        raise Unavailable(f"{path.name}: the disk at {mount} does not answer within {patience_s:g} s") from None
    return answer()


def mount_of(path: Path, table: str | None = None) -> str:
    """Return the mount point of the disk of a file, without access to the disk, which may not answer.

    Parameters
    ----------
    path
        The file; it need not exist.
    table
        Table of mounts in the form of ``/proc/self/mountinfo``.

    Returns
    -------
    str
        Directory; ``/`` where it is not known. Links on the disk of ``/`` are followed, those on others not.
    """
    if table is None:
        try:
            table = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return "/"
    places = {_plain(line.split(" ")[4]) for line in table.splitlines() if line.count(" ") > 4} - {"/"}
    words, here = [word for word in os.path.abspath(path).split("/") if word], "/"
    for _ in range(100 * len(words) + 100):
        if not words or here in places:
            break
        here = os.path.join(here, words.pop(0))
        try:
            target = "" if here in places else os.readlink(here)
        except OSError:
            continue
        if target:
            turned = os.path.normpath(os.path.join(os.path.dirname(here), target))
            words, here = [*(word for word in turned.split("/") if word), *words], "/"
    whole = os.path.join(here, *words)
    above = {whole, *map(str, Path(whole).parents)}
    return max(above & places, key=len, default="/")


def touch(path: Path) -> None:
    """Read the beginning of a file, to find out whether its disk answers.

    Parameters
    ----------
    path
        The file; nothing happens where there is none.
    """
    if path.is_file():
        with open(path, "rb") as stream:
            stream.read(1)


def _plain(word: str) -> str:
    """Return a directory as it is: the system writes blanks and such as numbers."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), word)


def _answer(answers: "SimpleQueue[Callable[[], T]]", work: Callable[[Path], T], path: Path) -> None:
    """Put a function into the queue that returns the value of the work, or raises its error."""
    try:
        value = work(path)
    except Exception as error:
        answers.put(partial(_raise, error))
    else:
        answers.put(lambda: value)


def _raise(error: Exception) -> NoReturn:
    raise error
