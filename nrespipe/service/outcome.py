"""From what happened to what follows."""

import traceback as tracebacks
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nrespipe.database.administration import failures
from nrespipe.database.dialects import now
from nrespipe.database.states import State
from nrespipe.errors import BadFrame, MissingCalibration, Skipped, Unavailable

#: Libraries that speak to servers: what they raise is no fault of a frame. Known by their names, as most commands start
#: without them.
_OF_SERVERS = {"amqp", "http", "kombu", "urllib3"}
#: What follows from each error; the first that fits. Of errors that are not ours, a disk that is full or away and a
#: machine out of memory lie outside the frame.
_FOLLOWS = (
    (Skipped, State.SKIPPED),
    (BadFrame, State.BAD),
    (MissingCalibration, State.WAITING),
    ((Unavailable, OSError, MemoryError), State.RETRY),
    (Exception, State.FAILED),
)


@dataclass(frozen=True)
class Outcome:
    """What came of one piece of work.

    Attributes
    ----------
    state
        What follows.
    reason
        Why, in plain words; '' where done.
    traceback
        Where an error came from that is neither ours nor of the disk or the memory; '' otherwise.
    started, finished
        When, UTC.
    value
        What the work returned; None where it is not done.
    """

    state: State
    reason: str
    traceback: str
    started: datetime
    finished: datetime
    value: object = None

    def told(self) -> dict[str, object]:
        """Tell of it in a line of the log.

        Returns
        -------
        dict of str to object
            Its state, how many seconds it took, and the reason if there is one.
        """
        seconds = round((self.finished - self.started).total_seconds(), 3)
        facts = {"state": str(self.state), "seconds": seconds}
        return facts | ({"reason": self.reason} if self.reason else {})


def attempt(work: Callable[..., Any], *arguments: object) -> Outcome:
    """Do a piece of work, and turn whatever happens into an outcome: the task boundary.

    Parameters
    ----------
    work
        What to do.
    *arguments
        What to do it with.

    Returns
    -------
    Outcome
        Done with the value of the work, or whatever follows from the error that it ended with.
    """
    started = now()
    try:
        value = work(*arguments)
    except Exception as error:
        return of(error, started)
    return Outcome(State.DONE, "", "", started, now(), value)


def of(error: Exception, started: datetime) -> Outcome:
    """Tell what follows from an error.

    Parameters
    ----------
    started
        When the work began.

    Returns
    -------
    Outcome
        Its reason is the message of the error; for one that is not ours the type is named as well.
    """
    state = next(state for kind, state in _FOLLOWS if isinstance(error, kind))
    of_server = any(kind.__module__.partition(".")[0] in _OF_SERVERS for kind in type(error).__mro__)
    if of_server or failures.is_temporary(error):
        state = State.RETRY
    ours = isinstance(error, Skipped | BadFrame | MissingCalibration | Unavailable)
    reason = str(error) if ours and str(error) else f"{type(error).__name__}: {error}"
    named = ours or isinstance(error, OSError | MemoryError)
    trace = "" if named else "".join(tracebacks.format_exception(error))
    return Outcome(state, reason, trace, started, now())
