"""Names of the processes that own rows: others on the same machine can see from them whether a process lives."""

import hashlib
import os
import socket
from functools import cache
from pathlib import Path

#: Number of the first process namespace of every Linux kernel: whoever is in another one lives in a container.
_HOST_NAMESPACE = "4026531836"


def this_process(name: str) -> str:
    """Return the name of this process as the owner of rows.

    Parameters
    ----------
    name
        Name of the command, as ``night``, or of the node of workers. Without a slash.

    Returns
    -------
    str
        Name; machine, boot and process namespace; process, with the moment when it started: ``name/machine:boot:
        namespace/pid.ticks``. A number that is given again is not mistaken, and the name of the host does not matter.
    """
    return f"{name}/{process(os.getpid())}"


def process(pid: int) -> str:
    """Return the part of its name that all owners of rows of one process of this machine have in common.

    Parameters
    ----------
    pid
        Number of the process, while it lives.

    Returns
    -------
    str
        Machine, boot, namespace and process, for `is_of_process`.
    """
    return f"{_place()}/{pid}.{_stat(pid)[1]}"


def is_of_process(owner: str, process: str) -> bool:
    """Return whether an owner of rows is a process.

    Parameters
    ----------
    owner
        As `this_process` names it, with or without more behind another slash.
    process
        As `process` names it.
    """
    return owner.split("/")[1:3] == process.split("/")


def is_of_node(owner: str, node: str) -> bool:
    """Return whether an owner of rows is a node of workers, or one of its processes.

    Parameters
    ----------
    owner
        Owner of the rows, as `this_process` names it, with or without more behind another slash.
    node
        Owner of the name of the node, as `this_process` names it.

    Returns
    -------
    bool
        False for a node of the same name on another machine, in another container, or before a new start of either.
    """
    return owner.split("/")[:2] == node.split("/")[:2]


def is_dead(owner: str) -> bool:
    """Return whether a process that owns rows is dead.

    Parameters
    ----------
    owner
        As `this_process` names it, with or without more behind another slash.

    Returns
    -------
    bool
        False where that cannot be known: of a process on another machine, or in another container.

    Notes
    -----
    A machine is known by its number and its name together, as both may be copied with its disk; what ran before its
    last boot is dead. In a container both come with the image: there only the boot and the process namespace count. The
    number of a namespace may be given again to a later container, but then every process of the former one is gone, and
    the moments of their starts tell them apart.
    """
    words = owner.split("/")
    theirs, ours = words[1].split(":") if len(words) > 2 else [], _place().split(":")
    if len(theirs) != len(ours):
        return False
    if theirs[1] != ours[1]:
        return bool(theirs[0]) and theirs[0] == ours[0]
    if theirs[2] != ours[2] or not ours[2]:
        return False
    pid, _, started = words[2].partition(".")
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, ValueError, OverflowError):
        return False
    state, ticks = _stat(pid)
    # a zombie still has its number, but writes nothing any more
    return state in ("Z", "X") or ticks not in (started, "")


@cache
def _place() -> str:
    """Name this machine, its boot, and, as containers count their processes each for itself, the namespace."""
    space = ""
    # a /proc of another namespace lists other processes
    if _read("/proc/self/stat").partition(" ")[0] == str(os.getpid()):
        try:
            space = os.readlink("/proc/self/ns/pid").strip("pid:[]")
        except OSError:
            space = ""
    machine, host = _read("/etc/machine-id").strip(), socket.gethostname()
    known = machine if space == _HOST_NAMESPACE else ""
    # the number itself is not for others to read
    digest = hashlib.blake2s(f"nrespipe {machine} {host}".encode(), digest_size=6).hexdigest() if known else ""
    return f"{digest}:{_read('/proc/sys/kernel/random/boot_id').strip() or host.replace(':', '.')}:{space}"


def _stat(pid: int | str) -> tuple[str, str]:
    """State of a process, and clock ticks from the start of the machine to its own; '' where the system is silent."""
    # the name of the program, in brackets, may hold blanks and brackets itself
    words = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (words[0], words[19]) if len(words) > 19 else ("", "")


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
