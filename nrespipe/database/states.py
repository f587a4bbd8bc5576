"""The states of frames and of masters, as the tables store them."""

from enum import StrEnum


class State(StrEnum):
    """State of a frame, or in which state one attempt at it ended."""

    QUEUED = "queued"  #: not tried yet
    RUNNING = "running"  #: a process is working on it
    DONE = "done"  #: reduced, its products are written
    SKIPPED = "skipped"  #: not ours to reduce
    BAD = "bad"  #: can never be reduced
    WAITING = "waiting"  #: a master that it needs does not exist yet
    RETRY = "retry"  #: something outside the frame failed; it is tried again
    FAILED = "failed"  #: the program failed, and the traceback is kept


#: States of a frame that is tried again without a request.
UNFINISHED = (State.QUEUED, State.WAITING, State.RETRY)
#: States that depend on the content of the file alone: another attempt ends in the same.
FINAL = (State.BAD, State.SKIPPED)


class Standing(StrEnum):
    """Whether a master may be used."""

    CURRENT = "current"  #: no flags, or none that matters
    REVIEW = "needs review"  #: unlike the last good one, or with a number beyond its limits; used, frames are flagged
    REPLACED = "replaced"  #: a later one of the same night was made of other frames
    REJECTED = "rejected"  #: the frames make no usable master, or a person has rejected it; the reason is kept
    RETRY = "retry"  #: something outside the frames failed; it is tried again
    FAILED = "failed"  #: the program failed, and the traceback is kept


#: Masters of these standings are used.
USABLE = (Standing.CURRENT, Standing.REVIEW)
