"""A piece of work and its outcome: which state follows from success, and from each error."""

import traceback as tracebacks
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Generic, Never, Protocol, TypeVar

import structlog

from nrespipe import __version__
from nrespipe.database.administration import failures
from nrespipe.database.dialects import now
from nrespipe.database.states import State
from nrespipe.database.tables import Attempt
from nrespipe.errors import BadFrame, MissingCalibration, Skipped, Unavailable

J = TypeVar("J")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_log = structlog.get_logger(__name__)

#: Libraries that speak to servers: what they raise is no fault of a frame. Known by their names, as most commands start
#: without them.
_OF_SERVERS = {"amqp", "http", "kombu", "urllib3"}
#: Which state follows from each error; the first that fits. Of errors that are not ours, a disk that is full or away
#: and a machine out of memory lie outside the frame.
_FOLLOWS = (
    (Skipped, State.SKIPPED),
    (BadFrame, State.BAD),
    (MissingCalibration, State.WAITING),
    ((Unavailable, OSError, MemoryError), State.RETRY),
    (Exception, State.FAILED),
)


@dataclass(frozen=True)
class Outcome(Generic[T_co]):
    """Outcome of one piece of work.

    Attributes
    ----------
    state
        State that follows.
    reason
        Why, in plain words; '' where done.
    traceback
        Where an error came from that is neither ours nor of the disk or the memory; '' otherwise.
    started, finished
        When, UTC.
    value
        Return value of the work; None where it is not done.
    """

    state: State
    reason: str
    traceback: str
    started: datetime
    finished: datetime
    value: T_co | None = None

    def log_facts(self) -> dict[str, object]:
        """Return facts for a line of the log.

        Returns
        -------
        dict of str to object
            Its state, how many seconds it took, and the reason if there is one.
        """
        seconds = round((self.finished - self.started).total_seconds(), 3)
        facts: dict[str, object] = {"state": str(self.state), "seconds": seconds}
        return facts | ({"reason": self.reason} if self.reason else {})


class NoOutcome(Enum):
    """Why the work of a row ended without an outcome: no attempt was made, and none is recorded."""

    NOT_DUE = auto()  #: it is not to be done now, or another process has it
    LEASE_LOST = auto()  #: it was taken away from this process, which took too long
    CONTENT_KNOWN = auto()  #: another row has the content of its file, and has taken its place
    ANNOUNCED_AGAIN = auto()  #: its file may have changed since it was read: the row was given back
    STILL_WAITING = auto()  #: a frame goes on waiting for a master
    FRAMES_MISSING = auto()  #: frames of which a master is to be made are still to come
    NOTHING_TO_MAKE = auto()  #: a master has too few frames, or is made of them already
    SERVER_AWAY = auto()  #: the server takes no products now


class RunJobs(Protocol):
    """Runs a function on jobs, in one process or in several."""

    def __call__(self, work: Callable[[J], T], jobs: Iterable[J]) -> Iterator[tuple[J, Outcome[T]]]:
        """Yield each job with its outcome as it ends, in any order."""


def run(work: Callable[..., T], *arguments: object) -> Outcome[T]:
    """Do a piece of work and turn its end, also an error, into an outcome: the task boundary.

    Returns
    -------
    Outcome
        Done with the value of the work, or in the state that follows from its error.
    """
    started = now()
    try:
        value = work(*arguments)
    except Exception as error:
        return of(error, started)
    return Outcome(State.DONE, "", "", started, now(), value)


def of(error: BaseException, started: datetime) -> Outcome[Never]:
    """Return the outcome that follows from an error.

    Parameters
    ----------
    started
        When the work began.

    Returns
    -------
    Outcome
        Its reason is the message of the error; for one that is not ours the type is named as well.
    """
    state = next((state for kind, state in _FOLLOWS if isinstance(error, kind)), State.FAILED)
    of_server = any(kind.__module__.partition(".")[0] in _OF_SERVERS for kind in type(error).__mro__)
    if of_server or failures.is_temporary(error):
        state = State.RETRY
    ours = isinstance(error, Skipped | BadFrame | MissingCalibration | Unavailable)
    reason = str(error) if ours and str(error) else f"{type(error).__name__}: {error}"
    named = ours or isinstance(error, OSError | MemoryError)
    trace = "" if named else "".join(tracebacks.format_exception(error))
    return Outcome(state, reason, trace, started, now())


def attempt_row(frame_id: int, ended: Outcome[object], **others: object) -> Attempt:
    """Return the row of an attempt, not yet in any session."""
    return Attempt(
        frame_id=frame_id,
        started=ended.started,
        finished=ended.finished,
        outcome=ended.state,
        reason=ended.reason,
        traceback=ended.traceback,
        code_version=__version__,
        **{"measurements": {}, **others},
    )


def run_or_log(job: str, work: Callable[..., T], *arguments: object) -> T | None:
    """Do a piece of work that must not stop anything else: an error is logged, and the caller goes on.

    Parameters
    ----------
    job
        Name of the work, for the log.

    Returns
    -------
    object
        Return value of the work; None where it failed.
    """
    try:
        return work(*arguments)
    except Exception as error:
        if failures.is_temporary(error):
            _log.warning("database away", job=job, reason=failures.message(error))
        else:
            _log.exception("job failed", job=job)
        return None
