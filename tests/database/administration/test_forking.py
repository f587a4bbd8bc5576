"""A process that is forked while another thread writes to an SQLite database can write to it all the same."""

import os
import threading

from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from nrespipe.database.administration import connection


def test_a_process_waits_with_forking_until_other_threads_have_written(tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "_BUSY_TIMEOUT_MS", 2_000)
    engine = connection.open_engine(f"sqlite:///{tmp_path}/work.sqlite")
    with engine.begin() as opened:
        opened.execute(text("create table words (word text)"))
    within, go_on = threading.Event(), threading.Event()

    def write():
        with engine.begin() as opened:
            opened.execute(text("insert into words values ('thread')"))
            within.set()
            go_on.wait(10)

    writer = threading.Thread(target=write)
    writer.start()
    assert within.wait(10)
    threading.Timer(0.2, go_on.set).start()
    # the thread that forks may have a connection of its own in hand
    with engine.connect():
        child = os.fork()
        if child == 0:
            engine.dispose(close=False)
            try:
                with engine.begin() as opened:
                    opened.execute(text("insert into words values ('child')"))
            except OperationalError:
                os._exit(1)
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    writer.join()
    with engine.connect() as opened:
        assert set(opened.scalars(text("select word from words"))) == {"thread", "child"}
    engine.dispose()
