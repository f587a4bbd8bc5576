"""Forks of a process while its threads use an SQLite database: the child must not inherit their locks.

SQLite keeps in the memory of a process which locks its connections hold. A process that is forked in the middle of a
transaction of another thread inherits that memory, and finds the database locked for as long as it lives.
"""

import os
import threading

from sqlalchemy import Engine, event

#: A thread that uses the database for longer than this does not delay a new process any more [second].
_PATIENCE_S = 60.0

_changed = threading.Condition()
#: Which thread has which connection.
_threads: dict[int, int] = {}


def guard(engine: Engine) -> None:
    """Let no process be forked while another thread uses a connection.

    Parameters
    ----------
    engine
        Of an SQLite database.
    """
    event.listen(engine, "checkout", _take)
    event.listen(engine, "checkin", _give_back)


def _take(_connection: object, record: object, _proxy: object) -> None:
    with _changed:
        _threads[id(record)] = threading.get_ident()


def _give_back(_connection: object, record: object) -> None:
    with _changed:
        _threads.pop(id(record), None)
        _changed.notify_all()


def _before() -> None:
    _changed.acquire()
    mine = threading.get_ident()
    # as long as this is locked no thread takes a connection
    _changed.wait_for(lambda: all(thread == mine for thread in _threads.values()), _PATIENCE_S)


def _in_child() -> None:
    global _changed
    _changed = threading.Condition()
    _threads.clear()


os.register_at_fork(before=_before, after_in_parent=lambda: _changed.release(), after_in_child=_in_child)
