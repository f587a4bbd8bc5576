"""A night, and all that is asked of it, on both engines."""

import json

import pytest

from nrespipe.database.columns import State
from nrespipe.service import assembly, health, inquiry, intake, messages, metrics, night, plan, reading, sweep
from nrespipe.service.listener import write_down
from nrespipe.settings import Settings


@pytest.fixture
def anywhere(tmp_path, build, database_url):
    """An assembly on an empty database of either engine."""
    fakes = __import__("fake_recipes")
    given = Settings(processes=0, database_url=database_url)
    made = assembly.build(tmp_path / "out", given, fakes.RECIPES, fakes.spectrograph)
    yield made
    made.sessions.kw["bind"].dispose()


@pytest.mark.slow
def test_a_night_is_reduced_and_every_question_is_answered(archive, anywhere):
    archive.calibrations()
    star = archive.add("e", "STAR A&thar&none")
    archive.add("e", "STAR CRASH&thar&none")
    assert night.reduce_all(anywhere, archive.root).exit_status == 1
    assert night.reduce_all(anywhere, archive.root).new == 0
    with anywhere.sessions.begin() as session:
        assert any("attempts in the last hour: 9 done, 1 failed" in line for line in inquiry.status(session))
        assert any("2 inputs" in line for line in inquiry.why(session, star.name, anywhere.output))
        assert "STAR A" in inquiry.velocity_table(session, "csv")
        assert {point.value for point in metrics.of_database(session) if point.name == "nrespipe.masters"} == {4.0}
        assert plan.owe_all(session, anywhere) == plan.remind(session) == 0
        assert intake.requeue(session, states=[State.FAILED]) == ["lscnrs01-fa09-20190405-0010-e00"]
        assert any(line.startswith("1 frame due") for line in inquiry.status(session))
        assert intake.missed(session, archive.root, "lsc", "20190405") == []
    assert {found.state for found in health.examine(anywhere)} <= {"ok", "doubt"}
    told = []
    assert sweep.sweep(anywhere, lambda *work: told.append(work)) == 1
    assert sweep.sweep(anywhere, lambda *work: told.append(work)) == 0


def test_a_message_is_written_down_once_and_another_content_is_another_version(archive, anywhere):
    path = archive.add("b")
    arrival = messages.read(json.dumps({"path": str(path)}))
    reader = reading.Reader(60.0)
    first, second = (write_down(anywhere, arrival, reader) for _ in range(2))
    assert (first[0], first[1], second[1]) == (second[0], True, False)
    path.write_bytes(path.read_bytes() + b"\0" * 2880)
    third = write_down(anywhere, arrival, reader)
    assert third[0] != first[0]
    remote = json.dumps({"filename": path.name, "frameid": 2**40, "version_set": [{"md5": "1" * 32}]})
    assert [write_down(anywhere, messages.read(remote), reader)[1] for _ in range(2)] == [True, False]
