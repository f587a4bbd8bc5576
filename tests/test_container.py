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
import yaml
from kombu.utils.url import parse_url
from sqlalchemy import make_url

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
        "NRES_STOP_WAIT": "30",
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
    with started([ROOT / "docker/night-loop.sh", environment["NRES_RAW_ROOT"], "600"], env=environment) as loop:
        wait_for(lambda: f"end night {nights[1]}" in journal.read_text())
        loop.send_signal(signal.SIGTERM)
        assert loop.wait(10) == 0


@pytest.mark.slow
def test_the_loop_stops_when_the_signal_comes_while_it_starts_a_program(tmp_path):
    # of 1,500 signals at such moments three were lost once
    for i in range(300):
        with started([ROOT / "docker/night-loop.sh", tmp_path, "600"], start_new_session=True) as loop:
            time.sleep(0.004 + 0.02 * (i % 30) / 30)
            loop.send_signal(signal.SIGTERM)
            assert loop.wait(10) in (0, -signal.SIGTERM)


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
    ("broker", "configuration"),
    [
        ({}, "night.conf"),
        ({"BROKER_URL": "amqp://user:password@broker/"}, "supervisord.conf"),
        ({"BROKER_URL": "", "RABBITMQ_HOST": "broker"}, "supervisord.conf"),
    ],
)
def test_the_container_runs_the_service_where_there_is_a_broker_and_a_loop_where_there_is_none(
    machine, tmp_path, broker, configuration
):
    _, _, environment = machine
    stand_in = tmp_path / "bin/supervisord"
    stand_in.write_text('#!/bin/sh\necho "$NRES_WORKERS $*"\n', encoding="utf-8")
    stand_in.chmod(0o755)
    given = {**environment, "NRES_DATA_ROOT": str(tmp_path), "NRES_WORKERS": "3", **broker}
    command = [ROOT / "docker/entrypoint.sh", "service"]
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3", "--nodaemon", "--configuration", f"/etc/nrespipe/{configuration}"]


@pytest.mark.parametrize("status", [0, 1])
def test_the_container_upgrades_the_database_before_any_program_and_starts_none_where_that_fails(
    machine, tmp_path, status
):
    _, journal, environment = machine
    for name, ends in (("nrespipe", status), ("supervisord", 0)):
        stand_in = tmp_path / "bin" / name
        stand_in.write_text(f'#!/bin/sh\necho "{name} $1 $2" >>"$JOURNAL"\nexit {ends}\n', encoding="utf-8")
        stand_in.chmod(0o755)
    command = [ROOT / "docker/entrypoint.sh", "service"]
    given = {**environment, "NRES_DATA_ROOT": str(tmp_path), "BROKER_URL": "amqp://user:password@broker/"}
    assert subprocess.run(command, env=given, check=False).returncode == status
    begun = ["nrespipe database upgrade", "supervisord --nodaemon --configuration"]
    assert journal.read_text(encoding="utf-8").splitlines() == begun[: 2 - status]


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


#: What compose is given, and what has no meaning where the image and this file say where things lie.
PASSWORDS = {"POSTGRES_PASSWORD": "p@ss/w#rd %40", "RABBITMQ_PASSWORD": "${x}:'?&\\ \""}
OF_THE_IMAGE = {"DB_URL", "BROKER_URL", "NRES_DATA_ROOT", "NRES_RAW_ROOT", "NRES_PROCESSES", "NRES_STOP_WAIT"}


def composed(**given):
    """Return what the service finds in its environment, and the other services in theirs, as compose fills it in."""
    services = yaml.safe_load((ROOT / "docker/compose.yml").read_text(encoding="utf-8"))["services"]

    def filled(text):
        # a value that is put in is not looked at again
        pattern = r"\$\{(\w+)(?::[-?]((?:[^${}]|\$\{[^}]*\})*))?\}"
        return re.sub(pattern, lambda found: given.get(found[1]) or filled(found[2] or ""), str(text))

    return {
        name: {key: filled(value) for key, value in service.get("environment", {}).items()}
        for name, service in services.items()
    }


def test_the_compose_file_passes_every_variable_on_and_the_defaults_are_those_of_the_service():
    values = composed(**PASSWORDS)["service"]
    read, plain = settings.read(values), settings.Settings()
    different = {name for name, value in read if value != getattr(plain, name)}
    assert different == {
        "database_host", "database_password", "database_url", "broker_host", "broker_username", "broker_password",
        "broker_url", "fits_broker_host", "fits_broker_username", "fits_broker_password", "fits_broker",
        "opentsdb_hostname", "metrics_address", "consumer_timeout_s",
    }  # fmt: skip
    # how many workers there are is for supervisord
    assert set(values) - {"NRES_WORKERS"} == set(settings.names()) - OF_THE_IMAGE
    given = {name: f"of {name}" for name in values}
    passed = composed(**PASSWORDS, **given)["service"]
    ours = {name for name in values if passed[name] != given[name]}
    assert ours == {
        "DB_HOST", "DB_NAME", "DB_USERNAME", "DB_PASSWORD", "RABBITMQ_HOST", "BROKER_USERNAME", "BROKER_PASSWORD",
        "NRES_CONSUMER_TIMEOUT",
    }  # fmt: skip


def test_a_password_of_any_characters_reaches_the_servers_of_the_compose_file_and_the_service_alike():
    environments = composed(**PASSWORDS)
    read = settings.read(environments["service"])
    url = make_url(read.database_url.get_secret_value())
    assert url.password == environments["database"]["POSTGRES_PASSWORD"] == PASSWORDS["POSTGRES_PASSWORD"]
    assert (url.host, url.database, url.username) == ("database", "nres", environments["database"]["POSTGRES_USER"])
    for secret in (read.broker_url, read.fits_broker):
        parts = parse_url(secret.get_secret_value())
        assert parts["password"] == environments["broker"]["RABBITMQ_DEFAULT_PASS"] == PASSWORDS["RABBITMQ_PASSWORD"]
        assert (parts["hostname"], parts["userid"]) == ("broker", environments["broker"]["RABBITMQ_DEFAULT_USER"])


def test_the_broker_of_the_archive_may_be_another():
    other = "amqp://reader:word@archive/"
    read = settings.read(composed(**PASSWORDS, FITS_BROKER=other)["service"])
    assert read.fits_broker.get_secret_value() == other
