"""The whole service against real servers, while they and its own processes are killed, frozen and restarted.

After each fault every frame has exactly one result or one stated reason.
"""

import json
import os
import signal
import sys
from contextlib import ExitStack

import pytest
from kombu import Connection
from service_rig import Rig, begun, child
from sqlalchemy import select

from nrespipe import settings
from nrespipe.database.states import State
from nrespipe.database.tables import Attempt
from nrespipe.service import assembly
from nrespipe.service.ingest import submission

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults")]


@pytest.fixture
def night(archive, snapshot):
    """Calibrations for every master, and stars that take 0.2 s each; whatever happens, nobody touches them."""
    archive.calibrations()
    stars = [archive.add("e", "STAR SLOW&thar&none") for _ in range(8)]
    before = snapshot(archive.root)
    yield [*sorted(set(before) - set(stars)), *stars]
    assert snapshot(archive.root) == before


def test_a_thousand_foreign_messages_pass_and_hostile_ones_are_put_aside_with_their_reasons(rig, archive):
    foreign = [json.dumps({"path": f"/archive/cpt1m010-fa16-20190405-{i:04d}-e00.fits.fz"}) for i in range(1000)]
    name = "lscnrs01-fa09-20190405-0021-e00.fits.fz"
    hostile = [
        b"", b"\xff\xfe", b"[]", b"{}", b"not json", b'{"filename": "lscnrs01-e00.fits"}', b"[" * 10_000,
        b" " * 5_000_000,
        json.dumps({"path": f"/a/\ud800/{name}"}), json.dumps({"filename": name, "frameid": "9" * 5000}),
        json.dumps({"path": f"{archive.root}/../{name}"}),
    ]  # fmt: skip
    rig.publish(*foreign[:500], *hostile[:5])
    rig.announce(archive.add("b"))
    rig.publish(*foreign[500:], *hostile[5:])
    rig.announce(archive.add("b"))
    listener = rig.start("listen", NRES_RAW_ROOT=str(archive.root))
    rig.start("work", "one")
    rig.settled(2)
    with Connection(rig.broker_url) as connection:
        channel = connection.default_channel
        assert channel.queue_declare("nres_pipeline", passive=True).message_count == 0
        aside = [channel.basic_get("nres_pipeline.refused", no_ack=True) for _ in range(len(hostile))]
        assert channel.basic_get("nres_pipeline.refused", no_ack=True) is None
    assert all(message.headers["reason"] and message.headers["exception"] == "Malformed" for message in aside)
    assert max(len(message.body) for message in aside) == 1 << 16
    assert max(message.headers["bytes"] for message in aside) == 5_000_000
    assert listener.poll() is None


def test_a_worker_in_a_container_that_is_started_anew_takes_over_from_the_former_one_when_that_is_silent(rig, night):
    rig.start("listen")
    former = rig.start("work", "one", host="alpha")
    rig.announce(*night)
    frame = begun(rig)
    rig.end(former)
    rig.start("work", "one", host="alpha")
    # long before the lease ends
    rig.settled(16)
    died = rig.all(select(Attempt).where(Attempt.outcome == State.RETRY))
    assert [(attempt.frame_id, attempt.reason) for attempt in died] == [(frame.id, "its worker was started anew")]


def test_the_service_in_one_program_listens_where_it_is_told_of_a_broker(rig, archive):
    archive.calibrations()
    rig.start("run", BROKER_URL=settings.MEMORY.get_secret_value())
    rig.announce(*archive.root.rglob("*.fits"))
    rig.settled(8)


BROKEN = """import fake_recipes, run_cli
from nrespipe.service.work import programs
run_cli.assembly.build = run_cli.build
programs._sweep_and_schedule = lambda *_: 1 / 0
run_cli.cli.main(["run"])
"""


def test_the_service_in_one_program_ends_when_a_part_of_it_does(rig):
    memory = settings.MEMORY.get_secret_value()
    program = rig.launch([sys.executable, "-c", BROKEN], "run", BROKER_URL=memory, FITS_BROKER=memory)
    assert program.wait(60) == 1
    assert "a part of the service has ended" in rig.log("run")


def test_no_log_holds_a_password(rig):
    wrong = rig.broker_url.replace("guest:guest", "guest:broker-secret")
    database = "postgresql://nres:database-secret@127.0.0.1:1/nres"
    given = {"AUTH_TOKEN": "token-secret", "API_ROOT": "http://127.0.0.1:1/", "NRES_LOG_LEVEL": "DEBUG"}
    given |= {"SUMMARY_SENDER_PASSWORD": "mail-secret", "BROKER_PASSWORD": "rabbit-secret"}
    rig.start("listen", **given)
    rig.start("work", "good", **given)
    rig.start("work", "bad", BROKER_URL=wrong, **given)
    schedule = rig.start("schedule", DB_URL=database, **given)
    rig.publish(json.dumps({"filename": "lscnrs01-fa09-20190405-0001-b00.fits.fz", "frameid": 1}))
    rig.until(lambda: rig.states()["retry"] == 1)
    assert "refused" in rig.reasons()[0][2]
    rig.until(lambda: "ACCESS_REFUSED" in rig.log("workbad"))
    assert schedule.wait(60) != 0
    logs = [rig.log(name) for name in ("listen", "workgood", "workbad", "schedule")]
    assert all(logs)
    assert not [word for log in logs for word in ("secret", "guest:guest") if word in log]


def test_the_whole_service_in_one_program_needs_no_server(tmp_path, archive):
    archive.calibrations()
    with ExitStack() as stack:
        rig = Rig(stack, tmp_path / "out", f"sqlite:///{tmp_path}/one.sqlite", settings.MEMORY.get_secret_value())
        first = rig.start("run", NRES_PROCESSES="2")
        rig.until(lambda: "ready" in rig.log("run"))
        built = assembly.build(rig.output, settings.Settings(database_url=rig.database_url), raw=[archive.root])
        submission.submit(built, [archive.root])
        rig.settled(8)
        star = archive.add("e", "STAR SLOW&thar&none")
        submission.submit(built, [star])
        os.kill(child(begun(rig)), signal.SIGKILL)
        rig.settled(9)
        # what was told to one program is told again to the next
        submission.submit(built, [archive.add("e", "STAR SLOW&thar&none") for _ in range(4)])
        begun(rig)
        rig.end(first)
        second = rig.start("run", NRES_PROCESSES="2")
        rig.settled(13)
        second.send_signal(signal.SIGTERM)
        assert second.wait(30) == 0
