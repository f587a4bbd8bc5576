"""Files on a disk that may not answer: whoever reads waits for a while, and never for ever."""

import os
import re
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from nrespipe.errors import Unavailable

#: So many reads of one disk may hang at a time; after that nobody begins another, which would hang as well.
MOST_HUNG = 4

_MOUNTS = Path("/proc/self/mountinfo")
# threads of this process that wait for a disk, by where it is mounted
_hung = defaultdict(list)
_guard = threading.Lock()


def call(work: Callable[..., Any], path: Path, patience_s: float) -> object:
    """Do something that reads a file, and give it up where the disk does not answer.

    Parameters
    ----------
    work
        ``work(path)``.
    patience_s
        How long to wait [second].

    Returns
    -------
    object
        What the work returns; an error of the work is raised.

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
    answers = SimpleQueue()
    thread = threading.Thread(target=_answer, args=(answers, work, path), daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise Unavailable(f"{path.name}: this machine starts no more threads: {error}") from error
    try:
        value, error = answers.get(timeout=patience_s)
    except Empty:
        with _guard:
            _hung[mount].append(thread)
        raise Unavailable(f"{path.name}: the disk at {mount} does not answer within {patience_s:g} s") from None
    if error is not None:
        raise error
    return value


def mount_of(path: Path, table: str | None = None) -> str:
    """Return where the disk of a file is mounted; the disk itself is not asked, as it may not answer.

    Parameters
    ----------
    path
        The file; it need not exist.
    table
        Mounts as the system tells them, in the form of ``/proc/self/mountinfo``.

    Returns
    -------
    str
        Directory; ``/`` where the system does not tell. Links on the disk of ``/`` are followed, those on others not.
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
    """Read the beginning of a file, which tells whether its disk answers.

    Parameters
    ----------
    path
        The file; nothing happens where there is none.
    """
    if path.is_file():
        with open(path, "rb") as stream:
            stream.read(1)


def _plain(word):
    """Return a directory as it is: the system writes blanks and such as numbers."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), word)


def _answer(answers, work, path):
    try:
        answers.put((work(path), None))
    except Exception as error:
        answers.put((None, error))
