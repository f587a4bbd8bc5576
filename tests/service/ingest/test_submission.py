"""People bring frames, ask for them again, and find those that were missed."""

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from click.testing import CliRunner
from sqlalchemy import select, update

from nrespipe import cli
from nrespipe.database.administration import schema
from nrespipe.database.states import State
from nrespipe.database.tables import Frame, ScheduledMaster
from nrespipe.database.work import claims
from nrespipe.service import assembly
from nrespipe.service.batch import night
from nrespipe.service.ingest import submission
from nrespipe.service.operations import health
from nrespipe.settings import change


@pytest.fixture
def command(service, build, monkeypatch, tmp_path):
    """Run a command of the program on the directories of the test."""
    monkeypatch.setattr(assembly, "build", lambda output, given, **others: build(output, **others))
    for name in ("DB_URL", "NRES_DATA_ROOT", "NRES_RAW_ROOT", "BROKER_URL", "FITS_BROKER"):
        monkeypatch.delenv(name, raising=False)
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    yield lambda *words: CliRunner().invoke(cli.main, [*map(str, words), "--output", str(tmp_path / "out")])
    logging.captureWarnings(False)
    logging.getLogger().handlers[:], logging.getLogger().level = handlers, level
    structlog.reset_defaults()


def test_files_and_directories_are_submitted_and_told_of(archive, command, query):
    paths = [archive.add("b"), archive.add("b")]
    empty = archive.add("b")
    empty.write_bytes(b"")
    result = command("submit", paths[0])
    heading, *told = [line.split() for line in result.stdout.splitlines()]
    assert (result.exit_code, heading, told) == (0, ["file", "state", "reason"], [[paths[0].name, "queued", "-"]])
    result = command("submit", archive.root)
    assert result.exit_code == 1
    # its name is there once
    (told,) = (line for line in result.stdout.splitlines() if empty.name in line)
    assert told.split(maxsplit=2) == [empty.name, "bad", "the file is empty"]
    assert sorted(frame.state for frame in query.all(select(Frame))) == [State.BAD, State.QUEUED, State.QUEUED]


def test_what_lies_among_raw_files_is_no_output(archive, build, command, tmp_path):
    path = archive.add("b")
    result = CliRunner().invoke(cli.main, ["submit", str(path), "--output", str(path.parent)])
    assert result.exit_code == 1
    assert "holds raw files" in result.output


@pytest.mark.parametrize("words", [["listen"], ["work"], ["schedule"], ["run"], ["doctor"]])
def test_no_program_of_the_service_starts_with_its_output_among_raw_files(
    archive, command, monkeypatch, snapshot, words
):
    raw = archive.add("b").parent
    before = snapshot(archive.root)
    monkeypatch.setenv("NRES_RAW_ROOT", str(archive.root))
    for name in ("BROKER_URL", "FITS_BROKER"):
        monkeypatch.setenv(name, "amqp://127.0.0.1:1/")
    result = CliRunner().invoke(cli.main, [*words, "--output", str(raw / "reduced")])
    assert result.exit_code == 1
    assert "choose another output directory" in result.output
    assert snapshot(archive.root) == before


def test_frames_are_asked_for_again_by_name_and_by_state(archive, service, command, query):
    archive.calibrations()
    for word in ("CRASH", "A"):
        archive.add("e", f"STAR {word}&thar&none")
    night.reduce_all(service, archive.root)
    result = command("requeue", "--state", "failed")
    assert result.stdout.splitlines() == ["lscnrs01-fa09-20190405-0009-e00", "1 frames are due"]
    result = command("requeue", "lscnrs01-fa09-20190405-0010-e00.fits.fz")
    assert result.stdout.splitlines() == ["lscnrs01-fa09-20190405-0010-e00", "1 frames are due"]
    due = query.all(select(Frame).where(Frame.next_try.is_not(None)).order_by(Frame.filename))
    assert [frame.state for frame in due] == [State.QUEUED, State.DONE]
    assert command("requeue").exit_code == 2
    result = command("requeue", "nothing-e00")
    assert (result.exit_code, "nothing is known of nothing-e00" in result.output) == (1, True)


def test_only_what_changed_since_is_asked_for_again(archive, service, query):
    archive.add("b")
    night.reduce_all(service, archive.root)
    with service.sessions.begin() as session:
        session.execute(update(Frame).values(updated=datetime.now(UTC) - timedelta(hours=2)))
        assert submission.requeue(session, states=[State.DONE], since=datetime.now(UTC) - timedelta(hours=1)) == []
        assert len(submission.requeue(session, states=[State.DONE], since=datetime.now(UTC) - timedelta(hours=3))) == 1


def test_a_frame_in_somebodys_hands_is_not_asked_for_again(archive, service):
    archive.add("b")
    night.reduce_all(service, archive.root)
    with service.sessions.begin() as session:
        session.execute(update(Frame).values(owner="somebody"))
        assert submission.requeue(session, states=[State.DONE]) == []


def test_raw_files_that_nobody_told_of_are_found(archive, command, query):
    known, missed = archive.add("b"), archive.add("b")
    archive.add("b", day="20190406")
    command("submit", known)
    words = ("reconcile", "--raw", archive.root, "--site", "lsc", "--day", "20190405")
    result = command(*words, "--dry-run")
    assert result.stdout.splitlines() == [str(missed), "1 frames were missed"]
    assert len(query.all(select(Frame))) == 1
    command(*words)
    assert {frame.filename for frame in query.all(select(Frame))} == {known.stem, missed.stem}
    assert command(*words).stdout.splitlines() == ["0 frames were missed"]


def test_an_archive_that_is_away_does_not_look_like_a_night_without_frames(archive, command):
    result = command("reconcile", "--raw", archive.root, "--site", "elp", "--day", "20190405")
    assert result.exit_code == 1
    assert "no such directory; mount the raw archive" in result.output


def test_the_doctor_finds_a_healthy_service(archive, service, command):
    archive.calibrations()
    archive.add("e", "STAR A&thar&none")
    night.reduce_all(service, archive.root)
    result = command("doctor")
    assert result.exit_code == 0, result.output
    told = {line.split("  ")[0]: line for line in result.stdout.splitlines()}
    assert "1 cameras have all that their stars need" in told["masters"]
    assert f"sqlite, revision {schema.known()[-1]}, last night 20190405" in told["database"]


def test_the_doctor_tells_of_masters_that_are_missing(archive, service, command):
    archive.add("e", "STAR A&thar&none")
    night.reduce_all(service, archive.root)
    result = command("doctor")
    assert result.exit_code == 0
    assert "nres01 fa09 lacks a bias for 20190405" in result.stdout


@pytest.mark.parametrize("error", [OSError(), LookupError("no such table"), RecursionError(), ValueError("a\nb")])
def test_whatever_the_doctor_stumbles_over_is_one_finding_and_the_others_are_told(service, error, monkeypatch):
    def fail(_):
        raise error

    monkeypatch.setattr(health, "_raw", fail)
    found = {one.name: one for one in health.examine(service)}
    assert (found["raw frames"].state, found["database"].state) == ("broken", "ok")
    assert type(error).__name__ in found["raw frames"].words
    assert str(error).partition("\n")[0] in found["raw frames"].words


def test_the_doctor_tells_of_a_broker_that_is_away_without_its_password(service):
    given = change(service.settings, broker_url="amqp://user:secret@127.0.0.1:1/")
    findings = {found.name: found for found in health.examine(replace(service, settings=given))}
    found = findings["broker of the workers"]
    assert found.state == "broken"
    assert "127.0.0.1:1" in found.words
    assert "secret" not in found.words


def test_status_tells_what_is_due_in_hand_owed_and_done(archive, service, command):
    archive.calibrations()
    night.reduce_all(service, archive.root)
    command("submit", *(archive.add("b") for _ in range(3)))
    with service.sessions.begin() as session:
        due = list(session.scalars(select(Frame).where(Frame.state == State.QUEUED)))
        assert claims.claim(session, Frame, due[0].id, "worker1@host/x/1.1")
        due[1].next_try -= timedelta(hours=3)
        session.scalars(select(ScheduledMaster).where(ScheduledMaster.kind == "bias")).one().next_try = datetime(
            2030, 1, 2, tzinfo=UTC
        )
    told = command("status").stdout
    assert "2 frames due, the oldest for 3 hours\n" in told
    assert "1 frame worked on by worker1@host\n" in told
    assert "1 master scheduled, the next at 2030-01-02 00:00 UTC\n" in told
    assert "attempts in the last hour: 8 done\n" in told


@pytest.mark.parametrize("word", ["work", "listen", "schedule"])
def test_a_program_that_no_other_can_hear_is_refused(command, word):
    result = command(word)
    assert result.exit_code == 2
    assert "set RABBITMQ_HOST or BROKER_URL" in result.output


def test_a_listener_with_nothing_to_listen_to_is_refused(command, monkeypatch):
    monkeypatch.setenv("BROKER_URL", "amqp://127.0.0.1:1/")
    result = command("listen")
    assert result.exit_code == 2
    assert "set FITS_BROKER_HOST" in result.output
