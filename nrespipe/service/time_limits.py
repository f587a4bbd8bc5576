"""How long things may take: the limits of one frame and all that follow from it, and the intervals of the service."""

import os
from dataclasses import dataclass

from nrespipe.settings import MEMORY, Settings

#: How long a file may take to come from the archive, at most [second].
_LONGEST_FETCH_S = 900.0
#: How long a product may take to be delivered, at most [second].
_LONGEST_DELIVERY_S = 600.0
#: How long programs that work on no frame may take to stop, one after the other: listener, scheduler, supervisord.
_OTHERS_S = 60.0


class DoNotFit(Exception):
    """Limits of the service and of what is around it contradict each other; the message names both."""


@dataclass(frozen=True)
class Pace:
    """Intervals and patience of the service.

    Attributes
    ----------
    sweep_s
        Pause between two sweeps [second].
    lost_s, queued_s
        A message without effect is sent again after this time: `lost_s` where the queue is known to be empty, else
        `queued_s` [second]: a row in a long queue is not lost.
    quiet_s, past_s
        The calibrations of a sequence follow each other within this time: no master is made of a part of them. The same
        for a night that is over, whose frames come together [second].
    margin_s
        A lease is this much longer than the work may take [second]: the limit comes first.
    patience_s
        For how long a database may be away before a message is given up; the row stays [second].
    read_s
        How long a disk may take to read the header of a file, where half of the time limit of a frame is not shorter;
        after that the frame is tried again later [second].
    beat_s, stale_s
        Interval of the heartbeat of a node of workers; and how long another that wants its name waits for a heartbeat
        before the node counts as dead [second].
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


@dataclass(frozen=True)
class Limits:
    """Times that must follow each other, shortest first.

    Attributes
    ----------
    read_s
        How long a disk may take to read the header of a file [second]: ``Pace.read_s``, or half of `work_s` where that
        is shorter.
    deliver_s
        How long a product may take to be delivered [second]: a server or a directory that needs longer is away.
    fetch_s
        How long a file may take to come from the archive [second]; a frame begins with it.
    work_s
        How long a frame or a master may take in all, before its process is ended: ``NRES_TIME_LIMIT`` [second].
    lease_s
        For how long a process may keep a row [second]: the end of the process comes first.
    stop_s
        How long a worker that is asked to stop may need to finish its frame [second].
    grace_s
        How long a container may need to stop [second]: its workers at once, its other programs after each other.
    """

    read_s: float
    deliver_s: float
    fetch_s: float
    work_s: float
    lease_s: float
    stop_s: float
    grace_s: float


def of(settings: Settings, pace: Pace) -> Limits:
    """Return the limits that follow from the time limit of a frame."""
    work_s = settings.time_limit_s
    lease_s = work_s + pace.margin_s
    # what a worker records at the very end has its patience with a database that is away
    stop_s = lease_s + pace.patience_s
    return Limits(
        read_s=min(pace.read_s, work_s / 2),
        deliver_s=min(_LONGEST_DELIVERY_S, 2 * work_s / 3),
        fetch_s=min(_LONGEST_FETCH_S, 3 * work_s / 4),
        work_s=work_s,
        lease_s=lease_s,
        stop_s=stop_s,
        grace_s=stop_s + 3 * _OTHERS_S,
    )


def require_fit(settings: Settings, pace: Pace) -> None:
    """Refuse to work where the broker or the supervisor would end a worker before the time limit of a frame.

    Raises
    ------
    DoNotFit
        If a frame may take too long for one of them.
    """
    limits = of(settings, pace)
    given = f"NRES_TIME_LIMIT is {limits.work_s:g} s"
    if settings.broker_url != MEMORY and limits.lease_s > settings.consumer_timeout_s:
        longest_s = settings.consumer_timeout_s - pace.margin_s
        raise DoNotFit(
            f"{given}, but the broker waits only {settings.consumer_timeout_s:g} s for a worker that has a message "
            f"(NRES_CONSUMER_TIMEOUT) and then ends its connection; expected at most {longest_s:g} s. Lower "
            "NRES_TIME_LIMIT, or raise consumer_timeout at the broker and then NRES_CONSUMER_TIMEOUT"
        )
    if settings.stop_wait_s is not None and limits.stop_s > settings.stop_wait_s:
        raise DoNotFit(
            f"{given}, but a worker that is asked to stop is killed after {settings.stop_wait_s:g} s (NRES_STOP_WAIT), "
            f"with its frame; expected at least {limits.stop_s:g} s. Raise NRES_STOP_WAIT, or lower NRES_TIME_LIMIT"
        )


#: More processes than this starve for memory and disk before they help.
MOST_PROCESSES = 16


def default_processes() -> int:
    """Return how many processes to start by default.

    Returns
    -------
    int
        One for each core that this process may use, `MOST_PROCESSES` at most.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_PROCESSES)
