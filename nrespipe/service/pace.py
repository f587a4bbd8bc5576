"""How fast the service goes on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """Times between what the service does by itself.

    Attributes
    ----------
    sweep_s
        Pause between two sweeps [second].
    lost_s, queued_s
        A message that was not answered is sent again after this time where the queue is empty, and where it is not or
        nobody knows [second]: a row in a long queue is not lost.
    quiet_s, past_s
        The calibrations of a sequence follow each other within this time: no master is made of a part of them. The same
        for a night that is over, whose frames come together [second].
    margin_s
        A lease is this much longer than the work may take [second]: the limit comes first.
    patience_s
        For how long a database may be away before a message is given up; the row stays [second].
    read_s
        How long a disk may take to tell what a file is; after that the frame is tried again later [second].
    beat_s, stale_s
        How often a node of workers says that it lives; one that was not seen to say so for the second time is taken for
        dead by who wants its name [second].
    """

    sweep_s: float = 5.0
    lost_s: float = 60.0
    queued_s: float = 3600.0
    quiet_s: float = 120.0
    past_s: float = 5.0
    margin_s: float = 60.0
    patience_s: float = 60.0
    read_s: float = 60.0
    beat_s: float = 10.0
    stale_s: float = 60.0
