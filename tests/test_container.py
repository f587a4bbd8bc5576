"""What runs in the container: supervisord, and the loop that reduces the nights, with a stand-in for the program."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nrespipe import settings

ROOT = Path(__file__).parents[1]
# says when it begins, needs a second, finishes its work in spite of TERM, and says so
STAND_IN = """#!/bin/sh
trap stopping=yes TERM
echo "begin $*" >>"$JOURNAL"
for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; done
echo "end $*" >>"$JOURNAL"
"""


@pytest.fixture
def machine(tmp_path):
    """A raw directory with two nights, a stand-in for nrespipe, and the environment of the container."""
    today = datetime.now(UTC)
    nights = [tmp_path / "raw/lsc/nres01" / (today - timedelta(days=back)).strftime("%Y%m%d") for back in (1, 0)]
    for night in nights:
        (night / "raw").mkdir(parents=True)
    program = tmp_path / "bin/nrespipe"
    program.parent.mkdir()
    program.write_text(STAND_IN, encoding="utf-8")
    program.chmod(0o755)
    journal = tmp_path / "journal"
    journal.touch()
    environment = {
        "PATH": f"{program.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "JOURNAL": str(journal),
        "NRES_RAW_ROOT": str(tmp_path / "raw"),
        "HOME": str(tmp_path),
    }
    return nights, journal, environment


def wait_for(condition, seconds=30.0):
    """Wait until something holds, and fail if it never does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


def configuration(tmp_path):
    """The configuration of the container, with the places of this checkout and this test in it."""
    places = {"/usr/local/bin/night-loop": str(ROOT / "docker/night-loop.sh"), "/tmp/": f"{tmp_path}/"}
    text, n = re.subn("|".join(places), lambda found: places[found[0]], (ROOT / "docker/night.conf").read_text("utf-8"))
    assert n == 4
    path = tmp_path / "supervisord.conf"
    path.write_text(text, encoding="utf-8")
    return path


@contextmanager
def started(command, **options):
    """Start a program, and leave none behind when the test fails."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        except BaseException:
            # by TERM first: supervisord and the loop then stop what they have started
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            raise


@pytest.mark.slow
def test_the_loop_takes_the_nights_in_order_and_finishes_the_one_in_hand_when_told_to_stop(machine):
    nights, journal, environment = machine
    with started([ROOT / "docker/night-loop.sh", environment["NRES_RAW_ROOT"], "60"], env=environment) as loop:
        wait_for(lambda: f"begin night {nights[1]}" in journal.read_text())
        loop.send_signal(signal.SIGTERM)
        assert loop.wait(30) == 0
    assert journal.read_text().splitlines() == [
        f"{what} night {night}" for night in nights for what in ("begin", "end")
    ]


@pytest.mark.slow
def test_the_loop_stops_at_once_while_it_waits(machine):
    nights, journal, environment = machine
    with subprocess.Popen(
        [ROOT / "docker/night-loop.sh", environment["NRES_RAW_ROOT"], "600"], env=environment
    ) as loop:
        wait_for(lambda: f"end night {nights[1]}" in journal.read_text())
        loop.send_signal(signal.SIGTERM)
        assert loop.wait(10) == 0


@pytest.mark.slow
def test_supervisord_starts_a_loop_that_died_again_and_a_stop_loses_no_work(machine, tmp_path):
    nights, journal, environment = machine
    conf = configuration(tmp_path)
    program = [sys.executable, "-m", "supervisor.supervisord", "--configuration", conf]
    control = [sys.executable, "-m", "supervisor.supervisorctl", "--configuration", conf]
    with started(program, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as supervisor:
        wait_for(lambda: f"begin night {nights[0]}" in journal.read_text())
        loop = int(subprocess.run([*control, "pid", "night"], capture_output=True, text=True, check=True).stdout)
        os.kill(loop, signal.SIGKILL)
        wait_for(lambda: journal.read_text().count(f"begin night {nights[0]}") == 2)
        supervisor.send_signal(signal.SIGTERM)
        output, _ = supervisor.communicate(timeout=30)
    assert supervisor.returncode == 0
    words = [line.split()[0] for line in journal.read_text().splitlines()]
    assert words.count("begin") == words.count("end")
    assert "stopped: night (exit status 0)" in output


@pytest.mark.parametrize(
    ("broker", "configuration"), [("", "night.conf"), ("amqp://user:password@broker/", "supervisord.conf")]
)
def test_the_container_runs_the_service_where_there_is_a_broker_and_a_loop_where_there_is_none(
    machine, tmp_path, broker, configuration
):
    _, _, environment = machine
    stand_in = tmp_path / "bin/supervisord"
    stand_in.write_text('#!/bin/sh\necho "$NRES_WORKERS $*"\n', encoding="utf-8")
    stand_in.chmod(0o755)
    given = {**environment, "NRES_DATA_ROOT": str(tmp_path), "BROKER_URL": broker, "NRES_WORKERS": "3"}
    command = [ROOT / "docker/entrypoint.sh", "service"]
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3", "--nodaemon", "--configuration", f"/etc/nrespipe/{configuration}"]


@pytest.mark.parametrize(("state", "status"), [("RUNNING", 0), ("STARTING", 0), ("BACKOFF", 1), ("FATAL", 1)])
def test_a_container_whose_program_dies_again_and_again_is_not_healthy(machine, tmp_path, state, status):
    _, _, environment = machine
    stand_in = tmp_path / "bin/supervisorctl"
    stand_in.write_text(f'#!/bin/sh\necho "listener   RUNNING   pid 7"\necho "worker:0   {state}   Exited"\n', "utf-8")
    stand_in.chmod(0o755)
    (tmp_path / "supervisord.pid").touch()
    entrypoint = tmp_path / "entrypoint"
    text = (ROOT / "docker/entrypoint.sh").read_text(encoding="utf-8")
    entrypoint.write_text(text.replace("/tmp/supervisord.pid", f"{tmp_path}/supervisord.pid"), encoding="utf-8")
    given = {**environment, "NRES_DATA_ROOT": str(tmp_path)}
    assert subprocess.run(["sh", entrypoint, "healthy"], env=given, check=False).returncode == status


def test_the_compose_file_sets_variables_that_the_service_knows_with_values_that_it_takes():
    text = (ROOT / "docker/compose.yml").read_text(encoding="utf-8")
    service = text[text.index("    environment:") : text.index("    volumes:")]
    given = dict(re.findall(r"^      ([A-Z_]+): (.+)$", service, re.MULTILINE))
    # as compose does where nothing but the passwords is set
    passwords = {"POSTGRES_PASSWORD": "one", "RABBITMQ_PASSWORD": "two"}

    def filled(value):
        # the innermost first
        while found := re.search(r"\$\{(\w+)(?::[-?]([^${}]*))?\}", value):
            value = value.replace(found[0], passwords.get(found[1], found[2] or ""))
        return value

    values = {name: filled(value) for name, value in given.items()}
    assert values["BROKER_URL"] == "amqp://nres:two@broker/"
    assert values["FITS_BROKER"] == "amqp://nres:two@broker/"
    read = settings.read(values)
    assert (read.do_rv, read.do_ingest, read.opentsdb_hostname) == (True, False, "numbers")
    # how many workers there are is for supervisord
    assert set(values) - {"NRES_WORKERS"} <= set(settings.names())
