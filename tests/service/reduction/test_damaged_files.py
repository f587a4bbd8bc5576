"""Damaged files are recorded with a reason that names the defect, and the night goes on."""

import pytest
from sqlalchemy import select

from nrespipe.database.states import State
from nrespipe.database.tables import Frame
from nrespipe.errors import Unavailable
from nrespipe.files.raw import raw_file
from nrespipe.frames.raw import Kind
from nrespipe.service.batch import night


def empty(path):
    path.write_bytes(b"")


def truncated(path):
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 2000])


def web_page(path):
    path.write_text("<!DOCTYPE html><html><body>404 Not Found</body></html>")


def scrambled(path):
    path.write_bytes(b"\x89PNG" + bytes(range(256)) * 20)


DAMAGE = [
    (empty, "is empty"),
    (truncated, "truncated"),
    (web_page, "web page"),
    (scrambled, "not a FITS file"),
]


@pytest.mark.parametrize(("damage", "words"), DAMAGE)
@pytest.mark.parametrize("code", ["b", "e"])
@pytest.mark.slow
def test_a_damaged_file_is_bad_with_its_defect_and_the_night_goes_on(archive, run, query, damage, words, code):
    archive.calibrations()
    damage(archive.add(code, "" if code == "b" else "STAR A&thar&none"))
    archive.add("e", "STAR A&thar&none")
    summary = run()
    assert summary.exit_status == 1
    ((_, state, reason),) = summary.unhappy
    assert state is State.BAD
    assert words in reason
    (good,) = query.all(select(Frame).where(Frame.kind == Kind.SCIENCE, Frame.state == State.DONE))
    assert good.reason == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"OBJECTS": None}, "no OBJECTS card"),
        ({"OBJECTS": " "}, "OBJECTS is empty"),
        ({"OBJECTS": "none&none&none"}, "OBJECTS"),
        ({"DATASEC": "[1:400,1:160]"}, "pixels"),
        ({"DATASEC": "[1:24,1:8]"}, "wrong size: 24 x 8"),
        ({"MJD-OBS": None}, "MJD-OBS"),
    ],
)
@pytest.mark.slow
def test_a_header_without_what_is_needed_is_bad_and_names_the_keyword(archive, run, query, changes, words):
    archive.calibrations()
    archive.add("e", **{"objects": "STAR A&thar&none", **changes})
    ((_, state, reason),) = run().unhappy
    assert state is State.BAD
    assert words in reason


def test_a_damaged_file_is_bad_even_while_its_masters_are_missing(archive, run, query):
    truncated(archive.add("e", "STAR A&thar&none"))
    ((_, state, reason),) = run().unhappy
    assert state is State.BAD
    assert "truncated" in reason


def test_a_bias_of_another_size_does_not_spoil_the_master(archive, run, query):
    archive.calibrations()
    archive.add("b", DATASEC="[1:12,1:16]", BIASSEC="[31:40,1:16]")
    assert run().counts == {State.DONE: 8, State.BAD: 1}


def test_a_file_that_cannot_be_identified_is_filed_under_the_night_in_its_name(archive, run, query):
    empty(archive.add("e", "STAR A&thar&none"))
    run()
    (frame,) = query.all(select(Frame))
    assert (frame.site, frame.instrument, frame.camera, frame.day) == ("lsc", "nres01", "fa09", "20190405")
    assert frame.kind is Kind.SCIENCE


@pytest.mark.slow
def test_a_repaired_file_is_reduced_under_its_name(archive, run, query):
    archive.calibrations()
    path = archive.add("e", "STAR A&thar&none")
    whole = path.read_bytes()
    empty(path)
    assert run().exit_status == 1
    path.write_bytes(whole)
    assert run().exit_status == 0


@pytest.mark.slow
def test_files_that_the_disk_does_not_give_at_first_are_reduced_when_it_does(archive, run, service, query, monkeypatch):
    archive.calibrations()
    path = archive.add("e", "STAR A&thar&none")

    def away(path):
        raise Unavailable(f"{path.name}: the disk does not give the file")

    with monkeypatch.context() as patched:
        patched.setattr(raw_file, "read_identity", away)
        assert run().counts == {State.RETRY: 9}
        summary = night.reduce_files(service, [path])
    assert summary.unhappy == ((path.stem, State.RETRY, "the disk does not give the file"),)
    assert {frame.kind for frame in query.all(select(Frame))} == set(Kind)
    assert run().counts == {State.DONE: 9}


@pytest.mark.parametrize("step", ["_header", "_require_image"])
def test_a_frame_that_is_read_while_the_machine_has_no_memory_is_tried_again(archive, run, monkeypatch, step):
    archive.add("b")

    def out_of_memory(*_):
        raise MemoryError("Unable to allocate 64 MiB")

    with monkeypatch.context() as patched:
        patched.setattr(raw_file, step, out_of_memory)
        assert run().counts == {State.RETRY: 1}
    assert run().counts == {State.DONE: 1}


def test_a_foreign_frame_is_skipped_with_a_reason(archive, run, query):
    archive.add("b", TELESCOP="1m0-09")
    assert run().exit_status == 0
    (frame,) = query.all(select(Frame))
    assert frame.state is State.SKIPPED
    assert "1m0-09" in frame.reason
