"""The whole service against real servers, while they and its own processes are killed, frozen and restarted.

After each fault every frame has exactly one result or one stated reason.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack, contextmanager

import pytest
from kombu import Connection
from rigs import Rig, begun, child
from sqlalchemy import select

from nrespipe import settings
from nrespipe.database.columns import State
from nrespipe.database.tables import Attempt, Frame, Master
from nrespipe.service import assembly, intake, tasks

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults")]


@pytest.fixture
def night(archive, snapshot):
    """Calibrations for every master, and stars that take 0.2 s each; whatever happens, nobody touches them."""
    archive.calibrations()
    stars = [archive.add("e", "STAR SLOW&thar&none") for _ in range(8)]
    before = snapshot(archive.root)
    yield [*sorted(set(before) - set(stars)), *stars]
    assert snapshot(archive.root) == before


def test_a_night_with_two_workers_ends_with_a_result_for_every_frame(rig, night):
    rig.start("listen")
    for name in ("one", "two"):
        rig.start("work", name)
    rig.tell(*night)
    rig.settled(16)
    assert all('"message": "frame"' in rig.log(f"work{name}") for name in ("one", "two")), "both have worked"
    assert Counter(master.standing for master in rig.all(select(Master))) == {"current": 4}


def test_five_hundred_frames_through_two_workers_end_with_five_hundred_results(rig, archive):
    paths = [archive.add("b") for _ in range(500)]
    rig.tell(*paths)
    rig.start("listen")
    for name in ("one", "two"):
        rig.start("work", name)
    rig.settled(500)


def test_a_listener_that_is_killed_loses_no_message_and_doubles_none(rig, archive):
    paths = [archive.add("b") for _ in range(60)]
    rig.tell(*paths)
    for _ in range(3):
        listener = rig.start("listen")
        before = sum(rig.states().values())
        rig.until(lambda before=before: sum(rig.states().values()) > before)
        rig.end(listener)
    rig.start("listen")
    rig.start("work", "one")
    rig.settled(60)


def test_a_worker_that_is_killed_and_started_again_loses_no_frame(rig, night):
    rig.start("listen")
    worker = rig.start("work", "one")
    rig.tell(*night)
    frame = begun(rig)
    rig.end(worker)
    rig.start("work", "one")
    rig.settled(16)
    died = rig.all(select(Attempt).where(Attempt.frame_id == frame.id, Attempt.outcome == State.RETRY))
    assert [attempt.reason for attempt in died] in (["its process died"], ["its worker was started anew"])


def test_a_process_that_is_killed_gives_its_frame_back_at_once(rig, night):
    rig.start("listen")
    rig.start("work", "one")
    rig.tell(*night)
    frame = begun(rig)
    os.kill(child(frame), signal.SIGKILL)
    rig.settled(16)
    died = rig.all(select(Attempt).where(Attempt.frame_id == frame.id, Attempt.outcome == State.RETRY))
    assert len(died) == 1
    assert died[0].reason.startswith("its process died")


def test_a_worker_that_is_told_to_end_finishes_what_it_has_in_hand(rig, night):
    rig.start("listen")
    worker = rig.start("work", "one")
    rig.tell(*night)
    frame = begun(rig)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert rig.all(select(Frame).where(Frame.id == frame.id))[0].state == State.DONE
    assert not rig.all(select(Frame).where(Frame.owner != ""))
    rig.start("work", "two")
    rig.settled(16)
    assert not rig.all(select(Attempt).where(Attempt.outcome == State.RETRY))


def test_a_worker_that_is_frozen_beyond_its_lease_does_no_harm_when_it_wakes(rig, night):
    rig.start("listen")
    frozen = rig.start("work", "one", NRES_TIME_LIMIT="2")
    rig.tell(*night[:15])
    begun(rig)
    # wherever it is: in a frame, between two, or within a transaction
    os.killpg(frozen.pid, signal.SIGSTOP)
    other = rig.start("work", "two")
    rig.settled(15)
    rig.end(other)
    os.killpg(frozen.pid, signal.SIGCONT)
    # nobody else is there to do it, and before that it ends what it was about
    rig.tell(night[15])
    rig.settled(16)


def test_frames_that_crash_hang_or_kill_their_process_are_given_up_with_a_reason(rig, archive):
    archive.calibrations()
    for word in ("CRASH", "SLEEPER", "KILL", "BAD", "A"):
        archive.add("e", f"STAR {word}&thar&none")
    rig.start("listen")
    rig.start("work", "one", NRES_TIME_LIMIT="2")
    rig.start("work", "two", NRES_TIME_LIMIT="2")
    rig.tell(*archive.root.rglob("*.fits"))
    rig.settled(13, failed=3, bad=1)
    crash, sleeper, kill = rig.all(select(Frame).where(Frame.state == State.FAILED).order_by(Frame.filename))
    assert "asked for" in crash.reason
    (attempt,) = rig.all(select(Attempt).where(Attempt.frame_id == crash.id, Attempt.outcome == State.FAILED))
    assert "Traceback" in attempt.traceback
    assert sleeper.reason.endswith("it took longer than it may and was stopped")
    assert kill.reason.startswith("given up: the process died at it 3 times")


def test_a_frame_that_takes_too_much_memory_is_given_up_with_a_reason_and_the_worker_goes_on(rig, archive):
    archive.calibrations()
    for word in ("HOG", "A"):
        archive.add("e", f"STAR {word}&thar&none")
    rig.start("listen")
    worker = rig.start("work", "one", NRES_MEMORY_LIMIT="600")
    rig.tell(*archive.root.rglob("*.fits"))
    rig.settled(10, failed=1)
    (hog,) = rig.all(select(Frame).where(Frame.state == State.FAILED))
    assert hog.reason.startswith("given up: the process died at it 3 times; the last time: it took ")
    assert hog.reason.endswith(" MB of memory, 600 MB are allowed, and was stopped")
    rig.tell(archive.add("e", "STAR A&thar&none"))
    rig.settled(11, failed=1)
    assert worker.poll() is None


def test_a_broker_that_is_killed_and_comes_back_loses_no_frame(rig, night, rabbit):
    rig.start("listen")
    rig.start("work", "one")
    rig.tell(*night[:12])
    begun(rig)
    rabbit.kill()
    # what was begun is finished without a broker
    rig.until(lambda: not rig.all(select(Frame).where(Frame.owner != "")))
    rabbit.start()
    rig.tell(*night[12:])
    rig.settled(16)
    assert not rig.all(select(Attempt).where(Attempt.outcome == State.RETRY))


def test_a_broker_that_is_frozen_for_a_while_loses_no_frame(rig, night, rabbit):
    rig.start("listen")
    rig.start("work", "one")
    rig.tell(*night)
    begun(rig)
    rabbit.kill(signal.SIGSTOP)
    rig.until(lambda: not rig.all(select(Frame).where(Frame.owner != "")))
    rabbit.kill(signal.SIGCONT)
    rig.settled(16)


def test_a_database_that_is_restarted_loses_no_frame_and_no_result(rig, night, postgres):
    rig.start("listen")
    rig.start("work", "one")
    rig.tell(*night[:12])
    begun(rig)
    postgres.stop()
    rig.tell(*night[12:])
    rig.until(lambda: "database away" in rig.log("listen") and "database away" in rig.log("workone"))
    postgres.start()
    rig.settled(16)


def test_messages_that_come_three_times_and_two_listeners_make_one_row_each(rig, night):
    for _ in range(2):
        rig.start("listen")
    rig.start("work", "one")
    rig.start("work", "two")
    rig.tell(*night, *night, *reversed(night))
    rig.settled(16)


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
    rig.tell(archive.add("b"))
    rig.publish(*foreign[500:], *hostile[5:])
    rig.tell(archive.add("b"))
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


def test_two_workers_that_are_told_of_one_frame_many_times_do_it_once(rig, night):
    app = tasks.application(settings.Settings(broker_url=rig.broker_url))
    for name in ("one", "two"):
        rig.start("work", name)
    rig.start("listen")
    rig.tell(*night)
    rig.until(lambda: sum(rig.states().values()) == 16)
    for frame in rig.all(select(Frame)) * 5:
        tasks.sender(app)(Frame, frame.id)
    rig.settled(16)


def test_workers_on_two_hosts_share_a_night_and_one_takes_over_what_the_other_had_when_it_went_away(rig, night):
    rig.start("listen")
    away = rig.start("work", "one", host="alpha", NRES_TIME_LIMIT="3")
    rig.tell(*night)
    frame = begun(rig)
    assert "alpha" in frame.owner
    rig.end(away)
    rig.start("work", "one", host="beta", NRES_TIME_LIMIT="3")
    rig.settled(16)
    # nobody on another host can see that it died: its lease has run out
    died = rig.all(select(Attempt).where(Attempt.outcome == State.RETRY))
    assert [attempt.reason for attempt in died] == ["its process took longer than it may, or its machine went away"]


def test_a_second_worker_of_a_live_name_is_refused_and_takes_nothing(rig, night):
    rig.start("listen")
    rig.start("work", "one", host="alpha")
    rig.tell(*night)
    begun(rig)
    # the same name on the same host, and in a container elsewhere whose host is called the same
    second = rig.start("work", "one", host="alpha")
    assert second.wait(60) == 1
    assert "Error: a node one@alpha runs already" in rig.log("workonealpha")
    rig.settled(16)
    assert not rig.all(select(Attempt).where(Attempt.outcome == State.RETRY)), "nothing was taken"


def test_a_worker_in_a_container_that_is_started_anew_takes_over_from_the_former_one_when_that_is_silent(rig, night):
    rig.start("listen")
    former = rig.start("work", "one", host="alpha")
    rig.tell(*night)
    frame = begun(rig)
    rig.end(former)
    rig.start("work", "one", host="alpha")
    # long before the lease ends
    rig.settled(16)
    died = rig.all(select(Attempt).where(Attempt.outcome == State.RETRY))
    assert [(attempt.frame_id, attempt.reason) for attempt in died] == [(frame.id, "its worker was started anew")]


@contextmanager
def held(path):
    """Let whoever opens a file wait, as for a disk that is away; for 45 s at most, then the system ends the lease."""
    before = signal.signal(signal.SIGIO, lambda *_: None)
    descriptor = os.open(path, os.O_RDWR)
    try:
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError:
            pytest.skip("the disk of the tests gives no leases")
        yield
    finally:
        os.close(descriptor)
        signal.signal(signal.SIGIO, before)


def test_a_raw_disk_that_hangs_holds_up_no_other_frame(rig, archive):
    paths = [archive.add("b") for _ in range(4)]
    with held(paths[0]):
        rig.start("listen")
        rig.start("work", "one")
        rig.tell(*paths)
        rig.until(lambda: rig.states() == {"done": 3, "retry": 1})
        assert rig.reasons()[0][2] == f"{paths[0].name}: the disk at / does not answer within 1 s"
    rig.settled(4)


def test_a_disk_that_is_full_delays_frames_and_leaves_no_half_file(rig, night):
    rig.output.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", rig.output], check=False).returncode:
        pytest.skip("a small disk can only be mounted by root")
    try:
        rig.start("listen")
        worker = rig.start("work", "one")
        rig.tell(*night)
        full = select(Attempt).where(Attempt.outcome == State.RETRY)
        rig.until(lambda: rig.all(full))
        assert "the disk does not take the file: No space left on device" in rig.all(full)[0].reason
        subprocess.run(["mount", "-o", "remount,size=50m", rig.output], check=True)
        # the pauses have grown with every try
        rig.until(lambda: not rig.reasons(), 120)
        rig.settled(16)
        rig.end(worker)
    finally:
        subprocess.run(["umount", "--lazy", rig.output], check=True)


def test_the_service_in_one_program_listens_where_it_is_told_of_a_broker(rig, archive):
    archive.calibrations()
    rig.start("run", BROKER_URL=settings.MEMORY.get_secret_value())
    rig.tell(*archive.root.rglob("*.fits"))
    rig.settled(8)


BROKEN = """import fake_recipes, run_cli
from nrespipe.service import daemon
run_cli.assembly.build = run_cli.build
daemon._attend = lambda *_: 1 / 0
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
        intake.submit(built, [archive.root])
        rig.settled(8)
        star = archive.add("e", "STAR SLOW&thar&none")
        intake.submit(built, [star])
        os.kill(child(begun(rig)), signal.SIGKILL)
        rig.settled(9)
        # what was told to one program is told again to the next
        intake.submit(built, [archive.add("e", "STAR SLOW&thar&none") for _ in range(4)])
        begun(rig)
        rig.end(first)
        second = rig.start("run", NRES_PROCESSES="2")
        rig.settled(13)
        second.send_signal(signal.SIGTERM)
        assert second.wait(30) == 0
