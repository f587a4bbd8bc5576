"""Files on a disk that may not answer: whoever reads waits for a while, and never for ever."""

import threading
import time
from queue import Empty, SimpleQueue

from nrespipe.errors import Unavailable

#: So many reads may hang at a time; after that nobody begins another, which would hang as well.
MOST_HUNG = 4
#: How often somebody who waits looks after other things [second].
_TURN_S = 1.0


class Reader:
    """Does what reads files, and gives it up where the disk does not answer.

    Parameters
    ----------
    patience_s : float
        How long to wait [second].
    meanwhile : callable, optional
        Called every second of the wait.

    Notes
    -----
    A read from a network disk that is away returns when the disk is back, be it after a week, and no signal ends it. It
    hangs in a thread of its own, which ends with the program.
    """

    def __init__(self, patience_s, meanwhile=None):
        self._patience_s, self._meanwhile, self._hung = patience_s, meanwhile or (lambda: None), []

    def do(self, work, path):
        """Do something that reads a file.

        Parameters
        ----------
        work : callable
            ``work(path)``.
        path : Path
            The file.

        Returns
        -------
        object
            What the work returns; an error of the work is raised.

        Raises
        ------
        Unavailable
            If the disk does not answer in time, or others wait for it already.
        """
        self._hung = [thread for thread in self._hung if thread.is_alive()]
        if len(self._hung) >= MOST_HUNG:
            raise Unavailable(f"{path.name}: the disk does not answer: {len(self._hung)} other files wait for it")
        answers = SimpleQueue()
        thread = threading.Thread(target=_answer, args=(answers, work, path), daemon=True)
        thread.start()
        end = time.monotonic() + self._patience_s
        while (left_s := end - time.monotonic()) > 0:
            try:
                value, error = answers.get(timeout=min(_TURN_S, left_s))
            except Empty:
                self._meanwhile()
                continue
            if error is not None:
                raise error
            return value
        self._hung.append(thread)
        raise Unavailable(f"{path.name}: the disk does not answer within {self._patience_s:g} s")


def touch(path):
    """Read the beginning of a file, which tells whether its disk answers.

    Parameters
    ----------
    path : Path
        The file; nothing happens where there is none.
    """
    if path.is_file():
        with open(path, "rb") as stream:
            stream.read(1)


def _answer(answers, work, path):
    try:
        answers.put((work(path), None))
    except Exception as error:
        answers.put((None, error))
