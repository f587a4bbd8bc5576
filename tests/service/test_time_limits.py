"""Limits follow from one value, and where they do not fit together nothing is begun."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from nrespipe import settings
from nrespipe.service import time_limits
from nrespipe.service.time_limits import Pace
from nrespipe.service.work import programs

ROOT = Path(__file__).parents[2]
BROKER = {"BROKER_URL": "amqp://user:secret@broker/"}


def require(**given):
    time_limits.require_fit(settings.read({**BROKER, **given}), Pace())


@pytest.mark.parametrize("given", [1, 3, 60, 1200, 86_400])
def test_whatever_a_frame_may_take_each_limit_is_longer_than_those_that_come_before(given):
    times = list(vars(time_limits.of(settings.Settings(time_limit_s=given), Pace())).values())
    assert times == sorted(set(times))


def test_the_default_fits_a_broker_as_it_is_installed():
    require()
    assert time_limits.of(settings.Settings(), Pace()).lease_s < 1800


def test_a_limit_beyond_the_patience_of_the_broker_is_refused_with_the_names_of_both():
    require(NRES_TIME_LIMIT="1740")
    words = r"NRES_TIME_LIMIT is 1741 s, but .*1800 s.*\(NRES_CONSUMER_TIMEOUT\).*; expected at most 1740 s"
    with pytest.raises(time_limits.DoNotFit, match=words):
        require(NRES_TIME_LIMIT="1741")
    require(NRES_TIME_LIMIT="3600", NRES_CONSUMER_TIMEOUT="36000")
    # within one program nobody waits for a message
    time_limits.require_fit(settings.read({"NRES_TIME_LIMIT": "3600"}), Pace())


def test_a_limit_beyond_the_patience_of_who_stops_the_worker_is_refused_with_the_names_of_both():
    require(NRES_STOP_WAIT="1320")
    words = r"NRES_TIME_LIMIT is 1200 s, but .*1319 s \(NRES_STOP_WAIT\).*; expected at least 1320 s"
    with pytest.raises(time_limits.DoNotFit, match=words):
        require(NRES_STOP_WAIT="1319")


def test_a_worker_whose_limits_do_not_fit_begins_nothing(service):
    given = settings.read({**BROKER, "NRES_TIME_LIMIT": "7200"})
    with pytest.raises(time_limits.DoNotFit) as refusal:
        programs.work(replace(service, settings=given), "one", [])
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("limit", [None, "", "300", "1200", "7200"])
def test_the_container_and_supervisord_wait_for_as_long_as_the_program_may_need(tmp_path, limit):
    given = {} if limit is None else {"NRES_TIME_LIMIT": limit}
    expected = time_limits.of(settings.read(given), Pace())
    told = tmp_path / "supervisord"
    told.write_text('#!/bin/sh\necho "$NRES_STOP_WAIT"\n', encoding="utf-8")
    told.chmod(0o755)
    # what upgrades the database
    (tmp_path / "nrespipe").symlink_to("/bin/true")
    places = {"PATH": f"{tmp_path}:/usr/bin:/bin", "NRES_RAW_ROOT": str(tmp_path), "NRES_DATA_ROOT": str(tmp_path)}
    command = [ROOT / "docker/entrypoint.sh", "service"]
    done = subprocess.run(command, env={**places, **given}, capture_output=True, text=True, check=True)
    assert float(done.stdout) == expected.stop_s
    compose = (ROOT / "docker/compose.yml").read_text(encoding="utf-8")
    compose = compose.replace("${NRES_TIME_LIMIT:-1200}", limit or "1200")
    assert "NRES_TIME_LIMIT" not in compose.replace("NRES_TIME_LIMIT:", "")
    minutes, seconds = re.search(r"stop_grace_period: (\d+)m(\d+)s", compose).groups()
    assert 60 * int(minutes) + int(seconds) >= expected.grace_s
    (timeout_ms,) = re.search(r"-rabbit consumer_timeout (\d+)", compose).groups()
    (timeout_s,) = re.search(r"NRES_CONSUMER_TIMEOUT: (\d+)", compose).groups()
    assert int(timeout_ms) == 1000 * int(timeout_s)
    assert int(timeout_s) >= expected.lease_s


@pytest.mark.parametrize("limit", ["12.5", "010", "20 min", "-3", "a[$(touch made)]"])
def test_the_container_refuses_a_limit_that_is_no_whole_number(tmp_path, limit):
    places = {"PATH": "/usr/bin:/bin", "NRES_RAW_ROOT": str(tmp_path), "NRES_DATA_ROOT": str(tmp_path)}
    command, given = [ROOT / "docker/entrypoint.sh", "service"], {**places, "NRES_TIME_LIMIT": limit}
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert "NRES_TIME_LIMIT" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["supervisord.conf", "docker/night.conf"])
def test_supervisord_takes_the_time_for_frames_in_hand_from_the_environment(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    waits = set(re.findall(r"^stopwaitsecs=(.*)$", text, re.MULTILINE))
    assert "%(ENV_NRES_STOP_WAIT)s" in waits
    assert waits <= {"%(ENV_NRES_STOP_WAIT)s", f"{time_limits._OTHERS_S:g}"}
