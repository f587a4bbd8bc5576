"""A night, and all that is asked of it, on both engines."""

import json

import pytest

from nrespipe.database import frames
from nrespipe.database.states import State
from nrespipe.database.tables import Frame
from nrespipe.service import assembly, metrics
from nrespipe.service.batch import night
from nrespipe.service.ingest import messages, raw_files, registration, submission
from nrespipe.service.masters import master_schedule
from nrespipe.service.operations import health, status
from nrespipe.service.outcome import NoOutcome
from nrespipe.service.work import dispatch, execution
from nrespipe.settings import Settings


def did(service, row, owner="me"):
    """Let a worker do a row; return what came of it."""
    result = execution.execute(service, Frame, row, owner)
    return getattr(result, "state", result)


@pytest.fixture
def anywhere(tmp_path, build, database_url):
    """An assembly on an empty database of either engine."""
    fakes = __import__("fake_recipes")
    given = Settings(processes=0, database_url=database_url)
    made = assembly.build(tmp_path / "out", given, fakes.RECIPES, fakes.spectrograph, fakes.judge)
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
        assert any("attempts in the last hour: 9 done, 1 failed" in line for line in status.status(session))
        assert any("2 inputs" in line for line in status.why(session, star.name, anywhere.output))
        assert "STAR A" in status.velocity_table(session, "csv", {})
        assert {point.value for point in metrics.of_database(session) if point.name == "nrespipe.masters"} == {4.0}
        assert master_schedule.add_all(session, anywhere) == master_schedule.make_waiting_due(session) == 0
        assert submission.requeue(session, states=[State.FAILED]) == ["lscnrs01-fa09-20190405-0010-e00"]
        assert any(line.startswith("1 frame due") for line in status.status(session))
        assert submission.find_missed(session, archive.root, "lsc", "20190405") == []
    assert {found.state for found in health.examine(anywhere)} <= {"ok", "warning"}
    told = []
    assert dispatch.sweep(anywhere, lambda *work: told.append(work)) == 1
    assert dispatch.sweep(anywhere, lambda *work: told.append(work)) == 0


def test_what_is_accepted_can_be_stored_and_comes_to_one_version_of_each_content(archive, anywhere):
    path = archive.add("b")
    names = ["lscnrs01-fa09-20190405-0021-e00.fits.fz", "9" * 190 + "-e00.fits"]
    bodies = [{"path": str(path)}, {"path": f"/ÿ\U0010ffff\x01/{names[0]}", "x": "\ud800"}]
    bodies += [
        {"filename": name, "frameid": 2**63 - 1, "version_set": [{"md5": "1" * 32}], "TELESCOP": "nres01"}
        for name in names
    ]
    rows = []
    for body in bodies * 2:
        with anywhere.sessions.begin() as session:
            rows.append(messages.register(session, messages.read(json.dumps(body)), anywhere.output))
    assert [row for row, _ in rows[:4]] == [row for row, _ in rows[4:]]
    first = did(anywhere, rows[0][0], "me")
    assert first is State.DONE
    path.write_bytes(path.read_bytes() + b"\0" * 2880)
    again = registration.register_file(anywhere.sessions, path, *raw_files.identify(path))
    assert (again.version, again.id != rows[0][0]) == (2, True)
    with anywhere.sessions.begin() as session:
        row_id, is_due = messages.register(session, messages.read(json.dumps(bodies[0])), anywhere.output)
    assert is_due
    assert did(anywhere, row_id, "me") is NoOutcome.CONTENT_KNOWN
    with anywhere.sessions.begin() as session:
        assert [frame.version for frame in frames.find(session, path.stem)] == [2, 1]
