"""Which process has a row, told so that others on the same machine can see whether it still lives."""

import os
import socket
from pathlib import Path


def here(name):
    """Return the name of this process as the owner of rows.

    Parameters
    ----------
    name : str
        What it is: ``night``, or the name of a node of workers. Without a slash.

    Returns
    -------
    str
        Name, machine, and process with the moment when it started: a number that is given again is not mistaken.
    """
    return f"{name}/{_machine()}/{os.getpid()}.{_started(os.getpid())}"


def is_dead(owner):
    """Tell whether a process that has rows does not live any more.

    Parameters
    ----------
    owner : str
        As `here` tells it, with or without more behind another slash.

    Returns
    -------
    bool
        False where nobody can tell: of a process on another machine, or in another container.
    """
    words = owner.split("/")
    if len(words) < 3 or words[1] != _machine():
        return False
    pid, _, started = words[2].partition(".")
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, ValueError):
        return False
    return _started(pid) not in (started, "")


def is_process(owner, pid):
    """Tell whether rows are those of a process of this machine.

    Parameters
    ----------
    owner : str
        As `here` tells it, with or without more behind another slash.
    pid : int
        Number of the process.

    Returns
    -------
    bool
    """
    words = owner.split("/")
    return len(words) > 2 and words[1] == _machine() and words[2].partition(".")[0] == str(pid)


def _machine():
    """Name this machine and, as containers count their processes each for itself, the container."""
    try:
        space = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        space = ""
    return f"{socket.gethostname()}:{space}"


def _started(pid):
    """Clock ticks from the start of the machine to that of a process; '' where the system does not tell."""
    try:
        # the name of the program, in brackets, may hold blanks and brackets itself
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
