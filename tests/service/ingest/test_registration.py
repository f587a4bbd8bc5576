"""A file that somebody tells of hides nothing that is known, and what is read of it is never lost."""

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from servers import with_tables
from sqlalchemy import select, text, update
from structlog.testing import capture_logs

from nrespipe.database import frames, measurements
from nrespipe.database.dialects import clock
from nrespipe.database.masters import scheduled_masters
from nrespipe.database.states import State
from nrespipe.database.tables import Attempt, Frame, ScheduledMaster
from nrespipe.database.work import announcements, attempts, notifications
from nrespipe.errors import Unavailable
from nrespipe.files.raw import identity
from nrespipe.frames.raw import Kind
from nrespipe.service import outcome
from nrespipe.service.batch import night
from nrespipe.service.ingest import inspection, messages, raw_files, registration, submission
from nrespipe.service.outcome import NoOutcome
from nrespipe.service.reduction import frame_reduction
from nrespipe.service.time_limits import Pace
from nrespipe.service.work import execution


def did(service, row, owner="me"):
    """Let a worker do a row; return what came of it."""
    result = execution.execute(service, Frame, row, owner)
    return getattr(result, "state", result)


def good_biases(session):
    """Count the frames of which the master bias of the night can be made."""
    (row,) = session.scalars(select(ScheduledMaster).where(ScheduledMaster.kind == Kind.BIAS))
    return len(scheduled_masters.inputs(session, row))


@pytest.fixture
def tell(service):
    """Tell the service of a file, as a message does; return its row."""

    def announce(path, **others):
        arrival = messages.read(json.dumps({"path": str(path), **others}))
        with service.sessions.begin() as session:
            return messages.register(session, arrival, service.output)[0]

    return announce


@pytest.fixture
def work(service, tell):
    """Let a worker do what it is told of."""
    return lambda path: did(service, tell(path), "me")


def versions(query, path):
    rows = query.all(select(Frame).where(Frame.filename == path.name.split(".")[0]).order_by(Frame.id))
    return [(row.version, row.state) for row in rows]


def change(path):
    """Give a raw file another content."""
    path.write_bytes(path.read_bytes() + b"\0" * 2880)


@pytest.mark.slow
def test_a_frame_that_is_done_stays_while_another_path_of_it_never_appears(archive, service, work, query, tmp_path):
    archive.calibrations()
    star = archive.add("e", "STAR A&thar&none")
    night.reduce_all(service, archive.root)
    for path in (star, *archive.root.rglob("*b00.fits")):
        assert work(tmp_path / "elsewhere" / path.name) is State.RETRY
    assert versions(query, star) == [(1, State.DONE), (None, State.RETRY)]
    with query.sessions.begin() as session:
        assert [row["filename"] for row in measurements.velocity_table(session)] == [star.stem]
        assert good_biases(session) == 2
        assert [frame.state for frame in frames.with_problems(session)] == [State.RETRY] * 3
        session.execute(update(Frame).where(Frame.version.is_(None)).values(retries=attempts.MOST_RETRIES - 1))
    assert [did(service, row, "me") for row in _due_now(service)] == [State.RETRY] * 3
    given_up = query.all(select(Frame).where(Frame.version.is_(None)))
    assert {(frame.state, frame.next_try) for frame in given_up} == {(State.FAILED, None)}
    assert all(frame.reason.startswith("given up after 40 attempts") for frame in given_up)
    with query.sessions.begin() as session:
        assert len(measurements.velocity_table(session)) == 1


@pytest.mark.parametrize("part", [0.5, 0.8, 0.99])
def test_a_copy_that_is_cut_off_hides_no_frame_that_is_done(archive, service, work, query, tmp_path, part):
    bias = archive.add("b")
    assert work(bias) is State.DONE
    copy = tmp_path / "elsewhere" / bias.name
    copy.parent.mkdir()
    whole = bias.read_bytes()
    # its header is whole, its pixels are not
    header = whole.index(b"END" + b" " * 77) // 2880 * 2880 + 2880
    copy.write_bytes(whole[: header + int(part * (len(whole) - header))])
    assert work(copy) is State.BAD
    assert versions(query, bias) == [(1, State.DONE), (None, State.BAD)]
    submission.submit(service, [copy])
    assert versions(query, bias) == [(1, State.DONE), (None, State.BAD)]
    with query.sessions.begin() as session:
        assert "truncated" in session.scalar(select(Frame.reason).where(Frame.version.is_(None)))
        assert good_biases(session) == 1


def _due_now(service):
    with service.sessions.begin() as session:
        session.execute(update(Frame).where(Frame.next_try.is_not(None)).values(next_try=clock(session)))
        return notifications.select(session, Frame, 0.0, 100)


def test_the_same_content_at_another_place_is_the_same_frame_and_keeps_its_path_while_that_is_there(
    archive, service, work, query, tmp_path
):
    path = archive.add("b")
    assert work(path) is State.DONE
    copy = tmp_path / "copy" / path.name
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes())
    assert work(copy) is NoOutcome.CONTENT_KNOWN
    (row,) = query.all(select(Frame))
    assert (row.state, row.path, row.version) == (State.DONE, str(path), 1)
    path.unlink()
    assert work(copy) is NoOutcome.CONTENT_KNOWN
    (row,) = query.all(select(Frame))
    assert (row.state, row.path) == (State.DONE, str(copy))
    assert len(query.all(select(Attempt))) == 1, "nothing that is done is done again"


def test_a_frame_whose_file_went_away_goes_on_where_it_is_told_of_at_another_place(
    archive, service, work, query, tmp_path
):
    path = archive.add("b")
    submission.submit(service, [path])
    moved = path.rename(tmp_path / path.name)
    (row,) = query.all(select(Frame))
    assert did(service, row.id, "me") is State.RETRY
    assert work(moved) is NoOutcome.CONTENT_KNOWN
    assert did(service, row.id, "me") is State.DONE


def test_another_content_is_a_version_once_it_was_read(archive, service, tell, query):
    path = archive.add("b")
    assert did(service, tell(path), "me") is State.DONE
    change(path)
    row = tell(path)
    assert versions(query, path) == [(1, State.DONE), (None, State.QUEUED)]
    assert did(service, row, "me") is State.DONE
    assert versions(query, path) == [(1, State.DONE), (2, State.DONE)]


def test_what_is_told_of_while_an_older_content_is_read_is_read_again(archive, service, tell, query, monkeypatch):
    path, look = archive.add("b"), raw_files.identify
    row = tell(path)

    def meanwhile(given):
        seen = look(given)
        change(path)
        tell(path)
        return seen

    monkeypatch.setattr(inspection.raw_files, "identify", meanwhile)
    assert did(service, row, "me") is NoOutcome.ANNOUNCED_AGAIN
    monkeypatch.setattr(inspection.raw_files, "identify", look)
    assert _due_now(service) == [row]
    assert did(service, row, "me") is State.DONE
    (frame,) = query.all(select(Frame))
    assert (frame.version, frame.md5) == (1, raw_files.md5(path))


def test_what_is_told_of_while_it_cannot_be_found_is_looked_for_again(archive, service, tell, query, monkeypatch):
    path, look = archive.add("b"), raw_files.identify
    hidden = path.rename(path.with_suffix(".hidden"))
    row = tell(path)

    def meanwhile(given):
        seen = look(given)
        hidden.rename(path)
        tell(path)
        return seen

    monkeypatch.setattr(inspection.raw_files, "identify", meanwhile)
    did(service, row, "me")
    monkeypatch.setattr(inspection.raw_files, "identify", look)
    (frame,) = query.all(select(Frame))
    assert (frame.state, frame.owner) == (State.QUEUED, "")
    assert did(service, row, "me") is State.DONE


@pytest.mark.parametrize("damaged", [b"", b"SIMPLE  = nonsense", b"<html>"])
def test_a_content_that_cannot_be_understood_is_a_version_only_where_there_is_no_other(
    archive, service, work, query, damaged
):
    path = archive.add("b")
    good = path.read_bytes()
    path.write_bytes(damaged)
    assert work(path) is State.BAD
    assert versions(query, path) == [(1, State.BAD)]
    path.write_bytes(good)
    assert work(path) is State.DONE
    path.write_bytes(damaged + b" ")
    assert work(path) is State.BAD
    assert work(path) is NoOutcome.CONTENT_KNOWN, "it is known"
    assert versions(query, path) == [(1, State.BAD), (2, State.DONE), (None, State.BAD)]
    with query.sessions.begin() as session:
        assert [frame.version for frame in session.scalars(select(Frame).where(Frame.is_latest()))] == [2, None]


def test_what_is_no_file_is_refused_at_once_and_looked_at_again_when_it_is_told_of(archive, service, work, query):
    path = archive.add("b")
    good = path.read_bytes()
    for make, words in ((os.mkfifo, "a pipe"), (os.mkdir, "a directory")):
        path.unlink()
        make(path)
        assert work(path) is State.BAD
        assert query.all(select(Frame.reason)) == [f"{path.name}: not a file but {words}"]
        path.rename(path.with_suffix(f".{make.__name__}"))
        path.write_bytes(good)
    assert work(path) is State.DONE


def test_a_file_that_its_disk_does_not_give_is_tried_later_and_is_not_at_fault(
    archive, service, tell, query, monkeypatch
):
    path, back, look = archive.add("b"), threading.Event(), raw_files.identify
    hurried = replace(service, pace=Pace(read_s=0.1))
    row = tell(path)
    monkeypatch.setattr(inspection.raw_files, "identify", lambda given: back.wait(30) and look(given))
    assert did(hurried, row, "me") is State.RETRY
    back.set()
    (frame,) = query.all(select(Frame))
    assert frame.reason == f"{path.name}: the disk at / does not answer within 0.1 s"
    assert (frame.version, frame.site, frame.kind) == (None, "lsc", "bias"), "its name tells"
    assert [did(service, one, "me") for one in _due_now(service)] == [State.DONE]


def test_a_file_that_changes_while_it_is_read_is_read_later(archive, monkeypatch):
    path, checksum = archive.add("b"), raw_files.md5

    def meanwhile(given):
        found = checksum(given)
        change(path)
        return found

    monkeypatch.setattr(raw_files, "md5", meanwhile)
    facts, looked = raw_files.identify(path)
    assert (looked.state, looked.reason, "md5" in facts) == (
        State.RETRY,
        f"{path.name}: it is being written; it is tried again",
        False,
    )


def test_a_night_finds_the_file_that_an_earlier_one_could_not_read(archive, service, query):
    path = archive.add("b")
    away = outcome.run(open, archive.root / "none")
    registration.register_file(service.sessions, path, identity.parse_name(path.name), away)
    assert versions(query, path) == [(None, State.RETRY)]
    assert night.reduce_all(service, archive.root).counts == {State.DONE: 1}
    registration.register_file(service.sessions, path, identity.parse_name(path.name), away)
    assert versions(query, path) == [(1, State.DONE), (None, State.RETRY)]
    night.reduce_all(service, archive.root)
    assert versions(query, path) == [(1, State.DONE)]


def test_a_frame_of_the_archive_never_goes_among_the_raw_files(archive, service, tell, query, monkeypatch):
    path = archive.add("b")
    assert did(service, tell(path), "me") is State.DONE
    content, told = path.read_bytes(), {"filename": path.name, "frameid": 17}
    arrival = messages.read(json.dumps({**told, "version_set": [{"md5": raw_files.md5(path)}]}))
    path.unlink()
    fetched = []

    def fetch(number, target, *_, **__):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        fetched.append(target)

    monkeypatch.setattr(inspection.archive_download, "fetch", fetch)
    with service.sessions.begin() as session:
        row, is_due = messages.register(session, arrival, service.output)
        announcements.request(session, session.get_one(Frame, row))
    assert not is_due, "it is done"
    assert did(service, row, "me") is State.DONE
    assert fetched == [service.output / "lsc/nres01/20190405/fetched" / path.name]
    assert query.all(select(Frame.path)) == [str(fetched[0])]


def test_a_file_that_waited_for_its_turn_is_told_of_when_the_other_is_done(archive, service, tell, query, monkeypatch):
    path, told = archive.add("b"), []
    row, reduce = tell(path), frame_reduction.reduce

    def meanwhile(job, **options):
        change(path)
        told.append(tell(path))
        assert did(service, told[0], "another") is NoOutcome.NOT_DUE, "they write the same products"
        return reduce(job, **options)

    monkeypatch.setattr(frame_reduction, "reduce", meanwhile)
    assert did(service, row, "me") is State.DONE
    with service.sessions.begin() as session:
        assert notifications.select(session, Frame, 3600.0, 100) == told
    monkeypatch.setattr(frame_reduction, "reduce", reduce)
    assert did(service, told[0], "me") is State.DONE
    assert versions(query, path) == [(1, State.DONE), (2, State.DONE)]


def test_frames_that_were_announced_at_a_place_where_they_are_not_are_still_missed(archive, service, tell, tmp_path):
    path = archive.add("b")
    tell(tmp_path / path.name)
    with service.sessions.begin() as session:
        assert submission.find_missed(session, archive.root, "lsc", "20190405") == [path]


def test_one_content_that_is_read_at_many_places_at_once_is_one_version(archive, database_url, tmp_path):
    path, sessions = archive.add("b"), with_tables(database_url)
    places = [tmp_path / str(number) / path.name for number in range(8)]
    for number, place in enumerate(places):
        place.parent.mkdir()
        place.write_bytes(path.read_bytes() + b"\0" * 2880 * (number % 2))
        with sessions.begin() as session:
            announcements.announce(session, path.stem, str(place))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda place: registration.register_file(sessions, place, *raw_files.identify(place)), places))
    with sessions.begin() as session:
        assert sorted(frame.version for frame in frames.find(session, path.stem)) == [1, 2]
    sessions.kw["bind"].dispose()


@pytest.fixture
def unspeakable(archive):
    """A raw file in a directory whose name is no text."""
    folder = Path(os.fsdecode(os.fsencode(archive.root) + b"/caf\xe9"))
    folder.mkdir(parents=True)
    path = archive.add("b")
    return path.rename(folder / path.name)


def test_a_directory_whose_name_is_no_text_keeps_no_other_from_being_reduced(archive, service, unspeakable):
    good = archive.add("b")
    with capture_logs() as log:
        assert night.reduce_all(service, archive.root).counts == {State.DONE: 1}
    (line,) = [line for line in log if line["event"] == "directory left out"]
    assert line["reason"] == f"{archive.root}/caf\\xe9: a name in this path is not text in UTF-8: give it another name"
    told = submission.submit(service, [unspeakable, good])
    assert [state for _, state, _ in told] == [State.BAD, State.DONE]
    assert "caf\\xe9/lscnrs01" in told[0][2]
    for work in (night.reduce_all, lambda *_: night.reduce_files(service, [unspeakable])):
        with pytest.raises(Unavailable, match="not text in UTF-8"):
            work(service, unspeakable.parent)


def test_a_frame_that_cannot_be_planned_is_tried_later_with_its_traceback_and_its_process_has_not_died(
    archive, service, query
):
    path = archive.add("b")
    row = registration.register_file(service.sessions, path, *raw_files.identify(path)).id
    with service.sessions.begin() as session:
        # of a later program
        session.execute(text("update frames set kind = 'skyflat'"))
    assert did(service, row) is State.RETRY
    (frame,), (attempt,) = query.all(select(Frame)), query.all(select(Attempt))
    assert (frame.reason, frame.owner, frame.deaths) == ("KeyError: 'skyflat'", "", 0)
    assert "Traceback" in attempt.traceback


def test_a_path_that_does_not_exist_is_named_with_its_defect_in_words(service, archive):
    path = archive.add("b")
    path.unlink()
    _, result = raw_files.identify(path)
    assert (result.state, result.reason) == (
        State.RETRY, f"{path.name}: the disk does not give the file: No such file or directory",
    )  # fmt: skip
