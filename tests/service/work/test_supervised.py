"""The programs of the container under the real supervisord, with real servers and frames in flight."""

import signal
import urllib.request

import pytest
from service_rig import begun
from sqlalchemy import select

from nrespipe.database.states import State
from nrespipe.database.tables import Attempt, Frame

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults")]


def test_a_restart_with_frames_in_flight_finishes_them_and_loses_nothing(rig, archive, supervised):
    archive.calibrations()
    rig.announce(*sorted(archive.root.rglob("*.fits")))
    rig.settled(8)
    with urllib.request.urlopen(f"http://127.0.0.1:{rig.metrics_port}/metrics", timeout=30) as answer:
        numbers = answer.read().decode()
    assert 'nrespipe_frames{state="done"} 8.0' in numbers
    assert 'nrespipe_queue_length{queue="reduction"} 0.0' in numbers
    rig.announce(*(archive.add("e", "STAR SLOW&thar&none") for _ in range(12)))
    begun(rig)
    told = supervised.control("restart", "worker:*", "listener", "scheduler")
    assert told.count("stopped") == told.count("started") == 6, told
    rig.settled(20)
    assert not rig.all(select(Attempt).where(Attempt.outcome == State.RETRY)), "no process was killed"
    log = rig.log("supervisord")
    assert "WARN killing" not in log
    assert log.count("(exit status 0)") == 6
    supervised.process.send_signal(signal.SIGTERM)
    assert supervised.process.wait(60) == 0
    assert not rig.all(select(Frame).where(Frame.owner != ""))


def test_programs_that_cannot_start_without_the_database_start_when_it_is_back(rig, archive, supervised, postgres):
    postgres.stop()
    supervised.control("restart", "all")
    rig.until(lambda: "database" in rig.log("supervisord") and "listener" not in supervised.running())
    postgres.start()
    rig.until(lambda: len(supervised.running()) == 6)
    rig.announce(archive.add("b"))
    rig.settled(1)
