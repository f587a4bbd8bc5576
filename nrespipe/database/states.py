"""The states of frames and of masters, as the tables store them."""

from enum import StrEnum


class State(StrEnum):
    """What has become of a frame so far, or what came of one attempt at it."""

    QUEUED = "queued"  #: its turn has not come yet
    RUNNING = "running"  #: a process is working on it
    DONE = "done"  #: reduced, its products are written
    SKIPPED = "skipped"  #: not ours to reduce
    BAD = "bad"  #: can never be reduced
    WAITING = "waiting"  #: a master that it needs does not exist yet
    RETRY = "retry"  #: something outside the frame failed; it is tried again
    FAILED = "failed"  #: the program failed, and the traceback is kept


class Standing(StrEnum):
    """Whether a master may be used."""

    CURRENT = "current"  #: nothing against it, or nothing that matters
    REVIEW = "needs review"  #: unlike the last good one, or doubtful by itself; used, and its frames say so
    REPLACED = "replaced"  #: a later one of the same night was made of other frames
    REJECTED = "rejected"  #: these frames can make none that serves, or a person has called it bad; the reason is kept
    RETRY = "retry"  #: something outside the frames failed; it is tried again
    FAILED = "failed"  #: the program failed, and the traceback is kept


#: Masters of these standings are used.
USABLE = (Standing.CURRENT, Standing.REVIEW)
